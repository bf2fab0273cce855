"""Do programs of other people read what a load test leaves: k6, Locust, CI, Prometheus?"""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sre.core.metrics import CATALOGUE
from sre.loadtest.judge.report import Report
from sre.loadtest.output.files import write_reports
from sre.loadtest.output.github import markdown, workflow_commands
from sre.loadtest.output.locust_csv import csv_files, csv_names
from sre.loadtest.output.prometheus import exposition
from sre.loadtest.output.render import junit
from sre.loadtest.output.summary import to_summary
from tests.servers.prometheus import promtool
from tests.unit.loadtest.gallery import GALLERY, HOSTILE, gallery_report

SCHEMA = json.loads(files("sre.loadtest.output").joinpath("schema.json").read_text("utf-8"))


@pytest.fixture(params=GALLERY)
def any_report(request: pytest.FixtureRequest, tmp_path: Path) -> Report:
    return gallery_report(request.param, tmp_path)


@pytest.fixture
def failed(tmp_path: Path) -> Report:
    return gallery_report("failed", tmp_path)


def test_every_summary_keeps_its_schema(any_report: Report) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    summary = json.loads(json.dumps(to_summary(any_report), allow_nan=False))
    jsonschema.Draft202012Validator(SCHEMA).validate(summary)


def test_the_schema_notices_what_is_missing_or_wrong(failed: Report) -> None:
    check = jsonschema.Draft202012Validator(SCHEMA)
    summary = json.loads(json.dumps(to_summary(failed)))
    for break_it in (
        lambda s: s.pop("thresholds"),
        lambda s: s.update(verdict="good"),
        lambda s: s["journeys"]["checkout"].pop("dropped"),
        lambda s: s["journeys"]["checkout"]["response_ms"].update(p95="71"),
        lambda s: s["validity"].update(valid=None),
    ):
        broken = json.loads(json.dumps(summary))
        break_it(broken)
        assert not check.is_valid(broken)


def test_scripts_for_k6_find_trends_rates_and_thresholds(failed: Report) -> None:
    metrics = to_summary(failed)["metrics"]
    trend = metrics["checkout_response"]
    assert (trend["type"], trend["contains"]) == ("trend", "time")
    assert set(trend["values"]) >= {"avg", "min", "med", "max", "p(90)", "p(95)"}
    assert trend["thresholds"] == {"checkout.response.p95 < 800ms": {"ok": True}}
    rate = metrics["browse_failed"]
    assert rate["values"]["passes"] == 40
    assert rate["values"]["rate"] == pytest.approx(40 / 278, abs=1e-6)
    assert rate["thresholds"] == {"browse.failed < 5%": {"ok": False}}
    assert metrics["pay_response"]["thresholds"] == {"pay.response.p99 < 10ms": {"ok": False}}


CHILDREN = {"properties": 0, "skipped": 1, "error": 1, "failure": 1, "system-out": 2}
"""In which order the schema that Jenkins publishes wants what stands in a test case."""


def check_junit(text: str) -> dict[str, ET.Element]:
    """The cases of a document that keeps the common JUnit schema; ParseError when it is no XML."""
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    for element in (root, suite):
        assert set(element.attrib) <= {
            "name", "tests", "failures", "errors", "skipped", "time", "timestamp"
        }  # fmt: skip
        for word in ("tests", "failures", "errors"):
            assert element.attrib[word].isdecimal()
    for case in suite:
        assert case.tag == "testcase"
        assert set(case.attrib) <= {"name", "classname", "time"}
        order = [CHILDREN[child.tag] for child in case]
        assert order == sorted(order)
        assert sum(child.tag in ("skipped", "error", "failure") for child in case) <= 1
    tags = [child.tag for case in suite for child in case]
    for word, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.attrib.get(word, "0") == str(tags.count(tag))
    assert suite.attrib["tests"] == str(len(suite))
    return {case.attrib["name"]: case for case in suite}


def test_junit_keeps_the_common_schema_whatever_happened(any_report: Report) -> None:
    assert check_junit(junit(any_report))


