"""Does the schedule survive slow, hanging, crashing and too many probes?"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sre.core.secrets import redactor
from sre.journey.result import Outcome, Reason
from sre.probes.model import Check, ProbeContext, Reading
from sre.probes.record import ProbeSeries, Record
from sre.probes.scheduler import Scheduler
from tests.servers.net import wait_until
from tests.unit.probes.stubs import check, crash, good, hang, plan, reading, until_cancelled

pytestmark = pytest.mark.alone


@contextmanager
def scheduling(
    *checks: Check, record: Record | None = None, workers: int = 8, grace: float = 2.0
) -> Iterator[tuple[Scheduler, Record]]:
    record = record or Record()
    scheduler = Scheduler(plan(checks), record, workers=workers, grace=grace)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    try:
        yield scheduler, record
    finally:
        scheduler.stop(grace=2)
        thread.join(5)
        assert not thread.is_alive()


def series(record: Record, name: str) -> ProbeSeries:
    with record.reading() as (probes, _):
        return probes[name]


def runs(record: Record, name: str) -> int:
    return sum(series(record, name).attempts.values())


def test_a_slow_probe_delays_nobody_and_never_runs_twice_at_once():
    busy, most = [], []

    def slow(_context: ProbeContext) -> Reading:
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.35)
        busy.pop()
        return reading()

    with scheduling(check("slow", slow, 0.1), check("quick", good, 0.1)) as (_, record):
        wait_until(lambda: runs(record, "quick") >= 15, 10, "15 runs of the quick probe")
        wait_until(lambda: runs(record, "slow") >= 3, 10, "3 runs of the slow probe")
    assert max(most) == 1
    assert series(record, "slow").skipped["overrun"] >= 3
    assert series(record, "quick").lag < 0.1


def test_a_hanging_probe_is_given_up_and_the_rest_goes_on():
    stuck = check("stuck", hang, 0.2, timeout=0.1)
    with scheduling(stuck, check("quick", good, 0.1), grace=0.1) as (_, record):
        result = wait_until(lambda: series(record, "stuck").result, 5, "the hung run's result")
        assert (result.reading.outcome, result.reading.reason) == (Outcome.FAILED, Reason.PROBER)
        wait_until(lambda: series(record, "stuck").skipped["overrun"] >= 2, 5, "skips")
        wait_until(lambda: runs(record, "quick") >= 5, 5, "runs of the quick probe")
    assert runs(record, "stuck") == 1, "a thread that hangs is not joined by another"


def test_a_crash_is_our_failure_logged_without_secrets(caplog):
    redactor.add("hunter2-planted")
    with (
        caplog.at_level(logging.ERROR, logger="sre"),
        scheduling(check("broken", crash, 0.1)) as (_, record),
    ):
        wait_until(lambda: runs(record, "broken") >= 3, 5, "three crashes")
    found = series(record, "broken")
    assert found.attempts["failed", "prober"] == runs(record, "broken")
    assert found.up is None, "our own failure says nothing about the target"
    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


def test_when_all_workers_are_busy_slots_wait_and_then_are_skipped():
    def slow(_context: ProbeContext) -> Reading:
        time.sleep(0.3)
        return reading()

    checks = [check(f"slow-{n}", slow, 0.4) for n in range(6)]
    with scheduling(*checks, workers=2) as (_, record):
        wait_until(lambda: sum(runs(record, c.name) for c in checks) >= 8, 10, "8 runs")
        late = [series(record, one.name).skipped["late"] for one in checks]
        assert sum(late) > 0


def test_stop_cancels_what_runs_and_waits_for_it():
    with scheduling(check("long", until_cancelled, 0.1)) as (scheduler, record):
        wait_until(lambda: scheduler._flights, 5, "a run")
        began = time.monotonic()
        scheduler.stop()
        assert time.monotonic() - began < 4
        assert runs(record, "long") == 1


def test_over_budget_is_skipped_and_counted():
    orders = check("orders", good, 0.1, budget=2 / 3600)
    with scheduling(orders) as (_, record):
        wait_until(lambda: series(record, "orders").skipped["budget"] >= 3, 5, "skips")
    assert runs(record, "orders") == 2


def test_a_new_plan_keeps_counters_by_name_and_forgets_what_is_gone():
    with scheduling(check("a", good, 0.1), check("b", good, 0.1)) as (scheduler, record):
        wait_until(lambda: runs(record, "a") and runs(record, "b"), 5, "first runs")
        before = runs(record, "a")
        scheduler.replace(plan([check("a", good, 0.1, timeout=9.0), check("c", good, 0.1)]))
        with record.reading() as (probes, _):
            assert set(probes) == {"a", "c"}
        wait_until(lambda: runs(record, "a") > before and runs(record, "c"), 5, "further runs")


class Stumbling(Record):
    """Fails the first time that it is told of a run."""

    stumbled = False

    def lag(self, probe: str, seconds: float) -> None:
        if not self.stumbled:
            self.stumbled = True
            raise KeyError("stumbled over hunter2-planted")
        super().lag(probe, seconds)


def test_a_bug_in_the_scheduler_itself_is_logged_and_survived(caplog):
    redactor.add("hunter2-planted")
    with scheduling(check("a", good, 0.1), record=Stumbling()) as (_, record):
        wait_until(lambda: runs(record, "a"), 5, "a run")
    assert "stumbled" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.long
def test_500_probes_start_on_time():
    checks = [check(f"p{n}", good, 3.0) for n in range(500)]
    with scheduling(*checks, workers=32) as (_, record):
        time.sleep(9)
    lags = sorted(series(record, one.name).lag or 0.0 for one in checks)
    assert lags[int(len(lags) * 0.95)] < 0.25
    assert sum(sum(series(record, one.name).skipped.values()) for one in checks) == 0
