"""Does the second store save us when the first is gone, with real servers and other credentials?"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.servers.faultproxy import FaultProxy
from tests.servers.s3 import S3Server, running_s3
from tests.unit.backup.setting import Scene

pytestmark = pytest.mark.postgres

ROWS = 20_000


@pytest.fixture(scope="module")
def database() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(
                "create table lines as select i as id, md5(i::text) || md5((-i)::text) as noise "
                f"from generate_series(1, {ROWS}) i"
            )
        yield server


@pytest.fixture(scope="module")
def region_b(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A second server, with credentials that the first one does not know."""
    with running_s3(tmp_path_factory.mktemp("region-b")) as server:
        yield server


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    """Before the first store: it can be cut off."""
    made = FaultProxy(s3_server.port)
    try:
        yield made
    finally:
        made.close()


def store(server: S3Server, names: tuple[str, str], endpoint: str = "") -> str:
    made = server.store()
    fields = {
        "kind": "s3", "bucket": made.bucket, "prefix": made.prefix,
        "endpoint": f'"{endpoint or server.endpoint}"', "access_key": f'"${{env:{names[0]}}}"',
        "secret_key": f'"${{env:{names[1]}}}"', "attempts": 2, "connect_timeout": "1s",
        "timeout": "3s", "part": "5MiB",
    }  # fmt: skip
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


@pytest.fixture
def scene(
    database: EmbeddedPostgres,
    s3_server: S3Server,
    region_b: S3Server,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    monkeypatch.setenv("A_ACCESS", s3_server.access_key)
    monkeypatch.setenv("A_SECRET", s3_server.secret_key)
    monkeypatch.setenv("B_ACCESS", region_b.access_key)
    monkeypatch.setenv("B_SECRET", region_b.secret_key)
    made = Scene(tmp_path, database.dsn, {}, str(database.bin_dir), "2MiB")
    made.write([f"{{name: rows, sql: 'select count(*) from lines', equals: {ROWS}}}"])
    text = made.config.read_text()
    main = store(s3_server, ("A_ACCESS", "A_SECRET"), proxy.url)
    offsite = store(region_b, ("B_ACCESS", "B_SECRET"))
    text = text.replace("  main: {}\n", f"  main: {main}\n  offsite: {offsite}\n")
    tier = "{rpo: 1d, rto: 15m, full: daily, copies: [offsite], verify: {level: 3, every: 1d}}"
    made.config.write_text(
        "\n".join(
            f"  gold: {tier}" if line.startswith("  gold:") else line for line in text.splitlines()
        )
    )
    return made


def good(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_losing_the_first_store(scene: Scene, proxy: FaultProxy, tmp_path: Path) -> None:
    """Its server does not answer any more: everything goes on from the other one."""
    ran = good(scene.run("run", "orders", "--format", "json"))
    metrics = tmp_path / "copy.prom"
    copied = good(scene.run("copy", "--format", "json", "--metrics-file", str(metrics)))
    assert copied["schema"] == "sre.copies/1"
    [entry] = copied["copies"]
    assert (entry["to"], entry["missing_objects"], entry["problems"]) == ("offsite", 0, [])
    assert [each["state"] for each in entry["backups"]] == ["copied"]
    assert 'replica_missing_objects{db="orders",store="offsite"} 0.0' in metrics.read_text()
    proxy.close()
    began = time.monotonic()
    lost = scene.run("list")
    assert lost.returncode == 4
    assert "add --from offsite" in lost.stderr
    assert time.monotonic() - began < 30
    listed = good(scene.run("list", "orders", "--from", "offsite", "--format", "json"))
    assert [each["id"] for each in listed["backups"]] == [ran["id"]]
    shown = good(scene.run("show", ran["id"], "--from", "offsite", "--format", "json"))
    assert shown["manifest"]["id"] == ran["id"]
    found = good(
        scene.run("verify", "orders", "--from", "offsite", "--level", "3", "--format", "json")
    )
    assert (found["passed"], found["store"]) == (True, "offsite")
    again = scene.run("copy")
    assert again.returncode == 4
    assert "main: the store cannot be reached" in again.stderr


def test_without_the_second_store_the_first_is_still_good(
    scene: Scene, region_b: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Region B refuses our credentials, then does not exist: the backup in A is what it was."""
    good(scene.run("run", "orders", "--format", "json"))
    wrong = scene.run("copy", env={"B_SECRET": "wrong" * 8})
    assert wrong.returncode == 2
    assert "offsite: " in wrong.stderr
    text = scene.config.read_text()
    scene.config.write_text(text.replace(region_b.endpoint, "http://127.0.0.1:9"))
    down = scene.run("copy")
    assert down.returncode == 4
    assert "offsite: the store cannot be reached" in down.stderr
    assert good(scene.run("verify", "orders", "--level", "1", "--format", "json"))["passed"]
    assert good(scene.run("list", "--format", "json"))["problems"] == []


def test_a_copy_that_breaks_off_goes_on_where_it_was(scene: Scene, proxy: FaultProxy) -> None:
    ran = good(scene.run("run", "orders", "--format", "json"))
    proxy.down.close_after = 300_000  # each connection, so that volumes come, and not all
    broken = scene.run("copy", "--format", "json")
    assert broken.returncode == 4, broken.stderr
    assert good(scene.run("list", "--from", "offsite", "--format", "json"))["backups"] == []
    proxy.heal()
    [entry] = good(scene.run("copy", "--format", "json"))["copies"]
    assert [each["state"] for each in entry["backups"]] == ["copied"]
    found = good(
        scene.run("verify", ran["id"], "--from", "offsite", "--level", "1", "--format", "json")
    )
    assert found["passed"]


def test_a_flipped_byte_on_the_way_does_not_arrive(scene: Scene, proxy: FaultProxy) -> None:
    """Only what the signed manifest describes gets a name at the other side."""
    good(scene.run("run", "orders", "--format", "json"))
    proxy.down.corrupt_at = 150_000  # of each connection: inside a volume's body
    scene.run("copy")
    proxy.heal()
    [entry] = good(scene.run("copy", "--format", "json"))["copies"]
    assert entry["missing_objects"] == 0
    found = scene.run("verify", "orders", "--from", "offsite", "--level", "1", "--format", "json")
    assert good(found)["passed"]


def test_what_is_wrong_at_the_second_store_is_found_and_mended(
    scene: Scene, region_b: S3Server
) -> None:
    ran = good(scene.run("run", "orders", "--format", "json"))
    good(scene.run("copy", "--format", "json"))
    prefix = scene.config.read_text().split("offsite: {")[1].split("prefix: ")[1].split(",")[0]
    bucket, key = region_b.client(), f"{prefix}/{ran['manifest']['key']}"
    bucket.delete_object(Bucket="backups", Key=key)
    missing = scene.run("verify", "orders", "--from", "offsite", "--level", "0")
    assert missing.returncode == 7
    assert ran["manifest"]["key"] in missing.stdout
    [entry] = good(scene.run("copy", "--format", "json"))["copies"]
    assert [each["state"] for each in entry["backups"]] == ["healed"]
    volume = ran["manifest"]["volumes"][0]["object"]
    bucket.put_object(Bucket="backups", Key=f"{prefix}/{volume}", Body=b"other bytes")
    changed = scene.run("copy")
    assert changed.returncode == 7
    assert f"offsite: {volume}" in changed.stdout
    assert scene.run("verify", "orders", "--from", "offsite", "--level", "0").returncode == 7
