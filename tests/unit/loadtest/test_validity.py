"""Is each way in which a generator can measure itself noticed, and nothing else?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from sre.loadtest.crew.vitals import Canary, Health, Vitals, host_steal
from sre.loadtest.histogram import Histogram
from sre.loadtest.judge.validity import Cause, Evidence, JourneyCounts, doubts, lateness_limit

GOOD = JourneyCounts(arrivals=1000, answered=1000, failed=0, dropped=0, blocked=0, prober=0)
SOUND = Evidence(
    planned=1000,
    on_time=1000,
    lateness=Histogram([0.001] * 1000),
    loop_lag=Histogram([0.001] * 1000),
    cpu=0.5,
    starvation=0.3,
    steal=0.01,
    file_descriptors=0.1,
    lost=(),
    adds_up=True,
    journeys={"home": GOOD},
)


def causes(evidence: Evidence) -> list[Cause]:
    return [doubt.cause for doubt in doubts(evidence, tightest=0.8)]


def test_a_sound_run_raises_no_doubt() -> None:
    assert causes(SOUND) == []
    assert causes(replace(SOUND, starvation=0.6, idle=0.3)) == []
    assert causes(replace(SOUND, planned=None, starvation=None, steal=None)) == []


@pytest.mark.parametrize(
    ("cause", "evidence", "spoils"),
    [
        (Cause.WORKER_LOST, replace(SOUND, lost=["worker-1 was killed by SIGKILL"]), True),
        (Cause.COUNTERS, replace(SOUND, adds_up=False), True),
        (Cause.ACHIEVED_RATE, replace(SOUND, on_time=989), True),
        (Cause.LATENESS, replace(SOUND, lateness=Histogram([0.1] * 1000)), True),
        (Cause.LOOP_LAG, replace(SOUND, loop_lag=Histogram([0.03] * 1000)), True),
        (Cause.CPU, replace(SOUND, cpu=0.81), True),
        (Cause.STARVATION, replace(SOUND, starvation=0.45, idle=0.0), True),
        (Cause.STARVATION, replace(SOUND, starvation=0.8, idle=0.9), True),
        (Cause.STEAL, replace(SOUND, steal=0.06), True),
        (Cause.FILE_DESCRIPTORS, replace(SOUND, file_descriptors=0.9), True),
        (Cause.DROPPED, replace(SOUND, journeys={"home": replace(GOOD, dropped=1)}), False),
        (Cause.BLOCKED, replace(SOUND, journeys={"home": replace(GOOD, blocked=1)}), False),
        (Cause.PROBER, replace(SOUND, journeys={"home": replace(GOOD, prober=1)}), False),
        (Cause.NO_SAMPLES, replace(SOUND, journeys={"home": replace(GOOD, answered=0)}), False),
        (
            Cause.UNGATED_FAILURES,
            replace(SOUND, journeys={"home": replace(GOOD, failed=11)}),
            False,
        ),
    ],
)
def test_each_doubt(cause: Cause, evidence: Evidence, spoils: bool) -> None:
    found = doubts(evidence, tightest=0.8)
    assert [doubt.cause for doubt in found] == [cause]
    assert found[0].spoils_latency is spoils
    assert found[0].text


def test_declared_thresholds_take_drops_and_failures_over() -> None:
    gated = replace(GOOD, dropped=5, failed=500, drops_gated=True, failures_gated=True)
    assert causes(replace(SOUND, journeys={"home": gated})) == []


def test_a_run_in_which_nobody_got_through_is_no_pass() -> None:
    away = replace(GOOD, served=0)
    assert causes(replace(SOUND, journeys={"a": away})) == [Cause.NO_SAMPLES]
    assert causes(replace(SOUND, journeys={"a": replace(away, turned_away_gated=True)})) == []
    assert causes(replace(SOUND, journeys={"a": replace(away, served=1)})) == []


def test_a_run_in_which_nobody_came_is_no_measurement() -> None:
    empty = replace(GOOD, arrivals=0, answered=0)
    nothing = replace(SOUND, planned=0, on_time=0, journeys={"home": empty})
    assert causes(nothing) == [Cause.NO_ARRIVALS]


@pytest.mark.parametrize(
    ("tightest", "limit"), [(None, 0.05), (0.1, 0.01), (0.3, 0.015), (0.8, 0.04), (5.0, 0.05)]
)
def test_punctuality_follows_the_tightest_threshold(tightest: float | None, limit: float) -> None:
    assert lateness_limit(tightest) == pytest.approx(limit)


def test_health_finds_the_busiest_five_seconds() -> None:
    health = Health()
    for cpu in [0.1] * 5 + [0.9] * 5 + [0.1] * 5:
        health.add(
            {"seconds": 1.0, "cpu": cpu, "file_descriptors": 0.1, "sips": [(0.01, 0.03)]}
            | {"idle": [1, 10]}
        )
    assert health.busiest == pytest.approx(0.9)
    assert health.starvation == pytest.approx(2 / 3)
    assert health.idle == pytest.approx(0.1)
    assert health.file_descriptors == 0.1


def test_a_short_run_has_no_five_seconds() -> None:
    health = Health()
    health.add({"seconds": 1.0, "cpu": 1.0, "run": 1.0, "wait": 3.0, "file_descriptors": 0.1})
    assert health.busiest == 0.0
    assert health.starvation is None
    assert health.queueing == pytest.approx(0.75)


def test_this_machine_tells_its_vitals() -> None:
    seen = Vitals(0.0).sample(1.0)
    assert seen["seconds"] == 1.0
    assert seen["cpu"] >= 0
    assert 0 < seen["file_descriptors"] < 1
    stolen, ticks = host_steal() or (0, 1)
    assert 0 <= stolen <= ticks
    cpu, wall = Canary().sip()
    assert 0.005 < cpu <= wall + 0.005
