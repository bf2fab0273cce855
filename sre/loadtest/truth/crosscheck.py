"""Do invariants and resends name what their load test has? (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from sre.journey.model import Journey
from sre.loadtest.truth.declare import Invariant, problems_of_invariant
from sre.loadtest.truth.resend import resolve_resend
from sre.sql.engines import KINDS

__all__ = ["Fault", "faults_of"]


class _Test(Protocol):
    @property
    def invariants(self) -> tuple[Invariant, ...]: ...

    @property
    def resend(self) -> Mapping[str, float]: ...


class Fault(NamedTuple):
    """One thing that does not hold together.

    Attributes:
        section: `invariants` or `resend`.
        entry: index of the invariant, or the key of the resend.
        key: within the invariant; empty for the whole of it.
    """

    section: str
    entry: int | str
    key: str
    text: str


def faults_of(
    test: _Test, journeys: Mapping[str, Journey], databases: Mapping[str, str] | None = None
) -> Iterator[Fault]:
    """Everything that does not; `journeys` are those of the test.

    Args:
        databases: name -> kind of those that are declared; None: not looked at.
    """
    names = Counter(invariant.name for invariant in test.invariants)
    for index, invariant in enumerate(test.invariants):
        if names[invariant.name] > 1:
            text = f"{names[invariant.name]} invariants are named {invariant.name!r}; rename one"
            yield Fault("invariants", index, "name", text)
        for key, text in problems_of_invariant(invariant, journeys, databases, KINDS):
            yield Fault("invariants", index, key, text)
    for name in test.resend:
        try:
            resolve_resend(name, journeys)
        except ValueError as error:
            yield Fault("resend", name, "", str(error))
