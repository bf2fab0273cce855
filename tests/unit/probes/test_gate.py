"""Does the gate tell our own dead network from a dead shop, and hold nobody up?"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from sre.core.clock import SystemClock
from sre.core.units import Duration
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.gate import Gate, could_be_ours, ours
from sre.probes.model import Reading, Retry
from sre.probes.record import ProbeSeries, Record
from sre.probes.scheduler import Scheduler
from sre.probes.watching import WatchOptions
from tests.servers.net import free_port, wait_until
from tests.unit.probes.stubs import check, plan, reading

REFUSED = reading(Outcome.FAILED, Reason.CONNECT)


class JumpingClock(SystemClock):
    """The machine's clocks, until somebody sets the one on the wall."""

    ahead = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead


@contextmanager
def gate_of(*addresses: str, timeout: float = 0.5) -> Iterator[Gate]:
    with closing(Gate(addresses, timeout)) as gate:
        yield gate


def answer(gate: Gate, since: float) -> bool:
    said: list[bool] = []
    come = threading.Event()
    gate.ask(since, lambda up: (said.append(up), come.set()))
    assert come.wait(10)
    return said[0]


def test_one_address_that_accepts_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as up:
        port = up.getsockname()[1]
        with gate_of(f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}") as gate:
            assert answer(gate, time.time())


def test_none_that_accepts_means_our_network() -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
    try:
        with gate_of(f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}") as gate:
            began = time.monotonic()
            assert not answer(gate, time.time())
            assert time.monotonic() - began < 3
    finally:
        for one in (full, *fillers):
            one.close()


def test_what_is_known_is_told_at_once_and_a_failure_is_remembered() -> None:
    port = free_port()
    began = time.time()
    with gate_of(f"127.0.0.1:{port}") as gate:
        assert not answer(gate, began)
        with socket.create_server(("127.0.0.1", port)):
            assert answer(gate, time.time()), "it works again"
            assert not answer(gate, began), "but it did not throughout"


def test_a_clock_that_is_set_back_excuses_nothing() -> None:
    clock, port = JumpingClock(), free_port()
    with closing(Gate((f"127.0.0.1:{port}",), 0.5, clock=clock)) as gate:
        began = clock.wall()
        assert not answer(gate, began)
        clock.ahead = -3600.0
        with socket.create_server(("127.0.0.1", port)):
            assert answer(gate, clock.wall()), "the look that failed was before the jump"
            assert answer(gate, began), "a run from before it is not waited for an hour"


def test_an_address_that_may_not_be_asked_excuses_nothing() -> None:
    with gate_of("localhost.example.invalid:1", "127.0.0.1:1", timeout=0.3) as gate:
        assert not answer(gate, time.time())


def test_who_waits_when_it_closes_is_told() -> None:
    with gate_of(f"127.0.0.1:{free_port()}") as gate:
        answer(gate, time.time())
        gate.close()
        assert answer(gate, time.time() + 3600)


def test_only_failures_of_the_network_can_be_ours() -> None:
    reasons = {reason for reason in Reason if could_be_ours(reading(Outcome.FAILED, reason))}
    assert reasons == {Reason.DNS, Reason.CONNECT, Reason.TIMEOUT}
    assert not could_be_ours(reading(Outcome.DEGRADED, Reason.TIMEOUT))
    row = Row("pay", Outcome.FAILED, 0.1, reason=Reason.CONNECT)
    good = StepResult("front", Outcome.OK, 0.1)
    bad = StepResult("pay", Outcome.FAILED, 0.1, reason=Reason.CONNECT, rows=(row,))
    found = ours(Reading(Outcome.FAILED, 0.2, Reason.CONNECT, "refused", steps=(good, bad)))
    assert found.is_prober
    assert [step.reason for step in found.steps] == [Reason.NONE, Reason.PROBER]
    assert "refused" in found.message


@contextmanager
def scheduling(scheduler: Scheduler) -> Iterator[None]:
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    try:
        yield
    finally:
        scheduler.stop(2)
        thread.join(5)


def series(record: Record, name: str = "a") -> ProbeSeries:
    with record.reading() as (probes, _):
        return probes[name].copy()


def test_a_dead_network_of_ours_is_no_event_and_visible() -> None:
    record, heard = Record(), []
    options = WatchOptions(gate=(f"127.0.0.1:{free_port()}",))
    checks = [check("a", lambda _c: REFUSED, 0.1), check("b", lambda _c: reading(), 0.1)]
    scheduler = Scheduler(plan(checks, watch=options), record, listener=heard.append)
    with scheduling(scheduler):
        wait_until(lambda: series(record).attempts["failed", "prober"] >= 2, 10, "our failures")
        assert record.gate_up is False
        found = series(record)
        assert found.attempts["failed", "connect"] == 0
        assert found.up is None, "nothing is known of the target"
        assert series(record, "b").up[0], "what could be reached was"
        # before the end: who still waits for the gate then is told that nothing is known
        wait_until(lambda: any(r.probe == "a" for r in heard), 10, "the listener is told")
        assert {r.reading.reason for r in heard if r.probe == "a"} == {Reason.PROBER}


def test_with_an_open_gate_the_failure_is_the_targets() -> None:
    record = Record()
    with socket.create_server(("127.0.0.1", 0)) as up:
        options = WatchOptions(gate=(f"127.0.0.1:{up.getsockname()[1]}",))
        scheduler = Scheduler(plan([check("a", lambda _c: REFUSED, 0.1)], watch=options), record)
        with scheduling(scheduler):
            wait_until(lambda: series(record).attempts["failed", "connect"] >= 2, 10, "failures")
            assert record.gate_up is True
            assert series(record).up[0] is False


def test_a_failure_is_confirmed_before_the_probe_is_down() -> None:
    record, asked = Record(), []
    answers = [REFUSED, reading(), REFUSED, REFUSED, REFUSED]

    def act(_context: object) -> Reading:
        asked.append(time.monotonic())
        return answers[min(len(asked), len(answers)) - 1]

    flaky = check("a", act, 1.0, retry=Retry(2, Duration(0.05)))
    with scheduling(Scheduler(plan([flaky]), record)):
        wait_until(lambda: series(record).confirmed["recovered"], 10, "the first one to pass")
        found = series(record)
        assert found.up[0] is True
        assert found.attempts["failed", "connect"] == 1, "an event all the same"
        wait_until(lambda: series(record).confirmed["down"], 10, "an outage")
        found = series(record)
        assert found.up[0] is False
        assert found.attempts["failed", "connect"] == 2, "further attempts are no events"
        assert asked[4] - asked[3] < 0.5
        assert asked[1] - asked[0] < 0.5


def test_a_listener_that_hangs_holds_up_no_probe() -> None:
    record, hang = Record(), threading.Event()
    scheduler = Scheduler(
        plan([check("a", lambda _c: reading(), 0.1)]), record, listener=lambda _r: hang.wait(30)
    )
    try:
        with scheduling(scheduler):
            wait_until(lambda: series(record).attempts["ok", ""] >= 5, 10, "runs")
            hang.set()
    finally:
        hang.set()
