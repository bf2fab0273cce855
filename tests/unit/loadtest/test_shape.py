"""Do customers come when the declaration says?"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter, defaultdict
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.core.units import Duration, Share
from sre.loadtest.model import Stage
from sre.loadtest.shape import WARMUP, Shape, shard

HOLD = (Stage(hold=Duration(10.0)),)


def ramp(seconds: float, to: float | None = None) -> Stage:
    return Stage(ramp=Duration(seconds), to=None if to is None else Share(to))


def step(level: float, seconds: float) -> Stage:
    return Stage(step=Share(level), hold=Duration(seconds))


def test_uniform_100_a_second_for_10_seconds_is_exactly_1000_due_times() -> None:
    arrivals = list(Shape(HOLD, {"home": 100.0}, arrivals="uniform").arrivals())
    assert len(arrivals) == 1000
    assert [round(a.due, 9) for a in arrivals] == [round(n / 100, 9) for n in range(1000)]
    assert [a.number for a in arrivals] == list(range(1000))


def test_two_uniform_journeys_of_one_rate_do_not_come_in_pairs() -> None:
    arrivals = list(Shape(HOLD, {"a": 10.0, "b": 10.0}, arrivals="uniform").arrivals())
    gaps = [after.due - before.due for before, after in itertools.pairwise(arrivals)]
    assert len(arrivals) == 200
    assert min(gaps) == pytest.approx(0.05)
    assert [a.sequence for a in arrivals if a.journey == "b"] == list(range(100))


def test_what_is_expected_is_what_is_laid_out() -> None:
    stages = (ramp(10), Stage(hold=Duration(20.0)), step(3.0, 5), ramp(5, 0.0))
    shape = Shape(stages, {"a": 40.0, "b": 8.0}, arrivals="uniform", warmup=14.0)
    about: dict[tuple[str, int], float] = defaultdict(float)
    for journey, phase, count in shape.expected():
        about[journey, phase] += count
    found = Counter((a.journey, a.phase) for a in shape.arrivals())
    assert {key for key, count in about.items() if count} == set(found)
    assert all(abs(about[key] - found[key]) <= 1.0 for key in found)


def test_levels_follow_the_stages() -> None:
    stages = (ramp(10), Stage(hold=Duration(10.0)), step(3.0, 10), ramp(10), ramp(10, 0.5))
    shape = Shape(stages, {"home": 2.0})
    at = {0: 0.0, 5: 0.5, 10: 1.0, 19: 1.0, 20: 3.0, 30: 3.0, 35: 2.0, 40: 1.0, 45: 0.75, 50: 0.0}
    assert {t: shape.level(t) for t in at} == pytest.approx(at)
    assert shape.rate("home", 20) == pytest.approx(6.0)
    assert (shape.seconds, shape.peak) == (50.0, 3.0)


def test_a_hold_keeps_the_level_before_it_and_starts_at_100_percent() -> None:
    assert Shape(HOLD, {}).level(0) == 1.0
    assert Shape((ramp(1, 0.4), Stage(hold=Duration(1.0))), {}).level(1.5) == pytest.approx(0.4)


def test_a_uniform_ramp_holds_as_many_arrivals_as_its_area() -> None:
    arrivals = list(Shape((ramp(10),), {"home": 100.0}, arrivals="uniform").arrivals())
    assert len(arrivals) == 500
    first_half = sum(a.due < 5 for a in arrivals)
    assert first_half == pytest.approx(125, abs=1)


def test_warm_up_and_stages_are_phases() -> None:
    shape = Shape((*HOLD, step(2.0, 5)), {"home": 1.0}, arrivals="uniform", warmup=3.0)
    phases = [a.phase for a in shape.arrivals()]
    assert phases == [WARMUP] * 3 + [0] * 7 + [1] * 10


def test_the_same_seed_gives_the_same_customers_and_another_one_others() -> None:
    mix = {"a": 20.0, "b": 5.0}
    first = list(Shape(HOLD, mix, seed=7).arrivals())
    assert first == list(Shape(HOLD, mix, seed=7).arrivals())
    assert first != list(Shape(HOLD, mix, seed=8).arrivals())


def test_a_journey_s_own_arrivals_do_not_depend_on_its_neighbours() -> None:
    alone = list(Shape(HOLD, {"a": 20.0}).arrivals())
    beside = list(Shape(HOLD, {"b": 5.0, "a": 20.0}).arrivals())
    assert [a.due for a in alone] == [a.due for a in beside if a.journey == "a"]


def test_poisson_gaps_are_exponential_and_the_rate_is_right() -> None:
    arrivals = list(Shape((Stage(hold=Duration(1000.0)),), {"home": 20.0}).arrivals())
    gaps = [after.due - before.due for before, after in itertools.pairwise(arrivals)]
    assert len(arrivals) == pytest.approx(20_000, rel=0.03)
    assert statistics.mean(gaps) == pytest.approx(0.05, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.05, rel=0.05)  # mean = spread: exponential


STAGES = st.lists(
    st.one_of(
        st.builds(ramp, st.floats(0.5, 30), st.none() | st.floats(0.0, 5.0)),
        st.builds(step, st.floats(0.0, 5.0), st.floats(0.5, 30)),
        st.builds(lambda s: Stage(hold=Duration(s)), st.floats(0.5, 30)),
    ),
    min_size=1,
    max_size=5,
)


@given(STAGES, st.floats(0.1, 50.0), st.sampled_from(["poisson", "uniform"]))
@settings(max_examples=60, deadline=None)
def test_arrivals_are_in_order_inside_the_run_and_uniform_ones_as_many_as_planned(
    stages: list[Stage], rate: float, kind: str
) -> None:
    shape = Shape(stages, {"home": rate}, arrivals="uniform" if kind == "uniform" else "poisson")
    arrivals = list(shape.arrivals())
    dues = [a.due for a in arrivals]
    assert dues == sorted(dues)
    assert all(-1e-9 <= due <= shape.seconds + 1e-6 for due in dues)
    if kind == "uniform":
        assert abs(len(dues) - shape.area * rate) <= 1.0


@given(st.integers(1, 7), st.floats(1.0, 60.0))
@settings(max_examples=30, deadline=None)
def test_shards_are_disjoint_and_together_everything(workers: int, rate: float) -> None:
    arrivals = list(Shape(HOLD, {"home": rate}).arrivals())
    shards = [list(shard(arrivals, worker, workers)) for worker in range(workers)]
    assert sorted(itertools.chain(*shards)) == sorted(arrivals)
    assert all(a.number % workers == worker for worker, own in enumerate(shards) for a in own)


MIXES = st.dictionaries(st.sampled_from("abcd"), st.floats(0.05, 40.0), min_size=1)


@given(STAGES, MIXES, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_any_mix_comes_as_often_as_its_curve_says(
    stages: list[Stage], mix: dict[str, float], seed: int
) -> None:
    shape = Shape(stages, mix, seed=seed)
    arrivals = list(shape.arrivals())
    assert [a.number for a in arrivals] == list(range(len(arrivals)))
    assert [a.due for a in arrivals] == sorted(a.due for a in arrivals)
    for journey, rate in mix.items():
        own = [a for a in arrivals if a.journey == journey]
        planned = shape.area * rate
        assert abs(len(own) - planned) <= 6 * planned**0.5 + 6  # Poisson: six sigma, and then some
        assert [a.sequence for a in own] == list(range(len(own)))
    assert all(shape.level(a.due) > 0 for a in arrivals if a.due < shape.seconds - 1e-6)


@given(STAGES, MIXES, st.sampled_from(["poisson", "uniform"]), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_same_customers_for_any_number_of_workers(
    stages: list[Stage], mix: dict[str, float], kind: str, workers: int
) -> None:
    arrivals: Literal["poisson", "uniform"] = "uniform" if kind == "uniform" else "poisson"
    whole = list(Shape(stages, mix, arrivals=arrivals).arrivals())
    shards = [
        shard(Shape(stages, mix, arrivals=arrivals).arrivals(), worker, workers)
        for worker in range(workers)
    ]
    assert sorted(itertools.chain(*shards)) == whole


def test_singles_day_jumps_twentyfold_within_ten_seconds() -> None:
    stages = (Stage(hold=Duration(60.0)), ramp(10, 20.0), Stage(hold=Duration(60.0)))
    shape = Shape(stages, {"home": 10.0}, arrivals="uniform")
    assert [shape.level(t) for t in (59.9, 65, 70, 129)] == pytest.approx([1, 10.5, 20, 20])
    phases = [a.phase for a in shape.arrivals()]
    assert [phases.count(n) for n in range(3)] == [600, 1050, 12_000]
