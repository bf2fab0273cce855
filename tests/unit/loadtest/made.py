"""A job and a report made of plain numbers, for the renderers' tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sre.journey.result import JourneyResult, Outcome, Reason, Row, StepResult
from sre.loadtest.book import Book
from sre.loadtest.histogram import Histogram
from sre.loadtest.job import Job
from sre.loadtest.judge.report import (
    Facts,
    Report,
    build_parts,
    checks_of,
    counts_of,
    phases_of,
    points_of,
)
from sre.loadtest.judge.validity import Evidence, doubts
from sre.loadtest.judge.verdict import judge
from sre.loadtest.recorder import Recorder
from sre.settings import load_settings

__all__ = ["made_job", "made_report"]

DECLARATION = """
version: 1
shop: {name: demo, base_url: "http://127.0.0.1:18080", environment: %s}
targets: {allow: ["127.0.0.1:*"]}
journeys:
  checkout:
    side_effects: order
    budget: 60/h
    steps:
      - {name: search, get: /search}
      - {name: cart, group: buy, post: /cart, pause: 1s..2s}
      - {name: pay, group: buy, post: /pay}
  browse: {steps: [{name: search, get: /search}, {name: front, get: /}]}
loadtests:
  release: %s
"""
RELEASE = """
    mix: {checkout: 2/s, browse: 20/s}
    arrivals: uniform
    stages: [{ramp: 4s}, {hold: 6s}, {step: 300%, hold: 2s}]
    warmup: 1s
    thresholds:
      - checkout.response.p95 < 800ms
      - checkout.failed < 50%
      - browse.failed < 5%
      - pay.response.p99 < 10ms
"""


def made_job(folder: Path, release: str = RELEASE, environment: str = "staging") -> Job:
    """A load test read from a real declaration."""
    path = folder / "sre.yaml"
    path.write_text(DECLARATION % (environment, release), encoding="utf-8")
    found = load_settings(path)
    return Job("release", found.loadtests["release"], found.journeys, found.shop, found.targets)


def made_report(
    job: Job, *, fail_every: int = 7, aborted: str | None = None, **evidence: Any
) -> Report:
    """Every customer served in 20 ms a step; every so many fails with a hostile message."""
    recorder = Recorder(1.0, "0123456789abcdef")
    for arrival in job.arrivals:
        failed = fail_every and arrival.number % fail_every == 0
        outcome = Outcome.FAILED if failed else Outcome.OK
        reason = Reason.STATUS if failed else Reason.NONE
        steps = tuple(
            StepResult(step.name, Outcome.OK, 0.02, rows=(Row(step.name, Outcome.OK, 0.02),))
            for step in job.used[arrival.journey].steps[:-1]
        )
        last = job.used[arrival.journey].steps[-1].name
        words = "expected 200 <script>alert(1)</script> & \x00 got 503"
        steps += (StepResult(last, outcome, 0.03, reason=reason, message=words),)
        recorder.arrived(arrival)
        recorder.started(arrival, 0.001)
        recorder.finished(
            arrival, JourneyResult(arrival.journey, outcome, 0.1, reason=reason, steps=steps), 0.001
        )
    book = Book.from_plain(recorder.delta()["book"])
    journeys, steps_, groups = build_parts(job, book)
    points = points_of(job, book, 1.0, job.shape.seconds)
    given: dict[str, Any] = {
        "planned": job.expected.total(), "on_time": job.expected.total(), "lateness": book.lateness,
        "loop_lag": Histogram([0.001]), "cpu": 0.2, "starvation": 0.1, "steal": None,
        "file_descriptors": 0.01, "lost": [], "adds_up": True, "journeys": counts_of(job, journeys),
    }  # fmt: skip
    seen = Evidence(**(given | evidence))
    checks = checks_of(job, book)
    facts = Facts(
        "release", "0123456789abcdef", "2026-11-22T10:00:00+00:00", job.shop.base_url, "staging",
        job.shape.seconds, job.shape.seconds + 0.4, 1, 1, "open, uniform arrivals", 1.0,
        versions={"sre": "0.1.0"},
    )  # fmt: skip
    return Report(
        facts, judge(checks, doubts(seen, tightest=job.tightest), aborted=aborted), journeys,
        steps_, groups, checks, seen, 0.01, 1.0, points, phases_of(job, book), book.requests,
    )  # fmt: skip
