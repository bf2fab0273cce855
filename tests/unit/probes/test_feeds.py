"""Do feeds say what happened, wait for a monitor that is away, and hold up nobody?"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sre.core.clock import Deadline
from sre.core.errors import Transient, UsageError
from sre.core.secrets import Secret
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.feeds import pump as pump_module
from sre.probes.feeds import waiting as waiting_module
from sre.probes.feeds.influxdb import InfluxFeed, lines
from sre.probes.feeds.model import Feed, FeedFields, Rejected, Sent
from sre.probes.feeds.pump import Pumps
from sre.probes.feeds.zabbix import ZabbixFeed, discovery, values
from sre.probes.model import Check, Gauge, Reading
from sre.probes.runner import Result
from tests.servers.net import wait_until

CHECK = Check("home", "http", None, every=5.0)  # type: ignore[arg-type]


def result(outcome: Outcome = Outcome.OK, reason: Reason = Reason.NONE, **more: object) -> Result:
    return Result("home", "http", Reading(outcome, 0.25, reason, **more), 1000.0)  # type: ignore[arg-type]


@dataclass(eq=False)
class Monitor:
    """Takes what it is given, or raises what it is told to."""

    trouble: list[Exception] = field(default_factory=list)
    batches: list[list[Result]] = field(default_factory=list)
    announced: list[list[str]] = field(default_factory=list)
    busy: threading.Event = field(default_factory=threading.Event)

    def announce(self, checks: Sequence[Check], deadline: Deadline) -> None:
        self.announced.append([check.name for check in checks])

    def send(self, batch: Sequence[Result], deadline: Deadline) -> None:
        self.busy.set()
        if self.trouble:
            raise self.trouble.pop(0)
        self.batches.append(list(batch))


def pumps(feed: Feed, every: float = 0.02) -> Pumps:
    made = Pumps()
    made.adopt([Sent("m", "test", feed, every)], [CHECK])
    return made


def told(made: Pumps) -> dict[str, float]:
    return {sample.name: sample.value for family in made.collect() for sample in family.samples}


def test_results_arrive_in_order_and_are_counted() -> None:
    monitor = Monitor()
    made = pumps(monitor)
    sent = [result() for _ in range(5)]
    for one in sent:
        made.hear(one)
    wait_until(lambda: sum(map(len, monitor.batches)) == 5, 5, "all of them")
    made.stop()
    assert [one for batch in monitor.batches for one in batch] == sent
    assert monitor.announced == [["home"]]
    assert told(made)["sre_feed_results_total"] == 5


def test_what_failed_is_sent_again_and_nothing_twice_after_that() -> None:
    monitor = Monitor([Transient("away"), Transient("away")])
    made = pumps(monitor)
    made.hear(result())
    wait_until(lambda: monitor.batches, 5, "the third try")
    made.stop()
    assert len(monitor.batches) == 1
    assert told(made)["sre_feed_failures_total"] == 2


def test_what_is_refused_is_dropped_and_counted() -> None:
    monitor = Monitor([Rejected("nonsense")])
    made = pumps(monitor)
    made.hear(result())
    wait_until(lambda: told(made)["sre_feed_dropped_results_total"] == 1, 5, "the refusal")
    made.hear(result())
    wait_until(lambda: monitor.batches, 5, "the next")
    made.stop()


def test_a_bug_of_a_feed_ends_nothing() -> None:
    monitor = Monitor([ZeroDivisionError()])
    made = pumps(monitor)
    made.hear(result())
    wait_until(lambda: monitor.batches, 5, "the next try")
    made.stop()


def test_a_full_queue_drops_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "_RESULTS", 3)
    monitor = Monitor()
    made = pumps(monitor, every=3600.0)
    sent = [result() for _ in range(5)]
    for one in sent:
        made.hear(one)
    made.stop()
    assert monitor.batches == [sent[2:]], "sent at the end"
    assert told(made)["sre_feed_dropped_results_total"] == 2


def test_a_reload_keeps_a_feed_that_stays_and_ends_one_that_goes() -> None:
    monitor, other = Monitor(), Monitor()
    made = pumps(monitor, every=3600.0)
    made.hear(result())
    made.adopt([Sent("m", "test", monitor, 3600.0), Sent("n", "test", other, 3600.0)], [CHECK])
    assert monitor.batches == []
    made.adopt([], [CHECK])
    wait_until(lambda: len(monitor.batches) == 1, 5, "its last words")
    assert list(made.collect()) == []


def test_a_changed_feed_sends_what_the_one_before_could_not() -> None:
    away, back = Monitor([Transient("away")] * 1000), Monitor()
    made = pumps(away)
    sent = [result(), result()]
    for one in sent:
        made.hear(one)
    wait_until(lambda: told(made)["sre_feed_failures_total"] >= 1, 5, "a failure")
    began = time.monotonic()
    made.adopt([Sent("m", "other", back, 0.02)], [CHECK])
    assert time.monotonic() - began < 1, "a reload waits for no monitor"
    wait_until(lambda: back.batches, 5, "the monitor that is there")
    assert back.batches == [sent]
    counted = told(made)
    assert counted["sre_feed_results_total"] == 2
    assert counted["sre_feed_failures_total"] >= 1, "a counter goes on"
    made.stop()


def test_the_end_waits_for_all_monitors_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "_LAST_WORDS", 0.2)
    go = threading.Event()

    @dataclass(eq=False)
    class Hanging(Monitor):
        def send(self, batch: Sequence[Result], deadline: Deadline) -> None:
            go.wait(20)

    made = Pumps()
    made.adopt([Sent(f"m{n}", "test", Hanging(), 3600.0) for n in range(4)], [CHECK])
    made.hear(result())
    began = time.monotonic()
    made.stop()
    assert time.monotonic() - began < 3
    go.set()


def test_runs_with_many_numbers_fill_the_queue_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "_POINTS", 100)
    monkeypatch.setattr(waiting_module, "_BATCH_POINTS", 50)
    many = tuple(Gauge("sre_probe_x", float(n), "x") for n in range(30))
    waiting = waiting_module.Waiting()
    sent = [result(gauges=many) for _ in range(5)]
    assert [waiting.put(one) for one in sent] == [0, 0, 0, 1, 1]
    assert waiting.batch() == [sent[2]]
    waiting.done([sent[0], sent[2]])
    waiting.done(waiting.batch())
    assert waiting.taken() == [sent[4]]
    assert waiting.put(sent[0]) == 0
    waiting.done(waiting.batch())
    assert waiting.batch() == []


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    lost, deadline = str(tmp_path / "lost.pem"), Deadline.after(5)
    influx = InfluxFeed("https://127.0.0.1:9", database="d", ca_file=lost)
    for feed in (influx, ZabbixFeed("127.0.0.1", "h", 9, ca_file=lost)):
        with pytest.raises(UsageError, match=r"lost\.pem"):
            feed.send([result()], deadline)


def test_line_protocol_escapes_what_must_be_escaped() -> None:
    gauge = Gauge("sre_probe_x", 2.0, "X.", (("name", "a b,c=d\ne\\"),))
    endless = Gauge("sre_probe_y", float("inf"), "Y.")
    found = list(lines(result(gauges=(gauge, endless))))
    assert found == [
        "probe_run,probe=home,kind=http,outcome=ok seconds=0.25,up=1i 1000250000000",
        r"sre_probe_x,probe=home,name=a\ b\,c\=d\ e\_ value=2.0 1000250000000",
    ]


def test_a_run_without_a_verdict_says_nothing_about_up() -> None:
    assert list(lines(result(Outcome.FAILED, Reason.PROBER))) == [
        "probe_run,probe=home,kind=http,outcome=failed,reason=prober seconds=0.25 1000250000000"
    ]
    keys = [key for key, _, _ in values(result(Outcome.REFUSED))]
    assert keys == ["sre.probe.outcome[home]", "sre.probe.reason[home]"]


def test_steps_of_a_journey_are_points_of_their_own() -> None:
    row = Row("pay", Outcome.OK, 0.2, phases={"connect": 0.01})
    step = StepResult("pay", Outcome.OK, 0.2, rows=(row,))
    run = Result("c", "journey", Reading(Outcome.OK, 0.25, steps=(step,), journey="c"), 1.0)
    assert list(lines(run))[1] == (
        "probe_step,probe=c,kind=journey,journey=c,step=pay,outcome=ok "
        "seconds=0.2,connect_seconds=0.01 1250000000"
    )


def test_zabbix_gets_times_and_names() -> None:
    assert list(values(result(Outcome.FAILED, Reason.STATUS))) == [
        ("sre.probe.up[home]", "0", 1000.25),
        ("sre.probe.seconds[home]", "0.250000", 1000.25),
        ("sre.probe.outcome[home]", "failed", 1000.25),
        ("sre.probe.reason[home]", "status", 1000.25),
    ]
    assert json.loads(discovery([CHECK])) == [
        {"{#PROBE}": "home", "{#KIND}": "http", "{#EVERY}": "5"}
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"url": "influx:8086", "database": "d"}, "url must be"),
        ({"url": "http://u:p@h", "database": "d"}, "no user"),
        ({"url": "http://h"}, "give database"),
        ({"url": "http://h", "database": "d", "bucket": "b"}, "give database"),
        ({"url": "http://h", "bucket": "b"}, "org and token"),
        ({"url": "http://h", "database": "d", "username": "u"}, "belong together"),
    ],
)
def test_influx_says_what_is_wrong_with_it(wrong: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        InfluxFeed(**wrong)  # type: ignore[arg-type]


def test_the_others_do_too() -> None:
    with pytest.raises(ValueError, match="port"):
        ZabbixFeed("z", "h", port=0)
    with pytest.raises(ValueError, match="ca_file"):
        ZabbixFeed("z", "h", cert_file="c", key_file="k")
    with pytest.raises(ValueError, match="every"):
        FeedFields("a", every=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name"):
        FeedFields("a b")


def test_influx_that_is_not_there_is_tried_again() -> None:
    feed = InfluxFeed(
        "http://127.0.0.1:1", database="d", username="u", password=Secret.literal("known to nobody")
    )
    with pytest.raises(Transient, match="does not answer"):
        feed.send([result()], Deadline.after(1))


def test_zabbix_that_is_not_there_is_tried_again() -> None:
    with pytest.raises(Transient, match="does not answer"):
        ZabbixFeed("127.0.0.1", "h", port=1).send([result()], Deadline.after(1))
