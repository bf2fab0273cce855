"""What does the whole ledger of a run say? (pure)

A worker that was killed told nothing of its last second: of its customers who were due by then and
of whom no word came, nobody knows what became.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import orjson

from sre.loadtest.crew.model import Member
from sre.loadtest.job import Job
from sre.loadtest.shape import shard
from sre.loadtest.truth.entry import Entry, Standing

__all__ = ["Ledger", "Mortal", "ledger_of"]


@runtime_checkable
class Mortal(Protocol):
    """A member of a crew that knows when it ended."""

    @property
    def ended(self) -> float | None:
        """Seconds from the start of the run; None while it lives."""
        ...


@dataclass(frozen=True)
class Ledger:
    """All runs of journeys with side effects, by due time.

    Attributes:
        blind: somebody was lost and not even how many runs are missing is known (closed model).
    """

    entries: tuple[Entry, ...] = ()
    blind: bool = False

    @cached_property
    def accepted(self) -> Counter[str]:
        """Journey -> runs that the shop accepted, those of the warm-up included."""
        return Counter(e.journey for e in self.entries if e.state is Standing.ACCEPTED)

    @cached_property
    def ambiguous(self) -> Counter[str]:
        """Journey -> runs that may have had an effect that nobody was told of."""
        return Counter(e.journey for e in self.entries if e.ambiguous)

    def of(self, journeys: Iterable[str]) -> list[Entry]:
        """The entries of some journeys."""
        wanted = frozenset(journeys)
        return [entry for entry in self.entries if entry.journey in wanted]

    def to_lines(self) -> str:
        """ledger.jsonl."""
        return "".join(orjson.dumps(e.to_row()).decode() + "\n" for e in self.entries)


def ledger_of(job: Job, members: Sequence[Member], planned: float) -> Ledger:
    """The ledger of a run that is over.

    Args:
        planned: how long arrivals went on, seconds.
    """
    if not job.with_effects:
        return Ledger()
    entries: list[Entry] = []
    blind = False
    for number, member in enumerate(members):
        own = member.snapshot().ledger
        entries += own
        if member.lost is not None:
            blind = blind or job.test.closed
            until = _end_of(member, planned)
            entries += _missing(job, number, len(members), until, own)
    entries.sort(key=lambda entry: (entry.at, entry.journey, entry.sequence))
    return Ledger(tuple(entries), blind)


def _end_of(member: Member, planned: float) -> float:
    ended = member.ended if isinstance(member, Mortal) else None
    return planned if ended is None else min(planned, ended)


def _missing(job: Job, number: int, of: int, until: float, told: Sequence[Entry]) -> list[Entry]:
    """Its share of the arrivals, less those that it told of.

    A customer whom it dropped is among them: which ones it dropped is not known.
    """
    effects = job.with_effects
    known = {(entry.journey, entry.sequence) for entry in told}
    missing = []
    for arrival in shard(job.arrivals, number, of):
        if arrival.due > until:
            break
        if arrival.journey in effects and (arrival.journey, arrival.sequence) not in known:
            missing.append(
                Entry(
                    arrival.journey,
                    arrival.sequence,
                    arrival.due,
                    Standing.UNKNOWN,
                    ambiguous=True,
                )
            )
    return missing
