"""Does the plan say what a run would do, draw it, and warn of what it cannot show?"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.console import table as draw_table
from sre.core.units import Duration, Share
from sre.loadtest.guards.promise import Promise
from sre.loadtest.job import Job
from sre.loadtest.model import Stage
from sre.loadtest.output.curve import draw, levels, spark
from sre.loadtest.output.plan import plan_data, plan_text
from sre.loadtest.shape import Shape
from tests.unit.loadtest.made import made_job

RELEASE = """
    mix: {checkout: 2/s, browse: 20/s}
    arrivals: uniform
    stages: [{ramp: 10s, name: rise}, {hold: 30s, name: day}, {step: 300%, hold: 10s, name: spike}]
    warmup: 5s
    caps: {only_between: "02:00..05:00 UTC"}
    thresholds:
      - checkout.response.p95 < 800ms
      - {that: browse.response.p99 < 1s, in: spike, min_samples: 500}
      - {that: buy.response.p95 < 2s, in: spike}
      - {that: browse.failed < 5%, abort: true, after: 10s}
      - {that: checkout.dropped < 3, abort: true}
      - {that: checkout.ok > 95%, in: day, min_samples: 100}
"""
table = functools.partial(draw_table)


def on_production(job: Job) -> Job:
    promise = Promise("checkout-fast", "checkout", 0.99, below=2.0)
    return replace(job, shop=replace(job.shop, environment="production"), promises=(promise,))


def data(job: Job) -> dict[str, Any]:
    return plan_data(job, "127.0.0.1:18080", None, cores=2, kill_files=["OUT/STOP"])


@pytest.mark.parametrize("plain", [False, True], ids=["blocks", "ascii"])
def test_the_plan_reads_as_it_should(
    tmp_path: Path, golden: Callable[[Path, str], None], plain: bool
) -> None:
    words = plan_text(data(made_job(tmp_path, RELEASE)), table, plain=plain)
    assert plain is words.isascii()
    assert max(len(line) for line in words.splitlines() if not line.startswith("warning")) <= 110
    golden(Path("golden") / f"plan-{'ascii' if plain else 'blocks'}.txt", words + "\n")


def test_the_plan_of_production_shows_the_word_the_caps_and_the_burn(
    tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    job = on_production(made_job(tmp_path, RELEASE))
    refused = "load test 'release' would send 138/s at its peak"
    words = plan_text(plan_data(job, None, refused, cores=1), table, width=60)
    golden(Path("golden") / "plan-production.txt", words + "\n")
    assert plan_data(job, "a:1", None)["burn"]["objectives"][0]["limit"] == pytest.approx(0.144)
    assert "needs --i-know-this-is-production" in plan_text(data(job), table)


def test_the_plan_of_a_closed_model_claims_nothing(
    tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    job = made_job(tmp_path, "{users: 50, stages: [{ramp: 10s}, {hold: 2m}]}")
    found = data(job)
    golden(Path("golden") / "plan-closed.txt", plan_text(found, table) + "\n")
    assert (found["orders"], found["requests"], found["model"]) == (None, None, "closed")


def test_a_program_reads_the_same(tmp_path: Path) -> None:
    found = json.loads(json.dumps(data(made_job(tmp_path, RELEASE))))
    p95, p99, group, abort, count, share = found["thresholds"]
    assert p95["expected_samples"] == 127  # 2/s: 5 s of the ramp at 75 % of the mix, 30 s, 3 x 10 s
    assert (p99["expected_samples"], p99["stage"], p99["advised_samples"]) == (600, "spike", 1000)
    assert group["expected_samples"] == 2 * 60  # two steps of sixty customers
    assert abort["abort"] == {"after_seconds": 10.0, "over_seconds": 30.0}
    assert count["abort"] == {"after_seconds": 5.0, "over_seconds": None}
    assert (share["expected_samples"], share["min_samples"]) == (60, 100)
    assert {cap["cap"]: cap["exceeded"] for cap in found["caps"]} == {
        "requests": False,
        "duration": False,
        "orders": False,
    }
    assert len(found["curve"]["points"]) == 240
    assert max(found["curve"]["points"]) == 66.0
    assert [text.split(":")[0] for text in found["warnings"]] == [
        "checkout.response.p95 < 800ms",
        "browse.response.p99 < 1s in spike",
        "buy.response.p95 < 2s in spike",
        "checkout.ok > 95% in day",
    ]
    assert found["warnings"][3].endswith("the run will be invalid; send for longer")


def test_too_few_cores_are_told(tmp_path: Path) -> None:
    job = made_job(tmp_path, "{mix: {browse: 400/s}, stages: [{hold: 1s}]}")
    (warning,) = plan_data(job, None, None, cores=1)["warnings"]
    assert warning.startswith("the peak takes 2 workers, this machine has 1 core:")
    assert plan_data(job, None, None, cores=2)["warnings"] == []


def test_a_plan_in_which_nobody_comes_says_so(tmp_path: Path) -> None:
    job = made_job(tmp_path, "{mix: {browse: 5/s}, stages: [{step: 0%, hold: 3s}]}")
    (warning,) = data(job)["warnings"]
    assert warning == "nobody is due: the run will be invalid; raise the rate, or the time"


def test_years_of_arrivals_are_planned_at_once(tmp_path: Path) -> None:
    release = "{mix: {browse: 5/s, checkout: 1/s}, stages: [{ramp: 2h}, {hold: 999998h}]}"
    plan = data(made_job(tmp_path, release))
    assert plan["arrivals"] == {"browse": 17999982000, "checkout": 3599996400}
    assert plan["orders"] == 3599996400


def test_a_search_is_planned_as_far_as_it_may_go(tmp_path: Path) -> None:
    job = made_job(tmp_path, "{mix: {browse: 2/s}, profile: capacity}")
    words = plan_text(data(job), table)
    assert words.startswith("release: at most 11 m 15 s against")
    assert "search:   run it with: sre loadtest capacity release" in words


def test_no_spike_gets_lost_between_two_columns() -> None:
    stages = [
        Stage(hold=Duration(3600.0)),
        Stage(step=Share(20.0), hold=Duration(1.0)),
        Stage(step=Share(1.0), hold=Duration(3600.0)),
    ]
    heights = levels(Shape(stages, {"a": 1.0}), 50)
    assert (len(heights), max(heights), heights.count(20.0) in (1, 2)) == (50, 20.0, True)
    assert "█" in spark(heights)


@given(
    st.lists(st.floats(0.0, 1e4), min_size=1, max_size=300),
    st.integers(1, 300),
    st.booleans(),
)
def test_a_drawing_fits_its_width_whatever_it_draws(
    values: list[float], width: int, plain: bool
) -> None:
    lines = draw(values, 60.0, width=width, plain=plain)
    assert len(lines) == 8
    assert max(len(line) for line in lines) <= max(30, width)
    assert not plain or all(line.isascii() for line in lines)
    assert len(spark(values, width=20, plain=plain)) == 20
