"""Does `sre ledger` keep its exit codes, its secrets, and a record that nothing breaks?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline
from sre.core.errors import Transient
from sre.core.secrets import Secret
from sre.sql.ledger.model import Plan
from sre.sql.ledger.process import LedgerProcess
from tests.servers.net import free_port, wait_until
from tests.servers.redis import running_redis

ROOT = Path(__file__).parents[2]
SECRET = "canary-4711-word"


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("ledger-cli"), password=SECRET) as server:
        yield f"redis://:{SECRET}@127.0.0.1:{server.port}/0"


def environment(dsn: str) -> dict[str, str]:
    return {**os.environ, "FRONT": dsn, "PYTHONPATH": str(ROOT)}


def argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "sre", "ledger", *words]


def sre(dsn: str, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(*words), capture_output=True, text=True, env=environment(dsn), timeout=60,
        check=False, **more,
    )  # fmt: skip


def begun(dsn: str, out: Path, *words: str) -> subprocess.Popen[str]:
    """A ledger that has acknowledged something."""
    wanted = argv("write", "--dsn", "${env:FRONT}", "--out", str(out), *words)
    process = subprocess.Popen(
        wanted, env=environment(dsn), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_until(lambda: b"\na " in (out / "writes.log").read_bytes(), 20, "the first write")
    return process


def test_write_verify_and_remove(dsn: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    wrote = sre(
        dsn, "write", "--dsn", "${env:FRONT}", "--out", out, "--for", "1s", "--format", "json"
    )
    assert (wrote.returncode, wrote.stderr) == (0, "")
    summary = json.loads(wrote.stdout)
    assert (summary["acknowledged"], summary["read_back"], summary["lost"]) == (200, False, None)
    read = sre(dsn, "verify", out, "--format", "json", "--remove", "--since", "2020-01-01")
    assert (read.returncode, read.stderr) == (0, "")
    found = json.loads(read.stdout)
    kept = ("schema", "acknowledged", "lost", "ambiguous", "unexpected", "read_back")
    assert [found[key] for key in kept] == ["sre.ledger/1", 200, 0, 0, 0, True]
    assert 0 < found["longest_gap_seconds"] < 1
    assert found["gap_since"] == found["longest_gap"]
    gone = sre(dsn, "verify", out, "--format", "json")
    assert (gone.returncode, json.loads(gone.stdout)["lost"]) == (1, 200)
    again = sre(dsn, "write", "--dsn", "${env:FRONT}", "--out", out)
    assert (again.returncode, "already holds a ledger" in again.stderr) == (2, True)
    everything = wrote.stdout + read.stdout + gone.stdout + again.stderr
    record = (tmp_path / "out/writes.log").read_text()
    assert SECRET not in everything + record
    assert "${env:FRONT}" in record


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
@pytest.mark.parametrize("meant", [True, False], ids=["expected", "unexpected"])
def test_a_signal_ends_it_with_a_summary(
    dsn: str, tmp_path: Path, number: signal.Signals, meant: bool
) -> None:
    process = begun(dsn, tmp_path / "out", *(["--until-signal"] if meant else []))
    process.send_signal(number)
    told, errors = process.communicate(timeout=20)
    code = 143 if number == signal.SIGTERM else 130
    assert (process.returncode, "acknowledged" in told) == (0 if meant else code, True)
    assert bool(errors) is not meant
    assert sre(dsn, "verify", str(tmp_path / "out")).returncode == 0


def test_killed_at_any_moment_it_leaves_a_record_that_can_be_judged(
    dsn: str, tmp_path: Path
) -> None:
    for attempt in range(4):
        out = tmp_path / str(attempt)
        process = begun(dsn, out, "--rate", "max", "--writers", "4")
        time.sleep(0.03 * attempt)
        process.kill()
        process.communicate(timeout=10)
        read = sre(dsn, "verify", str(out), "--format", "json")
        found = json.loads(read.stdout)
        assert (read.returncode, found["lost"], found["unexpected"]) == (0, 0, 0)
        assert found["ambiguous"] <= 4
        assert found["acknowledged"] > 0
        assert found["rows_read"] == found["acknowledged"] + found["recovered"]
        assert found["ended_in_order"] is False


def test_what_cannot_be_read_back_is_unknown(dsn: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = begun(dsn, out, "--until-signal")
    process.terminate()
    process.communicate(timeout=20)
    nobody = f"redis://:{SECRET}@127.0.0.1:{free_port()}/0"
    read = sre(nobody, "verify", str(out), "--within", "300ms", "--format", "json")
    found = json.loads(read.stdout)
    assert (read.returncode, found["read_back"], found["lost"]) == (8, False, None)
    assert "refused" in found["unread"]
    wrong = sre(dsn.replace(SECRET, "other"), "verify", str(out), "--within", "30s")
    assert (wrong.returncode, "other" in wrong.stdout + wrong.stderr) == (8, False)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["write", "--dsn", "redis://:word@h/0", "--out", "x"], 2, "${env:NAME}"),
        (["write", "--dsn", "${env:NO_SUCH}", "--out", "x"], 2, "NO_SUCH"),
        (["write", "--out", "x"], 2, "--dsn"),
        (["write", "--dsn", "${env:FRONT}", "--out", "x", "--rate", "often"], 2, "rate"),
        (["write", "--dsn", "${env:FRONT}", "--out", "x", "--table", "a b"], 2, "table"),
        (["write", "--dsn", "redis://127.0.0.1:1/0", "--out", "x"], 4, "refused"),
        (["verify", "nowhere"], 2, "no ledger"),
    ],
    ids=["password", "unset", "nothing", "rate", "table", "unreachable", "no-record"],
)
def test_wrong_calls(dsn: str, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    done = sre(dsn, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_dry_run_changes_nothing(dsn: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = sre(dsn, "write", "--dsn", "${env:FRONT}", "--out", str(out), "--dry-run")
    assert (done.returncode, out.exists()) == (0, False)
    assert "200 writes a second" in done.stdout


def test_the_front_door_of_a_cluster_is_taken_from_the_declaration(
    dsn: str, tmp_path: Path
) -> None:
    (tmp_path / "sre.yaml").write_text(
        "version: 1\nshop: {name: s, base_url: 'http://127.0.0.1:9', environment: staging}\n"
    )
    done = sre(dsn, "write", "orders", "--out", "o", cwd=tmp_path)
    assert (done.returncode, "no cluster 'orders'" in done.stderr) == (2, True)


def test_a_ledger_of_its_own_process_says_why_it_ended(dsn: str, tmp_path: Path) -> None:
    closed = LedgerProcess(
        Secret.literal(f"redis://:{SECRET}@127.0.0.1:{free_port()}/0"), tmp_path / "a", Plan()
    )
    with pytest.raises(Transient, match="refused") as caught, closed:
        closed.ready(Deadline.after(20))
    assert SECRET not in str(caught.value)
    plan = Plan(writers=2, rate=None, table="other", deadline=0.75)
    with LedgerProcess(Secret.literal(dsn), tmp_path / "b", plan, cluster="orders") as ledger:
        ledger.ready(Deadline.after(20))
        assert SECRET not in Path(f"/proc/{ledger.pid}/cmdline").read_text()
    found = ledger.verify(Deadline.after(20))
    assert (found.good, found.head.cluster, found.head.table) == (True, "orders", "other")
    assert found.head.rate is None
    with LedgerProcess(Secret.literal(dsn), tmp_path / "c", plan) as ledger:
        ledger.ready(Deadline.after(20))
        os.kill(ledger.pid, signal.SIGKILL)
        with pytest.raises(Transient, match="did not end in order"):
            ledger.stop()
    assert ledger.verify(Deadline.after(20)).good is True


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
def test_a_full_disk_stops_it_and_nothing_counts_that_is_not_on_record(
    dsn: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    try:
        out = str(disk / "out")
        done = sre(dsn, "write", "--dsn", "${env:FRONT}", "--out", out, "--rate", "max")
        assert (done.returncode, "No space left" in done.stderr) == (4, True)
        assert "acknowledged" in done.stdout
        read = sre(dsn, "verify", out, "--format", "json")
        found = json.loads(read.stdout)
        assert (read.returncode, found["lost"], found["unexpected"]) == (0, 0, 0)
        assert found["acknowledged"] > 100
        assert found["ambiguous"] <= 8
        assert found["damaged_lines"] == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
