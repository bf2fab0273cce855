"""How does pg_receivewal run beside us, from the right segment on?

It begins after the newest file of its folder. What is stored has left the folder, so an empty file
with the name of the last stored segment tells it where to go on (`Spool.seed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sre.backup.log.coverage import Held
from sre.backup.log.lsn import format_lsn, name_of, number_at, number_of
from sre.backup.log.server import Identity
from sre.backup.log.spool import Spool
from sre.backup.programs import Tail
from sre.core.child import Child
from sre.core.clock import Clock, Deadline
from sre.core.errors import IntegrityError

__all__ = ["Receiver", "first_missing"]

_REMOVED = "has already been removed"
_ELSEWHERE = ("not in this server's history", "ahead of the WAL flush position")
_GRACE = 5.0


def first_missing(identity: Identity, held: Held, fallback: int) -> int:
    """The number of the segment to begin with: after the newest whole one on the server's way.

    `fallback` is the position to begin at when there is none.

    Raises:
        IntegrityError: the store has more of this timeline than the server ever wrote.
    """
    size, way = identity.size, identity.way
    whole = [number for timeline, number in held.whole if way.timeline_of(number, size) == timeline]
    if not whole:
        return number_at(fallback, size)
    start = max(whole) + 1
    if start * size > identity.lsn + size:
        raise IntegrityError(
            f"the store has the log of timeline {way.timeline} to {format_lsn(start * size)}, the "
            f"server only to {format_lsn(identity.lsn)}: it was put back to an older state without "
            "a new timeline, or is another copy; nothing is stored from it. Promote it (that "
            "begins a timeline), or archive it under another name"
        )
    return start


@dataclass
class Receiver:
    """One pg_receivewal at a time."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    spool: Spool
    clock: Clock
    child: Child | None = None
    said: Tail = field(default_factory=Tail)

    @property
    def running(self) -> bool:
        """Whether it streams, as far as one can tell from here."""
        return self.child is not None and self.child.poll() is None

    def begin(self, identity: Identity, start: int) -> list[str]:
        """Start it at a segment; the names of files that were in its way and stand aside now."""
        size, aside = self.spool.size, list[str]()
        for seed in self.spool.seeds():
            self.spool.remove(seed)
        present = False
        for each in self.spool.files():
            if each.name.endswith(".history"):
                continue
            number = number_of(each.name, size)
            if number > start or (number == start and not each.partial):
                aside.append(self.spool.aside(each))
            present = present or number == start or (number == start - 1 and not each.partial)
        if not present:
            before = name_of(identity.way.timeline_of(start, size), start - 1, size)
            self.spool.seed(before)
        self.said = Tail()
        self.child = Child(self.argv, env=self.env, stderr=self.said, grace=_GRACE).start()
        return aside

    def ended(self) -> str | None:
        """Why it has ended; None while it runs. `removed`, `elsewhere`, or what it said."""
        if self.child is None:
            return ""
        if self.child.poll() is None:
            return None
        self.child.wait(Deadline.after(1.0))
        text = self.said.text()
        self.stop()
        if _REMOVED in text:
            return "removed"
        return "elsewhere" if any(each in text for each in _ELSEWHERE) else text

    def stop(self) -> None:
        """End it politely: it writes what it has."""
        if self.child is not None:
            with self.child:
                self.child.stop()
            self.child = None
