"""Whom does the runner command, and what may it ask them?

A crew is one or more members, each sending its share of the arrivals: processes of this machine
(`local.py`), or of others, through Locust's master and workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from sre.loadtest.book import Book
from sre.loadtest.crew.vitals import Health
from sre.loadtest.crew.wire import WorkerPlan
from sre.loadtest.histogram import Histogram

__all__ = ["Crew", "Live", "Member", "Watcher"]


class Member(Protocol):
    """One generator, as the parent sees it."""

    @property
    def label(self) -> str:
        """How a report calls it: `worker-0`."""
        ...

    @property
    def health(self) -> Health:
        """What it said about itself."""
        ...

    @property
    def lag(self) -> Histogram:
        """Of its event loop, seconds."""
        ...

    @property
    def in_flight(self) -> int:
        """Journeys under way when it last reported."""
        ...

    @property
    def stopped(self) -> float | None:
        """When it stopped arrivals early, in seconds from the start; None if it did not."""
        ...

    @property
    def clock(self) -> float | None:
        """How far its start may be from ours, in seconds; None where both read one clock."""
        ...

    @property
    def running(self) -> bool:
        """Whether more may come from it."""
        ...

    @property
    def lost(self) -> str | None:
        """What became of it if it did not end as it should; None if it did."""
        ...

    @property
    def adds_up(self) -> bool:
        """No delta is missing, and every arrival has come to an end."""
        ...

    def snapshot(self) -> Book:
        """Everything it has reported so far; a copy."""
        ...


class Crew(Protocol):
    """All members of one run."""

    @property
    def members(self) -> Sequence[Member]:
        """All of them, known before `launch`."""
        ...

    def launch(self, plan: WorkerPlan, asked: Callable[[], bool]) -> float:
        """Get everybody ready and set the start; returns it, on the clock of this machine.

        `plan.max_in_flight` is of all together; each member gets its share. Gives up early when
        `asked()` says that somebody wants to stop.

        Raises:
            Transient: somebody did not come up.
        """
        ...

    def ask_to_stop(self) -> None:
        """No more arrivals; drain for a few seconds, report, end."""
        ...

    def finish(self) -> None:
        """End who still runs, and hear everybody out. Safe to call twice."""
        ...


@dataclass(frozen=True)
class Live:
    """A run while it goes.

    Attributes:
        at: seconds since the start.
    """

    at: float
    members: Sequence[Member]

    @cached_property
    def book(self) -> Book:
        """Everything reported so far, merged."""
        whole = Book()
        for member in self.members:
            whole.merge(member.snapshot())
        return whole

    @property
    def started(self) -> int:
        """Journeys started."""
        return sum(tally.started for tally in self.book.tallies.values())

    @property
    def in_flight(self) -> int:
        """Journeys under way."""
        return sum(member.in_flight for member in self.members)


class Watcher(Protocol):
    """Looks at a run while it goes: a metrics endpoint, a guard, a progress line."""

    def look(self, live: Live) -> str | None:
        """Called about once a second. Words: abort the run, that is why. None: go on."""
        ...
