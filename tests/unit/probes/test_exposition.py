"""Is the text that we write ourselves what prometheus_client would say, and is it cheap?"""

from __future__ import annotations

import math
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sre.core.clock import FakeClock
from sre.core.units import Duration
from sre.journey.compile import single_step
from sre.journey.result import PHASES, Outcome, Reason, Row, StepResult
from sre.probes.exporter import registry_of
from sre.probes.exposition import Exposition
from sre.probes.model import Gauge, Reading, Retry
from sre.probes.record import Record
from sre.probes.runner import Result
from sre.probes.watching import Window
from tests.servers.prometheus import promtool
from tests.unit.probes.stubs import SHOP, check, plan

ODD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\1"), max_size=200)
NAMES = ["a", "b-c", "d_e", "Shop"]
CHECKS = [
    check("a"),
    check("b-c", journey="walk", retry=Retry(1, Duration(1.0))),
    check("d_e", budget=1 / 3600, every=5.0),
    check("Shop", retry=Retry()),
]
WINDOWS = (
    Window("always", schedule="* * * * *", for_=Duration(120), probes=("a", "S*")),
    Window('odd "name"\\ö', schedule="* * * * *", for_=Duration(120)),
    Window("once", from_="1970-01-01T00:00:00Z", to="1970-01-02T00:00:00Z"),
)
GAUGES = st.builds(
    lambda name, value, label, text: Gauge(
        f"sre_probe_made_{name}",
        value,
        f'Help of {name}: "\\n"\n.',
        ((label, text),) if label else (),
        name.endswith("_total"),
    ),
    st.sampled_from(["size_bytes", "seen_total", "same", "same_total", "x"]),
    st.floats() | st.integers(-5, 10**15).map(float),
    st.sampled_from(["", "le_", "a", "queue", "zone", "probe"]),
    ODD,
)
SECONDS = st.floats(0, 1e6)
PHASED = st.dictionaries(st.sampled_from(PHASES), SECONDS, max_size=5)
RUN = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(list(Outcome)),
    st.sampled_from(list(Reason)),
    SECONDS,
    PHASED,
    st.lists(GAUGES, max_size=8),
)
OTHER = st.tuples(
    st.sampled_from(["lag", "skip", "confirm", "later", "reload"]), st.sampled_from(NAMES), SECONDS
)


def samples(text: str) -> dict[str, tuple[str, str, dict[object, float | str]]]:
    found = {}
    for family in text_string_to_metric_families(text):
        if not family.name.startswith(("python_", "process_")):
            values = {
                (s.name, *sorted(s.labels.items())): "NaN" if math.isnan(s.value) else s.value
                for s in family.samples
            }
            assert len(values) == len(family.samples), f"{family.name}: one series twice"
            assert family.name not in found, f"{family.name}: its samples do not stand together"
            found[family.name] = (family.type, family.documentation, values)
    return found


def happen(record: Record, clock: FakeClock, event: tuple[object, ...]) -> None:
    match event:
        case (name, Outcome() as outcome, reason, seconds, phases, gauges):
            step = "step" if name == "b-c" else "http"
            rows = (Row(step, outcome, seconds, phases=phases),)
            steps = (StepResult(step, outcome, seconds, rows=rows, reason=reason),)
            journey = "walk" if name == "b-c" else None
            found = Reading(
                outcome, seconds, reason, steps=steps, gauges=tuple(gauges), journey=journey
            )
            record.add(Result(name, "stub", found, 0.0), clock.wall())
        case ("lag", name, seconds):
            record.lag(name, seconds)
        case ("skip", name, seconds):
            record.skip(name, "late", int(seconds))
        case ("confirm", name, seconds):
            record.confirm(name, clock.wall(), down=seconds > 5e5)
        case ("later", _, seconds):
            clock.advance(seconds / 2e3)
        case ("reload", name, _):
            kept = [c for c in CHECKS if c.name != name]
            record.adopt(declared(kept))
            record.adopt(declared(CHECKS))


def declared(checks):
    journeys = {"walk": single_step("step", {"get": "/"}, shop=SHOP)}
    return plan(checks, journeys=journeys, edges={"a": (0.333,)}, maintenance=WINDOWS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(RUN | OTHER, max_size=6), max_size=4))
def test_our_text_says_what_prometheus_client_says(rounds) -> None:
    record, clock = Record(), FakeClock(1_795_000_000.0)
    record.adopt(declared(CHECKS))
    exposition = Exposition(record, clock)
    registry = registry_of(record, clock)
    rest = generate_latest(registry_of(record, clock, probes=False)).decode()
    for events in rounds:
        for event in events:
            happen(record, clock, event)
        ours = samples(exposition.text().decode() + rest)
        assert ours == samples(generate_latest(registry).decode())


