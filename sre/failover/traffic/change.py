"""Who changed which switch of traffic, from what to what?

Every change by hand leaves two lines in `traffic.jsonl` of the state folder: one before it begins
(a tool that dies in between has left its intent) and one that says how it ended.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, Terminated
from sre.core.files import state_folder
from sre.core.journal import Journal
from sre.failover.model import Switch
from sre.failover.switches import Way
from sre.failover.traffic.render import way_as_data

__all__ = ["changed", "journal_path", "who"]


def journal_path() -> Path:
    """Where changes stand."""
    return state_folder() / "traffic.jsonl"


def who() -> str:
    """The user whom this process runs as."""
    with contextlib.suppress(KeyError, OSError):
        return getpass.getuser()
    return f"uid {os.getuid()}"


def changed(
    switch: Switch, what: str, act: Callable[[], None], deadline: Deadline, journal: Journal
) -> Way:
    """Bring about a change and say what the switch does afterwards.

    Raises:
        Transient, CheckFailed, UsageError: as the switch says; that stands in the journal too.
    """
    entry = {"change": secrets.token_hex(4), "switch": switch.name, "kind": switch.kind}
    before = _seen(switch, deadline)
    journal.append({**entry, "what": what, "who": who(), "event": "begins", "before": before})
    try:
        act()
        after = switch.traffic.look(deadline.within(10))
    except (SreError, Terminated, KeyboardInterrupt) as error:
        reason = str(error) or type(error).__name__
        journal.append({**entry, "what": what, "event": "failed", "reason": reason})
        raise
    journal.append({**entry, "what": what, "event": "done", "after": _short(after)})
    return after


def _seen(switch: Switch, deadline: Deadline) -> dict[str, Any]:
    try:
        return _short(switch.traffic.look(deadline.within(5)))
    except CheckFailed as error:  # what is wrong may be what the change mends
        return {"error": str(error)}


def _short(way: Way) -> dict[str, Any]:
    data = way_as_data(way)
    servers = {each.name: each.state for each in way.servers}
    return {"servers": servers, "maintenance": way.maintenance, "problems": data["problems"]}
