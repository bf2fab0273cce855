"""How does a test get a site to lose: a set of PostgreSQL, its first store, a second region?"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sre.backup.keys import new_keys
from tests.servers.net import wait_until
from tests.servers.pgset import _UID, REPO, PgSet
from tests.servers.s3 import S3Server

__all__ = ["Site", "Till", "lost_site"]


class Till:
    """Writes through the front door: the number and the moment of each acknowledged row."""

    def __init__(self, dsn: str) -> None:
        self.dsn, self.acknowledged = dsn, list[tuple[int, float]]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Till:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("create table till (n bigint primary key, note text)")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(20)

    def _write(self) -> None:
        number = 0
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(self.dsn, autocommit=True, connect_timeout=2) as connection,
        ):
            while not self._ended.wait(0.005):
                number += 1
                connection.execute("insert into till values (%s, %s)", (number, "é'" * 100))
                self.acknowledged.append((number, time.time()))


@dataclass
class Site:
    """What is left: the declaration, the second region, and what customers were told."""

    pgset: PgSet
    region: S3Server
    env: dict[str, str]
    acknowledged: list[tuple[int, float]] = field(default_factory=list)
    backed_up: float = 0.0
    died: float = 0.0

    def sre(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Any command of sre, on this declaration."""
        argv = [sys.executable, "-m", "sre", *args, "--config", str(self.pgset.config)]
        return subprocess.run(
            argv, env={**os.environ, **self.env}, cwd=REPO, capture_output=True, text=True,
            timeout=110, check=False,
        )  # fmt: skip

    def document(self, *args: str) -> tuple[int, Any]:
        """Its exit code and its JSON."""
        done = self.sre(*args, "--format", "json")
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, done.stdout + done.stderr

    def declare(self, **cluster: str) -> None:
        """sre.yaml with clusters and backups in it."""
        self.pgset.declare(front='"${env:FRONT_DSN}"', **cluster)
        home, store = self.pgset.home, self.region.store(prefix="second")
        keys = home / "keys"
        if not keys.exists():
            new_keys(keys)
        with self.pgset.config.open("a") as file:
            file.write(f"""\
stores:
  main: {{kind: local, path: {home / "first-store"}}}
  region-b: {{kind: s3, bucket: {store.bucket}, prefix: second, attempts: 2, timeout: 5s,
    endpoint: "{self.region.endpoint}", connect_timeout: 1s, part: 5MiB,
    access_key: "${{env:B_ACCESS}}", secret_key: "${{env:B_SECRET}}"}}
tiers:
  gold: {{rpo: 5s, rto: 15m, copies: [region-b]}}
keys:
  recipients: [{(keys / "identity.pub").read_text().strip()}]
  trusted: ["{(keys / "signing.pub").read_text().strip()}"]
  signing: "${{file:{keys}/signing}}"
  identity: "${{file:{keys}/identity}}"
databases:
  shop:
    kind: postgres
    dsn: "${{env:PG_A}}"
    bin_dir: {self.pgset["a"].programs}
    tier: gold
    store: main
    archive: {{heartbeat: 1s}}
    invariants: [{{name: notes, sql: "select count(*) from till where note is null", equals: 0}}]
""")

    def empty(self, *, folders: bool = True) -> None:
        """Every node as a machine that was just set up; traffic leads to nobody who answers."""
        for node in self.pgset.nodes.values():
            node.signal(signal.SIGKILL)
        for node in self.pgset.nodes.values():
            wait_until(lambda n=node: not n.pids(), 10, "it is dead")  # type: ignore[misc]
            for path in list(node.folder.iterdir()):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            if folders:
                node.data.mkdir(mode=0o700)
                if os.geteuid() == 0:
                    os.chown(node.data, _UID, _UID)

    def there(self, name: str) -> set[int]:
        """The rows of a node."""
        return {row[0] for row in self.pgset[name].sql("select n from till")}


@contextlib.contextmanager
def _archiving(site: Site) -> Iterator[Path]:
    log = site.pgset.home / "archive.log"
    argv = [sys.executable, "-m", "sre", "backup", "archive", "shop"]
    with log.open("wb") as out, subprocess.Popen(
        [*argv, "--config", str(site.pgset.config)], env={**os.environ, **site.env}, cwd=REPO,
        stdout=out, stderr=out,
    ) as process:  # fmt: skip
        try:
            yield log
        finally:
            process.kill()


def _archived(site: Site, log: Path, moment: float) -> None:
    path = site.pgset.home / "state" / "facts" / "backup" / "shop" / "log.json"

    def told() -> bool:
        with contextlib.suppress(OSError, ValueError):
            return (json.loads(path.read_text())["value"]["last"] or 0.0) > moment
        return False

    try:
        wait_until(told, 60, "the log is archived")
    except AssertionError as error:
        raise AssertionError(log.read_text()[-2000:]) from error


def _good(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def lost_site(pgset: PgSet, region: S3Server) -> Iterator[Site]:
    """Backup, archive and copy under load; then every node and the first store are gone."""
    env = {**pgset.env, "B_ACCESS": region.access_key, "B_SECRET": region.secret_key}
    site = Site(pgset, region, env)
    site.declare()
    with Till(pgset.dsn) as till, _archiving(site) as log:
        wait_until(lambda: len(till.acknowledged) > 50, 20, "writes")
        _good(site.sre("backup", "run", "shop"))
        site.backed_up = time.time()
        time.sleep(0.5)
        pgset["a"].sql("select pg_switch_wal()")
        _archived(site, log, time.time())
        _good(site.sre("backup", "copy", "shop"))
        time.sleep(1.5)  # more is acknowledged, which no copy has
        _good(site.sre("failover", "status"))
        site.died = time.time()
        for node in pgset.nodes.values():
            node.kill()
    site.acknowledged = till.acknowledged
    shutil.rmtree(pgset.home / "first-store")
    yield site
