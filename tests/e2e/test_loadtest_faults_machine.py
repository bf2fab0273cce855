"""When the machine under a load test misbehaves, or somebody stops it, is the word still true?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sre.core.clock import SystemClock
from sre.loadtest.gate import judged_run
from sre.loadtest.job import Job
from sre.settings import load_settings
from tests.e2e.loadtest_gate import HOLD, Gate
from tests.servers.freeze import FreezeServer
from tests.servers.hostile import Hostile
from tests.servers.net import wait_until

pytestmark = [pytest.mark.alone, pytest.mark.locust, pytest.mark.timeout(120)]

FRONT = "{home: {timeout: 3s, steps: [{name: front, get: %s, timeout: 2s}]}}"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, tmp_path / "out")


def whole_reports(gate: Gate) -> None:
    """What CI reads is there, and nothing is half written."""
    assert {"summary.json", "junit.xml", "report.html"} <= gate.files
    assert [name for name in gate.files if name.startswith(".")] == []


@pytest.mark.skipif(not shutil.which("prlimit"), reason="needs prlimit")
def test_running_out_of_descriptors_is_our_own_fault_and_no_verdict(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    gate.declare(
        hostile_freeze.url,
        f"mix: {{home: 60/s}}, {HOLD % '3s'}, thresholds: [home.failed < 1%]",
        "{home: {timeout: 20s, steps: [{name: front, get: /, timeout: 10s}]}}",
    )
    hostile_freeze.freeze(6.0, after=0.0)
    code, said, complained = gate.run(before=("prlimit", "--nofile=64:64"))
    assert code == 3, said + complained
    assert {"file_descriptors", "prober"} & gate.doubts
    assert "ulimit" in said


@pytest.mark.long
def test_a_frozen_shop_does_not_make_the_generator_grow(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    gate.declare(
        hostile_freeze.url,
        f"mix: {{home: 200/s}}, {HOLD % '8s'}, max_in_flight: 50, thresholds: [home.failed < 1%]",
        "{home: {timeout: 30s, steps: [{name: front, get: /, timeout: 20s}]}}",
    )
    hostile_freeze.freeze(60.0, after=0.0)
    with gate.start() as process:
        wait_until(lambda: psutil.Process(process.pid).children(), 20, "the worker")
        worker = psutil.Process(process.pid).children()[0]
        wait_until(lambda: hostile_freeze.connections() >= 50, 30, "all that may be in flight")
        before = worker.memory_info().rss
        time.sleep(5.0)
        after = worker.memory_info().rss
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert after - before < 20 * 2**20
    assert hostile_freeze.connections() == 50
    seen = gate.summary["journeys"]["home"]
    assert seen["arrivals"] == seen["started"] + seen["dropped"]
    assert seen["started"] == 50


def test_sigterm_before_the_workers_are_ready_is_reported(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    gate.declare(hostile_freeze.url, f"mix: {{home: 20/s}}, {HOLD % '60s'}")
    with gate.start() as process:
        wait_until(lambda: psutil.Process(process.pid).children(), 20, "a worker")
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 143, complained
    assert said.startswith("ABORTED")
    whole_reports(gate)
    assert hostile_freeze.served() == []


def test_a_second_sigterm_during_the_drain_ends_it_at_once(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    journeys = "{home: {timeout: 60s, steps: [{name: front, get: /, timeout: 60s}]}}"
    gate.declare(hostile_freeze.url, f"mix: {{home: 10/s}}, {HOLD % '3s'}", journeys)
    hostile_freeze.freeze(120.0, after=1.0)
    with gate.start() as process:
        wait_until(lambda: hostile_freeze.served(), 30, "a customer")
        time.sleep(4.0)  # all have come; the drain would take a minute
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 143, complained
    assert time.monotonic() - asked < 4
    assert said.startswith("ABORTED")
    whole_reports(gate)


def test_sigterm_while_the_reports_are_written_waits_for_them(
    gate: Gate, hostile_freeze: FreezeServer
) -> None:
    test = f'mix: {{home: 10/s}}, {HOLD % "1s"}, thresholds: ["home.failed < 1%"]'
    gate.declare(hostile_freeze.url, test)
    seen = threading.Event()

    def strike(process: subprocess.Popen[str]) -> None:
        """As soon as the first report stands, the last does not."""
        while process.poll() is None:
            names = {path.name for path in gate.out.glob("*")} if gate.out.exists() else set()
            if any(name.endswith((".csv", ".html")) for name in names):
                if "summary.json" not in names:
                    process.send_signal(signal.SIGTERM)
                    seen.set()
                return
            time.sleep(0.0005)

    for _ in range(3):
        with gate.start() as process:
            striker = threading.Thread(target=strike, args=(process,))
            striker.start()
            said, complained = process.communicate(timeout=60)
            striker.join(5)
        if seen.is_set():
            break
        shutil.rmtree(gate.out)
    assert seen.is_set()
    assert process.returncode == 143, said + complained
    whole_reports(gate)
    assert gate.summary["journeys"]["home"]["ok"] == 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk that can be filled."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    with (disk / "fill").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)


@pytest.mark.parametrize("page", ["/", pytest.param("/status/503", marks=pytest.mark.long)])
def test_a_disk_that_fills_up_on_the_way_costs_the_pass_not_the_verdict(
    gate: Gate, hostile: Hostile, disk: Path, page: str
) -> None:
    """The workers' logs cannot be written either: they are told to say a lot."""
    gate.out = disk / "out"
    test = f'mix: {{home: 20/s}}, {HOLD % "3s"}, thresholds: ["home.failed < 1%"]'
    gate.declare(hostile.url, test, FRONT % page)
    with gate.start("--log-level", "debug") as process:
        wait_until(lambda: len(hostile.requests) > 5, 30, "customers")
        fill(disk)
        said, complained = process.communicate(timeout=60)
    passes = page == "/"
    assert process.returncode == (3 if passes else 1), said + complained
    assert said.startswith(("PASSED", "INVALID") if passes else "FAILED")
    assert "No space left on device" in complained
    assert len(hostile.requests) == 60
    assert "summary.json" not in gate.files
    assert [path for path in gate.out.iterdir() if path.name.startswith(".")] == []


