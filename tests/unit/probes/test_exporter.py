"""Does /metrics say the right things under the right names, and nothing that is gone?"""

from __future__ import annotations

import re

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sre.core.clock import FakeClock
from sre.core.metrics import CATALOGUE
from sre.journey.compile import single_step
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.exporter import registry_of
from sre.probes.model import Check, Gauge, Reading
from sre.probes.record import Record
from sre.probes.runner import Result
from sre.probes.watching import WatchOptions
from tests.unit.probes.stubs import SHOP, check, plan, reading


class Exported:
    """What a scrape would see."""

    def __init__(self, *checks: Check, **fields: object) -> None:
        self.clock = FakeClock()
        self.record = Record()
        self.record.adopt(plan(checks, **fields))
        self.registry = registry_of(self.record, self.clock)

    def add(self, name: str, reading: Reading) -> None:
        self.record.add(Result(name, "stub", reading, 0.0), self.clock.wall())

    def text(self) -> str:
        return generate_latest(self.registry).decode()

    def values(self, metric: str, **labels: str) -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(self.text())
        return {
            tuple(v for k, v in sorted(s.labels.items()) if k not in labels): s.value
            for family in families
            for s in family.samples
            if s.name == metric and labels.items() <= s.labels.items()
        }

    def value(self, metric: str, **labels: str) -> float | None:
        return self.values(metric, **labels).get(())


def step(name: str, seconds: float, outcome: Outcome = Outcome.OK, **phases: float) -> StepResult:
    row = Row(name, outcome, seconds, phases=phases)
    return StepResult(name, outcome, seconds, rows=(row,))


def journey_named(name: str):
    return single_step(name, {"get": "/"}, shop=SHOP)


def test_every_probe_has_its_counters_before_its_first_run():
    exported = Exported(check("home"))
    attempts = exported.values("sre_probe_attempts_total", probe="home")
    assert attempts["ok", ""] == 0
    assert {reason for outcome, reason in attempts if outcome == "failed"} == {
        reason.value for reason in Reason if reason
    }
    assert exported.value("sre_probe_duration_seconds_count", probe="home") == 0
    assert exported.value("sre_probe_up", probe="home") is None
    assert exported.value("sre_probe_last_run_timestamp_seconds", probe="home") is None


def test_outcomes_are_counted_and_only_good_runs_are_timed():
    exported = Exported(check("home"))
    exported.add("home", reading(seconds=0.2))
    exported.add("home", reading(Outcome.DEGRADED, Reason.SLOW, 3.0))
    exported.add("home", reading(Outcome.FAILED, Reason.STATUS, 0.001))
    exported.add("home", reading(Outcome.BLOCKED, seconds=0.0))
    attempts = exported.values("sre_probe_attempts_total", probe="home")
    expected = {("ok", ""): 1, ("degraded", "slow"): 1, ("failed", "status"): 1, ("blocked", ""): 1}
    assert {key: n for key, n in attempts.items() if n} == expected
    assert exported.value("sre_probe_duration_seconds_count", probe="home") == 2
    assert exported.value("sre_probe_duration_seconds_sum", probe="home") == pytest.approx(3.2)


def test_objective_thresholds_are_bucket_edges_and_belong_to_their_bucket():
    exported = Exported(check("home"), edges={"home": (0.333, 2.0)})
    exported.add("home", reading(seconds=0.333))
    buckets = exported.values("sre_probe_duration_seconds_bucket", probe="home")
    assert buckets["0.333",] == 1
    assert buckets["0.25",] == 0
    assert buckets["2.0",] == buckets["+Inf",] == 1


@pytest.mark.parametrize(
    ("outcome", "reason", "up"),
    [
        (Outcome.OK, Reason.NONE, 1),
        (Outcome.DEGRADED, Reason.SLOW, 1),
        (Outcome.FAILED, Reason.CONNECT, 0),
        (Outcome.FAILED, Reason.PROBER, 1),
        (Outcome.THROTTLED, Reason.NONE, 1),
        (Outcome.REFUSED, Reason.NONE, 1),
        (Outcome.BLOCKED, Reason.NONE, 1),
    ],
)
def test_up_is_the_last_run_that_had_a_verdict(outcome, reason, up):
    exported = Exported(check("home"))
    exported.add("home", reading())
    exported.add("home", reading(outcome, reason))
    assert exported.value("sre_probe_up", probe="home") == up


def test_a_probe_that_no_longer_runs_loses_its_gauges_but_not_its_counters():
    exported = Exported(check("home", every=10.0, timeout=5.0))
    found = Gauge("sre_probe_tls_verified", 1.0, "Help.")
    exported.add(
        "home", Reading(Outcome.OK, 0.1, steps=(step("http", 0.1, tls=0.05),), gauges=(found,))
    )
    exported.clock.advance(34.9)
    assert exported.value("sre_probe_phase_seconds", probe="home", phase="tls") == 0.05
    exported.clock.advance(0.2)
    for gauge in ("sre_probe_phase_seconds", "sre_probe_up", "sre_probe_tls_verified"):
        assert not exported.values(gauge, probe="home"), gauge
    assert exported.value("sre_probe_attempts_total", probe="home", outcome="ok", reason="") == 1
    assert exported.value("sre_probe_last_run_timestamp_seconds", probe="home") == 1_000_000.0


