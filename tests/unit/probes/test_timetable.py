"""Are probes due when they should be, evenly, without drift, and never back to back?"""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.clock import FakeClock
from sre.probes.budgets import Budgets
from sre.probes.timetable import Due, Skip, Timetable, decide, next_due, offset_of
from tests.unit.probes.stubs import check

NOW = 1_795_000_000.0


@given(st.floats(1e9, 3e9), st.floats(1, 86400), st.text(min_size=1))
def test_the_next_slot_is_later_and_at_most_one_interval_away(now, every, name):
    due = next_due(now, every, offset_of(name, every))
    assert now < due <= now + every * (1 + 1e-6) + 1e-3


def test_the_offset_is_the_same_everywhere_and_below_the_interval():
    assert offset_of("checkout", 60) == pytest.approx(46.748766)
    assert all(0 <= offset_of(str(n), 15) < 15 for n in range(1000))


def test_500_probes_a_minute_never_start_in_a_crowd():
    checks = [check(f"probe-{n}") for n in range(500)]
    starts = Counter(int(next_due(NOW, c.every, offset_of(c.name, c.every)) - NOW) for c in checks)
    assert max(starts.values()) <= 2 * 500 / 60 + 3


def test_a_simulated_hour_has_no_drift_although_each_round_is_late():
    clock, rng = FakeClock(NOW), random.Random(4)
    checks = [check("a", every=15.0), check("b", every=7.0), check("c", every=60.0)]
    table, ran = Timetable(checks, clock.now(), frozenset("abc")), []
    while clock.now() < NOW + 3600:
        clock.advance(max(0.0, (table.next_wake() or 0) - clock.now()) + rng.uniform(0, 0.4))
        ran += [(due.check.name, due.at, due.missed) for due in table.take(clock.now())]
    for one in checks:
        slots = [at for name, at, _ in ran if name == one.name]
        assert len(slots) == pytest.approx(3600 / one.every, abs=1)
        gaps = {round(b - a, 6) for a, b in itertools.pairwise(slots)}
        assert gaps == {one.every}
    assert not any(missed for _, _, missed in ran)


def test_a_pause_of_the_whole_process_is_one_late_slot_and_counted_misses():
    table = Timetable([check("a", every=10.0)], NOW, frozenset("a"))
    first = table.next_wake()
    [due] = table.take(first + 47.0)
    assert (due.at, due.missed) == (first, 4)
    assert table.next_wake() == pytest.approx(first + 50.0)
    assert decide(due, first + 47.0, running=False, affordable=True) is Skip.LATE


def test_what_becomes_of_a_slot():
    due = Due(check("a", every=10.0), NOW)
    assert decide(due, NOW + 1, running=False, affordable=True) is None
    assert decide(due, NOW + 4.9, running=False, affordable=True) is None
    assert decide(due, NOW + 5.1, running=False, affordable=True) is Skip.LATE
    assert decide(due, NOW, running=True, affordable=True) is Skip.OVERRUN
    assert decide(due, NOW, running=False, affordable=False) is Skip.BUDGET


def test_new_probes_start_within_a_minute_unless_they_place_orders():
    table = Timetable([check("slow", every=86400.0)], NOW)
    assert table.next_wake() <= NOW + 60
    table.take(NOW + 60)
    assert table.next_wake() == next_due(NOW + 60, 86400.0, offset_of("slow", 86400.0))
    orders = check("orders", every=86400.0, budget=1 / 3600)
    slot = next_due(NOW, 86400.0, offset_of("orders", 86400.0))
    assert Timetable([orders], NOW).next_wake() == slot


def test_a_restart_keeps_the_slots():
    checks = [check("a"), check("b")]
    before = Timetable(checks, NOW, frozenset("ab"))
    after = Timetable(checks, NOW + 1e-3, frozenset("ab"))
    assert before.next_wake() == after.next_wake()


def test_a_budget_slides():
    budgets = Budgets()
    budgets.adopt([check("orders", budget=3 / 3600)])
    for minute in range(3):
        assert budgets.affords("orders", NOW + minute * 60)
        budgets.spend("orders", NOW + minute * 60)
    assert not budgets.affords("orders", NOW + 3599)
    assert budgets.affords("orders", NOW + 3600)
    budgets.adopt([check("orders", budget=2 / 3600)])
    assert not budgets.affords("orders", NOW + 3600), "a reload does not refill it"
    assert budgets.affords("free", NOW)


def test_a_small_budget_is_counted_over_a_day():
    budgets = Budgets()
    budgets.adopt([check("orders", budget=2 / 86400)])
    budgets.spend("orders", NOW)
    budgets.spend("orders", NOW + 1)
    assert not budgets.affords("orders", NOW + 86399)
    assert budgets.affords("orders", NOW + 86400.5)


def test_an_hour_of_checkouts_stays_within_its_budget():
    clock, orders = FakeClock(NOW), check("orders", every=30.0, budget=60 / 3600)
    table, budgets, ran, skipped = Timetable([orders], NOW), Budgets(), [], 0
    budgets.adopt([orders])
    while clock.now() < NOW + 3 * 3600:
        clock.advance(max(0.0, (table.next_wake() or 0) - clock.now()))
        for _ in table.take(clock.now()):
            if budgets.affords("orders", clock.now()):
                budgets.spend("orders", clock.now())
                ran.append(clock.now())
            else:
                skipped += 1
    assert all(sum(t <= other < t + 3600 for other in ran) <= 60 for t in ran)
    assert skipped > 0
