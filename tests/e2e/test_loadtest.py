"""Does the gate tell the truth, end by end, against real servers and a real generator?"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers.child import clean_environment
from tests.servers.freeze import FreezeServer
from tests.servers.hostile import Hostile

pytestmark = [pytest.mark.locust, pytest.mark.timeout(120)]

GENERATOR = {"achieved_rate", "lateness", "loop_lag", "cpu", "starvation", "steal"}
REPORTS = {"summary.json", "junit.xml", "report.html"}
ONE_PAGE = "{home: {steps: [{name: front, get: /}]}}"
HOLD = "arrivals: uniform, stages: [{hold: %s}]"


@dataclass
class Gate:
    """`sre loadtest` in a folder of its own."""

    folder: Path
    out: Path

    def declare(self, url: str, test: str, journeys: str = ONE_PAGE, **shop: str) -> None:
        lines = "".join(
            f", {key}: {value}" for key, value in ({"environment": "test"} | shop).items()
        )
        allow = url.removeprefix("http://")
        (self.folder / "sre.yaml").write_text(
            f'version: 1\nshop: {{name: t, base_url: "{url}"{lines}}}\n'
            f'targets: {{allow: ["{allow}"]}}\njourneys: {journeys}\n'
            f"loadtests:\n  gate: {{{test}}}\n",
            encoding="utf-8",
        )

    def start(self, *more: str, before: tuple[str, ...] = (), **env: str) -> subprocess.Popen[str]:
        argv = [*before, sys.executable, "-m", "sre", "loadtest", "run", "gate", "--out", self.out]
        return subprocess.Popen(
            [*map(str, argv), *more],
            cwd=self.folder,
            env=clean_environment(self.folder) | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *more: str, before: tuple[str, ...] = (), **env: str) -> tuple[int, str, str]:
        with self.start(*more, before=before, **env) as process:
            said, complained = process.communicate(timeout=90)
        return process.returncode, said, complained

    def run_soundly(self, *more: str, **env: str) -> tuple[int, str, str]:
        """Run again, twice at most, when this machine was too busy to measure on."""
        for _ in range(3):
            code, said, complained = self.run(*more, **env)
            if not GENERATOR & self.doubts:
                break
        return code, said, complained

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "summary.json").read_text(encoding="utf-8"))
        return found

    @property
    def doubts(self) -> set[str]:
        if not (self.out / "summary.json").exists():
            return set()
        return {reason["code"] for reason in self.summary["validity"]["reasons"]}

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.out.iterdir()}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


def wait_for(what: Any, seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(process.pid).children(recursive=True)
        return [child for child in found if "sre.loadtest.locustfile" in " ".join(child.cmdline())]
    return []


def test_a_shop_that_stands_still_for_two_seconds_cannot_hide_its_customers(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    gate.declare(
        hostile_freeze.url,
        f'mix: {{home: 100/s}}, {HOLD % "10s"}, thresholds: ["home.response.p95 < 300ms"]',
    )
    hostile_freeze.freeze(2.0, after=3.0)
    code, _, complained = gate.run()
    home = gate.summary["journeys"]["home"]
    served = sorted(hostile_freeze.served(), key=lambda each: each.arrived)
    assert len(served) == home["arrivals"] == home["ok"] == 1000
    begin = min(each.arrived - 0.01 * number for number, each in enumerate(served))
    waits = sorted(each.answered - begin - 0.01 * number for number, each in enumerate(served))
    exact = waits[949] * 1000
    assert exact > 1000
    assert home["response_ms"]["p95"] == pytest.approx(exact, rel=0.08)
    assert code in (1, 3), complained  # 3 only where this machine was too busy to measure on
    assert code == 1 or GENERATOR & gate.doubts


def test_a_good_shop_passes_and_everything_is_written(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    gate.declare(
        hostile_freeze.url,
        "mix: {home: 20/s}, stages: [{ramp: 2s}, {hold: 3s}], "
        'thresholds: ["home.response.p95 < 800ms", "front.failed < 1%", "home.ok > 10"]',
    )
    code, said, complained = gate.run_soundly("--format", "json")
    assert (code, gate.files) == (0, REPORTS), said + complained
    assert json.loads(said) == gate.summary
    assert gate.summary["verdict"] == "passed"
    assert [t["passed"] for t in gate.summary["thresholds"]] == [True] * 3
    assert ET.parse(gate.out / "junit.xml").getroot().attrib["failures"] == "0"
    assert "Passed" in (gate.out / "report.html").read_text(encoding="utf-8")


def test_an_outcome_failure_fails_and_says_why(gate: Gate, hostile: Hostile) -> None:
    gate.declare(
        hostile.url,
        f'mix: {{home: 20/s}}, {HOLD % "3s"}, thresholds: ["home.failed < 1%"]',
        "{home: {steps: [{name: front, get: /status/503}]}}",
    )
    code, said, _ = gate.run()
    assert code == 1
    assert "home.failed < 1%: observed 100 %" in said
    home = gate.summary["journeys"]["home"]
    assert (home["arrivals"], home["failed"], home["reasons"]) == (60, 60, {"status": 60})


def test_no_customer_is_no_measurement(gate: Gate, hostile_freeze: FreezeServer) -> None:
    gate.declare(
        hostile_freeze.url, "mix: {home: 1/h}, stages: [{hold: 2s}], thresholds: [home.failed < 1%]"
    )
    code, said, _ = gate.run()
    assert code == 3
    assert "nothing was sent" in said
    assert "no_arrivals" in gate.doubts
    assert hostile_freeze.served() == []


def test_a_dead_server_never_passes(gate: Gate, free_port: int) -> None:
    test = f'mix: {{home: 20/s}}, {HOLD % "2s"}, thresholds: ["home.response.p95 < 1s"]'
    gate.declare(f"http://127.0.0.1:{free_port}", test)
    code, _, _ = gate.run()
    assert code == 3
    assert {"too_few_samples", "ungated_failures"} & gate.doubts


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_killed_worker_makes_the_run_invalid(gate: Gate, hostile_freeze: FreezeServer) -> None:
    test = f'mix: {{home: 40/s}}, {HOLD % "5s"}, thresholds: ["home.failed < 1%"]'
    gate.declare(hostile_freeze.url, test)
    with gate.start("--workers", "2") as process:
        wait_for(lambda: len(hostile_freeze.served()) > 40)
        victim = workers_of(process)[0]
        victim.kill()
        _, complained = process.communicate(timeout=60)
    assert process.returncode == 3, complained
    assert "worker_lost" in gate.doubts
    assert "SIGKILL" in gate.summary["validity"]["lost_workers"][0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_drains_and_reports(
    gate: Gate, hostile_freeze: FreezeServer, number: signal.Signals, code: int
) -> None:
    test = f'mix: {{home: 40/s}}, {HOLD % "60s"}, thresholds: ["home.failed < 1%"]'
    gate.declare(hostile_freeze.url, test)
    with gate.start() as process:
        wait_for(lambda: len(hostile_freeze.served()) > 40)
        process.send_signal(number)
        asked = time.monotonic()
        said, complained = process.communicate(timeout=60)
    assert process.returncode == code, complained
    assert time.monotonic() - asked < 7
    assert gate.files == REPORTS
    assert said.startswith("ABORTED")
    home = gate.summary["journeys"]["home"]
    assert home["started"] == home["ok"] == len(hostile_freeze.served())
    assert gate.summary["stopped_at_seconds"] < 30


def test_journeys_that_hang_when_stopped_are_given_up_as_time_outs(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    journeys = "{home: {timeout: 60s, steps: [{name: front, get: /, timeout: 60s}]}}"
    gate.declare(hostile_freeze.url, f"mix: {{home: 10/s}}, {HOLD % '60s'}", journeys)
    hostile_freeze.freeze(60.0, after=1.0)
    with gate.start() as process:
        wait_for(lambda: hostile_freeze.served())
        time.sleep(2.5)
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert time.monotonic() - asked < 7
    home = gate.summary["journeys"]["home"]
    assert home["abandoned"] == home["failed"] == home["reasons"]["timeout"] > 5
    assert home["started"] == home["ok"] + home["failed"]


def test_workers_do_not_outlive_a_killed_parent(gate: Gate, hostile_freeze: FreezeServer) -> None:
    gate.declare(hostile_freeze.url, f"mix: {{home: 10/s}}, {HOLD % '60s'}")
    with gate.start("--workers", "2") as process:
        wait_for(lambda: hostile_freeze.served())
        workers = workers_of(process)
        assert len(workers) == 2
        process.kill()
        process.communicate(timeout=10)
    gone, alive = psutil.wait_procs(workers, timeout=5)
    assert (len(gone), alive) == (2, [])


@contextlib.contextmanager
def busy(core: int, count: int) -> Iterator[None]:
    argv = ["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(argv) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.skipif(not shutil.which("taskset"), reason="needs taskset")
def test_a_starved_generator_knows_it(gate: Gate, hostile_freeze: FreezeServer) -> None:
    test = f'mix: {{home: 15/s}}, {HOLD % "8s"}, thresholds: ["home.response.p95 < 1s"]'
    gate.declare(hostile_freeze.url, test)
    core = min(os.sched_getaffinity(0))
    with busy(core, 2):
        code, said, _ = gate.run(before=("taskset", "-c", str(core)))
    assert code == 3, said
    assert "starvation" in gate.doubts


def test_dropped_customers_are_counted_and_make_the_run_invalid(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    test = f"mix: {{home: 50/s}}, {HOLD % '3s'}, max_in_flight: 5, thresholds: [home.failed < 1%]"
    gate.declare(hostile_freeze.url, test)
    hostile_freeze.freeze(1.0, after=1.0)
    code, _, _ = gate.run()
    home = gate.summary["journeys"]["home"]
    assert code == 3
    assert "dropped" in gate.doubts
    assert home["arrivals"] == 150 == home["started"] + home["dropped"]
    assert 30 < home["dropped"] < 60


def test_a_redirect_off_the_allow_list_is_blocked_before_a_byte_is_sent(
    gate: Gate, hostile: Hostile, hostile_other: Hostile
) -> None:
    gate.declare(
        hostile.url,
        f"mix: {{home: 10/s}}, {HOLD % '2s'}",
        f'{{home: {{steps: [{{name: front, get: "/redirect?to={hostile_other.url}/"}}]}}}}',
    )
    code, said, _ = gate.run()
    assert (code, hostile_other.connections) == (3, 0)
    assert gate.summary["journeys"]["home"]["blocked"] == 20, said
    assert "targets.allow" in said


@pytest.mark.parametrize(
    ("shop", "words"),
    [
        ({"environment": "production"}, "--i-know-this-is-production"),
        ({"base_url": '"http://127.0.0.1:1"'}, "not on the allow-list"),
    ],
)
def test_what_is_refused_is_refused_before_anything_is_sent(
    gate: Gate, hostile: Hostile, shop: dict[str, str], words: str
) -> None:
    gate.declare(hostile.url, f"mix: {{home: 10/s}}, {HOLD % '2s'}")
    text = (gate.folder / "sre.yaml").read_text(encoding="utf-8")
    for key, value in shop.items():
        before = "environment: test" if key == "environment" else f'base_url: "{hostile.url}"'
        text = text.replace(before, f"{key}: {value}")
    (gate.folder / "sre.yaml").write_text(text, encoding="utf-8")
    code, said, complained = gate.run()
    assert (code, said) == (5, "")
    assert words in complained
    assert hostile.connections == 0
    assert not gate.out.exists()


@pytest.mark.parametrize(
    "more",
    [
        "regression: {metric: home.response.p95, worse_than: 10%}",
        'invariants: [{name: n, database: d, sql: "select 1", equals: 1}]',
    ],
)
def test_what_is_not_evaluated_yet_is_refused_not_ignored(
    gate: Gate, hostile: Hostile, more: str
) -> None:
    gate.declare(hostile.url, f"mix: {{home: 10/s}}, {HOLD % '2s'}, {more}")
    code, _, complained = gate.run()
    assert code == 2
    assert "not" in complained
    assert hostile.connections == 0


def test_a_planted_secret_is_in_no_output(gate: Gate, hostile: Hostile) -> None:
    secret = "hunter2-Planted&Secret/42"
    gate.declare(
        hostile.url,
        f"mix: {{home: 10/s}}, {HOLD % '2s'}, thresholds: [home.failed < 1%]",
        '{home: {vars: {pin: {secret: true, value: "${env:PIN}"}}, headers: {X-Pin: '
        '{value: "${pin}", secret: true}}, steps: [{name: front, get: "/echo", query: '
        '{pin: "${pin}"}, expect: {contains: "${pin}-never"}}]}}',
    )
    code, said, complained = gate.run("--log-level", "debug", PIN=secret)
    assert code == 1, complained
    everything = said + complained
    for path in gate.out.iterdir():
        everything += path.read_text(encoding="utf-8")
    assert hostile.requests
    for form in (secret, "hunter2-Planted%26Secret%2F42", "Planted&amp;Secret", "Planted"):
        assert form not in everything


def test_closed_model_users_wait_for_answers_and_say_so(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    journeys = "{home: {steps: [{name: front, get: /, pause: 100ms}]}}"
    gate.declare(hostile_freeze.url, f"users: 5, {HOLD % '3s'}", journeys)
    hostile_freeze.freeze(1.0, after=1.0)
    gate.run()
    summary = gate.summary
    assert summary["model"] == "closed"
    assert 50 <= summary["journeys"]["home"]["ok"] <= 5 * 20 + 10
    page = (gate.out / "report.html").read_text(encoding="utf-8")
    assert "was not sent is in no percentile" in page


def test_the_plan_sends_nothing_and_counts_everything(gate: Gate, hostile: Hostile) -> None:
    gate.declare(hostile.url, f"mix: {{home: 100/s}}, {HOLD % '10s'}")
    argv = [sys.executable, "-m", "sre", "loadtest", "plan", "gate", "--format", "json"]
    done = subprocess.run(
        argv, cwd=gate.folder, env=clean_environment(gate.folder), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["arrivals"], plan["orders"], plan["allowed"]) == ({"home": 1000}, 0, True)
    assert hostile.connections == 0
