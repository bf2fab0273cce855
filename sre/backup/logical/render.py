"""What does a restore into a server say?"""

from __future__ import annotations

import json
from dataclasses import asdict

from sre.backup.layout import stamp
from sre.backup.logical.restore import Loaded
from sre.backup.render import size_text
from sre.core.units import format_duration

__all__ = ["loaded_as_json", "loaded_as_text"]


def loaded_as_json(done: Loaded) -> str:
    """`sre.loaded/1`."""
    content = {**asdict(done), "consistent": stamp(done.consistent)}
    return json.dumps({"schema": "sre.loaded/1", **content}, indent=2)


def loaded_as_text(done: Loaded) -> str:
    """What was loaded, and what did not come along."""
    what = ", ".join(done.tables) or f"everything ({size_text(done.bytes)})"
    lines = [
        f"{done.id}: {what} loaded into {done.into} in {format_duration(done.seconds)}, as of "
        f"{stamp(done.consistent)}"
    ]
    if done.roles:
        how = "with their passwords" if done.passwords else "without passwords: set them"
        lines.append(f"roles made, {how}: {', '.join(done.roles)}")
    if done.masked:
        lines.append(f"masked: {', '.join(done.masked)}")
    return "\n".join([*lines, *(f"left out: {each}" for each in done.left_out)])