def test_up_fades_when_runs_go_on_without_a_verdict():
    exported = Exported(check("home", every=10.0, timeout=5.0))
    exported.add("home", reading())
    exported.clock.advance(36)
    exported.add("home", reading(Outcome.BLOCKED))
    assert exported.value("sre_probe_up", probe="home") is None


def test_phases_that_did_not_happen_are_left_out():
    exported = Exported(check("home"))
    exported.add("home", Reading(Outcome.OK, 0.1, steps=(step("http", 0.1, connect=0.1),)))
    phases = exported.values("sre_probe_phase_seconds", probe="home")
    assert phases == {("connect",): 0.1}


def test_steps_of_a_journey():
    journeys = {"checkout": journey_named("checkout")}
    run = check("checkout", journey="checkout")
    exported = Exported(run, journeys=journeys, step_edges={"checkout/checkout": (0.7,)})
    name = {"journey": "checkout", "step": "checkout"}
    assert exported.value("sre_probe_step_duration_seconds_count", **name) == 0
    one = step("checkout", 0.4, connect=0.1, processing=0.3)
    exported.add("checkout", Reading(Outcome.OK, 0.4, steps=(one,), journey="checkout"))
    assert exported.values("sre_probe_step_duration_seconds_bucket", **name)["0.7",] == 1
    assert exported.value("sre_probe_step_phase_seconds", **name, phase="processing") == 0.3
    ok = {"outcome": "ok", "reason": ""}
    assert exported.value("sre_probe_step_attempts_total", **name, **ok) == 1
    assert not exported.values("sre_probe_phase_seconds"), "phases of journeys are by step"


def test_a_reload_forgets_what_is_gone_and_keeps_the_rest():
    journeys = {"a": journey_named("a"), "b": journey_named("b")}
    checks = [check("a", journey="a"), check("b", journey="b"), check("home")]
    exported = Exported(*checks, journeys=journeys)
    for name in ("a", "b", "home"):
        journey = name if name in journeys else None
        exported.add(name, Reading(Outcome.OK, 0.1, steps=(step(name, 0.1),), journey=journey))
    moved = check("home", every=5.0)
    exported.record.adopt(plan([checks[0], moved], journeys=journeys, edges={"a": (0.123,)}))
    text = exported.text()
    assert not re.search(r'(probe|journey|step)="b"', text)
    ok = {"outcome": "ok", "reason": ""}
    assert exported.value("sre_probe_attempts_total", probe="home", **ok) == 1
    assert exported.value("sre_probe_duration_seconds_count", probe="home") == 1
    assert exported.value("sre_probe_attempts_total", probe="a", **ok) == 1
    assert exported.value("sre_probe_step_duration_seconds_count", journey="a", step="a") == 1
    again = "other edges begin anew"
    assert exported.value("sre_probe_duration_seconds_count", probe="a") == 0, again


def test_what_a_probe_may_export_is_bounded():
    limits = WatchOptions(max_series=150, max_series_per_probe=100)
    exported = Exported(check("home"), check("next"), watch=limits)
    gauges = tuple(
        Gauge("sre_probe_host_load", n, "Help.", (("window", f"{n}" + "x" * 500),))
        for n in range(107)
    )
    exported.add("home", Reading(Outcome.OK, 0.1, gauges=gauges))
    assert len(exported.values("sre_probe_host_load", probe="home")) == 100
    exported.add("next", Reading(Outcome.OK, 0.1, gauges=gauges))
    assert len(exported.values("sre_probe_host_load", probe="next")) == 50, "of all together"
    exported.add("home", Reading(Outcome.OK, 0.1, gauges=gauges[:10]))
    exported.add("next", Reading(Outcome.OK, 0.1, gauges=gauges))
    assert len(exported.values("sre_probe_host_load", probe="next")) == 100
    assert exported.value("sre_probe_series_dropped_total", probe="home") == 7
    assert exported.value("sre_probe_series_dropped_total", probe="next") == 57 + 7
    assert max(map(len, exported.text().splitlines())) < 300


def test_a_result_of_a_removed_probe_is_ignored():
    exported = Exported(check("home"))
    exported.add("gone", reading())
    assert 'probe="gone"' not in exported.text()


def test_names_and_labels_are_those_of_the_catalogue():
    journeys = {"a": journey_named("a")}
    exported = Exported(check("a", journey="a"), check("home", budget=1.0), journeys=journeys)
    exported.record.reloaded = (True, 5.0)
    exported.add("a", Reading(Outcome.OK, 0.1, steps=(step("a", 0.1, tls=0.1),), journey="a"))
    exported.add("home", Reading(Outcome.OK, 0.1, steps=(step("http", 0.1, tls=0.1),)))
    exported.record.lag("a", 0.1)
    seen = {}
    for family in text_string_to_metric_families(exported.text()):
        for sample in family.samples:
            name = sample.name if family.type != "histogram" else family.name
            seen[name] = frozenset(sample.labels) - {"le"}
    probes = {
        n: m
        for n, m in CATALOGUE.items()
        if n.startswith(("sre_probe_", "sre_build", "sre_config"))
    }
    exported_here = {name for name in seen if not name.startswith(("process_", "python_"))}
    assert exported_here <= set(probes)
    for name in exported_here:
        assert seen[name] == frozenset(probes[name].labels), name