def test_junit_says_what_was_observed_and_what_was_the_limit(failed: Report) -> None:
    cases = check_junit(junit(failed))
    message = cases["browse.failed < 5%"][0].attrib["message"]
    assert "observed 14.39 %, limit < 5 %, samples 278" in message
    assert cases["no_oversell <b>"][0].tag == "failure"
    assert "expected at most 0" in cases["no_oversell <b>"][0].attrib["message"]
    assert cases["one_capture"][0].tag == "error"
    assert cases["browse.failed"][0].tag == "skipped"
    assert "11 % to 18 %" in cases["checkout.response.p95"][0].attrib["message"]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_of_locust_adds_up(failed: Report) -> None:
    found = csv_files(failed)
    assert list(found) == [
        "release_stats.csv", "release_stats_history.csv", "release_failures.csv",
        "release_exceptions.csv",
    ]  # fmt: skip
    *steps, whole = rows_of(found["release_stats.csv"])
    assert (whole["Type"], whole["Name"]) == ("", "Aggregated")
    for column in ("Request Count", "Failure Count"):
        assert int(whole[column]) == sum(int(row[column]) for row in steps)
    cart = next(row for row in steps if row["Name"] == "cart")
    assert (cart["Type"], cart["50%"], cart["100%"]) == ("checkout", "20", "20")
    assert float(cart["Max Response Time"]) == 20  # service time, as Locust counts
    last = rows_of(found["release_stats_history.csv"])[-1]
    assert int(last["Total Request Count"]) >= int(whole["Request Count"])
    rates = [float(row["Requests/s"]) for row in rows_of(found["release_stats_history.csv"])]
    assert sum(rates) * failed.slot == pytest.approx(int(last["Total Request Count"]))
    errors = rows_of(found["release_failures.csv"])
    assert sum(int(row["Occurrences"]) for row in errors) == int(whole["Failure Count"])
    assert "got 503" in errors[0]["Error"]
    assert rows_of(found["release_exceptions.csv"]) == []


def test_the_csv_stands_whatever_happened(any_report: Report) -> None:
    for text in csv_files(any_report).values():
        head, *rows = list(csv.reader(io.StringIO(text)))
        assert all(len(row) == len(head) for row in rows)
        assert not any(cell.startswith(("=", "@")) for row in rows for cell in row)


@pytest.mark.parametrize("name", ["../../etc/x", HOSTILE, "", ".", "a b"])
def test_a_test_of_any_name_stays_in_its_folder(name: str) -> None:
    for each in csv_names(name):
        assert Path(each).name == each
        assert len(each.encode()) < 255
        assert not each.startswith(".")


def test_github_shows_text_as_text(any_report: Report) -> None:
    text = markdown(any_report)
    assert text.startswith("## Load test ")
    for line in text.splitlines():
        assert "<script" not in line
        assert "\u202e" not in line
    tables = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    widths = [line.count("|") for line in tables]
    assert all(2 <= width <= 9 for width in widths)


def test_github_is_told_what_failed_in_lines_of_its_own(failed: Report, tmp_path: Path) -> None:
    commands = workflow_commands(failed)
    assert [line.split(" ")[0] for line in commands] == ["::error"] * 4 + ["::warning"]
    assert "title=load test release%3A failed::browse.failed < 5%25: observed" in commands[0]
    assert not any("\n" in line for line in commands)
    assert workflow_commands(gallery_report("passed", tmp_path)) == []
    assert workflow_commands(gallery_report("invalid", tmp_path))[0].startswith("::warning ")


def test_a_summary_of_thousands_of_findings_stays_small(failed: Report) -> None:
    from dataclasses import replace

    many = replace(failed, findings=failed.findings * 5000)
    text = markdown(many)
    assert len(text.encode()) < 1024 * 1024
    assert "see report.html" in text


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_prometheus_sees_the_numbers_of_the_report(failed: Report) -> None:
    found = families(exposition(failed, final=True).decode())
    arrivals = {s.labels["journey"]: s.value for s in found["sre_loadtest_arrivals"].samples}
    assert arrivals == {"checkout": 27, "browse": 278}
    verdicts = {s.labels["verdict"]: s.value for s in found["sre_loadtest_verdict"].samples}
    assert verdicts == {"passed": 0, "failed": 1, "invalid": 0, "aborted": 0}
    buckets = {
        s.labels["le"]: s.value
        for s in found["sre_loadtest_journey_response_seconds"].samples
        if s.name.endswith("_bucket")
        and (s.labels["journey"], s.labels["outcome"]) == ("checkout", "ok")
    }
    assert buckets["0.05"] == 0
    assert buckets["0.8"] == buckets["+Inf"] == 24  # 800 ms is a threshold, so it is an edge
    kept = {s.labels["threshold"]: s.value for s in found["sre_loadtest_threshold_ok"].samples}
    assert kept["browse.failed < 5%"] == 0
    assert kept["checkout.failed < 50%"] == 1


def test_the_exposition_is_what_the_catalogue_says(any_report: Report) -> None:
    for final in (True, False):
        text = exposition(any_report, final=final, in_flight=3).decode()
        for family in families(text).values():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            metric = CATALOGUE[name]
            assert (metric.type, metric.help) == (family.type, family.documentation)
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(metric.labels), name


@pytest.mark.prometheus
def test_promtool_has_nothing_to_say(failed: Report) -> None:
    done = promtool("check", "metrics", input=exposition(failed, final=True).decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_files_are_written(any_report: Report, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert write_reports(any_report, out) == ""
    found = {path.name for path in out.iterdir()}
    assert found >= {
        "summary.json", "junit.xml", "report.html", "github.md", "metrics.prom",
        *csv_names(any_report.facts.name),
    }  # fmt: skip
