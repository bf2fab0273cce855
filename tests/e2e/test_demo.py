"""Does `sre demo` show what it promises, and does a new user's first hour work beside it?"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.servers.net import wait_until

pytestmark = pytest.mark.quiet

SRE = [sys.executable, "-m", "sre"]
INVALID = 3


def sre(*words: str, cwd: Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [*SRE, *words], cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
    )


class Held:
    """A running `sre demo --hold` in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "hold.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*SRE, "demo", "--hold"], cwd=folder, stdout=log, stderr=log, start_new_session=True
            )

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return "stays up" in self.log.read_text()

    def sre(self, *words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        return sre(*words, "--config", ".sre-demo/sre.yaml", cwd=self.folder, seconds=seconds)

    def probe(self, name: str) -> tuple[int, dict[str, Any]]:
        done = self.sre("probe", "run", name, "--format", "json")
        return done.returncode, json.loads(done.stdout)["results"][0]

    def fault(self, name: str, state: str) -> None:
        done = sre("demo", "fault", name, state, cwd=self.folder)
        assert done.returncode == 0, done.stderr

    def mend_the_books(self) -> None:
        """Take back what load tests sold: the tests that follow find a shop in order."""
        dsn = (self.folder / ".sre-demo" / "secrets" / "orders-dsn").read_text().strip()
        with psycopg.connect(dsn, autocommit=True) as database:
            database.execute(
                "update orders set state = 'cancelled' "
                "where run is not null and state in ('placed', 'paid')"
            )
            database.execute("update products set stock = initial_stock")

    def gate(self, name: str = "release") -> subprocess.CompletedProcess[str]:
        """A load test; a run that the machine spoilt (exit 3) is tried again, as CI would."""
        for _ in range(3):
            done = self.sre("loadtest", "run", name, "--out", "gate")
            if done.returncode != INVALID:
                break
        return done


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    demo = Held(tmp_path_factory.mktemp("held"))
    try:
        wait_until(demo.ready, 60, "sre demo --hold is up")
        yield demo
    finally:
        demo.process.send_signal(signal.SIGTERM)
        demo.process.wait(20)


def test_a_probe_shows_the_phases_of_each_step(held: Held) -> None:
    code, result = held.probe("checkout")
    assert code == 0
    assert result["outcome"] == "ok"
    assert {"home", "product", "payment", "order"} <= {step["step"] for step in result["steps"]}
    first = result["steps"][0]
    assert first["phases"].keys() == {"connect", "processing", "transfer"}
    assert sum(first["phases"].values()) == pytest.approx(first["seconds"], abs=0.005)


def test_a_fault_is_named_by_step_and_reason(held: Held) -> None:
    held.fault("payment", "on")
    try:
        code, result = held.probe("checkout")
    finally:
        held.fault("payment", "off")
    assert code == 1
    assert result["steps"][-1]["step"] == "payment"
    assert result["steps"][-1]["reason"] == "status"
    assert result["outcome"] == "failed"


def test_the_gate_passes_a_healthy_shop(held: Held) -> None:
    done = held.gate()
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((held.folder / "gate" / "summary.json").read_text())
    assert summary["verdict"] == "passed"
    assert all(journey["ok"] > 0 for journey in summary["journeys"].values())


def test_the_gate_stops_a_slow_shop(held: Held) -> None:
    held.fault("latency", "on")
    try:
        done = held.gate()
    finally:
        held.fault("latency", "off")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "checkout.response.p95" in done.stdout


def test_the_oversell_race_is_fast_and_is_caught_by_the_books_alone(held: Held) -> None:
    right = held.gate("scarce")
    assert right.returncode == 0, right.stdout + right.stderr
    held.fault("oversell", "on")
    try:
        wrong = held.gate("scarce")
    finally:
        held.fault("oversell", "off")
        held.mend_the_books()
    assert wrong.returncode == 1, wrong.stdout + wrong.stderr
    assert "invariant nothing_oversold: found" in wrong.stdout
    summary = json.loads((held.folder / "gate" / "summary.json").read_text())
    assert [t["expression"] for t in summary["thresholds"] if t["passed"] is not True] == []
    broken = [row["name"] for row in summary["invariants"] if row["passed"] is not True]
    assert broken == ["nothing_oversold"]
    assert [reason for reason in summary["reasons"] if "nothing_oversold" not in reason] == []


def test_a_backup_of_the_held_shop_restores(held: Held) -> None:
    assert held.sre("backup", "run", "orders").returncode == 0
    done = held.sre("backup", "verify", "orders", "--level", "3", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"] is True


def test_a_second_demo_in_the_same_folder_is_locked_out(held: Held) -> None:
    done = sre("demo", "--once", cwd=held.folder)
    assert done.returncode == 6
    assert "lock" in done.stderr


def test_the_fault_token_stands_nowhere_that_others_see(held: Held) -> None:
    token = json.loads((held.folder / ".sre-demo" / "demo.json").read_text())["fault_token"]
    assert (held.folder / ".sre-demo" / "demo.json").stat().st_mode & 0o077 == 0
    assert token not in held.log.read_text()
    assert token not in (held.folder / ".sre-demo" / "sre.yaml").read_text()
    lines = [
        (Path(entry.path) / "cmdline").read_bytes()
        for entry in os.scandir("/proc")
        if entry.name.isdigit() and (Path(entry.path) / "cmdline").exists()
    ]
    assert not any(token.encode() in line for line in lines)


def test_a_fault_needs_a_running_demo(tmp_path: Path) -> None:
    done = sre("demo", "fault", "payment", "on", cwd=tmp_path)
    assert done.returncode == 2
    assert "no demo runs in .sre-demo" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_everything(tmp_path: Path, number: signal.Signals, code: int) -> None:
    demo = Held(tmp_path)
    wait_until(demo.ready, 60, "sre demo --hold is up")
    state = json.loads((tmp_path / ".sre-demo" / "demo.json").read_text())
    demo.process.send_signal(number)
    assert demo.process.wait(20) == code
    assert "cleaned up" in demo.log.read_text()
    left = {path.name for path in (tmp_path / ".sre-demo").iterdir()}
    assert not left & {"demo.json", "keys", "secrets", "state", "s3"}
    with pytest.raises(OSError, match="refused"):
        _connect(state["url"])


def _connect(url: str) -> None:
    parts = urlsplit(url)
    socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2).close()
