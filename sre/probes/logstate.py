"""Where does a probe that must remember keep what it knows, so that a restart counts nothing twice?

In one JSON file in the state folder, replaced in one step, and in memory: a folder that cannot be
written costs the memory of a restart and nothing else. One look at a time: a second thread or
process waits for the first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import Locked, Transient
from sre.core.files import replace_file, state_folder
from sre.core.lock import exclusive

__all__ = ["Busy", "Memory", "remembered"]

_PAUSE = 0.02
_memories: dict[str, dict[str, Any]] = {}
_locks: dict[str, threading.Lock] = {}
_guard = threading.Lock()


class Busy(Exception):  # noqa: N818  an answer, not a fault
    """Somebody else was at it until the time was up."""


@dataclass
class Memory:
    """What is known about one subject; change `value` inside `remembered`.

    Attributes:
        value: empty when nothing is known. Plain JSON.
        elsewhere: what other users of the same subject know, newest first.
        volatile: why it could not be stored; empty when it was.
    """

    value: dict[str, Any]
    elsewhere: tuple[dict[str, Any], ...] = ()
    volatile: str = field(default="")


@contextlib.contextmanager
def remembered(topic: str, subject: str, user: str, deadline: Deadline) -> Iterator[Memory]:
    """What is known under a topic about a subject (a file, say) to one user (a configuration).

    It is stored when the context ends well, and left alone when it does not.

    Raises:
        Busy: another thread or process holds it until the deadline.
    """
    folder = state_folder().absolute() / topic / f"{_plain(subject)}-{_short(subject)}"
    path = folder / f"{_short(user)}.json"
    with _alone(str(path), deadline), contextlib.ExitStack() as stack:
        volatile = _lock_file(stack, path, deadline)
        memory = Memory(_newest(path), volatile=volatile)
        if not memory.value:
            memory.elsewhere = _others(folder)
        yield memory
        memory.value["revision"] = int(memory.value.get("revision", 0)) + 1
        _memories[str(path)] = memory.value
        if not volatile:
            try:
                replace_file(path, json.dumps(memory.value).encode())
            except OSError as error:
                memory.volatile = f"cannot write {path}: {error.strerror}"


@contextlib.contextmanager
def _alone(key: str, deadline: Deadline) -> Iterator[None]:
    """Alone among the threads of this process."""
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    if not lock.acquire(timeout=max(0.0, deadline.left())):
        raise Busy("another run of this probe was still reading")
    try:
        yield
    finally:
        lock.release()


def _lock_file(stack: contextlib.ExitStack, path: Path, deadline: Deadline) -> str:
    """Alone among the processes; returns why that could not be, if the folder is not writable."""
    while True:
        try:
            stack.enter_context(exclusive(path.with_suffix(".lock")))
        except Transient as error:
            return str(error)
        except Locked as error:
            if deadline.left() <= _PAUSE:
                raise Busy(str(error)) from error
            deadline.clock.sleep(_PAUSE)
        else:
            return ""


def _newest(path: Path) -> dict[str, Any]:
    stored, kept = _stored(path), _memories.get(str(path), {})
    known = max((stored, kept), key=lambda one: int(one.get("revision", 0)))
    copy: dict[str, Any] = json.loads(json.dumps(known))  # a look that fails must not change it
    return copy


def _stored(path: Path) -> dict[str, Any]:
    """What the file says; nothing when it is not there or damaged."""
    try:
        found = json.loads(path.read_bytes())
        int(found.get("revision", 0))
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
    return dict(found)


def _others(folder: Path) -> tuple[dict[str, Any], ...]:
    try:
        paths = sorted(folder.glob("*.json"), key=lambda one: -one.stat().st_mtime_ns)
    except OSError:
        return ()
    return tuple(filter(None, map(_stored, paths)))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _plain(text: str) -> str:
    """The last part of a path, for people who look into the folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", Path(text).name).strip(".")[:40] or "log"
