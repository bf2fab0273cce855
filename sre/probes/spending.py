"""How many orders may still be placed, also after a restart, a reload, or beside another process?

A journal in the state folder holds each run with side effects for as long as it counts. A run is
written down before it starts; one that cannot be written down does not take place.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from sre.core.clock import Clock, SystemClock
from sre.core.errors import SreError, Transient
from sre.core.files import replace_file
from sre.core.journal import Journal

__all__ = ["Ledger"]

log = logging.getLogger(__name__)

_KEPT = 86400.0
_PATIENCE = 2.0
_LARGE = 2**16


class Ledger:
    """The journal of side effects: `spent.journal` in a folder, shared by all processes there."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._journal = Journal(folder / "spent.journal", self._clock)
        self._lock = folder / "spent.lock"

    def spent(self, what: str, window: float) -> list[float]:
        """When it was spent within the last `window` seconds, oldest first (wall clock).

        Raises:
            SreError: the journal cannot be read.
        """
        now = self._clock.wall()
        moments = [
            min(float(entry["at"]), now)
            for entry in self._journal.read().entries
            if entry.get("spent") == what and isinstance(entry.get("at"), int | float)
        ]
        return sorted(moment for moment in moments if moment > now - window)

    def claim(self, what: str, limit: int, window: float) -> bool:
        """Write one more down if fewer than `limit` were spent within `window` seconds.

        False as well when the disk, or another process that holds the journal, does not let us.
        """
        try:
            with self._held():
                if len(self.spent(what, window)) >= limit:
                    return False
                self._shorten()
                self._journal.append({"spent": what})
        except SreError as error:
            log.error("%s is not run, its budget cannot be kept: %s", what, error)
            return False
        return True

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Transient(f"cannot make the lock {self._lock}: {error.strerror}") from error
        try:
            self._wait_for(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        until = self._clock.now() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.now() >= until:
                    raise Transient(f"another process holds {self._lock}") from None
                self._clock.sleep(0.02)
            else:
                return

    def _shorten(self) -> None:
        """Leave out what no longer counts, once it is worth it."""
        path = self._journal.path
        try:
            if not path.exists() or path.stat().st_size < _LARGE:
                return
            since = self._clock.wall() - _KEPT
            kept = [each for each in self._journal.read().entries if float(each["at"]) > since]
            replace_file(path, "".join(f"{json.dumps(dict(each))}\n" for each in kept).encode())
        except (OSError, KeyError, TypeError, ValueError) as error:
            log.warning("cannot shorten %s: %s", path, error)
