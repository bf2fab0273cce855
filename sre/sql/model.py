"""What must hold in a database, and what was found?

An invariant is a query that gives one value, and one bound for it. Backups use it on a restored
copy, load tests on the shop's own database; there a bound may also be `accepted.JOURNEY`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = ["Bound", "Invariant", "InvariantResult"]

Bound = int | float | str


@dataclass(frozen=True)
class Invariant:
    """One thing that must hold: `{name: …, sql: "select count(*) …", equals: 0}`.

    Attributes:
        name: for people.
        sql: one statement that gives one row with one column; parameters as `:name` alone.
        equals, min, max: exactly one of them: a number, a text, or (in load tests)
            `accepted.JOURNEY` and `ambiguous.JOURNEY`.
        within: `ambiguous` widens the bound by the outcomes that nobody knows (load tests).
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    sql: str
    equals: Bound | None = None
    min: Bound | None = None
    max: Bound | None = None
    within: Literal["ambiguous"] | None = None

    def __post_init__(self) -> None:
        if sum(bound is not None for bound in (self.equals, self.min, self.max)) != 1:
            raise ValueError("an invariant has exactly one of `equals`, `min`, `max`")
        if not self.sql.strip():
            raise ValueError('an invariant needs a query: sql: "select count(*) from …"')


@dataclass(frozen=True)
class InvariantResult:
    """What one invariant found.

    Attributes:
        value: the one value of the query; None when there was none.
        expected: the bound in words, such as `equals 0` or `at least 10`.
        problem: why it did not pass; empty when it did.
    """

    name: str
    value: Bound | None
    expected: str
    passed: bool
    problem: str = ""