def test_a_library_that_is_loaded_before_locust_does_no_harm(
    gate: Gate, hostile_freeze: FreezeServer, tmp_path: Path
) -> None:
    """`import requests` before Locust ends in a RecursionError elsewhere; a plug-in may do so."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "sitecustomize.py").write_text("import requests\n", encoding="utf-8")
    gate.declare(
        hostile_freeze.url, f"mix: {{home: 10/s}}, {HOLD % '1s'}, thresholds: [home.failed < 1%]"
    )
    code, said, complained = gate.run(PYTHONPATH=str(plugins))
    assert code in (0, 3), said + complained
    assert gate.summary["journeys"]["home"]["ok"] == 10 == len(hostile_freeze.served())
    assert "worker_lost" not in gate.doubts


class _Jumping(SystemClock):
    """The wall clock is set back a day, then on by two, while a run goes."""

    def __init__(self) -> None:
        self._asked = 0

    def wall(self) -> float:
        self._asked += 1
        return time.time() + (-86_400.0 if self._asked % 2 else 172_800.0)


def test_a_clock_that_is_set_changes_nothing_in_a_run(
    hostile_freeze: FreezeServer, gate: Gate
) -> None:
    gate.declare(hostile_freeze.url, f"mix: {{home: 20/s}}, {HOLD % '2s'}")
    found = load_settings(gate.folder / "sre.yaml")
    job = Job("gate", found.loadtests["gate"], found.journeys, found.shop, found.targets)
    gate.out.mkdir()
    report, ran = judged_run(job, gate.out, clock=_Jumping())
    assert ran.aborted is None
    assert report.facts.seconds < 10
    assert [part.tally.finished for part in report.journeys] == [40]
    assert len(hostile_freeze.served()) == 40
