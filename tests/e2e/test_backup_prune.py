"""Does `sre backup prune` keep its word on a real S3 server, with kill -9 and object lock?"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.servers.s3 import S3Server
from tests.unit.backup.setting import Scene

pytestmark = pytest.mark.postgres

TIER = "gold: {rpo: 60s, rto: 15m, verify: {level: 3, every: 1d}}"


@pytest.fixture(scope="module")
def database() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as server:
        yield server


def scene(
    database: EmbeddedPostgres,
    server: S3Server,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tier: str,
    **changes: str,
) -> Scene:
    monkeypatch.setenv("S3_ACCESS", server.access_key)
    monkeypatch.setenv("S3_SECRET", server.secret_key)
    store = server.store(**changes)
    fields = {
        "kind": "s3", "bucket": store.bucket, "prefix": store.prefix, "endpoint": server.endpoint,
        "access_key": '"${env:S3_ACCESS}"', "secret_key": '"${env:S3_SECRET}"', "part": "5MiB",
    }  # fmt: skip
    made = Scene(folder, database.dsn, fields, str(database.bin_dir), "8MiB")
    path = made.write()
    text = path.read_text()
    assert TIER in text
    path.write_text(text.replace(TIER, tier))
    return made


def good(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def listed(made: Scene) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = good(made.run("list", "--format", "json"))["backups"]
    return found


def take(made: Scene, count: int) -> list[str]:
    """Backups of which the newest is verified."""
    ids = [good(made.run("run", "orders", "--format", "json"))["id"] for _ in range(count)]
    good(made.run("verify", "orders", "--level", "1", "--format", "json"))
    return ids


def test_kill_9_in_the_middle_of_deletions(
    database: EmbeddedPostgres, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan, the refusal for a scheduler that forgot, then deaths, then the rest."""
    tier = "gold: {verify: {level: 1}, keep: {last: 1, min_verified_fulls: 1}}"
    made = scene(database, s3_server, tmp_path, monkeypatch, tier)
    ids = take(made, 3)
    forgot = made.run("prune", "--format", "json")
    assert "--yes is missing" in forgot.stderr
    plan = good(forgot, 5)["databases"][0]
    assert [each["action"] for each in plan["backups"]] == ["delete", "delete", "keep"]
    assert all(each["reasons"] for each in plan["backups"])
    assert len(whole(s3_server, made)) == 3
    for stage in ("delete-1", "delete-8"):
        count = str(len(whole(s3_server, made)) - 1)
        died = made.run("prune", "--yes", "--confirm-count", count, stage=stage)
        assert died.returncode == -signal.SIGKILL, died.stderr
    count = str(len(whole(s3_server, made)) - 1)
    done = good(made.run("prune", "--yes", "--confirm-count", count, "--format", "json"))
    assert done["databases"][0]["blocked"] == []
    assert whole(s3_server, made) == [ids[2]]
    keys = [each["Key"] for each in objects(s3_server, made)]
    assert not [key for key in keys if ids[0] in key or ids[1] in key]
    good(made.run("verify", ids[2], "--level", "1", "--format", "json"))


def whole(server: S3Server, made: Scene) -> list[str]:
    """The backups whose manifest is there; all that each names is there too."""
    prefix, keys = f"{made.store['prefix']}/", {o["Key"] for o in objects(server, made)}
    found = []
    for key in sorted(key for key in keys if key.endswith("/manifest.json")):
        answer = server.client().get_object(Bucket=made.store["bucket"], Key=key)
        manifest = json.loads(answer["Body"].read())
        wanted = [manifest["key"], *(volume["object"] for volume in manifest["volumes"])]
        assert {prefix + each for each in wanted} <= keys
        assert f"{key}.sig" in keys
        found.append(manifest["id"])
    return found


def objects(server: S3Server, made: Scene) -> list[dict[str, Any]]:
    pages = server.client().get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=made.store["bucket"], Prefix=f"{made.store['prefix']}/")
    return [each for page in found for each in page.get("Contents", [])]


def test_object_lock_on_write_and_what_it_keeps(
    database: EmbeddedPostgres, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked backups are retained, a hold shows, a bucket without locks is refused."""
    client = s3_server.client()
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket="locked-e2e", ObjectLockEnabledForBucket=True)
    tier = (
        "gold: {verify: {level: 1}, keep: {last: 1, min_verified_fulls: 1}, "
        "lock: {mode: COMPLIANCE, days: 2}}"
    )
    made = scene(database, s3_server, tmp_path, monkeypatch, tier, bucket="locked-e2e")
    ids = take(made, 2)
    prefix = f"{made.store['prefix']}/v1/orders/"
    for each in objects(s3_server, made):
        if each["Key"].startswith(prefix) or "/keys/" in each["Key"]:
            head = client.head_object(Bucket="locked-e2e", Key=each["Key"])
            assert head["ObjectLockMode"] == "COMPLIANCE", each["Key"]
    metrics = tmp_path / "sre.prom"
    arguments = ("--yes", "--format", "json", "--metrics-file", str(metrics))
    done = good(made.run("prune", *arguments))["databases"][0]
    assert [each["action"] for each in done["backups"]] == ["retained", "keep"]
    assert 'sre_backup_restorable_verified{db="orders"} 1.0' in metrics.read_text()
    assert 'sre_backup_retained_locked_bytes{db="orders"} 0.0' not in metrics.read_text()
    dry = good(made.run("hold", ids[0], "--reason", "audit", "--dry-run", "--format", "json"))
    assert (dry["schema"], dry["id"]) == ("sre.dry-run/1", ids[0])
    good(made.run("hold", ids[0], "--reason", "audit", "--format", "json"))
    entries = listed(made)
    assert [each["held"] for each in entries] == [True, False]
    for each in entries:
        until = datetime.fromisoformat(each["locked_until"])
        assert abs(until - datetime.now(UTC) - timedelta(days=2)) < timedelta(hours=1)
    plain = tmp_path / "plain"
    plain.mkdir()
    other = scene(database, s3_server, plain, monkeypatch, tier)
    refused = other.run("run", "orders", "--dry-run")
    assert (refused.returncode, "object lock" in refused.stderr) == (5, True), refused.stderr
