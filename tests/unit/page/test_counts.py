"""Are the counts exact, bounded, and safe from clocks that jump?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.page.counts import HOURS, MINUTES, Cell, Track
from tests.unit.page.made import NOON

DAY = 86400


def total(track: Track, now: float) -> Cell:
    found = Cell()
    for _, _, cell in track.cells(now):
        found = found.plus(cell)
    return found


def test_events_of_a_minute_are_one_cell() -> None:
    track = Track()
    for second in (0, 1, 59.9):
        track.add(Cell(good=1, micros=1000), NOON + second)
    track.add(Cell(bad=1), NOON + 60)
    assert track.minutes == {NOON: Cell(3, 0, 0, 3000), NOON + 60: Cell(bad=1)}
    assert track.hours == {NOON: Cell(3, 0, 1, 3000)}
    assert Cell(3, 1, 0, 4_000_000).mean == 1.0
    assert Cell(bad=1).mean is None


@given(st.lists(st.floats(0, 4 * DAY), max_size=40))
def test_no_event_is_lost_or_counted_twice(moments: list[float]) -> None:
    track = Track()
    for moment in sorted(moments):
        track.add(Cell(good=1), NOON + moment)
    assert total(track, NOON + 5 * DAY).good == len(moments)


def test_minutes_become_hours_without_a_change_of_the_sum() -> None:
    track = Track()
    for minute in range(3 * 24 * 60):
        track.add(Cell(good=1), NOON + minute * 60)
    now = NOON + 3 * DAY - 60
    assert len(track.minutes) <= MINUTES
    assert len(track.minutes) > MINUTES - 60
    assert total(track, now).good == 3 * 24 * 60
    assert all(start >= track.fine_from for start in track.minutes)


def test_three_months_are_the_most_that_is_kept() -> None:
    track = Track()
    for hour in range(HOURS + 500):
        track.add(Cell(good=1), NOON + hour * 3600)
    assert len(track.hours) == HOURS
    assert len(track.minutes) <= MINUTES


def test_a_clock_that_jumps_ahead_forgets_nothing() -> None:
    track = Track()
    track.add(Cell(good=1), NOON)
    track.add(Cell(good=1), NOON + 3650 * DAY)
    assert total(track, NOON + 3650 * DAY).good == 2


def test_what_a_wrong_clock_wrote_into_the_future_goes_when_it_is_right_again() -> None:
    track = Track()
    track.add(Cell(good=1), NOON)
    track.add(Cell(bad=1), NOON + 3650 * DAY)
    assert total(track, NOON + 60).bad == 0, "not shown"
    track.add(Cell(good=1), NOON + 60)
    assert total(track, NOON + 4000 * DAY) == Cell(good=2), "and not kept"


def test_a_long_stay_in_the_future_leaves_the_hours_right() -> None:
    track = Track()
    for minute in range(120):
        track.add(Cell(good=1), NOON + minute * 60)
    for minute in range(3 * 24 * 60):
        track.add(Cell(bad=1), NOON + 3650 * DAY + minute * 60)
    now = NOON + 2 * 3600
    track.add(Cell(good=1), now)
    assert total(track, now) == Cell(good=121)


def test_a_small_step_back_counts_on() -> None:
    track = Track()
    track.add(Cell(good=1), NOON + 30)
    track.add(Cell(good=1), NOON - 30)
    assert total(track, NOON + 30).good == 2
    assert total(track, NOON - 30).good == 1, "what is ahead of the clock waits"


def test_the_last_hour_ends_with_this_minute() -> None:
    track = Track()
    track.add(Cell(good=1), NOON - 3600)
    track.add(Cell(good=2), NOON - 3540)
    track.add(Cell(bad=3), NOON + 59)
    spans = track.last(3600, 60, NOON + 59)
    assert len(spans) == 60
    assert (spans[0].good, spans[-1].bad) == (2, 3)
    assert sum(cell.total for cell in spans) == 5


def test_it_survives_being_written_down() -> None:
    track = Track()
    for minute in range(0, 4 * 24 * 60, 7):
        track.add(Cell(1, 2, 3, 4), NOON + minute * 60)
    again = Track.from_data(track.as_data())
    assert (again.minutes, again.hours, again.fine_from) == (
        track.minutes, track.hours, track.fine_from,
    )  # fmt: skip
    assert Track.from_data(Track().as_data()).as_data() == Track().as_data()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"fine_from": -1, "minutes": [], "hours": []},
        {"fine_from": True, "minutes": [], "hours": []},
        {"fine_from": 0, "minutes": [[60], [1]], "hours": []},
        {"fine_from": 0, "minutes": [[61], [1], [0], [0], [0]], "hours": []},
        {"fine_from": 0, "minutes": [[60], [1], [0], [0], []], "hours": []},
        {"fine_from": 0, "minutes": [[60], ["1"], [0], [0], [0]], "hours": []},
        {"fine_from": 0, "minutes": 5, "hours": []},
    ],
)
def test_what_is_no_track_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Track.from_data(data)
