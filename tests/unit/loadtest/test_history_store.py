"""Are baselines kept, refused, pruned and read back as they should be?"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sre.core.clock import FakeClock
from sre.core.errors import IntegrityError, UsageError
from sre.core.facts import Facts
from sre.loadtest.history.calibration import measured, read_calibration, store_calibration
from sre.loadtest.history.examiner import check_noise
from sre.loadtest.history.key import differences, digest, key_of
from sre.loadtest.history.model import Regression, parse_metric
from sre.loadtest.history.pairs import moved, order, seeded
from sre.loadtest.history.power import Design
from sre.loadtest.history.record import Record, record_of
from sre.loadtest.history.store import (
    Baseline,
    Baselines,
    comparable,
    default_folder,
    read_record,
)
from sre.loadtest.output.files import write_reports
from tests.unit.loadtest.made import made_job, made_report
from tests.unit.loadtest.made_history import KEY, made_record, made_reports

RULE = Regression("checkout.response.p95", 0.1)  # type: ignore[arg-type]


def baseline(number: int, *, anchor: bool = False) -> Baseline:
    record = made_record(random.Random(number), number=number, samples=30)
    return Baseline(record, "me", 1.0, "good", anchor)


def test_the_newest_are_kept_and_the_anchor_for_ever(tmp_path: Path) -> None:
    store = Baselines(tmp_path / "b")
    for number in range(6):
        store.accept(baseline(number), keep=3)
    kept = store.all()
    assert [int(each.record.run_id, 16) for each in kept] == [0, 3, 4, 5]
    assert [each.anchor for each in kept] == [True, False, False, False]
    assert store.accept(baseline(7, anchor=True), keep=3) == (f"{0:016x}", f"{3:016x}")
    assert [int(e.record.run_id, 16) for e in store.all() if e.anchor] == [7]


def test_a_run_counts_once_however_often_it_is_accepted(tmp_path: Path) -> None:
    store = Baselines(tmp_path)
    for _ in range(3):
        store.accept(baseline(1))
    assert len(store.all()) == 1
    assert store.all()[0].anchor


def test_a_record_comes_back_from_the_disk_as_it_was(tmp_path: Path) -> None:
    store, new = Baselines(tmp_path), baseline(2)
    store.accept(new)
    (back,) = store.all()
    for part, other in zip(back.record.parts, new.record.parts, strict=True):
        assert part.response.quantile(0.95) == other.response.quantile(0.95)
        assert part.response.good.curve() == other.response.good.curve()
    assert (back.reason, back.by, back.record.key) == ("good", "me", KEY)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda _: '{"schema": "something/1"}',
        lambda text: text.replace('"n":[', '"n":[7,', 1),
        lambda text: re.sub(r'"min":0\.(\d)', lambda m: f'"min":0.{9 - int(m[1])}', text, count=1),
        lambda _: "\x00\xff",
        lambda _: "[" * 100_000,
    ],
)
def test_a_damaged_baseline_is_named_with_its_cure(tmp_path: Path, damage: object) -> None:
    store = Baselines(tmp_path)
    store.accept(baseline(1))
    (path,) = tmp_path.glob("*.json")
    path.write_text(damage(path.read_text("utf-8")), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=rf"{path.name} is damaged \(.+\); restore it"):
        store.all()


def test_reports_that_are_not_whole_are_no_baseline(tmp_path: Path) -> None:
    record = made_record(random.Random(1), samples=30)
    folder = made_reports(tmp_path / "r", record)
    assert read_record(folder).run_id == record.run_id
    (folder / "summary.json").write_text('{"run_id": "other", "verdict": "passed"}', "utf-8")
    with pytest.raises(IntegrityError, match="another run"):
        read_record(folder)
    (folder / "summary.json").unlink()
    with pytest.raises(IntegrityError, match=r"summary\.json is missing"):
        read_record(folder)
    with pytest.raises(UsageError, match="no folder of load test reports"):
        read_record(tmp_path)


def test_a_run_writes_what_a_comparison_reads(tmp_path: Path) -> None:
    job = made_job(tmp_path)
    report = made_report(job)
    assert write_reports(report, tmp_path / "out") == ""
    record = read_record(tmp_path / "out")
    assert record.to_plain() == json.loads(json.dumps(record_of(report).to_plain()))
    checkout = record.find("checkout")
    assert checkout is not None
    assert checkout.arrivals == report.journeys[0].tally.arrivals
    assert record.find("search") is None  # in two journeys
    assert record.find("browse/search") is not None


@pytest.mark.parametrize("name", ["release", "a b", "../../etc", "ä", ".", "x" * 300])
def test_any_name_of_a_test_is_a_folder_of_its_own(name: str) -> None:
    folder = default_folder(name)
    assert folder.parent.name == "baselines"
    assert folder.resolve().parent == folder.parent.resolve()
    assert len(folder.name) <= 100
    assert folder != default_folder(name + "!")


def test_the_key_is_the_same_in_every_process_and_moves_with_what_matters(tmp_path: Path) -> None:
    job = made_job(tmp_path)
    ours = key_of(job, 1, {"sre": "1"})
    program = (
        "import sys; from pathlib import Path; from sre.loadtest.history.key import *; "
        "from tests.unit.loadtest.made import made_job; "
        f"print(digest(key_of(made_job(Path({str(tmp_path)!r})), 1, {{'sre': '1'}})))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed, "PATH": ""},
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert done.stdout.strip() == digest(ours)
    for other, part in (
        (replace(job, test=replace(job.test, seed=2)), "seed: 1 before, 2 now"),
        (replace(job, test=replace(job.test, arrivals="poisson")), "arrivals: uniform before"),
        (replace(job, shop=replace(job.shop, environment="test")), "environment: staging"),
    ):
        assert any(part in words for words in differences(key_of(other, 1, {"sre": "1"}), ours))
    assert differences(key_of(job, 2, {"sre": "1"}), ours) == ["workers: 1 before, 2 now"]
    same = replace(job.journeys["browse"], every=5.0)
    probed = replace(job, journeys={**job.journeys, "browse": same})
    assert key_of(probed, 1, {"sre": "1"}) == ours
    changed = replace(job.journeys["browse"], timeout=5.0)
    slower = replace(job, journeys={**job.journeys, "browse": changed})
    assert differences(key_of(slower, 1, {"sre": "1"}), ours) == ["journey browse was changed"]


def test_baselines_of_another_place_are_set_aside() -> None:
    found = [baseline(number) for number in range(3)]
    elsewhere = replace(found[1], record=replace(found[1].record, key=KEY | {"cpu": "EPYC"}))
    same, differing = comparable([found[0], elsewhere], KEY)
    assert same == (found[0],)
    assert differing == ["cpu: EPYC before, Xeon now"]
    assert comparable([elsewhere], KEY, leave_out=("cpu",))[0] == (elsewhere,)


def test_the_other_build_gets_everything_that_was_meant_for_the_shop(tmp_path: Path) -> None:
    job = made_job(tmp_path)
    text = (tmp_path / "sre.yaml").read_text("utf-8")
    base = "http://127.0.0.1:18080"
    text = text.replace("get: /}", f'get: "{base}/x?next={base}0/y"}}')
    (tmp_path / "sre.yaml").write_text(text, encoding="utf-8")
    from sre.settings import load_settings

    found = load_settings(tmp_path / "sre.yaml")
    job = replace(job, journeys=found.journeys)
    other = moved(job, "http://127.0.0.1:9/v2/")
    front = other.journeys["browse"].steps[1].url
    assert front.text == f"http://127.0.0.1:9/v2/x?next={base}0/y"  # :180800 is another port
    assert front.parts == (front.text,)
    assert other.shop.base_url == "http://127.0.0.1:9/v2/"
    assert key_of(other, 1, {}) == key_of(job, 1, {})
    assert [order(pair)[0] for pair in range(4)] == ["baseline", "candidate"] * 2
    assert [seeded(job, pair).test.seed for pair in range(3)] == [1, 2, 3]


def calibrated(tmp_path: Path, sd: float) -> tuple[Facts, FakeClock, dict[str, str]]:
    rng, clock = random.Random(1), FakeClock()
    records: list[Record] = [made_record(rng, sd=sd, number=n, samples=100) for n in range(10)]
    facts = Facts(tmp_path, clock)
    store_calibration("release", KEY, measured(records, RULE.metrics), facts)
    return facts, clock, dict(KEY)


def test_a_gate_below_the_noise_does_not_arm(tmp_path: Path) -> None:
    facts, clock, key = calibrated(tmp_path, 0.1)
    known = read_calibration("release", facts)
    with pytest.raises(UsageError, match=r"worse_than 10 % of checkout\.response\.p95 is below"):
        check_noise(RULE, known, key, (Design.HISTORY, 5), clock, print)
    coarse = replace(RULE, worse_than=0.9)  # type: ignore[arg-type]
    check_noise(coarse, known, key, (Design.HISTORY, 5), clock, print)
    check_noise(RULE, known, key, (Design.PAIRS, 100), clock, print)


def test_a_calibration_of_another_place_or_time_is_said_and_not_used(tmp_path: Path) -> None:
    facts, clock, key = calibrated(tmp_path, 0.1)
    known, notes = read_calibration("release", facts), list[str]()
    check_noise(RULE, known, key | {"cpu": "EPYC"}, (Design.HISTORY, 5), clock, notes.append)
    assert "cpu: Xeon before, EPYC now" in notes[0]
    clock.advance(31 * 86400)
    check_noise(RULE, known, key, (Design.HISTORY, 5), clock, notes.append)
    assert "old" in notes[1]
    assert read_calibration("other", facts) is None
    path = tmp_path / "facts" / "loadtest" / "calibration" / "release.json"
    path.write_text(path.read_text("utf-8").replace('"sd"', '"sdx"'), encoding="utf-8")
    with pytest.raises(IntegrityError, match="sre loadtest calibrate release"):
        read_calibration("release", facts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checkout.response.p42", "expected one of p50"),
        ("checkout", "expected NAME.response.p95"),
        ("checkout.p95", "expected NAME.response.p95"),
        (".failed", "expected NAME.response.p95"),
        ("", "expected NAME.response.p95"),
    ],
)
def test_a_metric_that_is_none_is_told_so(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_metric(text)
