"""Is the log still there at the end of a copy, on a busy server that keeps none of it?"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sre.backup.databases.pgkeep import keeping
from sre.backup.databases.postgres import PostgresDatabase
from sre.backup.engine import Dump, Source
from sre.backup.runner import run_backup
from sre.backup.verifying.verify import verify
from sre.core.errors import CheckFailed
from sre.core.secrets import Secret
from sre.demo.postgres import EmbeddedPostgres
from tests.faults.ground import meanwhile
from tests.unit.backup.setting import make_job, make_keys

pytestmark = pytest.mark.postgres

BUSY = {"wal_keep_size": "0", "max_wal_size": "32MB", "min_wal_size": "32MB", "fsync": "off"}
COPYING = """select count(*) from pg_stat_progress_basebackup
    where phase = 'streaming database files' and backup_streamed > 0"""
SLOTS = "select count(*) from pg_replication_slots"


@dataclasses.dataclass(frozen=True)
class Slow(PostgresDatabase):
    """A line that gives the server time for checkpoints; `held`: as the product does it."""

    held: bool = True
    pg_basebackup: bool = True

    def dump(self, source: Source, label: str) -> Dump:
        whole = super().dump(source, label)
        around = whole.around if self.held else None
        argv = (*whole.argv, "--max-rate=16M")
        return dataclasses.replace(whole, argv=argv, around=around)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(settings=BUSY) as found:
        with psycopg.connect(found.dsn, autocommit=True) as one:
            one.execute("create table log_maker (id int)")
        yield found


def busy(server: EmbeddedPostgres, rounds: Iterator[int]) -> None:
    """Some rounds of much log and a checkpoint, once its files are on their way."""
    with psycopg.connect(server.dsn, autocommit=True) as one:
        asked = one.execute(COPYING).fetchone()
        if asked != (1,) or next(rounds, None) is None:
            threading.Event().wait(0.02)
            return
        for _ in range(3):
            one.execute("insert into log_maker values (1)")
            one.execute("select pg_switch_wal()")
        one.execute("checkpoint")


@pytest.mark.parametrize("held", [True, False])
def test_segments_removed_while_it_is_copied(
    server: EmbeddedPostgres, tmp_path: Path, held: bool
) -> None:
    """Held, it is a backup that starts; without, there is none, and it is said what to do."""
    database = Slow(Secret.literal(server.dsn), server.bin_dir, held=held)
    job = make_job(tmp_path / "state", make_keys(tmp_path / "keys"), database)
    rounds = iter(range(3))
    with meanwhile(lambda: busy(server, rounds)):
        if held:
            made = run_backup(job, "orders")
        else:
            with pytest.raises(CheckFailed, match="wal_keep_size"):
                run_backup(job, "orders")
    if held:
        found = verify(job, made.id, 3)
        assert found.passed, found
    with psycopg.connect(server.dsn) as one:
        assert one.execute(SLOTS).fetchone() == (0,)


def test_a_slot_that_ends_with_us(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as one:
        with keeping(server.dsn) as held:
            assert held
            asked = one.execute(f"{SLOTS} where temporary and wal_status = 'reserved'")
            assert asked.fetchone() == (1,)
            pids = one.execute("select active_pid from pg_replication_slots").fetchone()
            assert pids is not None
            one.execute("select pg_terminate_backend(%s, 5000)", pids)
            assert one.execute(SLOTS).fetchone() == (0,)
        with pytest.raises(ZeroDivisionError), keeping(server.dsn):
            raise ZeroDivisionError


def test_where_no_slot_may_be_made(
    server: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    """A role that may not, a server that is away: said, and the copy is tried without."""
    with psycopg.connect(server.dsn, autocommit=True) as one:
        one.execute("create role plain login")
    plain = psycopg.conninfo.make_conninfo(server.dsn, user="plain")
    away = "postgresql://nobody:secret@127.0.0.1:1/none?connect_timeout=1"
    for dsn in (plain, away):
        caplog.clear()
        with caplog.at_level(logging.WARNING), keeping(dsn) as held:
            assert not held
        [said] = [each.getMessage() for each in caplog.records]
        assert "not held while it is copied" in said
        assert "secret" not in said
    with psycopg.connect(server.dsn) as one, contextlib.suppress(psycopg.Error):
        assert one.execute(SLOTS).fetchone() == (0,)
