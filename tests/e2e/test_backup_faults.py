"""What is left of a backup whose process, store or server dies in the middle?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.e2e.backup_scene import (
    COUNT,
    ROWS,
    assert_no_orphans,
    command_lines,
    good,
    lines_scene,
    lines_server,
    listed,
    s3_fields,
)
from tests.servers.faultproxy import FaultProxy
from tests.servers.net import free_port
from tests.servers.s3 import S3Server
from tests.unit.backup.setting import Scene, make_tar, shop_files

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def database() -> Iterator[EmbeddedPostgres]:
    with lines_server() as server:
        yield server


@pytest.fixture
def scene(
    database: EmbeddedPostgres, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    return lines_scene(database, s3_server, tmp_path, monkeypatch)


OFTEN = {("before-complete", "local"), ("after", "local"), ("before", "s3"), ("mid-volume", "s3")}
STAGES = ("before", "mid-volume", "before-complete", "before-manifest", "after")


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        pytest.param(stage, kind, marks=[] if (stage, kind) in OFTEN else [pytest.mark.long])
        for stage in STAGES
        for kind in ("s3", "local")
    ],
)
def test_killed_at_any_stage(scene: Scene, tmp_path: Path, stage: str, kind: str) -> None:
    """kill -9: never a listed backup that does not restore, and the next run succeeds."""
    if kind == "local":
        fields = {"kind": "local", "path": tmp_path / "store"}
        scene = Scene(scene.folder, scene.dsn, fields, scene.bin_dir, scene.volume)
        scene.write([COUNT % ROWS])
    first = good(scene.run("run", "orders", "--format", "json"))["id"]
    killed = scene.run("run", "orders", stage=stage)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    found = [each["id"] for each in listed(scene)]
    assert len(found) == (2 if stage == "after" else 1)
    assert found[0] == first
    for each in found:
        good(scene.run("verify", each, "--level", "1", "--format", "json"))
    third = good(scene.run("run", "orders", "--format", "json"))["id"]
    assert [each["id"] for each in listed(scene)] == [*found, third]
    level = "3" if stage in ("after", "before-complete") else "1"
    good(scene.run("verify", third, "--level", level, "--format", "json"))
    assert_no_orphans(scene)


@pytest.mark.parametrize(
    "how", ["refused", pytest.param("black hole", marks=pytest.mark.long), "503"]
)
def test_a_store_that_is_down(
    scene: Scene, s3_server: S3Server, fault_proxy: Any, tmp_path: Path, how: str
) -> None:
    """Exit 4 in bounded time, for every command."""
    good(scene.run("run", "orders", "--format", "json"))
    with contextlib.ExitStack() as stack:
        endpoint = f"http://127.0.0.1:{free_port()}"
        if how == "black hole":
            proxy: FaultProxy = fault_proxy(s3_server.port)
            proxy.drop()
            endpoint = f"http://127.0.0.1:{proxy.port}"
        elif how == "503":
            endpoint = stack.enter_context(always_503())
        fields = s3_fields(s3_server, endpoint, scene.store["prefix"]) | {"attempts": 2}
        down = Scene(scene.folder, scene.dsn, fields, scene.bin_dir, scene.volume)
        down.write()
        for command in (
            ("run", "orders"),
            ("list",),
            ("verify", "orders", "--level", "1"),
            ("restore", "orders", "--to", str(tmp_path / "out")),
        ):
            began = time.monotonic()
            done = down.run(*command)
            assert done.returncode == 4, (command, done.stderr)
            assert time.monotonic() - began < 25
            assert "store" in done.stderr
    assert not (tmp_path / "out").exists()


@contextlib.contextmanager
def always_503() -> Iterator[str]:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Busy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = b"<Error><Code>SlowDown</Code><Message>busy</Message></Error>"
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_store_that_goes_away_in_the_middle(
    scene: Scene, s3_server: S3Server, fault_proxy: Any
) -> None:
    proxy: FaultProxy = fault_proxy(s3_server.port)
    proxy.close_after(12 * 2**20, direction="up")
    fields = s3_fields(s3_server, f"http://127.0.0.1:{proxy.port}", scene.store["prefix"])
    flaky = Scene(scene.folder, scene.dsn, fields, scene.bin_dir, scene.volume)
    flaky.write()
    proxy.close_after(2 * 2**20, direction="up")  # no volume ever gets through
    assert flaky.run("run", "orders").returncode == 4
    scene.write()
    assert listed(scene) == []
    good(scene.run("run", "orders", "--format", "json"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 0", "too early"),
        ("cat {tar}; exit 1", "exit code 1"),
        ("cat {tar}; kill -9 $$", "signal 9"),
        ("head -c 2000000 {tar}; exit 0", "too early"),
        ("cat {tar} | head -c -30000; exit 0", "too early"),
    ],
)
def test_a_dumper_that_lies(scene: Scene, tmp_path: Path, script: str, words: str) -> None:
    """A fake pg_basebackup of the right version: no manifest, exit 1."""
    tar = make_tar(tmp_path / "db.tar", shop_files())
    real = Path(scene.bin_dir) / "pg_basebackup"
    fake = tmp_path / "bin" / "pg_basebackup"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real} --version\n{script.format(tar=tar)}\n'
    )
    fake.chmod(0o755)
    lying = Scene(scene.folder, scene.dsn, scene.store, str(fake.parent), scene.volume)
    lying.write(pg_basebackup=True)
    done = lying.run("run", "orders")
    assert done.returncode == 1, done.stderr
    assert words in done.stderr
    assert listed(lying) == []


def test_a_server_that_stops_while_it_is_copied(scene: Scene, tmp_path: Path) -> None:
    """The dumper sees it, and so do we."""
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(
                "create table big as select md5(i::text) t from generate_series(1, 900000) i"
            )
        dying = Scene(scene.folder, server.dsn, scene.store, str(server.bin_dir), scene.volume)
        dying.write()
        running = subprocess.Popen(
            dying.argv("run", "orders"),
            env=dying.environment, cwd=dying.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        pid = int((server.data_dir / "postmaster.pid").read_text().split()[0])
        deadline = time.monotonic() + 30
        while not any("sre.backup.seal" in line for line in command_lines(scene.folder)):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(pid, signal.SIGQUIT)
        _out, error = running.communicate(timeout=60)
    assert running.returncode == 1, error
    assert listed(dying) == []


def test_two_runs_at_once(scene: Scene) -> None:
    """The second is told who holds the lock: exit 6."""
    import fcntl

    lock = scene.folder / "state" / "locks" / "backup-run-orders"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = scene.run("run", "orders")
    assert done.returncode == 6, done.stderr


def test_a_terminated_run_cleans_up(scene: Scene, tmp_path: Path) -> None:
    """SIGTERM: exit 143, nothing running, nothing listed."""
    real = Path(scene.bin_dir) / "pg_basebackup"
    slow = tmp_path / "bin" / "pg_basebackup"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {real} --version\nexec sleep 600\n')
    slow.chmod(0o755)
    waiting = Scene(scene.folder, scene.dsn, scene.store, str(slow.parent), scene.volume)
    waiting.write(pg_basebackup=True)
    running = subprocess.Popen(
        waiting.argv("run", "orders"), env=waiting.environment, cwd=waiting.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not any("sre.backup.seal" in line for line in command_lines(scene.folder)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.terminate()
    _out, error = running.communicate(timeout=30)
    assert running.returncode == 143, error
    assert_no_orphans(scene)
    assert listed(waiting) == []


def test_a_killed_verification_leaves_nothing_for_long(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server dies with it; its folder goes with the next one."""
    with tempfile.TemporaryDirectory(prefix="sre-t-") as scratch:
        Path(scratch).chmod(0o755)
        monkeypatch.setenv("TMPDIR", scratch)
        scene.write(["{name: slow, sql: 'select 1 from pg_sleep(20)', equals: 1}"])
        good(scene.run("run", "orders", "--format", "json"))
        running = subprocess.Popen(
            scene.argv("verify", "orders", "--level", "3"), env=scene.environment,
            cwd=scene.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 40
        while not list(Path(scratch).glob("sre-verify-*/s/.s.PGSQL.5432")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.kill()
        running.wait(10)
        while any(f"{scratch}/sre-verify-" in line for line in command_lines()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        scene.write([COUNT % ROWS])
        good(scene.run("verify", "orders", "--level", "3", "--format", "json"))
        assert list(Path(scratch).glob("sre-verify-*")) == []


def test_killed_restores_leave_the_target_alone(scene: Scene, tmp_path: Path) -> None:
    good(scene.run("run", "orders", "--format", "json"))
    for _ in range(2):
        running = subprocess.Popen(
            scene.argv("restore", "orders", "--to", str(tmp_path / "out")),
            env=scene.environment, cwd=scene.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not any("restoring-" in path.name for path in tmp_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        running.kill()
        running.wait(10)
        assert not (tmp_path / "out").exists()
    good(scene.run("restore", "orders", "--to", str(tmp_path / "out"), "--format", "json"))
    assert [path.name for path in tmp_path.iterdir() if "restoring" in path.name] == []
