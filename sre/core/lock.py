"""Is another run at this already, and who?

The kernel holds the lock with an open file: it is released when the holder dies, however it dies.
The file stays; its text only says who to look for.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sre.core.clock import Clock, SystemClock
from sre.core.errors import Locked, Transient
from sre.core.units import format_duration

__all__ = ["boot_id", "exclusive", "keep_folder"]

_KEPT: set[tuple[int, int]] = set()


def keep_folder(path: Path) -> None:
    """Keep other processes out of the folder `path` until this one ends; leaves no file in it.

    Where the file system cannot lock a folder, nobody is kept out.

    Raises:
        Locked: another process keeps it. Never waits.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    folder = (status.st_dev, status.st_ino)
    try:
        if folder in _KEPT:
            os.close(descriptor)
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Locked(f"another run writes into {path}; wait for its end, or name another") from None
    except OSError:
        os.close(descriptor)
        return
    _KEPT.add(folder)  # the descriptor stays open: with it goes the lock


@contextlib.contextmanager
def exclusive(path: Path, what: str = "", clock: Clock | None = None) -> Iterator[None]:
    """Hold the lock at `path` inside the context; `what` names the work for whoever waits.

    Raises:
        Locked: another process (or another holder in this one) has it. Never waits.
        Transient: the file cannot be made.
    """
    clock = clock or SystemClock()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Transient(f"cannot make the lock {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(_holder(descriptor, path, clock)) from None
        _sign(descriptor, {"pid": os.getpid(), "since": clock.wall(), "what": what})
        yield
        _sign(descriptor, None)
    finally:
        os.close(descriptor)


def _sign(descriptor: int, holder: dict[str, object] | None) -> None:
    """Say who to look for. The lock holds without: a full disk, say, takes nothing but the name."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        if holder is not None:
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _holder(descriptor: int, path: Path, clock: Clock) -> str:
    """Who has it, as far as the file tells; it may be empty for a moment."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        pid, since, what = int(found["pid"]), float(found["since"]), str(found["what"])
    except (ValueError, KeyError, TypeError):
        return f"another run holds {path}; wait for it to end"
    start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    doing = f" for {what}" if what else ""
    age = format_duration(max(0.0, clock.wall() - since))
    return f"process {pid} holds {path}{doing} since {start} ({age}); wait for it to end"


def boot_id() -> str:
    """Changes with each start of the machine; empty-handed, nothing that was noted is believed."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(8)
