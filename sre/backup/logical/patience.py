"""Does our dump hold up the shop, and for how long already?

A dump holds a weak lock on every table until its end. An `ALTER` or a `TRUNCATE` waits for it, and
everything that comes later waits behind that: a migration during a dump stops the shop. So the dump
looks each second who waits for it, and gives way.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Any

from sre.core.clock import Clock, SystemClock

__all__ = ["GivesWay", "longest"]

_WAITING = """select l.pid from pg_locks l where not l.granted and exists (
    select from pg_stat_activity a where a.application_name = %s and a.usename = current_user
    and a.pid = any (pg_blocking_pids(l.pid)))"""


def longest(since: dict[int, float], waiting: Iterable[int], now: float) -> float:
    """How long the most patient of those that wait has been seen waiting; updates `since`."""
    current = set(waiting)
    for gone in since.keys() - current:
        del since[gone]
    for pid in current:
        since.setdefault(pid, now)
    return max((now - began for began in since.values()), default=0.0)


class GivesWay:
    """A thread that calls `stop` once somebody has waited `seconds` for `application`; a context.

    Args:
        connection: psycopg's, in autocommit, used by nobody else.
    """

    def __init__(
        self,
        connection: Any,
        application: str,
        seconds: float,
        stop: Callable[[], object],
        clock: Clock | None = None,
    ) -> None:
        self._connection, self._application = connection, application
        self._seconds, self._stop = seconds, stop
        self._clock = clock or SystemClock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)
        self.gave_way = False

    def __enter__(self) -> GivesWay:
        if self._seconds > 0:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _watch(self) -> None:
        since: dict[int, float] = {}
        with contextlib.suppress(Exception):  # without it the dump goes on as any other
            while not self._ended.wait(min(1.0, self._seconds / 4)):
                rows = self._connection.execute(_WAITING, [self._application]).fetchall()
                if longest(since, (row[0] for row in rows), self._clock.now()) >= self._seconds:
                    self.gave_way = True
                    self._stop()
                    return