def busy(record: Record) -> None:
    clock = FakeClock(time.time())
    odd = 'a "quoted" \\ back\nslash ü €'
    gauges = (
        Gauge("sre_probe_made_size_bytes", 1.5, "Size of a thing.", (("queue", odd),)),
        Gauge("sre_probe_made_seen_total", 7.0, "Seen things.", (), counter=True),
        Gauge("sre_probe_made_ratio", math.inf, "A ratio."),
    )
    for name in NAMES:
        happen(record, clock, (name, Outcome.OK, Reason.NONE, 0.1, {"connect": 0.1}, gauges))
        happen(record, clock, (name, Outcome.DEGRADED, Reason.SLOW, 0.1, {}, gauges))
        happen(record, clock, ("lag", name, 0.1))


@pytest.mark.prometheus
def test_promtool_has_nothing_to_say() -> None:
    record = Record()
    record.adopt(declared(CHECKS))
    busy(record)
    clock = FakeClock(time.time())
    text = Exposition(record, clock).text() + generate_latest(registry_of(record, probes=False))
    told = promtool("check", "metrics", input=text.decode())
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


def test_what_is_about_the_last_run_goes_stale_and_counters_stay() -> None:
    """Also while a run hangs: nothing ends, and the scrapes go on."""
    record, clock = Record(), FakeClock(1_795_000_000.0)
    record.adopt(declared(CHECKS))
    exposition = Exposition(record, clock)
    gauges = (Gauge("sre_probe_made_ratio", 0.5, "A ratio."),)
    for name in NAMES:
        happen(record, clock, (name, Outcome.OK, Reason.NONE, 0.1, {"connect": 0.1}, gauges))
        happen(record, clock, ("lag", name, 0.1))
    fresh = samples(exposition.text().decode())
    clock.advance(3 * 60 + 5 + 0.001)
    stale = samples(exposition.text().decode())
    gone = {name for name in fresh if fresh[name][2] and not stale.get(name, ("", "", {}))[2]}
    assert gone == {
        "sre_probe_up",
        "sre_probe_schedule_lag_seconds",
        "sre_probe_phase_seconds",
        "sre_probe_step_phase_seconds",
        "sre_probe_made_ratio",
    }
    clock.advance(1e6)
    assert samples(exposition.text().decode()).keys() == stale.keys()
    happen(record, clock, ("a", Outcome.OK, Reason.NONE, 0.1, {"connect": 0.1}, gauges))
    assert b'sre_probe_made_ratio{probe="a"} 0.5' in exposition.text()


def test_a_probe_that_leaves_and_comes_back_begins_at_0() -> None:
    record, clock = Record(), FakeClock()
    exposition = Exposition(record, clock)
    record.adopt(declared(CHECKS))
    happen(record, clock, ("a", Outcome.OK, Reason.NONE, 0.1, {}, ()))
    line = b'sre_probe_attempts_total{outcome="ok",probe="a",reason=""} '
    assert line + b"1\n" in exposition.text()
    record.adopt(declared(CHECKS[1:]))
    assert b'probe="a"' not in exposition.text()
    record.adopt(declared(CHECKS))
    assert line + b"0\n" in exposition.text()


def test_scrapes_at_the_same_time_as_runs_are_whole() -> None:
    """A histogram never counts more in its buckets than in its count, whatever goes on."""
    record, clock, stop = Record(), FakeClock(), threading.Event()
    record.adopt(declared(CHECKS))
    exposition = Exposition(record, clock)

    def work() -> None:
        while not stop.is_set():
            for name in NAMES:
                happen(record, clock, (name, Outcome.OK, Reason.NONE, 0.1, {}, ()))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(15):
            for family, (kind, _, values) in samples(exposition.text().decode()).items():
                if kind == "histogram":
                    counts = {k[1:]: v for k, v in values.items() if k[0].endswith("_count")}
                    last = {
                        tuple(pair for pair in k[1:] if pair[0] != "le"): v
                        for k, v in values.items()
                        if ("le", "+Inf") in k
                    }
                    assert counts == last, family
    finally:
        stop.set()
        for worker in workers:
            worker.join(10)


def test_a_scrape_of_a_thousand_probes_costs_milliseconds() -> None:
    """prometheus_client needs 140 ms and more for these."""
    record, clock = Record(), FakeClock()
    names = [f"target_{n:04d}" for n in range(1000)]
    record.adopt(plan([check(name) for name in names]))
    exposition = Exposition(record, clock)
    gauges = tuple(Gauge(f"sre_probe_made_{n}", n / 7, "Help.") for n in range(10))
    for name in names:
        record.add(Result(name, "stub", Reading(Outcome.OK, 0.1, gauges=gauges), 0.0), clock.wall())
    spent = []
    for _ in range(3):
        for name in names:
            record.lag(name, 0.01)
        began = time.thread_time()
        exposition.text()
        spent.append(time.thread_time() - began)
    assert min(spent) < 0.07
