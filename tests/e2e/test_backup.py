"""Does a real PostgreSQL come back from a real S3 server, by our commands and by hand?"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.e2e.backup_scene import (
    COUNT,
    ROWS,
    command_lines,
    good,
    lines_scene,
    lines_server,
    listed,
)
from tests.servers.child import program
from tests.servers.net import free_port
from tests.servers.s3 import S3Server
from tests.unit.backup.setting import Scene

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
    written = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in written)
    said += [path.read_bytes().decode("latin-1") for path in [*written, tmp_path / "m.prom"]]
    client = s3_server.client()
    page = client.list_objects_v2(Bucket="backups", Prefix=scene.store["prefix"])
    for each in page["Contents"]:
        body = client.get_object(Bucket="backups", Key=each["Key"])["Body"].read()
        said.append(body.decode("latin-1"))
    for secret in planted:
        assert len(secret) > 20
        for text in (*said, *seen):
            assert secret not in text


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
