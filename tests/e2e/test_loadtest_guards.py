"""Does the gate refuse, doubt and keep silent where it must?"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.loadtest_gate import HOLD, Gate
from tests.servers.freeze import FreezeServer
from tests.servers.hostile import Hostile

pytestmark = [pytest.mark.alone, pytest.mark.locust, pytest.mark.timeout(120)]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


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
    assert (code, hostile_other.connections) == (5, 0)
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


def test_a_database_that_is_not_declared_is_refused_not_ignored(
    gate: Gate, hostile: Hostile
) -> None:
    asked = 'invariants: [{name: n, database: orders, sql: "select 1", equals: 1}]'
    gate.declare(hostile.url, f"mix: {{home: 10/s}}, {HOLD % '2s'}, {asked}")
    code, _, complained = gate.run()
    assert code == 2
    assert "loadtests.gate.invariants[0].database: there is no database 'orders'" in complained
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
