"""What does a ledger come to, and is everything that was acknowledged still there?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import UsageError
from sre.sql.ledger.book import Book
from sre.sql.ledger.engine import Engine
from sre.sql.ledger.gaps import gaps_of, wall_of
from sre.sql.ledger.judge import judge
from sre.sql.ledger.model import Head, NotWritten, Report, Unclear
from sre.sql.ledger.record import read_head, read_lines, refuse_unfinished

__all__ = ["report", "verify"]

_PAUSE = 0.1
_LEAST_READING = 10.0
_ROWS_A_SECOND = 20_000


def report(folder: Path, *, threshold: float = 0.5, since: float | None = None) -> Report:
    """What the record in `folder` says; nothing is contacted.

    Args:
        threshold: seconds above which a gap is listed.
        since: monotonic seconds of a fault: the longest gap after it is told apart.

    Raises:
        UsageError: there is no record.
    """
    head = read_head(folder)
    return _report(head, Book.of(read_lines(folder)), threshold, since)


def verify(
    folder: Path,
    engine: Engine,
    deadline: Deadline,
    *,
    threshold: float = 0.5,
    since: float | None = None,
    clock: Clock | None = None,
) -> Report:
    """Read back through `engine` and judge; tries again until the deadline.

    A report whose `verdict` is None was never read back, and proves nothing; `unread` says why.

    Raises:
        UsageError: there is no record, or it is of another kind of database.
        Locked: it is still being written.
    """
    clock = clock or SystemClock()
    head = read_head(folder)
    refuse_unfinished(folder)
    if head.engine != engine.name:
        raise UsageError(f"{folder} was written to {head.engine}, and the dsn is of {engine.name}")
    book = Book.of(read_lines(folder))
    made = _report(head, book, threshold, since)
    # a server that lets us in and then says nothing must not eat the time of the next attempt
    patience = _LEAST_READING + sum(book.numbers().values()) / _ROWS_A_SECOND
    while True:
        try:
            seen = judge(book, engine.read(head.run, deadline.within(patience)))
            return replace(made, verdict=seen, unread="")
        except (NotWritten, Unclear) as error:
            made = replace(made, unread=str(error))
            if error.never or deadline.left() <= _PAUSE:
                return made
        clock.sleep(_PAUSE)


def _report(head: Head, book: Book, threshold: float, since: float | None) -> Report:
    end = book.ending.at if book.ending else max(book.last_event / 1_000_000, head.monotonic)
    gaps = gaps_of(head, book.times, end, threshold=threshold, since=since)
    return Report(
        head=head,
        counts=book.counts(),
        gaps=gaps,
        ending=book.ending,
        first=wall_of(head, min(book.times) / 1_000_000) if book.times else None,
        last=wall_of(head, max(book.times) / 1_000_000) if book.times else None,
    )
