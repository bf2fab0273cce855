"""Which acknowledged writes are gone, and which rows should not be there?

The names and rules of Jepsen's checker of sets: lost = acknowledged and not read; recovered =
ambiguous and read; unexpected = read and never attempted, or certainly failed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest

from sre.sql.ledger.book import Book
from sre.sql.ledger.model import Outcome, Verdict

__all__ = ["judge"]

_NAMED = 100


def judge(book: Book, read: Iterable[tuple[int, int]]) -> Verdict:
    """What reading back shows. `read` is consumed once; an error of it passes through."""
    seen = {writer: bytearray(last) for writer, last in book.numbers().items()}
    strangers: set[tuple[int, int]] = set()
    rows = recovered = unexpected = duplicates = 0
    for writer, number in read:
        rows += 1
        outcome = book.outcome(writer, number)
        if outcome is not None:
            again = seen[writer][number - 1]
            seen[writer][number - 1] = 1
        else:
            again = (writer, number) in strangers
            strangers.add((writer, number))
        if again:
            duplicates += 1
        elif outcome is None or outcome is Outcome.FAILED:
            unexpected += 1
            strangers.add((writer, number))
        else:
            recovered += outcome is Outcome.AMBIGUOUS
    lost, lost_ids = _lost(book, seen)
    return Verdict(
        lost=lost,
        recovered=recovered,
        unexpected=unexpected,
        duplicates=duplicates,
        read=rows,
        lost_ids=lost_ids,
        unexpected_ids=tuple(f"{who}.{what}" for who, what in nsmallest(_NAMED, strangers)),
    )


def _lost(book: Book, seen: dict[int, bytearray]) -> tuple[int, tuple[str, ...]]:
    lost = 0
    named: list[str] = []
    for writer in sorted(seen):
        marks, at = seen[writer], -1
        while (at := marks.find(0, at + 1)) >= 0:
            if book.outcome(writer, at + 1) is Outcome.ACKNOWLEDGED:
                lost += 1
                if len(named) < _NAMED:
                    named.append(f"{writer}.{at + 1}")
    return lost, tuple(named)
