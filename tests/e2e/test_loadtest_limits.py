"""What ends a run early, and what keeps it from starting, end by end?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.loadtest_gate import HOLD, REPORTS, Gate, sre
from tests.servers.freeze import FreezeServer
from tests.servers.hostile import Hostile
from tests.servers.net import wait_until

pytestmark = [pytest.mark.locust, pytest.mark.timeout(120)]

AWAY = "{home: {steps: [{name: front, get: /status/503}]}}"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


def rewrite(gate: Gate, before: str, after: str) -> None:
    path = gate.folder / "sre.yaml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


# --- what aborts ---


def test_a_threshold_that_may_abort_ends_the_run_and_everything_is_written(
    gate: Gate, hostile: Hostile
) -> None:
    spec = "[{that: home.failed < 1%, abort: true, min_samples: 30}]"
    gate.declare(hostile.url, f"mix: {{home: 20/s}}, {HOLD % '60s'}, thresholds: {spec}", AWAY)
    begun = time.monotonic()
    code, said, complained = gate.run()
    assert (code, gate.files >= REPORTS) == (8, True), said + complained
    assert time.monotonic() - begun < 30
    assert said.startswith("ABORTED")
    assert "aborted by guard: home.failed < 1%: observed 100 %" in said
    summary = gate.summary
    assert summary["verdict"] == "aborted"
    assert summary["journeys"]["home"]["started"] == len(hostile.requests)
    assert summary["stopped_at_seconds"] < 25


def test_a_kill_file_stops_a_run_and_keeps_the_next_from_starting(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    gate.declare(hostile_freeze.url, f"mix: {{home: 20/s}}, {HOLD % '60s'}, kill_file: halt")
    halt = gate.folder / "halt"
    with gate.start() as process:
        wait_until(lambda: len(hostile_freeze.served()) > 20, 30, "customers came")
        halt.touch()
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 8, complained
    assert f"aborted by guard: the kill file {halt} has appeared" in said
    assert gate.summary["journeys"]["home"]["started"] == len(hostile_freeze.served())
    hostile_freeze.reset()
    for stop in (halt, gate.out / "STOP"):
        stop.touch()
        code, _, complained = gate.run()
        assert (code, hostile_freeze.served()) == (5, [])
        assert f"the kill file {stop} exists" in complained
        stop.unlink()


def test_on_production_a_burning_budget_stops_the_run(gate: Gate, hostile: Hostile) -> None:
    gate.declare(
        hostile.url, f"mix: {{home: 20/s}}, {HOLD % '60s'}", AWAY, environment="production"
    )
    with (gate.folder / "sre.yaml").open("a", encoding="utf-8") as file:
        file.write("objectives: [{name: up, journey: home, target: 99.9%, owner: shop}]\n")
    code, said, complained = gate.run("--i-know-this-is-production")
    assert code == 8, complained
    assert "aborted by guard: objective 'up' burns its budget: 100.0% bad" in said
    assert len(hostile.requests) < 400


# --- what is refused (nothing is sent) ---


@pytest.mark.parametrize(
    ("test", "shop", "words"),
    [
        ("mix: {home: 60/s}", {"environment": "production"}, "caps: {requests: 60/s}"),
        ("mix: {home: 3000/s}", {}, "the cap is 2000/s"),
        ('mix: {home: 1/s}, caps: {only_between: "%s"}', {}, "may run only between"),
        ("mix: {home: 1/s}, caps: {duration: 2s}", {}, "the cap is 2.00 s"),
    ],
)
def test_what_is_above_a_cap_is_refused_and_planned_so(
    gate: Gate, hostile: Hostile, test: str, shop: dict[str, str], words: str
) -> None:
    if "%s" in test:  # an hour that is not now
        hour = (time.gmtime().tm_hour + 12) % 24
        test %= f"{hour:02}:00..{hour:02}:30 UTC"
    gate.declare(hostile.url, f"{test}, {HOLD % '10s'}", **shop)
    code, said, complained = gate.run("--i-know-this-is-production")
    assert (code, said, hostile.connections) == (5, "", 0)
    assert words in complained
    assert not gate.out.exists()
    plan = sre(gate, "loadtest", "plan", "gate")
    if "only_between" not in test:  # a plan may be made at any hour
        assert plan.returncode == 5
        assert words in plan.stdout


@pytest.mark.parametrize(
    "allow", ["10.0.0.0/8:*", "shop.example.com:443", "127.0.0.1:1", "[::1]:*"]
)
def test_an_address_that_is_not_listed_gets_nothing(
    gate: Gate, hostile: Hostile, allow: str
) -> None:
    gate.declare(hostile.url, f"mix: {{home: 10/s}}, {HOLD % '2s'}")
    rewrite(gate, f'allow: ["{hostile.origin}"]', f'allow: ["{allow}"]')
    code, _, complained = gate.run()
    assert (code, hostile.connections) == (5, 0)
    assert "not on the allow-list" in complained


def test_a_redirect_to_an_unlisted_host_ends_as_refused(
    gate: Gate, hostile: Hostile, hostile_other: Hostile
) -> None:
    """From a private address to a public one, and to another port of the same address."""
    step = '{home: {steps: [{name: front, get: "/redirect?to=%s/"}]}}'
    for to in ("http://203.0.113.9", hostile_other.url):
        gate.declare(hostile.url, f"mix: {{home: 10/s}}, {HOLD % '1s'}", step % to)
        code, said, _ = gate.run()
        assert (code, hostile_other.connections) == (5, 0), said
        assert gate.summary["journeys"]["home"]["blocked"] == 10


PINNED = """
import json, time
from sre.journey.exchange import Request
from sre.journey.guard import Guard
from sre.loadtest.generator.browser import Browser, Ways
answers = [["10.9.9.9", "127.0.0.1"], ["203.0.113.9"], ["10.9.9.9"]]
asked = []
def resolve(host, port):
    asked.append(host)
    return answers[min(len(asked), len(answers)) - 1]
guard = Guard(["shop.test:*", "127.0.0.1:*"], resolve=resolve)
ways = Ways(guard, time.monotonic, 4)
def get(host):
    request = Request("GET", f"http://{host}:PORT/", (), b"", 3.0, 10**6, True, True)
    answer = Browser(ways).perform(request)
    return answer.status or str(answer.failure.outcome)
print(json.dumps([[get("shop.test") for _ in range(3)], len(asked), get("other.test")]))
"""


def test_a_name_is_pinned_for_the_whole_run_to_the_address_that_was_admitted(
    hostile: Hostile,
) -> None:
    """Of two addresses the admitted one is taken; another answer later changes nothing."""
    done = subprocess.run(
        [sys.executable, "-c", PINNED.replace("PORT", str(hostile.port))],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[200, 200, 200], 1, "blocked"]
