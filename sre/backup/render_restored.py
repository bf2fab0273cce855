"""What does `sre backup restore` say that it did?"""

from __future__ import annotations

import json
from dataclasses import asdict

from sre.backup.layout import stamp
from sre.backup.records import Restored
from sre.backup.render import size_text
from sre.core.units import format_duration

__all__ = ["restored_as_json", "restored_as_text"]


def restored_as_json(done: Restored) -> str:
    """`sre.restored/1`."""
    content = {"schema": "sre.restored/1", **asdict(done), "consistent": stamp(done.consistent)}
    return json.dumps(content, indent=2)


def restored_as_text(done: Restored) -> str:
    """What was restored, to which moment, how long each phase took, and what to mind."""
    where = "standard output" if done.folder == "-" else done.folder
    lines = [
        f"{done.id} restored to {where}: {size_text(done.bytes)} in "
        f"{format_duration(done.seconds)}",
        f"  target:   {done.target or 'the end of the backup'}",
    ]
    if done.recovered:
        newest = f"; newest transaction {done.newest} UTC" if done.newest else ""
        at = f" ({done.stopped} was where it stopped)" if done.stopped else ""
        lines.append(f"  reached:  {done.lsn}{newest}{at}")
    else:
        lines.append(f"  backup:   as of {stamp(done.consistent)}")
    if done.order:
        lines.append(
            f"  order:    {done.order['id']} was committed by transaction "
            f"{done.order['transaction']} at {done.order['committed']} ({done.order['lsn']}), "
            + done.order["which"]
        )
    if done.phases:
        parts = (f"{name} {format_duration(value)}" for name, value in done.phases.items())
        lines.append(f"  phases:   {', '.join(parts)}")
    if done.port is not None:
        lines.append(f"  settings: port {done.port}, on localhost alone, archive_mode = off")
    return "\n".join([*lines, *(f"  note: {each}" for each in done.notes)])
