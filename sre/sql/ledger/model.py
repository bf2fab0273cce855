"""What is a numbered write, what became of it, and what does a ledger say in the end?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

__all__ = [
    "Counts",
    "Ending",
    "Gap",
    "Gaps",
    "Head",
    "NotWritten",
    "Outcome",
    "Plan",
    "Report",
    "Row",
    "Unclear",
    "Verdict",
]

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")
_WORD = re.compile(r"[^A-Za-z0-9_]+")
_MOST_WRITERS = 256


class Outcome(Enum):
    """What a client may say about one write. The value stands in the record."""

    ACKNOWLEDGED = "a"
    """The server answered that it is committed, without any reservation."""
    AMBIGUOUS = "m"
    """It was sent, and nobody can say whether it is there."""
    FAILED = "f"
    """It is certainly not there: never sent, or refused by the server."""


class _Bad(Exception):
    """`word` is one bounded word; `said` is for people, without secrets."""

    def __init__(self, word: str, said: str = "", *, never: bool = False) -> None:
        super().__init__(said or word)
        self.word = _WORD.sub("_", word).strip("_")[:32] or "unknown"
        self.never = never
        """Trying again cannot help: wrong password, no such database."""


class NotWritten(_Bad):
    """The write is certainly not there."""


class Unclear(_Bad):
    """The write was sent; whether it is there is not known."""


@dataclass(frozen=True)
class Row:
    """One write: the `number`-th of a `writer`, sent at `sent` (seconds since 1970)."""

    run: str
    writer: int
    number: int
    sent: float


@dataclass(frozen=True)
class Plan:
    """How a ledger is written.

    Attributes:
        writers: clients, each with a connection of its own.
        rate: writes per second of all of them together; None is as fast as they can.
        seconds: for how long; None is until told to stop.
        table: the table that they write into (Redis: the prefix of the key).
        deadline: seconds after which a write without an answer is given up as ambiguous.
        connect: seconds after which a connection that does not come is given up.
        wait: replicas that must have a write before it counts (Redis alone: WAIT).
    """

    writers: int = 8
    rate: float | None = 200.0
    seconds: float | None = None
    table: str = "sre_ledger"
    deadline: float = 5.0
    connect: float = 1.0
    wait: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.writers <= _MOST_WRITERS:
            raise ValueError(f"writers must be 1 to {_MOST_WRITERS}, not {self.writers}")
        if self.rate is not None and self.rate <= 0:
            raise ValueError("rate must be above 0, such as 200/s")
        if self.seconds is not None and self.seconds <= 0:
            raise ValueError("the time to write for must be above 0, such as 30s")
        if self.deadline <= 0 or self.connect <= 0:
            raise ValueError("the deadlines of writes and connections must be above 0")
        if self.wait < 0:
            raise ValueError("wait must be 0 or more replicas")
        if not _TABLE.fullmatch(self.table):
            raise ValueError(
                f"{self.table!r} is not a name for the table; use letters, digits and _, with at "
                "most one dot after a schema"
            )


@dataclass(frozen=True)
class Head:
    """The first line of a record: which run it is, and what its clock meant.

    Attributes:
        run: tells the rows of this run from those of all others.
        dsn: a reference to the dsn (`${env:NAME}`), or a dsn without a secret; else empty.
        wall, monotonic: the same moment on both clocks, in seconds.
        boot: the monotonic clock means something until the next start of the machine alone.
    """

    run: str
    engine: str
    table: str
    writers: int
    rate: float | None
    wall: float
    monotonic: float
    boot: str
    dsn: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Ending:
    """The last line of a record that was ended in order.

    Attributes:
        at: monotonic seconds.
        unstarted: writes that were due and that no writer came to.
        reconnects: connections that were found dead before anything was sent, and made anew.
        stall: longest time in seconds by which a writer with nothing else to do started too late:
            so long this machine kept the ledger waiting, and by that a gap may be overstated.
    """

    at: float
    unstarted: int = 0
    reconnects: int = 0
    stall: float = 0.0


@dataclass(frozen=True)
class Gap:
    """A time in which no write was acknowledged.

    Attributes:
        began, ended: monotonic seconds; `wall` is the beginning in seconds since 1970.
        edge: `start` before the first acknowledgement, `end` after the last one, else empty.
    """

    began: float
    ended: float
    wall: float
    edge: Literal["", "start", "end"] = ""

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended - self.began


@dataclass(frozen=True)
class Gaps:
    """The longest gap, and those above a threshold in order of time (the 100 longest)."""

    longest: Gap | None = None
    since: Gap | None = None
    """The longest one that ended after the mark; None without a mark."""
    above: tuple[Gap, ...] = ()
    threshold: float = 0.0


@dataclass(frozen=True)
class Counts:
    """What clients saw, from the record alone."""

    acknowledged: int = 0
    ambiguous: int = 0
    failed: int = 0
    late: int = 0
    """Writes that were sent more than 100 ms after they were due."""
    latest: float = 0.0
    """By how many seconds the latest of them was."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """How often each class of error was seen."""
    by_writer: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Classes of errors of each writer that saw any."""
    damaged: int = 0
    """Lines of the record that are none; a torn last line is not counted."""


@dataclass(frozen=True)
class Verdict:
    """What reading back has shown. Identifiers are `WRITER.NUMBER`, the first 100 of them."""

    lost: int = 0
    recovered: int = 0
    unexpected: int = 0
    duplicates: int = 0
    read: int = 0
    lost_ids: tuple[str, ...] = ()
    unexpected_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A ledger, judged as far as possible. `verdict` is None as long as nothing was read back."""

    head: Head
    counts: Counts
    gaps: Gaps
    ending: Ending | None = None
    verdict: Verdict | None = None
    first: float | None = None
    last: float | None = None
    """First and last acknowledgement, in seconds since 1970."""
    unread: str = ""
    """Why it was not read back."""

    @property
    def good(self) -> bool | None:
        """Nothing lost, nothing that was never written, nothing twice. None: not known."""
        if self.verdict is None:
            return None
        bad = self.verdict.lost or self.verdict.unexpected or self.verdict.duplicates
        return False if bad else None if self.counts.damaged else True
