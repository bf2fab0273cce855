"""Is the budget's arithmetic exact, for whole and for partial windows?"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.units import Share
from sre.journey.result import Outcome, Reason
from sre.page.budgets import budget_of, promise_of, samples_of
from sre.page.counts import Cell, Track
from sre.page.history import History, subject_of
from sre.page.model import Budget
from sre.slo.model import Objective
from tests.unit.page.made import NOON, check, failed, objective, played, run

DAY = 86400.0


def counted(track: Track, promise: Objective | None = None, now: float = NOON, **more) -> Budget:
    promise = promise or objective()
    history = History()
    history.tracks[subject_of(promise).key] = track
    return budget_of(promise, more.get("checks", [check()]), history, now)


def track_of(*cells: tuple[float, Cell]) -> Track:
    track = Track()
    for at, cell in cells:
        track.add(cell, at)
    return track


def test_without_events_nothing_is_known() -> None:
    found = counted(Track())
    assert (found.left, found.burn, found.fires, found.total) == (None, None, "", 0)
    assert (found.covered, found.spent) == (0.0, False)


@pytest.mark.parametrize(
    ("bad", "left"),
    [
        (0, Fraction(1)),
        (1, Fraction(9, 10)),
        (5, Fraction(1, 2)),
        (10, Fraction(0)),
        (25, Fraction(-3, 2)),
    ],
)
def test_what_is_left_is_an_exact_share(bad: int, left: Fraction) -> None:
    """99% of 1000 events: ten may be bad."""
    found = counted(track_of((NOON - 7 * DAY, Cell(good=1000 - bad, bad=bad))))
    assert found.left == left
    assert (found.bad, found.total) == (bad, 1000)
    assert found.spent == (bad >= 10)


def test_slow_runs_spend_a_latency_budget_alone() -> None:
    cells = track_of((NOON - DAY, Cell(good=990, slow=5, bad=5)))
    assert counted(cells, objective(below=2.0)).left == 0
    assert counted(cells, objective()).left == Fraction(1, 2)


def test_only_the_window_counts() -> None:
    cells = track_of(
        (NOON - 2 * 3600, Cell(bad=50)), (NOON - 1800, Cell(good=99)), (NOON, Cell(bad=1))
    )
    found = counted(cells, objective(window=3600.0))
    assert (found.bad, found.total, found.left) == (1, 100, 0)


def test_a_minute_that_the_window_cuts_counts_whole() -> None:
    """The window is up to a minute longer than its name, never shorter."""
    promise = objective(window=3600.0)
    cells = track_of((NOON - 3600, Cell(bad=1)), (NOON - 60, Cell(good=99)))
    assert counted(cells, promise, NOON + 59).bad == 1
    assert counted(cells, promise, NOON + 60).bad == 0


def test_further_back_it_is_the_hour_that_counts_whole() -> None:
    recent = ((NOON - n * 60, Cell(good=1)) for n in range(2900, -1, -1))
    cells = track_of((NOON - 30 * DAY, Cell(good=98, bad=2)), *recent)
    assert cells.fine_from > NOON - 3 * DAY
    assert counted(cells, now=NOON + 3599).bad == 2
    assert counted(cells, now=NOON + 3600).bad == 0


def test_a_history_shorter_than_the_window_says_so() -> None:
    found = counted(track_of((NOON - 3 * 3600, Cell(good=180))))
    assert (found.covered, found.window) == (3 * 3600, 30 * DAY)
    assert counted(track_of((NOON - 60 * DAY, Cell(good=1)))).covered == 30 * DAY


def test_the_rate_now_is_that_of_the_shortest_window() -> None:
    cells = track_of((NOON - 3000, Cell(bad=40)), (NOON - 100, Cell(good=98, bad=2)))
    found = counted(cells)
    assert (found.burn, found.burn_window) == (Fraction(2), 300.0)
    assert counted(cells, now=NOON + 3600).burn is None, "no runs lately"


def test_a_slow_rhythm_stretches_the_shortest_window() -> None:
    found = counted(track_of((NOON, Cell(good=1))), checks=[check(every=600.0)])
    assert found.burn_window == 1500.0


def test_total_failure_pages_and_a_ticket_never_does() -> None:
    cells = track_of(*((NOON - n * 60, Cell(bad=1)) for n in range(60)))
    assert counted(cells).fires == "page"
    assert counted(cells, objective(severity="ticket")).fires == "ticket"
    assert counted(track_of((NOON, Cell(good=100)))).fires == ""


@given(st.lists(st.tuples(st.integers(0, 29 * 1440), st.booleans()), min_size=1, max_size=50))
def test_any_history_gives_the_share_of_its_events(events: list[tuple[int, bool]]) -> None:
    track = Track()
    for minute, good in sorted(events, reverse=True):
        track.add(Cell(good=1) if good else Cell(bad=1), NOON - minute * 60)
    bad = sum(not good for _, good in events)
    assert counted(track).left == 1 - Fraction(bad, len(events)) / Fraction(1, 100)


def test_runs_become_budgets() -> None:
    available, fast = objective(), objective("fast", below=0.2)
    subjects = (subject_of(available), subject_of(fast))
    slow = run(outcome=Outcome.DEGRADED, reason=Reason.SLOW, seconds=0.5)
    history = played(
        *((NOON - n, run()) for n in range(98)), (NOON, slow), (NOON, failed()), subjects=subjects
    )
    checks = [check()]
    assert budget_of(available, checks, history, NOON).left == 0
    assert budget_of(fast, checks, history, NOON).left == -1


def test_what_lies_ahead_of_the_clock_is_no_event() -> None:
    track = track_of((NOON, Cell(good=1)), (NOON + 1800, Cell(bad=1)))
    assert [s.total for s in samples_of(track, NOON + 1, latency=False)] == [1]


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        (objective(), "99% of checkout runs good, over 30 days"),
        (
            objective(target=Share(0.9995), below=0.25, window=7 * DAY),
            "99.95% of checkout runs good within 0.25 s, over 7 days",
        ),
        (objective(step="checkout/pay"), "99% of checkout/pay runs good, over 30 days"),
    ],
)
def test_the_promise_in_words(promise: Objective, words: str) -> None:
    assert promise_of(promise) == words
