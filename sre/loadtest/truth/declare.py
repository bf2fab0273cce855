"""What does one entry of `invariants:` say, and does it hold together with its load test? (pure)

{name: orders_stored, database: orders, sql: "select count(*) from orders where run = :run_id",
 equals: accepted.checkout, within: ambiguous}
{name: each_once, dsn: "${env:SHOP_DSN}", sql: "select number from orders where run = :run_id",
 equals: ledger.checkout.number}
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from sre.core.errors import UsageError
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.journey.model import Journey
from sre.sql.session import bind

__all__ = ["Invariant", "Term", "problems_of_invariant", "terms_of"]

_WORDS = ("accepted", "ambiguous", "ledger")
_TERM = re.compile(r"(accepted|ambiguous|ledger)\.(.+)")
_EXAMPLE = "write accepted.JOURNEY, ambiguous.JOURNEY or ledger.JOURNEY.NAME, joined by +"


@dataclass(frozen=True)
class Term:
    """One part of a bound: `accepted.checkout`, `ledger.checkout.number`."""

    word: str
    journey: str
    name: str = ""

    @property
    def text(self) -> str:
        """As it was written."""
        return ".".join(part for part in (self.word, self.journey, self.name) if part)


@dataclass(frozen=True)
class Invariant:
    """What must hold in the shop's database after a run, whatever the latencies were.

    Attributes:
        name: how reports call it.
        database: one of `databases:`; or `dsn`.
        dsn: the database itself: `${env:SHOP_DSN}` with postgresql://… or sqlite:////path.
        sql: one statement with one value; with `ledger` one row for each order: its number and,
            if you like, how often it is there. Parameters: `:run_id`, and `:before`.
        before: a query whose one value is taken before the first customer comes, as `:before`.
        equals, min, max: exactly one: a number, a text, or a sum of `accepted.JOURNEY` and
            `ambiguous.JOURNEY` (runs, warm-up included). `equals: ledger.JOURNEY.NAME`: every
            accepted run's NAME is there exactly once, and nothing that nobody ordered or that was
            refused.
        within: `ambiguous` widens the bound by the runs whose outcome nobody knows.
        settle: it may take the shop so long until it holds.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    sql: str
    database: str | None = None
    dsn: Secret | None = None
    before: str | None = None
    equals: int | float | str | None = None
    min: int | float | str | None = None
    max: int | float | str | None = None
    within: Literal["ambiguous"] | None = None
    settle: Duration = Duration(5.0)

    def __post_init__(self) -> None:
        if sum(bound is not None for bound in (self.equals, self.min, self.max)) != 1:
            raise ValueError("an invariant has exactly one of `equals`, `min`, `max`")
        if (self.database is None) == (self.dsn is None):
            raise ValueError(
                "an invariant has either `database: NAME` (one of databases:) or "
                'dsn: "${env:SHOP_DSN}"'
            )
        if not self.name.strip():
            raise ValueError("an invariant needs a name; reports call it by that")
        self._check_queries()
        terms = terms_of(self.bound)
        if any(term.word == "ledger" for term in terms):
            if self.equals is None:
                raise ValueError("`ledger` belongs to `equals`")
            if any(term.word != "ledger" for term in terms):
                raise ValueError("`ledger` cannot be added to counts; make two invariants of it")

    def _check_queries(self) -> None:
        known: dict[str, object] = {"run_id": ""}
        if not self.sql.strip():
            raise ValueError('an invariant needs a query: sql: "select count(*) from …"')
        try:
            if self.before is not None:
                bind(self.before, known)
                known["before"] = 0
            bind(self.sql, known)
        except UsageError as error:
            hint = '; before: "select …" gives :before its value' if ":before" in self.sql else ""
            raise ValueError(f"{error}{hint}") from None

    @property
    def bound(self) -> int | float | str:
        """The one that is declared."""
        return next(each for each in (self.equals, self.min, self.max) if each is not None)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The runs that its bound counts; empty when it is a plain number or text."""
        return terms_of(self.bound)

    @property
    def by_ledger(self) -> bool:
        """Whether it compares order by order."""
        return any(term.word == "ledger" for term in self.terms)


def terms_of(bound: int | float | str) -> tuple[Term, ...]:
    """The parts of a bound that stand for runs; none when it is a plain number or text.

    Raises ValueError when only some of its parts do, or one is not whole.
    """
    parts = [part.strip() for part in bound.split("+")] if isinstance(bound, str) else []
    found = [_TERM.fullmatch(part) for part in parts]
    if not any(found):
        return ()
    terms = []
    for part, match in zip(parts, found, strict=True):
        if match is None:
            raise ValueError(f"bound {bound!r}: {part!r} stands for nothing; {_EXAMPLE}")
        word, rest = match[1], match[2]
        journey, name = rest, ""
        if word == "ledger":
            journey, dot, name = rest.rpartition(".")
            if not (dot and journey and name):
                raise ValueError(
                    f"bound {bound!r}: {part!r} needs the value that the journey extracts: "
                    "ledger.JOURNEY.NAME"
                )
        terms.append(Term(word, journey, name))
    return tuple(terms)


def problems_of_invariant(
    invariant: Invariant,
    journeys: Mapping[str, Journey],
    databases: Mapping[str, str] | None = None,
    kinds: Collection[str] = (),
) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) for everything that its load test cannot give it.

    Args:
        journeys: those of the test.
        databases: name -> kind of all that are declared; None: not looked at.
        kinds: those of them that can be asked.
    """
    name = invariant.database
    if databases is not None and name is not None:
        if name not in databases:
            yield "database", _unknown("database", name, databases)
        elif databases[name] not in kinds:
            known = ", ".join(sorted(kinds))
            yield (
                "database",
                f"a database of kind {databases[name]!r} cannot be asked yet; kinds: {known}; "
                'or write dsn: "${env:SHOP_DSN}"',
            )
    key = next(key for key in ("equals", "min", "max") if getattr(invariant, key) is not None)
    for term in invariant.terms:
        for problem in _problems_of_term(term, journeys):
            yield key, problem
    if not invariant.terms and isinstance(invariant.bound, str):
        word, _, journey = invariant.bound.partition(".")
        if journey.partition(".")[0] in journeys and journey:
            yield key, f"{invariant.bound!r} counts nothing: no such count {word!r}; {_EXAMPLE}"


def _problems_of_term(term: Term, journeys: Mapping[str, Journey]) -> Iterator[str]:
    journey = journeys.get(term.journey)
    if journey is None:
        yield f"{term.text}: {_unknown('journey', term.journey, journeys)}"
        return
    if journey.side_effects == "none":
        yield (
            f"{term.text}: journey {journey.name!r} declares no side effect, so no ledger is kept; "
            "give it `side_effects: order`"
        )
    if term.word == "ledger":
        shown = {e.name for step in journey.all_steps for e in step.extract if not e.masked}
        hidden = {e.name for step in journey.all_steps for e in step.extract if e.masked}
        if term.name in hidden:
            yield f"{term.text}: {term.name!r} is extracted as a secret, the ledger keeps none"
        elif term.name not in shown:
            yield f"{term.text}: {_unknown('extracted value', term.name, shown)}"


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    hint = (
        f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)) or 'none'}"
    )
    return f"there is no {what} {name!r}; {hint}"
