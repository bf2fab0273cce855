"""What do the tests of whole backups work with: a server with some tens of megabytes, a real S3?"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.servers.s3 import S3Server
from tests.unit.backup.setting import Scene

ROWS = 200_000


COUNT = "{name: rows, sql: 'select count(*) from lines', equals: %d}"


@contextlib.contextmanager
def lines_server() -> Iterator[EmbeddedPostgres]:
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


def lines_scene(
    database: EmbeddedPostgres, server: S3Server, folder: Path, patch: pytest.MonkeyPatch
) -> Scene:
    """A declaration of that server and an S3 server, with one invariant."""
    patch.setenv("S3_ACCESS", server.access_key)
    patch.setenv("S3_SECRET", server.secret_key)
    made = Scene(folder, database.dsn, s3_fields(server), str(database.bin_dir), "8MiB")
    made.write([COUNT % ROWS])
    return made


def good(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def listed(scene: Scene) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = good(scene.run("list", "--format", "json"))["backups"]
    return found


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
