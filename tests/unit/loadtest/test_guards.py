"""Is what nobody can have meant refused, and what does harm stopped, and nothing else?"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sre.core.clock import FakeClock
from sre.core.errors import Refused
from sre.loadtest.guards.caps import caps_of, closed_now, excesses
from sre.loadtest.guards.preflight import clear, kill_files, planned
from sre.loadtest.guards.window import Daily
from sre.loadtest.job import Job
from sre.settings import load_settings
from tests.unit.loadtest.made import RELEASE, made_job

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()


def live(folder: Path, release: str, *, sandbox: bool = True) -> Job:
    """A load test of a shop in production."""
    job = made_job(folder, release)
    if sandbox:
        path = folder / "sre.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("post: /pay}", "post: /pay, sandbox: true}"), encoding="utf-8")
        job = replace(job, journeys=load_settings(path).journeys)
    return replace(job, shop=replace(job.shop, environment="production"))


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (
            "{mix: {browse: 1500/s}, stages: [{hold: 10s}]}",
            "would send 3000/s at its peak; the cap is 2000/s. If it is meant, write "
            "caps: {requests: 3000/s}",
        ),
        (
            "{mix: {browse: 100/s}, stages: [{hold: 5s}, {step: 2000%, hold: 5s}]}",
            "would send 4000/s",
        ),
        ("{mix: {browse: 1/h}, stages: [{hold: 13h}]}", "write caps: {duration: 46800s}"),
        (
            "{mix: {checkout: 100/s}, arrivals: uniform, stages: [{hold: 2000s}]}",
            "would place 200000 orders; the cap is 100000. If it is meant, write "
            "caps: {orders: 200000}",
        ),
        ("{mix: {browse: 900000000/s}, stages: [{hold: 10s}]}", "would send 1800000000/s"),
        ("{mix: {browse: 1/s}, stages: [{hold: 99999999h}]}", "would last 99999999 h"),
        (
            "{mix: {checkout: 1/s}, stages: [{hold: 9000000h}], caps: {duration: 9000000h}}",
            "would place 32400000000 orders",
        ),
    ],
)
def test_an_accident_trips_the_caps(tmp_path: Path, release: str, words: str) -> None:
    job = made_job(tmp_path, release)
    (found,) = excesses(job)
    assert words in found
    cure = re.search(r"caps: (\{.*\})", found)
    assert cure is not None
    given = release.replace("caps: {", f"caps: {cure[1][:-1]}, ")
    if given == release:
        given = release[:-1] + f", caps: {cure[1]}}}"
    declared = made_job(tmp_path, given)
    assert excesses(declared) == []  # what it says to write is what it takes
    with pytest.raises(Refused, match="write caps"):
        clear(job, production=False)


def test_nobody_trips_over_the_caps_by_an_ordinary_test(tmp_path: Path) -> None:
    assert excesses(made_job(tmp_path)) == []
    for profile in ("smoke", "baseline", "peak", "singles_day", "soak"):
        job = made_job(tmp_path, f"{{mix: {{browse: 20/s, checkout: 2/s}}, profile: {profile}}}")
        assert excesses(job) == []


def test_production_has_lower_caps(tmp_path: Path) -> None:
    job = live(tmp_path, RELEASE)
    assert {cap.key: cap.limit for cap in caps_of(job)} == {
        "requests": 50.0,
        "duration": 1800.0,
        "orders": 100.0,
    }
    (found,) = excesses(job)
    assert "138/s at its peak; the cap on production is 50/s" in found
    small = live(tmp_path, "{mix: {checkout: 1/s}, arrivals: uniform, stages: [{hold: 2m}]}")
    (found,) = excesses(small)
    assert "would place 120 orders; the cap on production is 100" in found


def test_repeats_count_as_requests(tmp_path: Path) -> None:
    path = tmp_path / "sre.yaml"
    path.write_text(
        'version: 1\nshop: {name: t, base_url: "http://127.0.0.1:1", environment: test}\n'
        "fragments: {look: [{name: page, get: /, repeat: 2..4, pause: {median: 1s, p95: 3s}}]}\n"
        "journeys: {home: {steps: [{name: front, get: /}, {use: look, repeat: 2}]}}\n"
        "loadtests: {release: {mix: {home: 10/s}, arrivals: uniform, stages: [{hold: 10s}]}}\n",
        encoding="utf-8",
    )
    found = load_settings(path)
    job = Job("release", found.loadtests["release"], found.journeys, found.shop, found.targets)
    assert job.requests == 100 * (1 + 2 * 3)
    assert job.peak_requests == pytest.approx(70)
    assert job.drain == pytest.approx(30 + 10 + 2 * 4 * 10 + 1)  # the longest pauses there can be


def test_what_a_closed_model_will_send_nobody_knows(tmp_path: Path) -> None:
    job = made_job(tmp_path, "{users: 50, stages: [{hold: 10s}]}")
    assert [cap.used for cap in caps_of(job)] == [None, 10.0, None]
    assert excesses(job) == []


@pytest.mark.parametrize(
    ("window", "at", "left"),
    [
        ("02:00..05:00 UTC", "01:59:59", 0),
        ("02:00..05:00 UTC", "02:00:00", 3 * 3600),
        ("02:00..05:00 UTC", "04:59:59", 1),
        ("02:00..05:00 UTC", "05:00:00", 0),
        ("22:00..04:00 UTC", "23:00:00", 5 * 3600),
        ("22:00..04:00 UTC", "03:00:00", 3600),
        ("22:00..04:00 UTC", "12:00:00", 0),
        ("13:00..14:00 Europe/Berlin", "12:30:00", 1800),
        ("02:00..05:00 Asia/Kolkata", "21:00:00", 2.5 * 3600),
    ],
)
def test_hours_of_the_day(window: str, at: str, left: float) -> None:
    now = datetime.fromisoformat(f"2026-11-22T{at}+00:00").timestamp()
    assert Daily.parse(window).left(now) == left


def test_a_night_in_which_the_clocks_change_is_as_long_as_it_is() -> None:
    zone = ZoneInfo("Europe/Berlin")
    window = Daily.parse("01:00..05:00 Europe/Berlin")
    spring = datetime(2026, 3, 29, 1, 0, tzinfo=zone).timestamp()
    autumn = datetime(2026, 10, 25, 1, 0, tzinfo=zone).timestamp()
    assert (window.left(spring), window.left(autumn)) == (3 * 3600, 5 * 3600)


NOT_HOURS = [
    "2..5", "02:00..05:00", "25:00..26:00 UTC", "02:00..02:00 UTC", "02:00..05:00 Mars/Olympus",
    "02:00..05:00 ../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_HOURS)
def test_hours_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(ValueError, match="Europe/Berlin"):
        Daily.parse(text)


def test_a_run_lies_in_its_hours_as_a_whole(tmp_path: Path) -> None:
    job = made_job(
        tmp_path,
        '{mix: {browse: 1/s}, stages: [{hold: 5m}], caps: {only_between: "12:00..12:10 UTC"}}',
    )
    assert closed_now(job, now=NOON) == []
    assert "it is 11:59 there" in closed_now(job, now=NOON - 30)[0]
    assert "only 4 m 00 s are left of 12:00..12:10 UTC" in closed_now(job, now=NOON + 360)[0]
    clear(job, production=False, clock=FakeClock(NOON))
    with pytest.raises(Refused, match="may run only between"):
        clear(job, production=False, clock=FakeClock(NOON + 3600))
    planned(job)  # a plan may be made at any hour


def test_a_kill_file_keeps_every_run_from_starting(tmp_path: Path) -> None:
    job = made_job(tmp_path)
    job = replace(job, test=replace(job.test, kill_file=str(tmp_path / "stop-load")))
    stops = kill_files(job, tmp_path / "out")
    assert stops == [tmp_path / "stop-load", tmp_path / "out" / "STOP"]
    clear(job, production=False, stops=stops)
    for path in stops:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        with pytest.raises(Refused, match=re.escape(f"the kill file {path} exists")):
            clear(job, production=False, stops=stops)
        path.unlink()


def test_orders_on_production_are_a_sandbox_s_or_none(tmp_path: Path) -> None:
    small = "{mix: {checkout: 1/min, browse: 1/s}, stages: [{hold: 1m}]}"
    with pytest.raises(Refused, match="--i-know-this-is-production"):
        clear(live(tmp_path, small), production=False)
    with pytest.raises(Refused, match=r"'checkout' places orders on production: mark its payment"):
        clear(live(tmp_path, small, sandbox=False), production=True)
    with pytest.raises(Refused, match="mark its payment"):
        planned(live(tmp_path, small, sandbox=False))
    clear(live(tmp_path, small), production=True)
    clear(
        live(tmp_path, "{mix: {browse: 1/s}, stages: [{hold: 1m}]}", sandbox=False), production=True
    )
    clear(made_job(tmp_path, small), production=False)  # staging pays as it likes
