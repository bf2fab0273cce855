"""What is one check of a store, and what comes out of it? (pure)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Check",
    "Outcome",
    "Report",
    "Result",
    "Severity",
    "State",
    "absent",
    "broken",
    "denied",
    "holds",
    "skipped",
    "unknown",
]

State = Literal["holds", "absent", "broken", "denied", "unknown", "skipped"]
"""What was found. absent: the store says openly that it has no such thing. broken: it says yes and
does otherwise. denied: our credentials may not. unknown: no time, or no answer. skipped: there was
nothing to try."""

Severity = Literal["data", "feature", "note"]
"""What follows when it does not hold. data: no backup is safe there. feature: something that
depends on it is switched off. note: nothing."""


@dataclass(frozen=True)
class Outcome:
    """What one check found, in words for a person."""

    state: State
    found: str


def holds(found: str = "yes") -> Outcome:
    """The store does what it says."""
    return Outcome("holds", found)


def absent(found: str) -> Outcome:
    """The store says that it cannot."""
    return Outcome("absent", found)


def broken(found: str) -> Outcome:
    """The store says yes and does otherwise."""
    return Outcome("broken", found)


def denied(found: str) -> Outcome:
    """The store refuses our credentials."""
    return Outcome("denied", found)


def unknown(found: str) -> Outcome:
    """It could not be found out."""
    return Outcome("unknown", found)


def skipped(found: str) -> Outcome:
    """There is nothing to try."""
    return Outcome("skipped", found)


@dataclass(frozen=True)
class Check:
    """One question, and how it is tried.

    Attributes:
        proves: what holds when it holds.
        matters: what depends on it.
        severity: what follows when it does not hold.
        run: tries it in a scratch place; exceptions of the client pass through.
        wanted_by: the check is a note unless a declared tier wants this.
        bytes: about how much it moves.
        group: checks of one group run one after the other, in the order of the table.
    """

    name: str
    proves: str
    matters: str
    severity: Severity
    run: Callable[[Any], Outcome]
    wanted_by: str = ""
    bytes: int = 0
    group: str = ""


@dataclass(frozen=True)
class Result:
    """One check, done."""

    name: str
    proves: str
    matters: str
    severity: Severity
    state: State
    found: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """One examination of one store.

    Attributes:
        where: the place itself; facts of another place do not count for this one.
        left: what could not be removed afterwards, each with its reason or its date.
        measured: latency, bytes per second, clock difference, free bytes.
    """

    store: str
    kind: str
    where: str
    at: float
    seconds: float
    results: tuple[Result, ...]
    left: tuple[str, ...] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
