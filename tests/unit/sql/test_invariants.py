"""Do invariants mean what they say, and can a query be nothing but a query?"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from sre.core.errors import CheckFailed, UsageError
from sre.sql.invariants import evaluate, judge
from sre.sql.model import Invariant
from sre.sql.session import bind


def one(**bounds: Any) -> Invariant:
    return Invariant("i", "select 1", **bounds)


@pytest.mark.parametrize(
    ("invariant", "value", "passed"),
    [
        (one(equals=0), 0, True),
        (one(equals=0), Decimal("0.00"), True),
        (one(equals=0), 1, False),
        (one(equals="0"), 0, True),
        (one(equals="paid"), "paid", True),
        (one(equals="paid"), "open", False),
        (one(equals=0.3), Decimal("0.3"), True),
        (one(min=10), 10, True),
        (one(min=10), 9, False),
        (one(max=10), 10, True),
        (one(max=10), Decimal("10.01"), False),
        (one(min=10), "many", False),
        (one(max=10), Decimal("NaN"), False),
        (one(max=10), float("nan"), False),
        (one(equals=0), None, False),
        (one(min=0), None, False),
        (one(equals="true"), True, True),
    ],
)
def test_one_value_against_its_bound(invariant: Invariant, value: object, passed: bool) -> None:
    found = judge(invariant, value)
    assert found.passed is passed
    assert bool(found.problem) is not passed


@pytest.mark.parametrize(
    ("value", "passed"), [(97, False), (98, True), (100, True), (102, True), (103, False)]
)
def test_what_nobody_knows_widens(value: int, passed: bool) -> None:
    invariant = one(equals="accepted.checkout", within="ambiguous")
    counts = {"accepted.checkout": 100, "ambiguous.checkout": 2}
    assert judge(invariant, value, counts).passed is passed


@pytest.mark.parametrize("bounds", [{}, {"min": 1, "max": 2}, {"equals": 0, "min": 0}])
def test_exactly_one_bound(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        one(**bounds)


class Fake:
    def value(self, sql: str, parameters: Mapping[str, object] = {}) -> Any:
        if "broken" in sql:
            raise CheckFailed('relation "broken" does not exist')
        return parameters.get("n", 7)


def test_a_query_that_fails_is_a_result() -> None:
    found = evaluate(
        [Invariant("a", "select 7", equals=7), Invariant("b", "select broken", equals=7)], Fake()
    )
    assert [each.passed for each in found] == [True, False]
    assert "does not exist" in found[1].problem


@pytest.mark.parametrize(
    ("sql", "bound"),
    [
        ("select :n", "select %(n)s"),
        ("select :n::int", "select %(n)s::int"),
        ("select ':n', \":n\", x::n", "select ':n', \":n\", x::n"),
        ("select 'it''s :n' -- :n\n, :n", "select 'it''s :n' -- :n\n, %(n)s"),
        ("select /* :n */ :n", "select /* :n */ %(n)s"),
        ("select $$ :n $$, $x$ :n $x$, :n", "select $$ :n $$, $x$ :n $x$, %(n)s"),
        ("select 5 % 2", "select 5 %% 2"),
        ("select '%' || :n", "select '%%' || %(n)s"),
        ("select a[1:2]", "select a[1:2]"),
    ],
)
def test_parameters_are_bound_and_nothing_else(sql: str, bound: str) -> None:
    assert bind(sql, {"n": 1}) == bound


def test_a_parameter_without_a_value() -> None:
    with pytest.raises(UsageError, match=":other"):
        bind("select :other", {"n": 1})
