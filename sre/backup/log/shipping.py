"""How does what lies in the spool get into the store, in order, and out of the spool?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from sre.backup.log.lsn import begin_of, number_of
from sre.backup.log.server import Watch
from sre.backup.log.spool import Spool, Spooled, end_of_data
from sre.backup.log.writing import Piece, Writer
from sre.core.errors import IntegrityError

__all__ = ["Shipping"]


@dataclass
class Shipping:
    """One archiver's way from the spool to the store.

    Attributes:
        timeline, stored: how far everything is in the store; 0 before the first piece.
        bytes: plaintext bytes that were stored by this process.
    """

    spool: Spool
    writer: Writer
    watch: Watch
    told: Callable[[str, str], None]
    """Called with a word and a name as something happened."""
    timeline: int = 0
    stored: int = 0
    bytes: int = 0
    _early: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)

    def whole(self) -> int:
        """Store every history and whole segment, oldest first; how many.

        Raises:
            Diverged: the store has others under that name.
            Transient: the store does not answer; what is left stays in the spool.
        """
        count = 0
        for each in self.spool.files():
            if each.partial:
                continue
            if each.name.endswith(".history"):
                self._history(each)
            elif not self._segment(each):
                continue
            count += 1
        return count

    def early(self, *, flushed: int | None, still: bool) -> int:
        """Store the beginning of what is not whole yet, as far as it grew; how many pieces.

        `flushed` is how far pg_receivewal said it is on disk; None: the server does not tell, as it
        tells nobody without pg_read_all_stats; then a piece is what stood there a call ago, so
        call again soon when none is stored. `still`: pg_receivewal does not write now.
        """
        partial = [each for each in self.spool.files() if each.partial]
        self.whole()  # what comes before them has its whole name by now, and goes first
        count = 0
        for each in partial:
            newest = each == partial[-1]
            with contextlib.suppress(FileNotFoundError):  # it has just become whole
                told = flushed if newest else None
                count += self._beginning(each, told, still=still or not newest)
            if not newest:  # a timeline ended in it, and pg_receivewal writes another file
                self.spool.remove(each)
        return count

    def _history(self, each: Spooled) -> None:
        size = each.path.stat().st_size
        self.writer.store(Piece(each.name, each.path, size, self.spool.size))
        self.spool.remove(each)
        self.told("timeline", each.name)

    def _segment(self, each: Spooled) -> bool:
        try:
            self.spool.check(each)
        except IntegrityError as error:
            self.told("damaged", f"{error}; it is fetched again, the file stands in "
                      f"{self.spool.aside(each)}")  # fmt: skip
            return False
        size = self.spool.size
        end = begin_of(number_of(each.name, size) + 1, size)
        self._store(each, each.name, size, end)
        self.spool.remove(each)
        self._early.pop(each.name, None)
        self.watch.advance_to = max(self.watch.advance_to, end)
        return True

    def _beginning(self, each: Spooled, flushed: int | None, *, still: bool) -> bool:
        size = self.spool.size
        begin = begin_of(number_of(each.name, size), size)
        if still:
            length = end_of_data(each.path)
            if flushed is not None and begin < flushed <= begin + size:
                length = max(length, flushed - begin)
        elif flushed is None:
            length = self._stood(each)
        elif not begin < flushed < begin + size:
            return False  # what is written now may be torn
        else:
            length = flushed - begin
        if length <= self._early.get(each.name, 0):
            return False
        self._store(each, f"{each.name}.partial-{length:08x}", length, begin + length)
        self._early[each.name] = length
        return True

    def _stood(self, each: Spooled) -> int:
        """How much of it stood there a call ago: that write has ended. 0 each other time."""
        before = self._seen.pop(each.name, None)
        if before is not None:
            return before
        self._seen = {each.name: min(self.spool.size, end_of_data(each.path))}
        return 0

    def _store(self, each: Spooled, name: str, length: int, end: int) -> None:
        timeline = int(name[:8], 16)
        upto = self.watch.upto(timeline, end)
        self.writer.store(Piece(name, each.path, length, self.spool.size, upto))
        self.bytes += length
        self.timeline, self.stored = timeline, max(self.stored, end)
