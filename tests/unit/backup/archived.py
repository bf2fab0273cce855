"""How does a test get a real PostgreSQL with backups and an archived log, in a local store?"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sre.backup.job import Job
from sre.backup.log.layout import log_place, parse_name
from sre.backup.log.lsn import number_of, parse_lsn
from sre.backup.log.writing import Piece, Writer
from sre.backup.manifest import Manifest
from sre.backup.records import Restored
from sre.backup.recovery.target import parse_target
from sre.backup.restoring.restore import Wish, restore_to
from sre.backup.runner import run_backup
from sre.core.clock import SystemClock
from sre.demo.guard import Guarded
from sre.demo.ports import free_port
from sre.demo.postgres import EmbeddedPostgres
from sre.demo.postgres_binaries import environment
from tests.servers.net import wait_until

SIZE = 16 * 2**20
SETTINGS = {"max_prepared_transactions": "5", "autovacuum": "off", "max_wal_size": "256MB"}
BRANCH = {"archive_mode": "off", "fsync": "off"}


@dataclass
class Archived:
    """A server, its job, and what is known of the moments in its log."""

    server: EmbeddedPostgres
    job: Job
    folder: Path
    moments: dict[str, str] = field(default_factory=dict)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            for each in statements:
                cursor = connection.execute(each.encode())
            return cursor.fetchall() if cursor.description else []

    def lsn(self) -> str:
        """Where the next record begins."""
        return str(self.sql("select pg_current_wal_insert_lsn()::text")[0][0])

    def backup(self) -> Manifest:
        return run_backup(self.job, "orders")

    def writer(self) -> Writer:
        declared = self.job.declared("orders")
        (system,) = {each.system for each in self.job.catalogue(declared).places("orders")}
        place = log_place("orders", system)
        keys, storage = self.job.backups.keys, self.job.storage(declared)
        return Writer(storage, keys, place, SystemClock(), self.folder / "epoch")

    def archive(self, pg_wal: Path | None = None, timeline: int = 1) -> str:
        """Store everything up to now, the last segment in part; up to where."""
        flushed = self.lsn() if pg_wal is None else ""
        store(self.writer(), pg_wal or self.server.data_dir / "pg_wal", flushed, timeline)
        return flushed

    def restore(
        self, target: str, to: Path, *, port: int | None = None, **options: Any
    ) -> Restored:
        wish = Wish(parse_target(**options), port=port)
        return restore_to(self.job, target, to, wish=wish)

    def ids(self, folder: Path, query: str = "select id from orders order by id") -> list[Any]:
        with served(self.server.bin_dir, folder) as dsn, psycopg.connect(dsn) as connection:
            return [row[0] for row in connection.execute(query.encode()).fetchall()]


def store(writer: Writer, pg_wal: Path, flushed: str, timeline: int = 1) -> None:
    """Every segment before the flushed position whole, the one that holds it in part."""
    number = parse_lsn(flushed) // SIZE if flushed else 2**62
    for path in sorted(pg_wal.iterdir()):
        item = parse_name(path.name)
        if item is None or item.timeline != timeline:
            continue
        if item.kind == "history":
            writer.store(Piece(path.name, path, path.stat().st_size, SIZE))
        elif number_of(path.name, SIZE) < number:
            writer.store(Piece(path.name, path, SIZE, SIZE))
        elif number_of(path.name, SIZE) == number and parse_lsn(flushed) % SIZE:
            length = parse_lsn(flushed) % SIZE
            writer.store(Piece(f"{path.name}.partial-{length:08x}", path, length, SIZE))


@contextlib.contextmanager
def served(programs: Path, folder: Path, more: Sequence[str] = ()) -> Iterator[str]:
    """A restored folder, copied where the server may enter, started by no code of ours."""
    base = Path(f"/tmp/sre-test-served-{os.getpid()}-{free_port()}")
    base.mkdir(mode=0o755)
    owner = (65534, 65534) if os.geteuid() == 0 else None
    try:
        shutil.copytree(folder, base / "data", symlinks=True)
        (base / "data").chmod(0o700)
        (base / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
        if owner:
            subprocess.run(["chown", "-R", "65534:65534", str(base)], check=True)
        port = free_port()
        argv = [
            str(programs / "postgres"), "-D", str(base / "data"), "-p", str(port),
            "-c", f"hba_file={base / 'pg_hba.conf'}", "-c", "unix_socket_directories=",
            "-c", "fsync=off", *more,
        ]  # fmt: skip
        log = base / "log"
        guard = Guarded(
            argv, env=environment(), log=log, cwd=base, stop_signal=signal.SIGINT, owner=owner,
            grace=5.0,
        )  # fmt: skip
        dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        try:
            wait_until(lambda: psycopg.connect(dsn).close() is None, 30, "the restored server")
            yield dsn
        finally:
            guard.stop(keep_folder=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
