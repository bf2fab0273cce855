"""What do tests of the archived log work with: a job, orders, an archiver in its own process?"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from sre.backup.job import Job
from sre.backup.log.reading import LogReader
from sre.backup.log.server import identify
from sre.backup.model import Backups
from sre.backup.tier import Keep, Tier
from sre.core.units import Duration
from sre.settings import load_settings
from tests.servers.postgresql import PgServer
from tests.unit.backup.setting import Scene, make_job, make_keys, postgres

QUICK = Tier(rpo=Duration(2.0), keep=Keep(last=1))


def job_at(folder: Path, server: PgServer, **more: Any) -> Job:
    keys = folder / "keys"
    job = make_job(folder / "state", make_keys(keys), postgres(server.dsn()), tier=QUICK, **more)
    return dataclasses.replace(job, lease_ttl=6.0)


def drop_slots(server: PgServer) -> None:
    server.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")


def reader_of(job: Job, server: PgServer) -> LogReader:
    declared = job.declared("orders")
    place = identify(server.dsn()).place
    return LogReader(job.storage(declared), job.backups.keys, f"v1/orders/{place}/")


def order(server: PgServer, name: str) -> None:
    server.sql(f"insert into orders (name) values ('{name}')")


def stored_text(reader: LogReader, folder: Path, timeline: int = 1) -> bytes:
    """Everything that is stored from the first piece on, as PostgreSQL would replay it."""
    first = min(number for _, number in {*reader.held.whole, *reader.held.partial})
    got = reader.fetch(first * reader.size, timeline, None, folder)
    return text_of(folder, got.names)


def text_of(folder: Path, names: Sequence[str]) -> bytes:
    """The records without the headers of pages, which stand in the middle of some of them."""
    found = bytearray()
    for name in names:
        data = b"" if name.endswith(".history") else (folder / name).read_bytes()
        for page in range(0, len(data), 8192):
            found += data[page + (24 if page else 40) : page + 8192]
    return bytes(found)


@contextlib.contextmanager
def load(server: PgServer, acknowledged: list[tuple[float, str]]) -> Iterator[None]:
    """Orders as fast as one customer places them, each noted once its commit came back."""
    ended = threading.Event()

    def customer() -> None:
        with contextlib.suppress(psycopg.Error), server.connect() as connection:
            number = 0
            while not ended.is_set():
                number += 1
                name = f"<order {number}>"
                connection.execute("insert into orders (name) values (%s)", (name,))
                acknowledged.append((time.time(), name))
                if number % 400 == 0:
                    connection.execute("select pg_switch_wal()")
                ended.wait(0.002)

    thread = threading.Thread(target=customer)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


@contextlib.contextmanager
def serving(scene: Scene) -> Iterator[subprocess.Popen[bytes]]:
    log = (scene.folder / "archive.log").open("ab")
    process = subprocess.Popen(
        scene.argv("archive", "orders", "--metrics-file", str(scene.folder / "m.prom")),
        env=scene.environment, cwd=scene.folder, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        log.close()


def fact(scene: Scene) -> dict[str, Any]:
    path = scene.folder / "state" / "facts" / "backup" / "orders" / "log.json"
    return dict(json.loads(path.read_text())["value"]) if path.exists() else {}


def scene_of(folder: Path, server: PgServer, store: dict[str, Any] | None = None) -> Scene:
    made = Scene(folder, server.dsn(), store or {"kind": "local", "path": str(folder / "store")})
    made.write()
    text = made.config.read_text().replace("rpo: 60s", "rpo: 2s")
    made.config.write_text(text)
    return made


def job_of_scene(scene: Scene) -> Job:
    found: Any = load_settings(scene.config)
    backups = Backups(found.stores, found.tiers, found.keys, found.databases)
    return Job(backups, state=scene.folder / "state2")


def reader_for(job: Job, place: str) -> LogReader:
    storage = job.storage(job.declared("orders"))
    return LogReader(storage, job.backups.keys, f"v1/orders/{place}/")
