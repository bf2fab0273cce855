"""Do summary, JUnit, page and plan say what was seen, to programs and to people?"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sre.core.console import table
from sre.core.errors import Refused, UsageError
from sre.loadtest.histogram import Histogram
from sre.loadtest.job import Job
from sre.loadtest.judge.report import Report
from sre.loadtest.output.page_style import STYLE
from sre.loadtest.output.plan import plan_data, plan_text
from sre.loadtest.output.render import junit, text
from sre.loadtest.output.render_html import render_html
from sre.loadtest.output.summary import to_summary
from sre.settings import load_settings
from tests.unit.loadtest import made


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return made.made_report(made.made_job(tmp_path))


def test_the_summary_has_the_keys_that_others_read(report: Report) -> None:
    summary = json.loads(json.dumps(to_summary(report)))
    assert summary["schema"] == "sre.loadtest/1"
    assert summary["verdict"] == "failed"
    checkout = summary["journeys"]["checkout"]
    for key in (
        "arrivals",
        "started",
        "dropped",
        "ok",
        "failed",
        "refused",
        "throttled",
        "reasons",
    ):
        assert key in checkout, key
    assert set(checkout["response_ms"]) >= {"p50", "p90", "p95", "p99", "max"}
    assert set(checkout["service_ms"]) >= {"p50", "p90", "p95", "p99", "max"}
    assert set(summary["steps"]) == {"checkout/search", "cart", "pay", "browse/search", "front"}
    assert set(summary["groups"]) == {"buy"}
    assert [set(t) >= {"expression", "value", "passed"} for t in summary["thresholds"]] == [
        True
    ] * 4
    assert summary["invariants"] == []
    assert summary["validity"]["valid"] is True
    assert summary["validity"]["lateness_ms"]["p99"] == pytest.approx(1.0, rel=0.01)


def test_numbers_are_those_of_the_run(report: Report) -> None:
    summary = to_summary(report)
    checkout, browse = summary["journeys"]["checkout"], summary["journeys"]["browse"]
    assert browse["arrivals"] == browse["ok"] + browse["failed"] + browse["dropped"]
    assert checkout["response_ms"]["p50"] == pytest.approx(71, rel=0.01)
    assert checkout["service_ms"]["p50"] == pytest.approx(70, rel=0.01)
    assert (
        summary["groups"]["buy"]["ok"] + summary["groups"]["buy"]["failed"]
        == 2 * checkout["arrivals"]
    )
    values = {t["expression"]: (t["value"], t["unit"], t["passed"]) for t in summary["thresholds"]}
    assert values["checkout.response.p95 < 800ms"] == (pytest.approx(71, rel=0.01), "ms", True)
    assert values["browse.failed < 5%"][1:] == ("%", False)
    assert values["pay.response.p99 < 10ms"][2] is False
    whole = sum(point["planned"] for point in summary["timeline"]["points"])
    in_warmup = whole - checkout["arrivals"] - browse["arrivals"]
    assert 0 < in_warmup < 10


def test_every_breach_is_reported_not_only_the_first(report: Report) -> None:
    assert len(report.verdict.reasons) == 2
    words = text(report, table)
    assert words.startswith("FAILED  release")
    assert words.count("BROKEN") == 2


def cases(xml: str) -> dict[str, str]:
    root = ET.fromstring(xml)
    suite = root[0]
    assert int(root.attrib["tests"]) == len(suite)
    return {case.attrib["name"]: (case[0].tag if len(case) else "passed") for case in suite}


def test_junit_has_one_case_for_each_threshold_and_one_for_the_measurement(report: Report) -> None:
    assert cases(junit(report)) == {
        "checkout.response.p95 < 800ms": "passed",
        "checkout.failed < 50%": "passed",
        "browse.failed < 5%": "failure",
        "pay.response.p99 < 10ms": "failure",
        "the measurement can be trusted": "passed",
    }


def test_junit_calls_a_broken_latency_of_a_late_generator_an_error(tmp_path: Path) -> None:
    late = made.made_report(made.made_job(tmp_path), lateness=Histogram([0.5] * 100))
    found = cases(junit(late))
    assert found["pay.response.p99 < 10ms"] == "error"
    assert found["browse.failed < 5%"] == "failure"
    assert found["the measurement can be trusted"] == "error"


@pytest.mark.parametrize(
    ("more", "headline"),
    [
        ({}, "Failed: "),
        ({"fail_every": 0, "lost": ["worker-0 was killed by SIGKILL"]}, "Invalid: "),
        ({"aborted": "terminated by SIGTERM"}, "Aborted: "),
    ],
)
def test_the_page_says_the_verdict_first(
    tmp_path: Path, more: dict[str, object], headline: str
) -> None:
    page = render_html(made.made_report(made.made_job(tmp_path), **more))
    assert f"<h1>{headline}" in page
    assert page.index("<h1>") < page.index("Thresholds") < page.index("<svg viewBox")


def test_the_page_needs_nothing_from_the_network_and_runs_nothing(report: Report) -> None:
    page = render_html(report)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.findall(r"""(?:src|href)\s*=|url\(|@import""", page)
    assert page.count("aria-labelledby") == 6
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def brightness(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    full = "".join(2 * c for c in colour) if len(colour) == 3 else colour
    parts = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_and_lines_stand_out_in_light_and_dark() -> None:
    palettes = [
        dict(re.findall(r"--([a-z-]+):#([0-9a-f]{3,6})", block))
        for block in re.findall(r":root\{(.*?)\}", STYLE, re.DOTALL)
    ]
    assert len(palettes) == 3  # light, dark, paper
    for found in palettes:
        for name, ground, least in (
            *((name, "card", 4.5) for name in ("ink", "dim", "good", "bad", "warn")),
            *((name, "paper", 4.5) for name in ("ink", "dim")),
            *((name, f"{name}-wash", 4.5) for name in ("good", "bad", "warn", "stop")),
            *((name, "card", 3.0) for name in ("blue", "green", "orange", "red", "grey", "sky")),
        ):
            low, high = sorted((brightness(found[name]), brightness(found[ground])))
            assert (high + 0.05) / (low + 0.05) >= least, (name, ground)


def test_the_page_stands_when_nobody_came(tmp_path: Path) -> None:
    empty = made.RELEASE.replace("2/s", "1/d").replace("20/s", "1/d").replace("uniform", "poisson")
    report = made.made_report(made.made_job(tmp_path, empty))
    assert report.verdict.name == "invalid"
    assert "nothing was sent" in render_html(report)
    assert to_summary(report)["journeys"]["checkout"]["response_ms"]["p95"] is None
    assert "INVALID" in text(report, table)


def test_the_plan_counts_customers_requests_orders_and_workers(tmp_path: Path) -> None:
    job = made.made_job(tmp_path)
    data = plan_data(job, "127.0.0.1:18080", None)
    assert data["arrivals"] == {"checkout": 28, "browse": 280}
    assert data["orders"] == 28
    assert data["requests"] == 28 * 3 + 280 * 2
    assert data["peak_requests_per_second"] == pytest.approx(3 * (2 * 3 + 20 * 2))
    assert data["workers_needed"] == 1
    assert data["stages"][2]["to_per_second"] == {"checkout": 6.0, "browse": 60.0}
    words = plan_text(data, table)
    assert "step 300%" in words
    assert "orders:   28" in words
    refused = plan_text(plan_data(job, None, "not on the list"), table)
    assert "REFUSED: not on the list" in refused


def test_production_needs_a_word_and_orders_a_sandbox(tmp_path: Path) -> None:
    job = made.made_job(tmp_path)
    job.check_production(allowed=False)
    text_ = (tmp_path / "sre.yaml").read_text(encoding="utf-8").replace("staging", "production")
    text_ = text_.replace("post: /pay}", "post: /pay, sandbox: true}")
    (tmp_path / "sre.yaml").write_text(text_, encoding="utf-8")
    found = load_settings(tmp_path / "sre.yaml")
    live = Job("r", found.loadtests["release"], found.journeys, found.shop, found.targets)
    with pytest.raises(Refused, match="--i-know-this-is-production"):
        live.check_production(allowed=False)
    live.check_production(allowed=True)


def test_a_job_whose_names_do_not_hold_together_is_a_usage_error(tmp_path: Path) -> None:
    job = made.made_job(tmp_path)
    with pytest.raises(UsageError, match="there is no journey 'checkout'"):
        type(job)("release", job.test, {}, job.shop, job.targets)
    with pytest.raises(UsageError, match="no journey, step or group"):
        only = {"checkout": job.journeys["browse"], "browse": job.journeys["browse"]}
        type(job)("release", job.test, only, job.shop, job.targets)
