"""Does a run stop when it must, and only then? Synthetic seconds, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.journey.result import JourneyResult, Outcome, Reason, StepResult
from sre.loadtest.book import Book, Series
from sre.loadtest.crew.model import Live
from sre.loadtest.guards.declare import Burn
from sre.loadtest.guards.promise import Events, Promise, burning, events_of, tolerated
from sre.loadtest.guards.sliding import Sliding
from sre.loadtest.guards.watchers import burn_of, watchers_of
from sre.loadtest.histogram import Histogram
from sre.loadtest.job import Job
from sre.loadtest.judge.report import checks_of, counts_of, part_of
from sre.loadtest.judge.verdict import State
from sre.loadtest.recorder import Recorder
from sre.loadtest.shape import Arrival
from sre.loadtest.thresholds import Target
from tests.unit.loadtest.made import made_job

SHOP = "{mix: {browse: 10/s}, arrivals: uniform, %s}"
STAGES = "stages: [{hold: 60s, name: day}, {step: 300%, hold: 60s, name: spike}]"


class Member:
    """A generator that has reported this."""

    def __init__(self) -> None:
        self.book = Book()

    def snapshot(self) -> Book:
        return self.book


class Run:
    """A run that goes second by second; `served` is what came of the customers of a second."""

    def __init__(self, job: Job, *kill: Path) -> None:
        self.job, self.member, self.at, self.number = job, Member(), 0, 0
        self.watchers = watchers_of(job, kill)

    def second(self, outcomes: Iterable[str], seconds: float = 0.02) -> list[str]:
        recorder = Recorder(1.0)
        for outcome in outcomes:
            phase = self.job.shape.phase(self.at)
            arrival = Arrival(self.number, "browse", float(self.at), phase, self.number)
            self.number += 1
            recorder.arrived(arrival)
            if outcome == "dropped":
                recorder.dropped(arrival)
                continue
            recorder.started(arrival, 0.0)
            recorder.finished(arrival, result(Outcome(outcome), seconds), 0.0)
        self.member.book.merge(Book.from_plain(recorder.delta()["book"]))
        self.at += 1
        said = [watcher.look(Live(float(self.at), [self.member])) for watcher in self.watchers]  # type: ignore[list-item]
        return [words for words in said if words]

    def until_it_stops(self, seconds: int, outcomes: list[str], took: float = 0.02) -> int | None:
        """After how many of these seconds it stopped."""
        for number in range(1, seconds + 1):
            if self.second(outcomes, took):
                return number
        return None


def result(outcome: Outcome, seconds: float) -> JourneyResult:
    reason = Reason.STATUS if outcome is Outcome.FAILED else Reason.NONE
    steps = tuple(
        StepResult(name, outcome if name == "front" else Outcome.OK, seconds / 2, reason=reason)
        for name in ("search", "front")
    )
    return JourneyResult("browse", outcome, seconds, reason=reason, steps=steps)


def run(folder: Path, *thresholds: str, more: str = "") -> Run:
    declared = f"{STAGES}, thresholds: [{', '.join(thresholds)}]{more}"
    return Run(made_job(folder, SHOP % declared))


GOOD = ["ok"] * 10
BAD = ["failed"] * 10
MIXED = ["ok"] * 9 + ["failed"]


def test_a_threshold_aborts_only_when_it_says_so(tmp_path: Path) -> None:
    assert run(tmp_path, "browse.failed < 1%").until_it_stops(50, BAD) is None
    assert run(tmp_path, "{that: browse.failed < 1%, abort: true}").until_it_stops(50, BAD) == 2
    # 20 samples are the test's min_samples: ten come each second


def test_it_waits_for_enough_samples_and_for_its_time(tmp_path: Path) -> None:
    spec = "{that: browse.failed < 1%, abort: true, min_samples: 55}"
    assert run(tmp_path, spec).until_it_stops(50, BAD) == 6
    later = run(tmp_path, "{that: browse.failed < 1%, abort: true, after: 20s}")
    assert later.until_it_stops(20, BAD) is None  # a cold start is forgiven, for good
    assert later.until_it_stops(39, GOOD) is None
    warm = run(tmp_path, "{that: browse.failed < 1%, abort: true}", more=", warmup: 10s")
    assert warm.until_it_stops(50, BAD) == 12


def test_what_is_long_over_is_forgotten(tmp_path: Path) -> None:
    spec = "{that: browse.failed < 5%, abort: true, over: 10s}"
    shop = run(tmp_path, spec)
    assert shop.until_it_stops(15, GOOD) is None
    said = [shop.second(MIXED) for _ in range(6)]  # 10 % of these, over 10 s: 1 % more each second
    assert [bool(words) for words in said] == [False] * 4 + [True, True]
    assert said[-1] == [
        "aborted by guard: browse.failed < 5%: observed 6 % in the last 10 s, 100 samples"
    ]
    assert [bool(shop.second(GOOD)) for _ in range(12)][-2:] == [False, False]


def test_latency_in_the_last_seconds_not_in_all(tmp_path: Path) -> None:
    shop = run(tmp_path, "{that: browse.response.p95 < 300ms, abort: true, over: 10s}")
    assert shop.until_it_stops(40, GOOD) is None
    assert shop.until_it_stops(10, GOOD, took=1.0) == 1  # 10 of 100: the p95 is 1 s


def test_only_the_stage_that_it_names(tmp_path: Path) -> None:
    shop = run(tmp_path, "{that: browse.failed < 1%, abort: true, in: spike}")
    assert shop.until_it_stops(60, BAD) is None
    assert shop.until_it_stops(60, BAD) == 2


def test_a_step_counts_by_the_journeys_that_ended(tmp_path: Path) -> None:
    shop = run(tmp_path, "{that: browse/front.failed < 50%, abort: true}")
    assert shop.until_it_stops(20, ["failed"] * 4 + ["ok"] * 6) is None
    assert shop.until_it_stops(40, BAD) is not None


def test_a_count_counts_from_the_start(tmp_path: Path) -> None:
    shop = run(tmp_path, "{that: browse.dropped < 3, abort: true, over: 5s}")
    assert not shop.second([*GOOD, "dropped", "dropped"])
    assert shop.until_it_stops(30, GOOD) is None
    (said,) = shop.second([*GOOD, "dropped"])
    assert "browse.dropped < 3: observed 3" in said


def test_after_the_last_customer_the_verdict_speaks(tmp_path: Path) -> None:
    shop = run(tmp_path, "{that: browse.failed < 1%, abort: true}")
    shop.at = 120
    assert shop.until_it_stops(20, BAD) is None


def test_a_kill_file_stops_at_once(tmp_path: Path) -> None:
    stop = tmp_path / "STOP"
    shop = Run(made_job(tmp_path, SHOP % STAGES), stop)
    assert not shop.second(GOOD)
    stop.touch()
    assert shop.second(GOOD) == [f"aborted by guard: the kill file {stop} has appeared"]


def burn(
    folder: Path,
    declared: str = "",
    *,
    environment: Literal["production", "staging"] = "production",
    **of: Any,
) -> Run:
    job = made_job(folder, SHOP % (STAGES + declared))
    shop = replace(job.shop, environment=environment)
    return Run(replace(job, shop=shop, promises=(Promise("browse-works", "browse", 0.999, **of),)))


def test_a_budget_that_burns_stops_a_run_on_production(tmp_path: Path) -> None:
    shop = burn(tmp_path)
    assert shop.until_it_stops(40, GOOD) is None
    assert shop.until_it_stops(10, MIXED) == 5  # five failures are no mishap any more
    (said,) = shop.second(MIXED)
    assert said.startswith("aborted by guard: objective 'browse-works' burns its budget: 2.0% bad")
    assert said.endswith("1.44% is the limit")


def test_elsewhere_only_if_declared(tmp_path: Path) -> None:
    assert burn(tmp_path, environment="staging").until_it_stops(60, BAD) is None
    job = burn(tmp_path, environment="staging").job
    on = replace(job, test=replace(job.test, abort_on_burn=Burn(min_failures=50)))
    assert burn_of(on) == Burn(min_failures=50)
    assert Run(on).until_it_stops(60, BAD) == 5
    assert burn(tmp_path, ", abort_on_burn: false").until_it_stops(60, BAD) is None


def test_what_is_over_does_not_stop_a_run(tmp_path: Path) -> None:
    shop = burn(tmp_path)
    assert shop.until_it_stops(1, ["failed"] * 4 + ["ok"] * 6) is None
    assert shop.until_it_stops(9, GOOD) is None  # the short window is clean again
    assert shop.second(["failed"] + ["ok"] * 9)  # the fifth, and it goes on


def test_too_slow_is_bad_by_the_shop_s_own_time(tmp_path: Path) -> None:
    assert burn(tmp_path, below=0.5).until_it_stops(30, GOOD, took=0.4) is None
    assert burn(tmp_path, below=0.5).until_it_stops(30, GOOD, took=0.6) == 1


def test_who_was_turned_away_is_no_event(tmp_path: Path) -> None:
    away = ["throttled"] * 5 + ["refused"] * 5
    assert burn(tmp_path).until_it_stops(60, away) is None


def test_a_closed_model_keeps_to_the_caps_while_it_goes(tmp_path: Path) -> None:
    release = "{users: 5, journeys: [browse], stages: [{hold: 60s}], caps: {requests: 10/s}}"
    shop = Run(made_job(tmp_path, release))
    shop.member.book.requests = 90
    assert shop.until_it_stops(10, []) is None
    shop.member.book.requests += 200
    (said,) = shop.second([])
    assert "aborted by guard: " in said
    assert "(caps.requests)" in said


@given(st.floats(0.5, 0.9999), st.floats(1.5, 100))
def test_the_limit_lies_between_the_promise_and_everything(target: float, rate: float) -> None:
    assert 1 - target < tolerated(target, rate) < 1


@given(st.floats(0.5, 0.9999), st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 50))
def test_all_failing_always_burns_and_a_kept_promise_never_does(
    target: float, good: int, bad: int, min_failures: int
) -> None:
    promise = Promise("p", "j", target)
    events = Events(good, bad)
    burns = burning(promise, events, events, rate=14.4, min_failures=min_failures)
    if bad == 0 or events.bad_share <= 1 - target:
        assert not burns
    if good == 0 and bad >= min_failures:
        assert burns


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80), st.integers(2, 30), st.integers(0, 20))
def test_a_sliding_window_is_the_sum_of_its_seconds(news: list[int], over: int, after: int) -> None:
    window = Sliding(Events(), float(over), float(after))
    total = 0
    for at, new in enumerate(news, 1):
        total += new
        begins = max(after, at - over)
        seen = window.look(float(at), Events(total))
        assert seen.good == sum(news[begins:at]) if at > begins else seen.good in (0, total)


@given(st.lists(st.floats(1e-4, 30.0), max_size=60), st.lists(st.floats(1e-4, 30.0), min_size=1))
def test_what_was_added_to_a_histogram_can_be_told_apart(
    before: list[float], after: list[float]
) -> None:
    earlier, whole, alone = Histogram(before), Histogram(before + after), Histogram(after)
    news = whole.since(earlier)
    assert (news.count, news.buckets) == (alone.count, alone.buckets)
    for q in (0.0, 0.5, 0.95, 1.0):
        assert news.quantile(q) == pytest.approx(alone.quantile(q), rel=0.011)
    assert whole.since(whole).quantile(0.5) is None
    assert whole.up_to(1.0) == pytest.approx(
        sum(value <= 1.0 for value in before + after),
        abs=sum(0.98 < value < 1.02 for value in before + after),
    )


def test_events_are_counted_as_objectives_do() -> None:
    series = Series()
    for outcome, seconds in (("ok", 0.1), ("degraded", 0.9), ("failed", 0.1), ("refused", 9.0),
                             ("throttled", 9.0), ("blocked", 9.0), ("prober", 9.0)):  # fmt: skip
        series.record(outcome, "", seconds, seconds)
    assert events_of(series, None) == Events(2, 1)
    assert events_of(series, 0.5) == Events(1, 2)


def test_a_threshold_of_one_stage_looks_at_that_stage_alone(tmp_path: Path) -> None:
    stages = "stages: [{hold: 2s, name: day}, {step: 300%, hold: 2s, name: spike}, {step: 100%, "
    spike = "in: spike}"
    job = made_job(
        tmp_path,
        SHOP % f"{stages}hold: 1s, name: day}}], thresholds: [{{that: browse.ok >= 30, in: day}}, "
        f"{{that: browse.ok >= 60, {spike}, browse.ok >= 90, {{that: browse.ok >= 61, {spike}, "
        f"{{that: browse.response.p95 < 5s, min_samples: 61, {spike}, "
        f"{{that: front.response.p95 < 5s, min_samples: 60, {spike}]",
    )
    recorder = Recorder(1.0)
    for arrival in job.arrivals:
        recorder.arrived(arrival)
        recorder.started(arrival, 0.0)
        recorder.finished(arrival, result(Outcome.OK, 0.02), 0.0)
    checks = checks_of(job, Book.from_plain(recorder.delta()["book"]))
    kept, broken, unknown = State.KEPT, State.BROKEN, State.UNKNOWN
    assert [c.state for c in checks] == [kept, kept, kept, broken, unknown, kept]
    assert [c.samples for c in checks] == [30, 60, 90, 60, 60, 60]
    assert checks[3].threshold.expression == "browse.ok >= 61 in spike"
    assert [job.samples(*declared) for declared in job.thresholds] == [30, 60, 90, 60, 60, 60]
    gated = counts_of(job, [part_of(job, Book(), Target("journey", "browse", "browse"))])
    assert gated["browse"].failures_gated  # browse.ok >= 90 is about all of it
