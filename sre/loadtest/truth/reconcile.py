"""Is every accepted order stored exactly once, and none that nobody ordered? (pure)"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sre.loadtest.judge.finding import State
from sre.loadtest.truth.declare import Term
from sre.loadtest.truth.entry import Standing
from sre.loadtest.truth.ledger import Ledger

__all__ = ["Reconciled", "reconcile"]

_SHOWN = 5


@dataclass(frozen=True)
class Reconciled:
    """What comparing the ledger with the database gave.

    Attributes:
        found: of the runs with unknown outcome, how many are stored.
        data: the numbers that do not agree, at most five of each kind, and how many there are.
    """

    state: State
    value: str
    expected: str
    problem: str
    unknown: int
    found: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class _Told:
    """The numbers that customers were told.

    Attributes:
        accepted: number -> how many accepted runs were told it.
        refused: numbers told to runs that were refused later on: declined when they paid, say.
        otherwise: numbers told to runs that ended otherwise; these may be stored or not.
        nameless: accepted runs that were told none.
        unknown: runs that nobody knows the outcome of; `free` of them were told no number.
    """

    accepted: Counter[str]
    refused: frozenset[str]
    otherwise: frozenset[str]
    nameless: int
    unknown: int
    unknown_told: frozenset[str]
    free: int


def reconcile(rows: Sequence[Sequence[Any]], ledger: Ledger, terms: Iterable[Term]) -> Reconciled:
    """Hold the rows of a query, (number) or (number, count), against the ledger."""
    told = _told(ledger, tuple(terms))
    expected = f"{len(told.accepted)} accepted, each stored once"
    if told.free:
        expected += f", at most {told.free} more"
    what = next((_strange(row) for row in rows if _strange(row)), "")
    if what:
        problem = f"the query gave {what}; expected one order number a row, or number and count"
        return Reconciled(State.UNKNOWN, what, expected, problem, told.unknown, 0, {})
    if told.nameless and not told.accepted:
        problem = f"none of {told.nameless} accepted runs was told a number: is its step left out?"
        return Reconciled(State.UNKNOWN, "no number", expected, problem, told.unknown, 0, {})
    return _compared(told, _stored(rows), expected)


def _strange(row: Sequence[Any]) -> str:
    """What is wrong with the shape of a row; empty when nothing is."""
    if len(row) not in (1, 2):
        return f"{len(row)} columns"
    if row[0] is None:
        return "a row without a number"
    if len(row) == 2 and not isinstance(row[1], int | Decimal):
        return f"{row[1]!r} as a count"
    return ""


def _compared(told: _Told, stored: Counter[str], expected: str) -> Reconciled:
    missing = [number for number in told.accepted if not stored[number]]
    doubled = [f"{number} ({count} times)" for number, count in stored.items() if count > 1]
    shared = [f"{n} (by {count} customers)" for n, count in told.accepted.items() if count > 1]
    refused = [n for n in stored if n in told.refused]
    known = told.accepted.keys() | told.otherwise | told.refused
    strangers = [n for n in stored if n not in known]
    found = min(told.free, len(strangers)) + sum(n in stored for n in told.unknown_told)
    unexpected = strangers if len(strangers) > told.free else []
    kinds = {
        "accepted but not stored": missing,
        "stored more than once": doubled,
        "bought more than once": shared,
        "stored but refused": refused,
        "stored but never accepted": unexpected,
    }
    broken = {words: numbers for words, numbers in kinds.items() if numbers}
    value = f"{stored.total()} stored"
    if told.unknown:
        value += f", {told.unknown} outcomes unknown, of these {found} stored"
    problem = "; ".join(_listed(words, numbers) for words, numbers in broken.items())
    if unexpected and told.free:
        problem += f" (at most {told.free} could be runs of unknown outcome)"
    data = {
        "mismatches": {
            words: {"count": len(numbers), "numbers": sorted(numbers)[:_SHOWN]}
            for words, numbers in broken.items()
        },
        "unknown_outcomes": told.unknown,
        "unknown_found_stored": found,
    }
    state = State.BROKEN if broken else State.KEPT
    return Reconciled(state, value, expected, problem, told.unknown, found, data)


def _listed(words: str, numbers: Sequence[str]) -> str:
    shown = ", ".join(sorted(numbers)[:_SHOWN])
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return f"{len(numbers)} {words}: {shown}{more}"


def _told(ledger: Ledger, terms: tuple[Term, ...]) -> _Told:
    names = {term.journey: term.name for term in terms}
    accepted: Counter[str] = Counter()
    refused: set[str] = set()
    otherwise: set[str] = set()
    unknown_told: set[str] = set()
    nameless = unknown = free = 0
    for entry in ledger.of(names):
        value = entry.values.get(names[entry.journey])
        number = None if value is None else _text(value)
        unknown += entry.ambiguous
        if entry.state is Standing.ACCEPTED:
            if number is None:
                nameless += 1
            else:
                accepted[number] += 1
            free += entry.ambiguous  # sent twice without a key: there may be a second one
        elif number is not None:
            sure = entry.state is Standing.REFUSED and not entry.ambiguous
            (refused if sure else otherwise).add(number)
            if entry.ambiguous:
                unknown_told.add(number)
        else:
            free += entry.ambiguous
    told_no = frozenset(refused - otherwise - accepted.keys())
    others = frozenset(otherwise)
    return _Told(accepted, told_no, others, nameless, unknown, frozenset(unknown_told), free)


def _stored(rows: Sequence[Sequence[Any]]) -> Counter[str]:
    stored: Counter[str] = Counter()
    for row in rows:
        stored[_text(row[0])] += int(row[1]) if len(row) == 2 else 1
    return +stored


def _text(value: object) -> str:
    """An order number as page and database both may write it."""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)
    return str(value).strip()
