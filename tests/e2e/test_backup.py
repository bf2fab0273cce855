"""Does a real PostgreSQL come back from a real S3 server, by our commands and by hand?"""

from __future__ import annotations

import contextlib
import json
import os
import re
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
from tests.servers.child import program
from tests.servers.faultproxy import FaultProxy
from tests.servers.net import free_port
from tests.servers.s3 import S3Server
from tests.unit.backup.setting import Scene, make_tar, shop_files

pytestmark = pytest.mark.postgres

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "backup.md"
ROWS = 200_000
COUNT = "{name: rows, sql: 'select count(*) from lines', equals: %d}"


@pytest.fixture(scope="module")
def database() -> Iterator[EmbeddedPostgres]:
    """A server with some tens of megabytes that compress badly."""
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(
                "create table lines as select i as id, decode(md5(i::text) || md5((-i)::text) || "
                "md5(i || 'a') || md5(i || 'b'), 'hex') as noise "
                f"from generate_series(1, {ROWS}) i"
            )
        yield server


def s3_fields(server: S3Server, endpoint: str = "", prefix: str = "") -> dict[str, Any]:
    store = server.store(**({"prefix": prefix} if prefix else {}))
    return {
        "kind": "s3",
        "bucket": store.bucket,
        "prefix": store.prefix,
        "endpoint": endpoint or server.endpoint,
        "access_key": '"${env:S3_ACCESS}"',
        "secret_key": '"${env:S3_SECRET}"',
        "attempts": 3,
        "connect_timeout": "1s",
        "timeout": "2s",
        "part": "5MiB",
    }


