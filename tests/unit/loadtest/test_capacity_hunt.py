"""Does a whole search say what is true about a shop: its limit, its recovery, its silence?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sre.core.console import table
from sre.core.errors import UsageError
from sre.core.facts import Facts
from sre.core.units import Duration, Rate, Share
from sre.loadtest.capacity.files import metrics_text, publish, write_found
from sre.loadtest.capacity.hunt import Hunt
from sre.loadtest.capacity.model import Capacity
from sre.loadtest.capacity.page import render_page
from sre.loadtest.capacity.plan import plan_data, plan_text, reach_of, within_caps, worst_job
from sre.loadtest.capacity.render import text, to_plain
from sre.loadtest.capacity.result import Found
from sre.loadtest.capacity.search import Ending, Level, Showed
from sre.loadtest.job import Job
from sre.settings import load_settings
from tests.unit.loadtest.simulated import SimulatedShop

CONFIG = """
version: 1
shop: {name: demo, base_url: "http://127.0.0.1:18080", environment: staging}
targets: {allow: ["127.0.0.1:*"]}
journeys:
  checkout: {side_effects: order, budget: 60/h, steps: [{name: till, get: /}]}
loadtests:
  rush:
    mix: {checkout: 20/s}
    profile: capacity
    thresholds: ["checkout.response.p95 < 500ms", "checkout.failed < 1%"]
    capacity: {settle: 5s, measure: 30s, recovery: 30s<more>}
