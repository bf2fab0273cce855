"""What if somebody drops, empties, locks or kills while a dump is taken, or versions differ?"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from sre.backup.databases.pglogical import PostgresLogicalDatabase
from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.runner import run_backup
from sre.backup.storage.local import LocalStorage, LocalStore
from sre.backup.verifying.verify import verify
from sre.core.errors import CheckFailed, MissingExtra, Refused, Transient
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.demo.postgres import EmbeddedPostgres
from tests.servers.net import wait_until
from tests.servers.postgresql import bin_dir, running_postgres
from tests.unit.backup.logical_shop import (
    MASK,
    SHOP,
    children_named,
    into,
    job_for,
    logical,
    new_database,
    sql,
)
from tests.unit.backup.setting import make_job, make_keys

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def source() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as server:
        yield server


@contextlib.contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Do something in a thread; what it raises is raised at the end."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        yield
        future.result(60)


def stuck_job(folder: Path, database: PostgresLogicalDatabase) -> tuple[Job, threading.Event]:
    """A job whose store takes nothing until the event is set: the dump stands still with it."""
    free = threading.Event()

    class Stuck(LocalStorage):
        def upload(self, key: str, chunks: Iterable[bytes]) -> int:
            assert "/v0000" not in key or free.wait(40)
            return super().upload(key, chunks)

    store = LocalStore(folder / "store").open()
    store.__class__ = Stuck
    return make_job(folder, make_keys(folder / "keys"), database, storage=store), free


BIG = """create table big as select i, (select string_agg(md5(random()::text), '')
    from generate_series(1, 30) where i > 0) t from generate_series(1, 30000) i"""
COPIES = "select 1 from pg_stat_activity where datname = '{}' and query ~ '^COPY'"


def test_a_killed_dumper_commits_nothing(source: EmbeddedPostgres, tmp_path: Path) -> None:
    """pg_dump dies in the middle of a table: what it wrote looks like a dump."""
    shop = new_database(source, "killed")
    sql(shop, BIG)
    job, free = stuck_job(tmp_path, logical(source, shop))

    def kill() -> None:
        wait_until(lambda: sql(source.dsn, COPIES.format("killed")), 20, "the dump")
        [pid] = children_named("pg_dump")
        os.kill(pid, signal.SIGKILL)
        free.set()

    with meanwhile(kill), pytest.raises(CheckFailed, match="exit code -9"):
        run_backup(job, "orders")
    assert list_backups(job, "orders")[0] == []


def test_the_dump_gives_way(source: EmbeddedPostgres, tmp_path: Path) -> None:
    """Who waits for the dump's lock, with the shop behind, waits no longer than was said."""
    shop = new_database(source, "storm")
    sql(shop, BIG)
    job, free = stuck_job(tmp_path, logical(source, shop, give_way=Duration(1.0)))

    def alter() -> None:
        wait_until(lambda: sql(source.dsn, COPIES.format("storm")), 20, "the dump")
        sql(shop, "set lock_timeout = '15s'; truncate big")
        free.set()

    with meanwhile(alter), pytest.raises(Transient, match="gave way"):
        run_backup(job, "orders")


WAITS = "select 1 from pg_locks where not granted and relation is not null"


def test_a_truncate_between_snapshot_and_lock_is_noticed(
    source: EmbeddedPostgres, tmp_path: Path
) -> None:
    """TRUNCATE heeds no snapshot: without a second look the table would be empty in the dump."""
    shop = new_database(source, "race")
    sql(shop, "create table a as select generate_series(1, 10) i")
    job = job_for(tmp_path, logical(source, shop))
    with psycopg.connect(shop) as connection:
        connection.execute("truncate a")
        connection.execute("insert into a select generate_series(1, 5)")

        def commit() -> None:
            wait_until(lambda: sql(shop, WAITS), 20, "the dump to wait")
            connection.commit()

        with meanwhile(commit):
            run_backup(job, "orders")
    target = new_database(source, "raced")
    into(job, target)
    assert sql(target, "select count(*) from a") == [(5,)]


def test_a_table_that_goes_away_and_one_that_stays_locked(
    source: EmbeddedPostgres, tmp_path: Path
) -> None:
    shop = new_database(source, "ddl")
    sql(shop, "create table a as select 1 i; create table b as select 2 i")
    job = job_for(tmp_path, logical(source, shop, lock_wait=Duration(0.2)))
    with psycopg.connect(shop) as connection:
        connection.execute("drop table a")
        with pytest.raises(Transient, match=r"lock timeout|statement timeout"):
            run_backup(job, "orders")
        assert list_backups(job, "orders")[0] == []
        patient = make_job(tmp_path, job.backups.keys, logical(source, shop))

        def commit() -> None:
            wait_until(lambda: sql(shop, WAITS), 20, "the dump to wait")
            connection.commit()

        with meanwhile(commit):
            run_backup(patient, "orders")
    assert verify(patient, "orders", 3).passed


def test_programs_of_another_version(source: EmbeddedPostgres, tmp_path: Path) -> None:
    database = PostgresLogicalDatabase(Secret.literal(source.dsn), bin_dir("16"))
    with pytest.raises(MissingExtra, match=r"no pg_dump of PostgreSQL 15 in"):
        run_backup(job_for(tmp_path, database), "orders")


def test_a_user_who_may_only_read(source: EmbeddedPostgres, tmp_path: Path) -> None:
    """No password hashes then, and the restore says so."""
    shop = new_database(source, "modest")
    sql(shop, "create table a as select 1 i; create role reader login password 'reader-word'")
    sql(shop, "grant select on a to reader")
    dsn = shop.replace(f"postgres:{source.password}@", "reader:reader-word@")
    job = job_for(tmp_path, logical(source, dsn))
    manifest = run_backup(job, "orders")
    assert manifest.dump["passwords"] is False
    target = new_database(source, "modest copy")
    done = into(job, target)
    assert (done.roles, done.passwords) == ((), False)
    assert sql(target, "select i from a") == [(1,)]


@pytest.mark.parametrize("version", [pytest.param("16", marks=pytest.mark.long), "18"])
def test_newer_servers_take_it_older_ones_do_not(
    version: str, source: EmbeddedPostgres, tmp_path: Path
) -> None:
    old = new_database(source, "old")
    sql(old, SHOP.replace("create extension pg_trgm;", ""))
    job = job_for(tmp_path, logical(source, old, mask=MASK))
    run_backup(job, "orders")
    with running_postgres(version) as newer:
        newer.sql("create database shop template template0")
        shop = newer.dsn(database="shop")
        into(job, shop, mask=True)
        assert sql(shop, "select count(*), sum(total) from orders") == [(1000, 750750)]
        back = make_job(
            tmp_path / "back", job.backups.keys, PostgresLogicalDatabase(Secret.literal(shop))
        )
        run_backup(back, "orders")
        assert verify(back, "orders", 3).failures == ()
        with pytest.raises(Refused, match="that version or a newer one"):
            into(back, new_database(source, "older"))


@pytest.mark.long
def test_a_row_of_a_hundred_megabytes(source: EmbeddedPostgres, tmp_path: Path) -> None:
    shop = new_database(source, "huge")
    sql(shop, "create table a (b bytea); alter table a alter b set storage external")
    sql(shop, "insert into a select decode(repeat('0123456789abcdef', 13107200), 'hex')")
    job = job_for(tmp_path, logical(source, shop))
    run_backup(job, "orders")
    target = new_database(source, "huge copy")
    into(job, target)
    digest = "select length(b), md5(b) from a"
    assert sql(target, digest) == sql(shop, digest)
