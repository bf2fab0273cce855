"""Does the search find what a shop holds, and end, whatever the shop does?"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.core.units import Duration, Share
from sre.loadtest.capacity.growth import MATTERS, growth_of
from sre.loadtest.capacity.model import Capacity
from sre.loadtest.capacity.search import (
    CONFIRMATIONS,
    RETRIES,
    End,
    Ending,
    Level,
    Showed,
    Tried,
    next_step,
)
from tests.unit.loadtest.queueing import level, search

HELD, BROKE, UNMEASURED = Showed.HELD, Showed.BROKE, Showed.UNMEASURED


def against(rules: Capacity, truth: float) -> tuple[End, list[Tried]]:
    tried: list[Tried] = []
    while isinstance(step := next_step(tried, rules), Level):
        tried.append(Tried(step, HELD if step.share <= truth else BROKE))
    return step, tried


@given(
    truth=st.floats(0.06, 49.0),
    start=st.floats(0.05, 50.0),
    factor=st.floats(1.05, 10.0),
    precision=st.floats(0.005, 0.5),
)
@settings(max_examples=300, deadline=None)
def test_a_shop_that_knows_its_limit_is_found_out(
    truth: float, start: float, factor: float, precision: float
) -> None:
    rules = Capacity(from_=Share(start), factor=factor, precision=Share(precision))
    end, tried = against(rules, truth)
    assert end.ending is Ending.FOUND
    assert end.held is not None
    assert end.broke is not None
    assert end.held <= truth < end.broke
    assert end.broke / end.held <= 1 + precision + 0.002
    assert tried[-1] == Tried(Level(end.held, confirming=True), HELD)
    highest = max(each.level.share for each in tried)
    assert highest <= max(truth * factor * 1.001, start * 1.001)


def test_the_levels_are_those_that_one_would_try() -> None:
    end, tried = against(Capacity(), truth=1.6)
    assert [each.level.share for each in tried] == [
        1.0, 1.5, 2.25, 1.837, 1.66, 1.578, 1.618, 1.578,
    ]  # fmt: skip
    assert [each.level.confirming for each in tried] == [False] * 7 + [True]
    assert end == End(Ending.FOUND, 1.578, 1.618)


def test_it_goes_down_when_the_first_level_breaks_and_gives_up_at_the_lowest() -> None:
    end, tried = against(Capacity(lowest=Share(0.2)), truth=0.01)
    assert [each.level.share for each in tried] == [1.0, 0.6667, 0.4445, 0.2963, 0.2]
    assert end == End(Ending.NOTHING_HOLDS, None, 0.2)


def test_it_stops_at_its_limit() -> None:
    end, tried = against(Capacity(limit=Share(2.0)), truth=100.0)
    assert [each.level.share for each in tried] == [1.0, 1.5, 2.0]
    assert end == End(Ending.LIMIT, 2.0, None)


def test_a_level_in_doubt_is_run_once_more_and_then_the_generator_is_the_limit() -> None:
    first = Tried(Level(1.0), HELD)
    doubt = Tried(Level(1.5), UNMEASURED)
    assert next_step([first, doubt], Capacity()) == Level(1.5)
    end = next_step([first, doubt, doubt], Capacity())
    assert end == End(Ending.GENERATOR, 1.0, None)
    held = Tried(Level(1.5), HELD)
    assert next_step([first, doubt, held], Capacity()) == Level(2.25)
    many = [first, *(Tried(Level(2.0 + n), UNMEASURED) for n in range(RETRIES + 1))]
    assert isinstance(next_step(many, Capacity()), End)


def test_what_does_not_hold_for_longer_is_tried_a_step_lower_three_times_at_most() -> None:
    rules = Capacity()
    tried = [Tried(Level(1.0), HELD), Tried(Level(1.05), BROKE)]
    seen = []
    while isinstance(step := next_step(tried, rules), Level):
        seen.append(step)
        tried.append(Tried(step, BROKE))
    assert seen == [Level(1.0, True), Level(0.9524, True), Level(0.907, True)]
    assert len(seen) == CONFIRMATIONS
    assert step == End(Ending.UNCONFIRMED, None, 0.907)


def test_a_step_lower_that_holds_is_the_answer() -> None:
    tried = [
        Tried(Level(1.0), HELD),
        Tried(Level(1.05), BROKE),
        Tried(Level(1.0, confirming=True), BROKE),
        Tried(Level(0.9524, confirming=True), HELD),
    ]
    assert next_step(tried, Capacity()) == End(Ending.FOUND, 0.9524, 1.0)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_it_ends_whatever_the_shop_does(data: st.DataObject) -> None:
    tried: list[Tried] = []
    rules = Capacity(limit=Share(20.0))
    while isinstance(step := next_step(tried, rules), Level):
        tried.append(Tried(step, data.draw(st.sampled_from(Showed))))
        assert len(tried) < 60
        assert rules.lowest <= step.share <= 20.0
    if step.held is not None and step.broke is not None:
        assert step.held < step.broke
    if step.ending is Ending.FOUND:
        assert tried[-1].level == Level(step.held or 0.0, confirming=True)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limit", [1.0, 3.0, 60.0])
def test_an_m_d_c_queue_is_found_within_ten_percent(seed: int, limit: float) -> None:
    """With a limit of a minute nothing but the growth of the queue can tell."""
    end, _ = search(Capacity(), 20.0, 2, 0.05, limit, seed)
    assert end.ending is Ending.FOUND
    assert end.held is not None
    assert end.held * 20.0 == pytest.approx(2 / 0.05, rel=0.10)


@given(tills=st.integers(1, 8), per_till=st.floats(5, 40), seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_any_m_d_c_queue_is_found(tills: int, per_till: float, seed: int) -> None:
    rules = Capacity(settle=Duration(15.0), measure=Duration(1200 / per_till / tills + 30))
    capacity = tills * per_till
    end, _ = search(rules, capacity / 3, tills, 1 / per_till, 40 / per_till, seed)
    assert end.held is not None
    assert 0.87 < end.held / 3 < 1.10


def test_growth_is_seen_at_a_tenth_too_much_and_not_at_a_tenth_below() -> None:
    seen = dict.fromkeys((0.9, 1.1), 0)
    for share in seen:
        for seed in range(40):
            _, growth = level(40.0 * share, 2, 0.05, 15.0, 60.0, f"{seed}")
            seen[share] += growth.grows
    assert seen[1.1] >= 39
    assert seen[0.9] <= 1


def test_growth_is_read_off_as_arrivals_less_services_whatever_a_stall_does() -> None:
    points = [(float(t), 10 + 2 * t + (200 if t == 30 else 0)) for t in range(60)]
    growth = growth_of(points, 40.0)
    assert growth.slope == pytest.approx(2.0)
    assert growth.share == pytest.approx(0.05)
    assert growth.grows
    assert "2 journeys a second, 5.0%" in growth.words


def test_noise_and_little_growth_and_few_points_are_no_growth() -> None:
    draw = random.Random(1)
    noise = [(float(t), draw.randint(0, 20)) for t in range(60)]
    assert not growth_of(noise, 40.0).grows
    little = [(float(t), int(40 * MATTERS * 0.9 * t)) for t in range(60)]
    assert not growth_of(little, 40.0).grows
    assert growth_of([(0.0, 1), (1.0, 50)], 40.0).slope is None
    assert growth_of([], 0.0).share == 0.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lowest": Share(0.0)}, "0% < lowest"),
        ({"from_": Share(60.0)}, "from <= limit"),
        ({"factor": 1.0}, "factor"),
        ({"precision": Share(0.0)}, "precision"),
        ({"measure": Duration(0.0)}, "measure"),
        ({"arrivals": -1}, "arrivals"),
        ({"confirm": 0.5}, "confirm"),
        ({"recovery": Duration(0.0)}, "recovery"),
    ],
)
def test_searches_that_cannot_be_meant(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Capacity(**fields)  # type: ignore[arg-type]