"""


def job_of(folder: Path, more: str = "") -> Job:
    path = folder / "sre.yaml"
    path.write_text(CONFIG.replace("<more>", more), encoding="utf-8")
    found = load_settings(path)
    return Job("rush", found.loadtests["rush"], found.journeys, found.shop, found.targets)


def hunt(job: Job, shop: SimulatedShop, **rules: Any) -> Found:
    own = replace(job.test.capacity, **rules)
    return Hunt(job, own, shop.run, shop.clock, lambda _text: None).go()


def test_a_shop_of_known_capacity_is_found_and_told(tmp_path: Path) -> None:
    shop = SimulatedShop(4, 0.1)  # 40 a second
    found = hunt(job_of(tmp_path), shop)
    assert found.ending is Ending.FOUND
    assert found.exit_code == 0
    held = (found.per_second(found.held) or {})["checkout"]
    assert held == pytest.approx(40, rel=0.1)
    assert "checkout.response.p95 < 500ms" in found.limited_by[0]
    assert found.recovery is not None
    assert found.recovery.seconds is not None
    said = text(found, table)
    assert said.startswith("FOUND  capacity of rush")
    assert f"arrivals a second: checkout {held:.4g} to " in said
    plain = to_plain(found)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["result"]["orders_per_second"][0] == pytest.approx(held)
    assert plain["comparable"] == {"journey checkout": "0"}
    assert shop.folders[0] == "level-01-20"


def test_a_level_that_is_lost_is_stopped_early(tmp_path: Path) -> None:
    found = hunt(job_of(tmp_path), SimulatedShop(4, 0.1))
    broke = [r for r in found.levels if r.showed is Showed.BROKE]
    first = broke[0].report.facts
    assert broke[0].rate == pytest.approx(45)
    assert first.stopped is not None
    assert first.stopped < first.planned_seconds
    assert "cannot be kept any more" in broke[0].reasons[0]


def test_a_queue_that_had_no_time_to_hurt_does_not_pass_for_capacity(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    job = replace(job, test=replace(job.test, thresholds=("checkout.response.p95 < 60s",)))
    found = hunt(job, SimulatedShop(4, 0.1))
    assert found.ending is Ending.FOUND
    assert (found.held or 0) * 20 == pytest.approx(40, rel=0.1)
    assert "the queue grew by" in found.limited_by[0]


def test_a_shop_that_stays_broken_is_called_so(tmp_path: Path) -> None:
    found = hunt(job_of(tmp_path), SimulatedShop(4, 0.1, broken_for=3600.0))
    assert (found.ending, found.exit_code) == (Ending.STUCK, 1)
    assert "does not recover by itself" in text(found, table)
    assert to_plain(found)["recovery"]["recovered"] is False


def test_how_long_it_stays_broken_is_measured(tmp_path: Path) -> None:
    found = hunt(job_of(tmp_path), SimulatedShop(4, 0.1, broken_for=12.0))
    assert found.recovery is not None
    assert found.recovery.seconds == pytest.approx(12.0, abs=2.0)
    assert not found.recovery.at_most


def test_a_shop_that_holds_nothing_ends_with_1(tmp_path: Path) -> None:
    found = hunt(job_of(tmp_path), SimulatedShop(1, 60.0), lowest=Share(0.2))
    assert (found.ending, found.exit_code, found.held) == (Ending.NOTHING_HOLDS, 1, None)
    assert "not even 20.0% of the mix holds" in found.why
    assert metrics_text(found) == ""


def test_a_generator_that_is_too_slow_is_not_taken_for_the_shop(tmp_path: Path) -> None:
    shop = SimulatedShop(400, 0.1, lag=lambda rate: 0.5 if rate > 60 else 0.001)
    found = hunt(job_of(tmp_path), shop)
    assert (found.ending, found.exit_code) == (Ending.GENERATOR, 3)
    assert found.why.startswith("the generator is the limit, not the shop")
    assert "at least 45" in text(found, table)
    assert publish(found, Facts(tmp_path)) == ""
    assert Facts(tmp_path).names() == ()


def test_a_signal_ends_the_search_and_what_is_known_is_kept(tmp_path: Path) -> None:
    found = hunt(job_of(tmp_path), SimulatedShop(4, 0.1, interrupt_at=2))
    assert (found.ending, found.signal, found.exit_code) == (Ending.ABORTED, 15, 8)
    assert found.held == 1.0
    assert len(found.levels) == 1


def test_everything_is_written_and_published(tmp_path: Path) -> None:
    found = hunt(job_of(tmp_path), SimulatedShop(4, 0.1))
    assert write_found(found, tmp_path) == ""
    assert publish(found, Facts(tmp_path)) == ""
    fact = Facts(tmp_path).read("loadtest/capacity/rush")
    assert fact is not None
    rate = (found.per_second(found.held) or {})["checkout"]
    assert fact.value["arrivals_per_second"]["checkout"][0] == rate
    written = (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    line = f'sre_loadtest_capacity_arrivals_per_second{{test="rush",journey="checkout"}} {rate}'
    assert line in written.splitlines()
    assert "Response time by rate" in (tmp_path / "capacity.html").read_text(encoding="utf-8")


def test_a_page_about_nothing_is_a_page(tmp_path: Path) -> None:
    found = hunt(job_of(tmp_path), SimulatedShop(4, 0.1, interrupt_at=1))
    assert "Aborted before the capacity was found" in render_page(found)
    assert "ABORTED" in text(found, table)


def test_the_plan_is_never_less_than_what_a_search_does(tmp_path: Path) -> None:
    job = job_of(tmp_path, ", limit: 800%")
    rules = within_caps(job, job.test.capacity)
    reach = reach_of(job, rules)
    data = plan_data(job, rules, reach)
    assert [level["percent"] for level in data["levels"][:3]] == [100.0, 150.0, 225.0]
    for tills in (1, 4, 100):
        found = hunt(job, SimulatedShop(tills, 0.1))
        assert found.seconds <= data["longest_seconds"]
        assert sum(r.arrivals for r in found.levels) <= data["most_orders"]
    assert "orders" in plan_text(data, table)


def test_the_highest_level_stays_within_the_caps(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    assert within_caps(job, Capacity()).top == 50.0
    mix = {"checkout": Rate(200.0)}
    busy = replace(job, test=replace(job.test, mix=mix))
    assert within_caps(busy, Capacity()).top == 10.0
    declared = Capacity(limit=Share(30.0))
    assert within_caps(busy, declared) == declared
    peak = worst_job(busy, (Level(30.0),), declared).peak_requests
    assert peak == pytest.approx(6000)


def test_rare_journeys_are_measured_for_long_enough(tmp_path: Path) -> None:
    from sre.loadtest.capacity.level import level_job

    job = job_of(tmp_path, ", from: 10%, arrivals: 200")
    at = level_job(job, Level(0.1), job.test.capacity)
    assert at.shape.seconds == pytest.approx(5 + 100)
    twice = level_job(job, Level(0.1, confirming=True), job.test.capacity)
    assert twice.shape.seconds == pytest.approx(5 + 200)


def test_thresholds_of_one_stage_are_no_promise_of_a_level(tmp_path: Path) -> None:
    from sre.loadtest.capacity.level import promises_of
    from sre.loadtest.model import Stage
    from sre.loadtest.thresholds import ThresholdSpec

    job = job_of(tmp_path)
    thresholds = (
        ThresholdSpec("checkout.failed < 5%", in_="spike"),
        ThresholdSpec("checkout.failed < 1%", min_samples=99, abort=True, over=Duration(10.0)),
    )
    stages = (Stage(hold=Duration(60.0), name="spike"),)
    test = replace(job.test, profile=None, stages=stages, thresholds=thresholds)
    job = replace(job, test=test)
    assert promises_of(job) == (ThresholdSpec("checkout.failed < 1%", min_samples=99),)
    rules = within_caps(job, test.capacity)
    said = plan_text(plan_data(job, rules, reach_of(job, rules)), table)
    assert "thresholds: checkout.failed < 1%\n" in said
    assert "not asked of a level, which has no such stage: checkout.failed < 5% in spike" in said


def test_a_limit_that_is_lower_than_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises((UsageError, ValueError), match="from <= limit"):
        job_of(tmp_path, ", limit: 50%")
