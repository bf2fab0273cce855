"""Does a database keep its promises? One query, one value, one bound each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from sre.core.errors import CheckFailed
from sre.sql.model import Bound, Invariant, InvariantResult

__all__ = ["Asks", "evaluate", "judge"]

_NONE: Mapping[str, float] = {}
_NO_PARAMETERS: Mapping[str, object] = {}


class Asks(Protocol):
    """What an evaluation needs of a session."""

    def value(self, sql: str, parameters: Mapping[str, object] = ...) -> Any:
        """The one value of the one row of a query.

        Raises CheckFailed when the statement fails or gives anything else.
        """
        ...


def evaluate(
    invariants: Iterable[Invariant],
    session: Asks,
    *,
    parameters: Mapping[str, object] = _NO_PARAMETERS,
    counts: Mapping[str, float] = _NONE,
) -> tuple[InvariantResult, ...]:
    """Each invariant once, in order; a query that fails is a result too, not an exception.

    `counts` is what names in bounds stand for, such as `accepted.checkout`; `within: ambiguous`
    widens by the sum of its `ambiguous.…`.
    """
    found = []
    for invariant in invariants:
        try:
            value = session.value(invariant.sql, parameters)
        except CheckFailed as error:
            wanted = _words(invariant, _bound(invariant, counts))
            found.append(InvariantResult(invariant.name, None, wanted, False, str(error)))  # noqa: FBT003
        else:
            found.append(judge(invariant, value, counts))
    return tuple(found)


def judge(
    invariant: Invariant, value: object, counts: Mapping[str, float] = _NONE
) -> InvariantResult:
    """One value against its bound. (pure)"""
    bound, plain = _bound(invariant, counts), _plain(value)
    wanted = _words(invariant, bound)
    slack = 0.0
    if invariant.within == "ambiguous":
        slack = sum(n for name, n in counts.items() if name.startswith("ambiguous."))
        wanted += f" within {slack:g} unknown"
    passed = plain is not None and _holds(invariant, plain, bound, slack)
    problem = "" if passed else f"found {plain!r}, expected {wanted}"
    return InvariantResult(invariant.name, plain, wanted, passed, problem)


def _bound(invariant: Invariant, counts: Mapping[str, float]) -> Bound:
    bounds = (invariant.equals, invariant.min, invariant.max)
    bound = next(each for each in bounds if each is not None)
    return counts.get(bound, bound) if isinstance(bound, str) else bound


def _words(invariant: Invariant, bound: Bound) -> str:
    if invariant.equals is not None:
        return f"equals {bound}"
    return f"at least {bound}" if invariant.min is not None else f"at most {bound}"


def _holds(invariant: Invariant, value: Bound, bound: Bound, slack: float) -> bool:
    left, right = _number(value), _number(bound)
    if left is None or right is None:  # texts: equality alone means something
        return invariant.equals is not None and str(value) == str(bound)
    room = Decimal(str(slack))
    if invariant.equals is not None:
        return abs(left - right) <= room
    return left >= right - room if invariant.min is not None else left <= right + room


def _number(value: Bound) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _plain(value: object) -> Bound | None:
    """A value of a database as JSON can carry it; money stays exact as text if it must."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() else str(value)
    return str(value)