@pytest.fixture
def scene(
    database: EmbeddedPostgres,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    monkeypatch.setenv("S3_ACCESS", s3_server.access_key)
    monkeypatch.setenv("S3_SECRET", s3_server.secret_key)
    bin_dir = str(database.bin_dir)
    made = Scene(tmp_path, database.dsn, s3_fields(s3_server), bin_dir, "8MiB")
    made.write([COUNT % ROWS])
    return made


def good(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def listed(scene: Scene) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = good(scene.run("list", "--format", "json"))["backups"]
    return found


def test_the_whole_way(scene: Scene, tmp_path: Path) -> None:
    """run, list, show, verify at each level, restore: what users and schedulers rely on."""
    metrics = tmp_path / "sre_backup.prom"
    ran = good(scene.run("run", "orders", "--format", "json", "--metrics-file", str(metrics)))
    assert ran["volumes"] >= 4
    assert 'sre_backup_last_exit_code{db="orders"} 0.0' in metrics.read_text()
    [entry] = listed(scene)
    assert entry["id"] == ran["id"]
    assert entry["verified"] is None
    assert 0 < entry["stored_bytes"] < entry["source_bytes"]
    for level, phases in (
        ("0", {"catalogue"}),
        ("1", {"catalogue", "download"}),
        ("3", {"catalogue", "restore", "check_files", "start", "invariants"}),
    ):
        found = good(scene.run("verify", "orders", "--level", level, "--format", "json"))
        assert found["schema"] == "sre.verification/1"
        assert (found["id"], found["passed"], found["problems"]) == (entry["id"], True, [])
        assert set(found["phases"]) == phases
        assert found["rpo_seconds"] > 0
    assert found["rto_seconds"] >= sum(found["phases"].values()) * 0.99
    assert found["invariants"] == [
        {"name": "rows", "value": ROWS, "expected": f"equals {ROWS}", "passed": True, "problem": ""}
    ]
    [entry] = listed(scene)
    assert entry["verified"]["level"] == 3
    assert entry["verified"]["rto_seconds"] == found["rto_seconds"]
    shown = good(scene.run("show", entry["id"], "--format", "json"))
    assert shown["manifest"]["dump"]["stop_lsn"]
    done = good(scene.run("restore", entry["id"], "--to", "restored", "--format", "json"))
    folder = tmp_path / "restored"
    assert done["folder"] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "PG_VERSION").exists()
    again = scene.run("restore", "orders", "--to", "restored")
    assert again.returncode == 5
    assert "not empty" in again.stderr


def test_text_for_people(scene: Scene) -> None:
    ran = scene.run("run", "orders")
    assert "restores to:" in ran.stdout, ran.stderr
    assert "DATABASE" in scene.run("list").stdout
    verified = scene.run("verify", "orders")  # the tier says level 3
    assert "level 3 passed" in verified.stdout, verified.stderr
    assert "invariant rows" in verified.stdout
    assert "level 3" in scene.run("list", "orders").stdout
    assert "would restore" in scene.run("restore", "orders", "--to", "x", "--dry-run").stdout
    assert "would back up" in scene.run("run", "orders", "--dry-run").stdout
    planned = good(scene.run("run", "orders", "--dry-run", "--format", "json"))
    assert planned["schema"] == "sre.dry-run/1"
    assert len(listed(scene)) == 1


def documented(words: str) -> str:
    """The shell block of docs/backup.md that holds these words."""
    found = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    [block] = [each for each in found if words in each]
    return str(block)


def by_hand(script: str, folder: Path) -> str:
    """A block as a careful person runs it; what it said."""
    argv = ["bash", "-eu", "-o", "pipefail", "-c", script]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fetched(scene: Scene, server: S3Server, folder: Path) -> dict[str, Any]:
    """A new backup, its objects downloaded as any tool does it, the keys beside them."""
    entry = good(scene.run("run", "orders", "--format", "json"))
    manifest = entry["manifest"]
    place = manifest["volumes"][0]["object"].rpartition("/")[0]
    wanted = {manifest["key"]: f"keys/{entry['id']}.age"}
    wanted |= {each["object"]: Path(each["object"]).name for each in manifest["volumes"]}
    wanted |= {f"{place}/{name}": name for name in ("manifest.json", "manifest.json.sig")}
    (folder / "keys").mkdir(parents=True)
    for key, name in wanted.items():
        prefixed = f"{scene.store['prefix']}/{key}"
        server.client().download_file("backups", prefixed, str(folder / name))
    for name, target in (("identity", "me"), ("signing.pub", "signing.pub")):
        (folder / target).write_bytes((scene.folder / "keys" / name).read_bytes())
    return entry


def test_by_hand_with_nothing_of_ours(scene: Scene, s3_server: S3Server, tmp_path: Path) -> None:
    """The commands of docs/backup.md: age, zstd and tar alone."""
    for tool in ("age", "zstd", "tar"):
        program(tool)
    hand = tmp_path / "hand"
    entry = fetched(scene, s3_server, hand)
    assert entry["volumes"] > 1
    (hand / "data").mkdir()
    by_hand(documented("zstd -dc").replace("ID", entry["id"]), hand)
    ours = good(scene.run("restore", entry["id"], "--to", "ours", "--format", "json"))
    assert (
        by_hand(f"diff -r -x postgresql.auto.conf --no-dereference data {ours['folder']}", hand)
        == ""
    )


def test_one_volume_by_hand(scene: Scene, s3_server: S3Server, tmp_path: Path) -> None:
    """The line of the interfaces."""
    for tool in ("age", "zstd", "tar"):
        program(tool)
    one = Scene(scene.folder, scene.dsn, scene.store, scene.bin_dir, "1GiB")
    one.write()
    hand = tmp_path / "hand"
    entry = fetched(one, s3_server, hand)
    assert entry["volumes"] == 1
    line = "age -d -i me keys/ID.age > k; age -d -i k v000000.zst.age | zstd -d | tar x"
    by_hand(line.replace("ID", entry["id"]), hand)
    assert (hand / "backup_manifest").exists()


def test_the_signature_by_hand(scene: Scene, s3_server: S3Server, tmp_path: Path) -> None:
    """openssl alone can tell whose a manifest is."""
    program("openssl")
    hand = tmp_path / "hand"
    fetched(scene, s3_server, hand)
    assert "Signature Verified Successfully" in by_hand(documented("openssl"), hand)


@pytest.mark.parametrize("which", ["volume", "key", "manifest.json", "manifest.json.sig"])
def test_one_flipped_byte_in_the_bucket(scene: Scene, s3_server: S3Server, which: str) -> None:
    """verify ends with 7 and names the object; restore touches nothing."""
    manifest = good(scene.run("run", "orders", "--format", "json"))["manifest"]
    place = manifest["volumes"][0]["object"].rpartition("/")[0]
    victim = {"volume": manifest["volumes"][1]["object"], "key": manifest["key"]}
    key = victim.get(which, f"{place}/{which}")
    client, prefixed = s3_server.client(), f"{scene.store['prefix']}/{key}"
    body = bytearray(client.get_object(Bucket="backups", Key=prefixed)["Body"].read())
    body[len(body) // 2] ^= 1
    client.put_object(Bucket="backups", Key=prefixed, Body=bytes(body))
    done = scene.run("verify", "orders", "--level", "1")
    assert done.returncode == 7
    assert key in done.stdout
    done = scene.run("restore", "orders", "--to", "out")
    assert done.returncode == 7
    assert key in done.stderr
    assert not (scene.folder / "out").exists()


@pytest.mark.parametrize("kind", ["s3", "local"])
@pytest.mark.parametrize(
    "stage", ["before", "mid-volume", "before-complete", "before-manifest", "after"]
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


def assert_no_orphans(scene: Scene) -> None:
    """Nothing that a killed run had started is left, neither dumper nor encryption."""
    deadline = time.monotonic() + 5
    while True:
        left = [
            line
            for line in command_lines(scene.folder)
            if "sre.backup.seal" in line or ("pg_basebackup" in line and "-full-" in line)
        ]
        if not left:
            return
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def command_lines(folder: Path | None = None) -> Iterator[str]:
    """Of the processes that work in `folder` (other tests run at the same time), or of all."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if folder is None or (entry / "cwd").resolve() == folder.resolve():
                    line = (entry / "cmdline").read_bytes()
                    yield line.replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.parametrize("how", ["refused", "black hole", "503"])
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
    lying.write()
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


def test_wrong_passwords_and_dead_servers(scene: Scene, database: EmbeddedPostgres) -> None:
    wrong = database.dsn.replace("postgres:", "postgres:wrong", 1)
    done = scene.run("run", "orders", env={"ORDERS_DSN": wrong})
    assert done.returncode == 2, done.stderr
    assert "authentication" in done.stderr
    nobody = f"postgresql://u:secret-password@127.0.0.1:{free_port()}/x"
    done = scene.run("run", "orders", env={"ORDERS_DSN": nobody})
    assert done.returncode == 4, done.stderr
    assert "secret-password" not in done.stderr + done.stdout


def test_a_broken_promise_is_exit_1(scene: Scene) -> None:
    good(scene.run("run", "orders", "--format", "json"))
    for bad, words in (
        (COUNT % (ROWS + 1), f"expected equals {ROWS + 1}"),
        ("{name: gone, sql: 'select count(*) from nowhere', equals: 0}", "does not exist"),
        ("{name: two, sql: 'select 1; drop table lines', equals: 1}", "multiple commands"),
        ("{name: write, sql: 'delete from lines returning 1', equals: 1}", "read-only"),
    ):
        scene.write([COUNT % ROWS, bad])
        done = scene.run("verify", "orders", "--level", "3", "--format", "json")
        assert done.returncode == 1, done.stderr
        [problem] = json.loads(done.stdout)["problems"]
        assert words in problem["problem"]


def test_a_planted_secret_is_nowhere(
    scene: Scene, s3_server: S3Server, database: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Not in outputs, argument lists, journal, facts, index, or the store's plain objects."""
    planted = [
        database.dsn.split(":")[2].split("@")[0],
        s3_server.secret_key,
        (tmp_path / "keys" / "signing").read_text().strip(),
        (tmp_path / "keys" / "identity").read_text().splitlines()[-1],
    ]
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.update(command_lines())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        said = []
        for command in (
            ("run", "orders", "--log-level", "debug", "--metrics-file", str(tmp_path / "m.prom")),
            ("list", "--format", "json"),
            ("verify", "orders", "--level", "3", "--log-level", "debug", "--format", "json"),
            ("restore", "orders", "--to", "out", "--log-level", "debug"),
        ):
            done = scene.run(*command)
            assert done.returncode == 0, done.stderr
            said += [done.stdout, done.stderr]
    finally:
        stop.set()
        watcher.join(10)
    assert any("sre.backup.seal" in line for line in seen)
    assert any("pg_basebackup" in line for line in seen)
    written = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in written)
    said += [path.read_text() for path in [*written, tmp_path / "m.prom"]]
    client = s3_server.client()
    page = client.list_objects_v2(Bucket="backups", Prefix=scene.store["prefix"])
    for each in page["Contents"]:
        body = client.get_object(Bucket="backups", Key=each["Key"])["Body"].read()
        said.append(body.decode("latin-1"))
    for secret in planted:
        assert len(secret) > 20
        for text in (*said, *seen):
            assert secret not in text


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
    waiting.write()
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


def test_keys_new(scene: Scene, tmp_path: Path) -> None:
    done = scene.run("keys", "new", "--out", str(tmp_path / "fresh"))
    assert done.returncode == 0, done.stderr
    assert "recipients: [age1" in done.stdout
    secret = (tmp_path / "fresh" / "identity").read_text().splitlines()[-1]
    assert secret not in done.stdout + done.stderr
    again = scene.run("keys", "new", "--out", str(tmp_path / "fresh"))
    assert again.returncode == 5
    program("age-keygen")
    public = subprocess.run(
        ["age-keygen", "-y", str(tmp_path / "fresh" / "identity")],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert public == (tmp_path / "fresh" / "identity.pub").read_text().strip()
