"""Does a run stand beside the runs before it, from the command line?"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sre.core.facts import Facts
from sre.loadtest.history.calibration import Noise, store_calibration
from sre.loadtest.history.model import parse_metric
from tests.e2e.loadtest_gate import HOLD, Gate
from tests.servers.child import clean_environment
from tests.servers.freeze import freeze_server
from tests.unit.loadtest.made_history import KEY, made_record, made_reports

pytestmark = [pytest.mark.alone, pytest.mark.locust, pytest.mark.timeout(180)]
RULE = "regression: {metric: [home.response.p50, home.failed], worse_than: 30%, runs: 3}"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


def sre(folder: Path, *argv: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "sre", "loadtest", *map(str, argv)],
        cwd=folder, env=clean_environment(folder), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def made(folder: Path, count: int, seed: int, **given: Any) -> None:
    rng = random.Random(seed)
    for number in range(count):
        record = made_record(rng, number=number, seed=number, sd=0.02, samples=400, **given)
        made_reports(folder / f"run-{number}", record)


def test_two_folders_of_runs_are_compared(tmp_path: Path) -> None:
    made(tmp_path / "a", 5, 1)
    made(tmp_path / "same", 5, 2)
    made(tmp_path / "slow", 5, 3, slower=0.5)
    code, said, complained = sre(tmp_path, "compare", "a", "same", "--worse-than", "30%")
    assert code == 0, said + complained
    assert said.startswith("NO REGRESSION  release: 5 pairs")
    code, said, _ = sre(tmp_path, "compare", "a", "slow", "--format", "json")
    data = json.loads(said)
    p95 = next(row for row in data["metrics"] if row["metric"] == "checkout.response.p95")
    assert (code, data["schema"], data["verdict"]) == (1, "sre.loadtest-compare/1", "regression")
    assert 1.3 < p95["ratio_low"] < p95["ratio"] < p95["ratio_high"] < 1.7
    assert p95["p_holm"] <= 0.05
    assert p95["p_sign_flip"] == 1 / 32
    code, _, _ = sre(tmp_path, "compare", "a", "slow", "--worse-than", "90%")
    assert code == 0
    code, said, _ = sre(tmp_path, "compare", "a/run-0", "slow/run-0")
    assert (code, said[:5]) == (0, "SHOWN")


def test_what_cannot_be_compared_ends_with_its_own_code(tmp_path: Path) -> None:
    made(tmp_path / "a", 2, 1)
    made(tmp_path / "other", 2, 2, key=KEY | {"mix": "checkout 4/s"})
    made(tmp_path / "invalid", 2, 2, verdict="invalid", doubts=("lateness",))
    code, _, complained = sre(tmp_path, "compare", "a", "other")
    assert (code, "mix: checkout 2/s before, checkout 4/s now" in complained) == (3, True)
    code, _, complained = sre(tmp_path, "compare", "a", "invalid")
    assert (code, "cannot be trusted (lateness)" in complained) == (3, True)
    assert sre(tmp_path, "compare", "a", "nothing")[0] == 2
    assert sre(tmp_path, "compare", "a", "a", "--metric", "checkout.p95")[0] == 2
    assert sre(tmp_path, "compare", "a", "a", "--metric", "nobody.failed")[0] == 3
    assert sre(tmp_path, "compare", "a", "a", "--worse-than", "ten")[0] == 2


def test_only_sound_runs_are_accepted(tmp_path: Path) -> None:
    record = made_record(random.Random(1), samples=50)
    for verdict, doubts, expected in (
        ("passed", (), 0),
        ("invalid", ("not_comparable",), 0),  # else nobody could ever accept the first new one
        ("invalid", ("not_comparable", "lateness"), 5),
        ("failed", (), 5),
        ("aborted", (), 5),
    ):
        made_reports(tmp_path / "r", replace(record, verdict=verdict, doubts=doubts))
        code, said, complained = sre(tmp_path, "accept", "r", "--reason", "release 1.2")
        assert code == expected, (verdict, said, complained)
        assert expected == 0 or "no baseline" in complained
    (stored,) = (tmp_path / ".sre" / "baselines" / "release").glob("*.json")
    told = json.loads(stored.read_text("utf-8"))
    assert told["schema"] == "sre.loadtest-baseline/1"
    assert told["accepted"]["reason"] == "release 1.2"
    assert told["accepted"]["anchor"] is True
    assert sre(tmp_path, "accept", "r", "--reason", " ")[0] == 2
    assert sre(tmp_path, "accept", "nothing", "--reason", "x")[0] == 2
    (tmp_path / "r" / "summary.json").unlink()
    assert sre(tmp_path, "accept", "r", "--reason", "x")[0] == 7


def accepted(gate: Gate, runs: int) -> None:
    """So many baselines of the gate's own test: one run, accepted under several names.

    What a busy machine made it doubt is taken out: this is about what comes after.
    """
    code, said, complained = gate.run("--no-progress")
    assert code in (0, 3), said + complained
    assert "no baseline yet" in said
    cases = ET.parse(gate.out / "junit.xml").getroot().iter("testcase")
    assert sum(case.find("skipped") is not None for case in cases) == 2
    for number in range(runs):
        for name in ("histograms.json", "summary.json"):
            path = gate.out / name
            told = json.loads(path.read_text("utf-8"))
            told |= {"run_id": f"{number:016x}", "verdict": "passed", "doubts": []}
            path.write_text(json.dumps(told), encoding="utf-8")
        assert sre(gate.folder, "accept", gate.out, "--reason", "good")[0] == 0


def test_a_run_is_held_against_the_accepted_ones(gate: Gate, tmp_path: Path) -> None:
    with freeze_server(tmp_path, 0.04) as fast:
        gate.declare(fast.url, f"mix: {{home: 20/s}}, {HOLD % '2s'}, {RULE}")
        accepted(gate, 3)
        code, said, complained = gate.run()
        assert code in (0, 3), said + complained
        found = {row["name"]: row for row in gate.summary["regressions"]}
        assert found["home.failed"]["result"] == "fine"
        assert found["home.response.p50"]["design"] == "history"
        assert any("against the anchor of" in name for name in found)
    (tmp_path / "slow").mkdir()
    with freeze_server(tmp_path / "slow", 0.12) as slow:
        text = (gate.folder / "sre.yaml").read_text("utf-8").replace(fast.url, slow.url)
        text = text.replace(fast.url.removeprefix("http://"), slow.url.removeprefix("http://"))
        (gate.folder / "sre.yaml").write_text(text, encoding="utf-8")
        code, said, complained = gate.run()
        found = {row["name"]: row for row in gate.summary["regressions"]}
        assert found["home.response.p50"]["passed"] is False, said + complained
        assert found["home.response.p50"]["ratio"] > 2
        assert code in (1, 3)
        assert code == 1 or gate.doubts
        assert sre(gate.folder, "accept", gate.out, "--reason", "slow is good")[0] == 5
        baselines = gate.folder / ".sre" / "baselines" / "gate"
        code, said, _ = gate.run("--workers", "2")
        assert code == 3
        assert "workers: 1 before, 2 now" in said
        assert "not_comparable" in gate.doubts
        next(baselines.glob("*.json")).write_text("{", encoding="utf-8")
        code, said, complained = gate.run()
        assert (code, said) == (7, "")
        assert "is damaged (it is no JSON); restore it" in complained


def test_two_builds_run_side_by_side(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "slow").mkdir()
    with freeze_server(tmp_path, 0.04) as old, freeze_server(tmp_path / "slow", 0.12) as new:
        gate.declare(new.url, f"mix: {{home: 20/s}}, {HOLD % '1500ms'}, {RULE}")
        code, said, complained = gate.run("--against", old.url)
        assert code == 5, said + complained  # not on the allow-list
        assert not gate.out.exists()
        path = gate.folder / "sre.yaml"
        allow = new.url.removeprefix("http://")
        text = path.read_text("utf-8")
        path.write_text(text.replace(f'"{allow}"]', '"127.0.0.1:*"]'), encoding="utf-8")
        code, said, complained = gate.run("--against", old.url)
        folders = {each.name for each in gate.out.glob("pair-*")}
        assert code in (1, 3), said + complained
        assert {"pair-1-baseline", "pair-1-candidate"} & folders
        requests = [len(server.served()) for server in (old, new)]
        if code == 3:  # only where this machine was too busy to measure on
            assert "stayed invalid" in said, complained
            return
        assert folders == {f"pair-{n}-{side}" for n in (1, 2, 3) for side in SIDES}
        assert min(requests) >= 90
        rows = json.loads((gate.out / "compare.json").read_text("utf-8"))["metrics"]
        assert [row["design"] for row in rows] == ["pairs", "pairs"]
        assert rows[0]["result"] == "regression"
        assert gate.summary["target"] == new.url
        seeds = [_seed(gate.out / f"pair-{n}-{side}") for n in (1, 2, 3) for side in SIDES]
        assert seeds == [1, 1, 2, 2, 3, 3]


SIDES = ("baseline", "candidate")


def _seed(folder: Path) -> int:
    return int(json.loads((folder / "summary.json").read_text("utf-8"))["seed"])


def test_a_calibration_forbids_what_the_place_cannot_see(gate: Gate, tmp_path: Path) -> None:
    with freeze_server(tmp_path, 0.04) as server:
        gate.declare(server.url, f"mix: {{home: 20/s}}, {HOLD % '1500ms'}, {RULE}")
        code, said, complained = sre(gate.folder, "calibrate", "gate", "--runs", "3")
        assert code in (0, 3), complained
        facts = Facts(gate.folder / ".sre")
        if code == 3:  # only where this machine was too busy to measure on
            assert "nothing was stored" in complained
            assert facts.names() == ()
            gate.run()
            key = json.loads((gate.out / "histograms.json").read_text("utf-8"))["key"]
        else:
            assert "home.response.p50" in said
            found = facts.read("loadtest/calibration/gate")
            assert found is not None
            assert found.value["metrics"]["home.response.p50"]["runs"] == 3
            key = found.value["key"]
        metric = parse_metric("home.response.p50")
        store_calibration("gate", key, {metric.text: Noise(metric, 0.04, 0.3, 10)}, facts)
        before = len(server.served())
        code, _, complained = gate.run()
        assert code == 2
        assert "worse_than 30 % of home.response.p50 is below the noise of this place" in complained
        assert len(server.served()) == before


def test_pairs_need_something_to_compare(gate: Gate) -> None:
    gate.declare("http://127.0.0.1:1", f"mix: {{home: 5/s}}, {HOLD % '2s'}")
    code, _, complained = gate.run("--against", "http://127.0.0.1:1")
    assert (code, "declare regression:" in complained) == (2, True)
    code, _, complained = gate.run("--pairs", "5")
    assert (code, "--against URL" in complained) == (2, True)
