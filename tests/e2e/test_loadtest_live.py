"""Can a run be looked at while it goes, and found again in the shop's own tracing?"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sre.loadtest.output.locust_csv import csv_names
from tests.e2e.loadtest_gate import HOLD, Gate
from tests.servers.child import clean_environment
from tests.servers.chromium import PageFacts
from tests.servers.hostile import Hostile
from tests.servers.net import free_port
from tests.servers.prometheus import Scraping, promtool

pytestmark = [pytest.mark.locust, pytest.mark.timeout(120)]

ECHO = "{home: {steps: [{name: front, get: /echo}, {name: again, get: /echo?again}]}}"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


@pytest.mark.prometheus
@pytest.mark.chromium
def test_prometheus_and_a_browser_see_the_run_while_it_goes(
    gate: Gate,
    hostile: Hostile,
    prometheus: Scraping,
    page_facts: Callable[..., PageFacts],
) -> None:
    test = f'mix: {{home: 10/s}}, {HOLD % "60s"}, thresholds: ["home.response.p95 < 400ms"]'
    gate.declare(hostile.url, test, ECHO)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with gate.start("--web.listen-address", f"127.0.0.1:{port}") as process:
        with prometheus(f"127.0.0.1:{port}") as server:
            server.wait_for('sre_loadtest_arrivals_total{test="gate",journey="home"} > 20', 30)
            assert server.value("sre_loadtest_running") == 1
            assert server.value("sre_loadtest_planned_arrivals_per_second") == 10
            edge = 'sre_loadtest_journey_response_seconds_bucket{le="0.4",outcome="ok"}'
            assert server.value(edge) > 0
        exposition = text_of(f"{url}/metrics")
        facts = page_facts(url, 400, ready='document.title === "gate: running"')
        assert re.search(r"Running: \d", facts.inner_text)
        assert facts.scroll_width <= facts.inner_width
        assert facts.errors == []
        process.terminate()
        _, complained = process.communicate(timeout=60)
    assert process.returncode == 143, complained
    assert f"the run can be looked at: {url}" in complained
    snapshot = (gate.out / "metrics.prom").read_text(encoding="utf-8")
    assert 'sre_loadtest_verdict{test="gate",verdict="aborted"} 1.0' in snapshot
    assert "sre_loadtest_verdict{" not in exposition
    for text in (exposition, snapshot):
        done = promtool("check", "metrics", input=text)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_request_has_a_span_and_the_report_names_traces_that_the_shop_saw(
    gate: Gate, hostile: Hostile
) -> None:
    own = "{home: {steps: [{name: front, get: /echo}, {name: bad, get: /status/503}]}}"
    gate.declare(hostile.url, f"mix: {{home: 10/s}}, {HOLD % '2s'}", own)
    gate.run()
    sent = [dict(seen.headers)["traceparent"] for seen in hostile.requests]
    assert len(sent) == 40
    assert all(re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", value) for value in sent)
    assert len({value.split("-")[2] for value in sent}) == 40
    traces = {value.split("-")[1] for value in sent}
    assert len(traces) == 20
    steps = gate.summary["steps"]
    slow = [one["trace"] for one in steps["front"]["traces"]["slow"]]
    failed = steps["bad"]["traces"]["failed"]
    assert (len(set(slow)), len(failed)) == (5, 5)
    assert set(slow) | {one["trace"] for one in failed} <= traces
    assert {one["reason"] for one in failed} == {"status"}
    assert failed[0]["trace"] in (gate.out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("address", ["0.0.0.0:0", ":0", "192.0.2.1:9000"])
def test_a_page_for_everybody_is_refused(gate: Gate, hostile: Hostile, address: str) -> None:
    gate.declare(hostile.url, f"mix: {{home: 10/s}}, {HOLD % '1s'}")
    code, _, complained = gate.run("--web.listen-address", address)
    assert code == 5
    assert "--web.config.file" in complained
    assert hostile.requests == []


def test_a_ci_job_is_told_and_stdout_stays_json(gate: Gate, hostile: Hostile) -> None:
    test = f'mix: {{home: 10/s}}, {HOLD % "2s"}, thresholds: ["home.failed < 1%"]'
    gate.declare(hostile.url, test, "{home: {steps: [{name: front, get: /status/503}]}}")
    summary = gate.folder / "step.md"
    summary.write_text("before\n", encoding="utf-8")
    more = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    code, said, complained = gate.run("--format", "json", **more)
    assert code == 1
    assert json.loads(said) == gate.summary
    assert (
        "::error title=load test gate%3A failed::home.failed < 1%25: observed 100 %25" in complained
    )
    written = summary.read_text(encoding="utf-8")
    assert written.startswith("before\n## Load test gate: ❌ failed")
    assert written.removeprefix("before\n") == (gate.out / "github.md").read_text(encoding="utf-8")
    argv = [sys.executable, "-m", "sre", "loadtest", "schema"]
    env = clean_environment(gate.folder)
    schema = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout
    jsonschema.Draft202012Validator(json.loads(schema)).validate(gate.summary)


def heads(folder: Path, prefix: str) -> list[list[str]]:
    found = []
    for suffix in ("stats", "stats_history", "failures", "exceptions"):
        path = folder / f"{prefix}_{suffix}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            found.append(next(csv.reader(file)))
    return found


def test_the_csv_files_have_the_columns_of_a_real_locust_and_untraced_requests_no_trace(
    gate: Gate, hostile: Hostile, tmp_path: Path
) -> None:
    gate.declare(hostile.url, f"trace: false, mix: {{home: 10/s}}, {HOLD % '1s'}", ECHO)
    gate.run()
    assert len(hostile.requests) == 20
    assert not any("traceparent" in dict(seen.headers) for seen in hostile.requests)
    assert gate.summary["steps"]["front"]["traces"] == {"slow": [], "failed": []}
    theirs: Any = tmp_path / "locustfile.py"
    theirs.write_text(
        "import locust\nclass Someone(locust.FastHttpUser):\n"
        "    @locust.task\n    def front(self):\n        self.client.get('/echo')\n",
        encoding="utf-8",
    )
    argv = [
        sys.executable, "-m", "locust", "-f", theirs, "--headless", "-u", "1", "-r", "1", "-t",
        "1s", "--csv", "theirs", "-H", hostile.url, "--only-summary",
    ]  # fmt: skip
    env = clean_environment(tmp_path)
    done = subprocess.run(
        [*map(str, argv)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert heads(gate.out, "gate") == heads(tmp_path, "theirs")
    assert set(csv_names("gate")) <= gate.files
