"""Does running once keep order, time limits and manners when it is interrupted?"""

from __future__ import annotations

import threading
import time

import pytest

from sre.core.errors import Terminated, UsageError
from sre.journey.result import Outcome, Reason
from sre.probes.model import ProbeContext, Reading
from sre.probes.runner import look, run_once
from tests.unit.probes.stubs import check, crash, good, hang, plan, reading, until_cancelled


def test_results_come_in_the_order_of_the_checks():
    def slow(_context: ProbeContext) -> Reading:
        time.sleep(0.2)
        return reading()

    checks = [check("b", slow), check("a", good), check("c", good)]
    assert [result.probe for result in run_once(checks, plan(checks))] == ["b", "a", "c"]


def test_a_few_run_at_a_time():
    running, most = [], []

    def busy(_context: ProbeContext) -> Reading:
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return reading()

    checks = [check(f"p{n}", busy) for n in range(12)]
    run_once(checks, plan(checks), workers=3)
    assert 1 < max(most) <= 3


def test_a_crash_and_a_hang_are_readings():
    checks = [check("broken", crash), check("stuck", hang, timeout=0.1), check("fine", good)]
    broken, stuck, fine = run_once(checks, plan(checks))
    assert (broken.reading.outcome, broken.reading.reason) == (Outcome.FAILED, Reason.PROBER)
    assert (stuck.reading.outcome, stuck.reading.reason) == (Outcome.FAILED, Reason.PROBER)
    assert fine.reading.outcome is Outcome.OK


def test_slow_is_degraded_but_never_hides_a_failure():
    checks = [
        check("slow", lambda _: reading(seconds=0.6), slow=0.5),
        check("failed", lambda _: reading(Outcome.FAILED, Reason.STATUS, 0.6), slow=0.5),
        check("quick", lambda _: reading(seconds=0.5), slow=0.5),
    ]
    slow, failed, quick = (result.reading for result in run_once(checks, plan(checks)))
    assert (slow.outcome, slow.reason) == (Outcome.DEGRADED, Reason.SLOW)
    assert failed.reason is Reason.STATUS
    assert quick.outcome is Outcome.OK


def test_a_secret_that_cannot_be_read_is_our_failure_and_says_why():
    def unset(_context: ProbeContext) -> Reading:
        raise UsageError("environment variable PIN is not set; export it")

    one = check("pin", unset)
    plan_ = plan([one])
    found = look(one, plan_.context(one, _clock(), threading.Event()))
    assert found.is_prober
    assert "PIN is not set" in found.message


def test_an_interruption_cancels_what_runs_and_waits_for_its_cleanup():
    cleaned = []

    def journey(context: ProbeContext) -> Reading:
        until_cancelled(context)
        time.sleep(0.2)
        cleaned.append(1)
        return reading()

    def interrupt(_running: str) -> None:
        raise Terminated("terminated")

    checks = [check("checkout", journey)]
    with pytest.raises(Terminated):
        run_once(checks, plan(checks), progress=interrupt)
    assert cleaned


def test_unknown_names_get_a_suggestion():
    with pytest.raises(UsageError, match=r"did you mean 'checkout'\?"):
        plan([check("checkout")]).select(["chekout"])


def _clock():
    from sre.core.clock import SystemClock

    return SystemClock()
