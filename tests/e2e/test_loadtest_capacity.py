"""Does `sre loadtest capacity` find what a shop of known capacity holds, with real load?"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.loadtest_gate import Gate
from tests.servers.child import clean_environment
from tests.servers.chromium import PageFacts, Screenshot
from tests.servers.mdc import Tills, tills
from tests.servers.net import wait_until

pytestmark = [pytest.mark.alone, pytest.mark.locust, pytest.mark.timeout(300)]

BUY = "{buy: {steps: [{name: till, get: /}]}}"
PROMISES = 'thresholds: ["buy.response.p95 < 500ms", "buy.failed < 1%"]'
GENERATOR_ENDED = "generator"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Tills]:
    with tills(tmp_path / "tills", 2, 0.04) as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


def start(gate: Gate, *more: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "sre", "loadtest", "capacity", "gate", "--out", str(gate.out)]
    return subprocess.Popen(
        [*argv, *more],
        cwd=gate.folder,
        env=clean_environment(gate.folder) | {"SRE_STATE": str(gate.folder / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def search(gate: Gate, *more: str) -> tuple[int, str, str]:
    with start(gate, *more) as process:
        said, complained = process.communicate(timeout=280)
    return process.returncode, said, complained


def result(gate: Gate) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((gate.out / "capacity.json").read_text(encoding="utf-8"))
    return found


def declare(gate: Gate, shop: Tills, mix: str, rules: str) -> None:
    gate.declare(
        shop.url, f"mix: {{buy: {mix}}}, profile: capacity, {PROMISES}, capacity: {{{rules}}}", BUY
    )


def test_a_shop_of_known_capacity_is_found(gate: Gate, shop: Tills) -> None:
    declare(gate, shop, "40/s", "settle: 1s, measure: 4s, precision: 24%, confirm: 1.2")
    code, said, complained = search(gate)
    if code == 3:  # this machine was too busy to measure on, and the search is honest about it
        found = result(gate)
        assert found["ending"] in (GENERATOR_ENDED, "unconfirmed"), said
        held = found["result"]["arrivals_per_second"]["buy"][0]
        assert held is None or held < shop.capacity * 1.1
        return
    assert code == 0, said + complained
    low, high = result(gate)["result"]["arrivals_per_second"]["buy"]
    assert low < shop.capacity * 1.1
    assert high > shop.capacity * 0.9
    assert (low + high) / 2 == pytest.approx(shop.capacity, rel=0.15)
    assert "buy.response.p95 < 500ms" in said
    assert "back after overload" in said
    for level in result(gate)["levels"]:
        assert (gate.out / level["folder"] / "summary.json").exists()
    fact = json.loads(
        (gate.folder / "state/facts/loadtest/capacity/gate.json").read_text(encoding="utf-8")
    )
    assert fact["value"]["arrivals_per_second"]["buy"] == [low, high]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_shop_of_known_capacity_is_found_within_ten_percent(gate: Gate, shop: Tills) -> None:
    declare(gate, shop, "20/s", "settle: 4s, measure: 20s, precision: 5%")
    for _ in range(3):
        code, said, complained = search(gate)
        if code != 3:
            break
        gate.out = gate.out.with_name(f"{gate.out.name}-again")
    assert code == 0, said + complained
    low, high = result(gate)["result"]["arrivals_per_second"]["buy"]
    assert low == pytest.approx(shop.capacity, rel=0.10)
    assert high == pytest.approx(shop.capacity, rel=0.10)


def test_a_stopped_search_says_what_it_knows(gate: Gate, shop: Tills) -> None:
    declare(gate, shop, "5/s", "settle: 1s, measure: 2s")
    with start(gate) as process:
        wait_until(lambda: list(gate.out.glob("level-02-*")), 60, "the second level")
        wait_until(lambda: len(shop.served()) > 20, 20, "customers of the second level")
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 143, complained
    assert said.startswith("ABORTED")
    found = result(gate)
    assert found["ending"] == "aborted"
    assert len(found["levels"]) >= 1
    assert not (gate.folder / "state/facts").exists()


def test_a_dry_run_sends_nothing_and_a_cap_refuses(gate: Gate, shop: Tills) -> None:
    declare(gate, shop, "20/s", "settle: 1s, measure: 4s, limit: 300%")
    code, said, _ = search(gate, "--dry-run", "--format", "json")
    plan = json.loads(said)
    assert code == 0
    assert [level["percent"] for level in plan["levels"]] == [100, 150, 225, 300]
    assert plan["longest_seconds"] > 4 * 5
    declare(gate, shop, "20/s", "settle: 1s, measure: 4s, limit: 300%}, caps: {requests: 50/s")
    code, _, complained = search(gate)
    assert code == 5
    assert "would send 60/s at its peak" in complained
    assert shop.served() == []
    assert not gate.out.exists()


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (f"users: 3, stages: [{{hold: 5s}}], {PROMISES}", "closed model"),
        ("mix: {buy: 1/s}, stages: [{hold: 5s}]", "no threshold"),
    ],
)
def test_what_has_no_capacity_is_refused(gate: Gate, shop: Tills, test: str, words: str) -> None:
    gate.declare(shop.url, test, BUY)
    code, _, complained = search(gate)
    assert code == 2
    assert words in complained
    code, _, complained = search(gate, "--measure", "soon")
    assert (code, shop.served()) == (2, [])


@pytest.mark.chromium
def test_the_page_of_a_search_fits_its_window(
    tmp_path: Path, page_facts: Any, screenshot: Screenshot
) -> None:
    from sre.loadtest.capacity.page import render_page
    from tests.unit.loadtest.simulated import SimulatedShop
    from tests.unit.loadtest.test_capacity_hunt import hunt, job_of

    page = tmp_path / "capacity.html"
    page.write_text(render_page(hunt(job_of(tmp_path), SimulatedShop(4, 0.1))), encoding="utf-8")
    for width in (320, 1280):
        facts: PageFacts = page_facts(page, width)
        assert (facts.overflows, facts.errors, facts.too_wide) == (False, [], [])
        assert len(facts.requested) == 1
    assert "The shop holds" in facts.inner_text
    for dark in (False, True):
        shot = screenshot(page, 1280, out=tmp_path / f"{dark}.png", dark=dark)
        assert shot.stat().st_size > 20_000
