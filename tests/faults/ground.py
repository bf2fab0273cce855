"""What do the tests of faults stand on: jobs whose store may fail, and what is asked of them?"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.backup.databases.postgres import PostgresDatabase
from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.model import Keys
from sre.backup.objects import Store
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.verifying.verify import verify
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.demo.postgres import EmbeddedPostgres
from tests.servers.s3 import S3Server
from tests.servers.s3faults import FaultyS3
from tests.unit.backup.setting import VOLUME, Scene, TarDatabase, make_job, shop_files

ATTEMPTS = 3


@dataclass(frozen=True)
class Ground:
    """A database that is a tar, and one prefix of a real server seen by a bad way and a good."""

    folder: Path
    keys: Keys
    tar: Path
    faulty: FaultyS3
    bad: Store
    good: Store

    def job(
        self, *, bad: bool = True, state: str = "state", volume: int = VOLUME, **more: Any
    ) -> Job:
        """A job of a machine of its own for each `state`."""
        store, database = self.bad if bad else self.good, TarDatabase(self.tar)
        job = make_job(self.folder / state, self.keys, database, store=store, **more)
        declared = dataclasses.replace(job.declared("orders"), volume=volume)
        backups = dataclasses.replace(job.backups, databases={"orders": declared})
        return dataclasses.replace(job, backups=backups)

    def run(self, *, bad: bool = True, **more: Any) -> str:
        """A backup; its id."""
        return run_backup(self.job(bad=bad, **more), "orders").id

    def listed(self) -> list[str]:
        """What is committed, seen by the good way."""
        found, faults = list_backups(self.job(bad=False), "orders")
        assert faults == []
        return [each.id for each in found]

    def restores(self, *ids: str, bad: bool = False) -> None:
        """Each comes back byte for byte."""
        for number, each in enumerate(ids):
            target = self.folder / f"out-{each}-{number}"
            restore_to(self.job(bad=bad), each, target)
            for name, data in shop_files().items():
                assert (target / name).read_bytes() == data, name
            shutil.rmtree(target)

    def passes(self, id: str, level: int = 1, *, bad: bool = False) -> bool:
        return bool(verify(self.job(bad=bad), id, level).passed)


def stores(server: S3Server, proxied: S3Server) -> tuple[Store, Store]:
    """The same prefix by the proxy, impatient, and straight."""
    good = server.store(attempts=ATTEMPTS)
    bad = proxied.store(
        prefix=good.prefix,
        attempts=ATTEMPTS,
        timeout=Duration(1.0),
        connect_timeout=Duration(1.0),
    )
    return bad, good


def s3_fields(server: S3Server, *, prefix: str = "", **more: Any) -> dict[str, Any]:
    """A store of a declaration; the credentials are in S3_ACCESS and S3_SECRET."""
    store = server.store(**({"prefix": prefix} if prefix else {}))
    return {
        "kind": "s3", "bucket": store.bucket, "prefix": store.prefix,
        "endpoint": server.endpoint, "access_key": '"${env:S3_ACCESS}"',
        "secret_key": '"${env:S3_SECRET}"', "attempts": 3, "connect_timeout": "1s",
        "timeout": "5s", "part": "5MiB", **more,
    }  # fmt: skip


def scene_of(database: EmbeddedPostgres, folder: Path, fields: dict[str, Any]) -> Scene:
    """A declaration of a real database and a real store."""
    made = Scene(folder, database.dsn, fields, str(database.bin_dir), "8MiB")
    made.write()
    return made


def said(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    """The JSON of a command that ended as it should."""
    assert done.returncode == code, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ids(scene: Scene) -> list[str]:
    """The committed backups, by our own list."""
    return [each["id"] for each in said(scene.run("list", "--format", "json"))["backups"]]


def started(scene: Scene, *arguments: str, stage: str = "") -> subprocess.Popen[str]:
    """A command that runs beside the test, with a hang-up that is heard: under nohup as well."""
    return subprocess.Popen(
        ["env", "--default-signal=HUP", *scene.argv(*arguments, stage=stage)],
        env=scene.environment, cwd=scene.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until(what: Callable[[], Any], seconds: float = 30.0, why: str = "") -> Any:
    """Ask until it is so."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, why or what
        time.sleep(0.005)
    return found


def processes(folder: Path) -> dict[int, str]:
    """Ids and command lines of what works in a folder or below it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").resolve().is_relative_to(folder.resolve()):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if line:
                        found[int(entry.name)] = line
    return found


def none_left(folder: Path, seconds: float = 5.0) -> None:
    """No process of ours works there any more."""
    mine = os.getpid()

    def left() -> list[str]:
        return [line for pid, line in processes(folder).items() if pid != mine]

    until(lambda: not left(), seconds, f"left running: {left()}")


@contextlib.contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `work` again and again beside the block, at least once; what it raises is raised."""
    ended, first, errors = threading.Event(), threading.Event(), list[BaseException]()

    def loop() -> None:
        try:
            while not ended.is_set():
                work()
                first.set()
        except BaseException as error:
            errors.append(error)
            first.set()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        assert first.wait(30)
        yield ended
    finally:
        ended.set()
        thread.join(30)
    if errors:
        raise errors[0]


def postgres(server: EmbeddedPostgres) -> PostgresDatabase:
    return PostgresDatabase(Secret.literal(server.dsn), server.bin_dir)
