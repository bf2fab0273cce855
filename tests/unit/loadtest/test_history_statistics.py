"""Are the statistics those of the tables?"""

from __future__ import annotations

import itertools
import math
import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.loadtest.history.power import Design, cautious, runs_for, smallest_effect
from sre.loadtest.history.statistics import (
    beta_cdf,
    binomial_bounds,
    holm,
    power,
    sign_flip,
    t_cdf,
    t_quantile,
)

EXACT = 1e-6


@pytest.mark.parametrize(
    ("p", "df", "t"),
    [  # printed in any table; more digits from the closed forms of 1 and 2 degrees of freedom
        (0.95, 1, math.tan(0.45 * math.pi)),
        (0.975, 1, math.tan(0.475 * math.pi)),
        (0.95, 2, 0.9 / math.sqrt(2 * 0.95 * 0.05)),
        (0.975, 4, 2.7764451051977987),
        (0.95, 4, 2.1318467863266499),
        (0.95, 9, 1.8331129326562374),
        (0.99, 9, 2.8214379250258084),
        (0.9995, 9, 4.780912585931135),
        (0.975, 30, 2.0422724563012373),
        (0.95, 1e7, 1.6448536),
    ],
)
def test_t_quantiles_are_those_of_the_tables(p: float, df: float, t: float) -> None:
    assert t_quantile(p, df) == pytest.approx(t, rel=EXACT)
    assert t_quantile(1 - p, df) == pytest.approx(-t, rel=EXACT)
    assert t_cdf(t, df) == pytest.approx(p, abs=EXACT)


@given(st.floats(0.001, 0.999), st.floats(1.0, 300.0))
def test_quantile_and_distribution_undo_each_other(p: float, df: float) -> None:
    assert t_cdf(t_quantile(p, df), df) == pytest.approx(p, abs=EXACT)


@pytest.mark.parametrize(("x", "a", "b"), [(0.3, 2, 5), (0.9, 2, 5), (0.5, 30, 30), (0.01, 1, 400)])
def test_the_incomplete_beta_function_is_the_binomial_tail(x: float, a: int, b: int) -> None:
    n = a + b - 1
    exact = sum(math.comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
    assert beta_cdf(x, a, b) == pytest.approx(exact, abs=EXACT)


@pytest.mark.parametrize(
    ("effect", "error", "df", "alpha", "expected"),
    [  # R: power.t.test(n=20, delta=.5, type="one.sample", alternative="one.sided")
        (0.5, 1 / math.sqrt(20), 19, 0.05, 0.6951493),
        (0.0, 1.0, 4, 0.05, 0.05),
        (0.0, 1.0, 1, 0.05, 0.05),
        (0.0, 1.0, 60, 0.01, 0.01),
    ],
)
def test_power_is_that_of_the_noncentral_t(
    effect: float, error: float, df: float, alpha: float, expected: float
) -> None:
    assert power(effect, error, df, alpha) == pytest.approx(expected, abs=EXACT)


def test_power_with_a_floor_is_what_a_simulation_counts() -> None:
    rng, n, sd, effect, floor = random.Random(7), 5, 0.07, 0.1, 0.05
    critical, hits, rounds = t_quantile(0.95, n - 1), 0, 20_000
    for _ in range(rounds):
        values = [rng.gauss(effect, sd) for _ in range(n)]
        mean = fmean(values)
        error = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)
        hits += mean > critical * error and mean > floor
    counted = hits / rounds
    assert power(effect, sd / math.sqrt(n), n - 1, 0.05, floor) == pytest.approx(counted, abs=0.01)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (0, 100, 0.0, 0.0362167),
        (5, 100, 0.0164319, 0.1128349),
        (50, 100, 0.3983211, 0.6016789),
        (100, 100, 0.9637833, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_intervals_of_shares_are_cloppers_and_pearsons(
    count: int, of: int, low: float, high: float
) -> None:
    assert binomial_bounds(count, of, 0.95) == pytest.approx((low, high), abs=EXACT)


def test_the_sign_flip_test_counts_every_world() -> None:
    assert sign_flip([0.1, 0.2, 0.05, 0.3, 0.01]) == 1 / 32
    assert sign_flip([-0.1, -0.2, -0.05]) == 1.0
    assert sign_flip([0.0, 0.0, 0.0]) == 1.0
    assert sign_flip([]) is None
    assert sign_flip([0.1] * 17) is None
    rng = random.Random(3)
    values = [rng.gauss(0.2, 1.0) for _ in range(9)]
    worlds = [
        sum(sign * value for sign, value in zip(signs, values, strict=True))
        for signs in itertools.product((1, -1), repeat=9)
    ]
    expected = sum(world >= sum(values) - 1e-12 for world in worlds) / 512
    assert sign_flip(values) == expected


def test_holm_is_the_step_down_of_bonferroni() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(found) == ["a", "b", "c", "d"]
    assert holm({}) == {}
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_the_noise_to_plan_with_is_its_upper_limit() -> None:
    rng, runs, kept, rounds = random.Random(5), 10, 0, 4000
    for _ in range(rounds):
        values = [rng.gauss(0.0, 1.0) for _ in range(runs)]
        mean = fmean(values)
        seen = math.sqrt(sum((v - mean) ** 2 for v in values) / (runs - 1))
        kept += cautious(seen, runs - 1) >= 1.0
    assert kept / rounds == pytest.approx(0.8, abs=0.02)
    assert cautious(1.0, 10_000) == pytest.approx(1.0, abs=0.01)


def test_more_runs_see_less_and_the_number_of_runs_is_the_smallest_that_does() -> None:
    sd, wanted = 0.05, math.log(1.1)
    pairs = runs_for(wanted, sd, Design.PAIRS, 0.05)
    assert pairs is not None
    for runs, enough in ((pairs, True), (pairs - 1, False)):
        error = Design.PAIRS.error(sd, runs)
        seen = smallest_effect(error, Design.PAIRS.freedom(runs), 0.05)
        assert (seen <= wanted) is enough
    assert runs_for(wanted, sd, Design.HISTORY, 0.05) is None  # one run alone is too noisy
    assert runs_for(math.log(1.2), sd, Design.HISTORY, 0.05) is not None
    floored = runs_for(wanted, sd, Design.PAIRS, 0.05, math.log(1.05))
    assert floored is not None
    assert floored >= pairs
    assert runs_for(math.log(1.05), sd, Design.PAIRS, 0.05, math.log(1.05)) is None
