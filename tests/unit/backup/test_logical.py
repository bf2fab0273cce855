"""Does a dump of one database come back, in another server, whole or not at all?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.backup.databases.pglogical import PostgresLogicalDatabase
from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.logical.mask import MaskRule
from sre.backup.logical.members import DUMP
from sre.backup.logical.restore import Into, Loaded, restore_into
from sre.backup.logical.unpacked import restore_files
from sre.backup.manifest import Manifest
from sre.backup.runner import run_backup
from sre.backup.storage.local import LocalStorage, LocalStore
from sre.backup.verifying.verify import verify
from sre.core.errors import CheckFailed, Locked, MissingExtra, Refused, UsageError
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.demo.postgres import EmbeddedPostgres
from sre.sql.model import Invariant
from tests.servers.net import wait_until
from tests.servers.postgresql import bin_dir, running_postgres
from tests.unit.backup.logical_shop import (
    ODD,
    RIGHTS,
    ROLES,
    SHOP,
    dsn_for,
    dumped,
    new_database,
    sql,
)
from tests.unit.backup.setting import Scene, make_job, make_keys

pytestmark = pytest.mark.postgres

MASK = (
    MaskRule("customers", "email", "hash"),
    MaskRule("public.customers", "näme 'x\"y", "'name ' || id -- of nobody"),
)
COUNT = Invariant("rows", "select count(*) from public.orders", equals=1000)


@pytest.fixture(scope="module")
def source() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as server:
        sql(server.dsn, ROLES)
        odd = new_database(server, ODD)
        sql(odd, SHOP)
        sql(odd, RIGHTS)
        quoted = '"' + ODD.replace('"', '""') + '"'
        sql(odd, f"alter database {quoted} set work_mem = '9MB'")
        sql(odd, f"revoke connect on database {quoted} from public")
        sql(odd, f"grant connect on database {quoted} to grp")
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[EmbeddedPostgres]:
    """A server that has never heard of the roles."""
    with EmbeddedPostgres() as server:
        yield server


def logical(server: EmbeddedPostgres, dsn: str, **more: Any) -> PostgresLogicalDatabase:
    return PostgresLogicalDatabase(Secret.literal(dsn), server.bin_dir, **more)


def job_for(folder: Path, database: PostgresLogicalDatabase, *invariants: Invariant) -> Job:
    return make_job(folder, make_keys(folder / "keys"), database, invariants=invariants)


@pytest.fixture(scope="module")
def taken(
    source: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Job, Manifest]:
    """A backup of the shop with the odd name."""
    folder = tmp_path_factory.mktemp("taken")
    job = job_for(folder, logical(source, dsn_for(source, ODD), mask=MASK), COUNT)
    return job, run_backup(job, "orders")


def into(job: Job, dsn: str, *tables: str, mask: bool = False) -> Loaded:
    return restore_into(job, Into("orders", Secret.literal(dsn), tables, mask))


def nothing_in(dsn: str) -> bool:
    """No relation and no schema but those of an empty database."""
    found = sql(dsn, "select count(*) from pg_class where oid >= 16384 and relkind <> 't'")
    return found == [(0,)]


def test_all_of_it_comes_back_in_another_server(
    taken: tuple[Job, Manifest], source: EmbeddedPostgres, other: EmbeddedPostgres
) -> None:
    """Schema, rows, large object, sequences, rights, owners, roles with their passwords."""
    job, manifest = taken
    assert manifest.dump["database"] == ODD
    assert manifest.dump["passwords"] is True
    target = new_database(other, "cöpy 'two\"")
    done = into(job, target)
    assert done.roles == ('odd; role"x', "grp")
    assert done.passwords
    assert dumped(source.bin_dir, target) == dumped(source.bin_dir, dsn_for(source, ODD))
    wanted = "select rolname, rolpassword, rolconnlimit from pg_authid where oid > 16383"
    assert sorted(sql(other.dsn, wanted)) == sorted(sql(source.dsn, wanted))
    config = "select rolconfig from pg_roles where rolname like 'odd%'"
    assert sql(other.dsn, config) == sql(source.dsn, config)
    assert sql(target, "show work_mem") == [("9MB",)]
    rights = "select has_database_privilege('odd; role\"x', current_database(), 'connect'), datacl "
    [(allowed, acl)] = sql(target, f"{rights} from pg_database where datname = current_database()")
    assert allowed
    assert "=c" not in str(acl).replace("grp=c", "")
    assert sql(target, "select nextval('lonely'), nextval('orders_id_seq')") == [(42, 1001)]
    with pytest.raises(Refused, match="not empty"):
        into(job, target)


def test_verified_by_loading(taken: tuple[Job, Manifest]) -> None:
    """Level 3: a new cluster, everything in it, the invariants hold."""
    found = verify(taken[0], "orders", 3)
    assert (found.faults, found.failures) == ((), ())
    assert [(each.value, each.passed) for each in found.invariants] == [(1000, True)]
    assert found.rto_seconds


def test_files_in_a_folder(
    taken: tuple[Job, Manifest], source: EmbeddedPostgres, tmp_path: Path
) -> None:
    """By hand, pg_restore reads what appears."""
    done = restore_files(taken[0], "orders", tmp_path / "files")
    folder = Path(done.folder)
    assert "hunter22secret" not in (folder / "roles.sql").read_text()
    assert "SCRAM-SHA-256" in (folder / "roles.sql").read_text()
    argv = [str(source.bin_dir / "pg_restore"), "--list", str(folder / DUMP)]
    assert "Tab le" in subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    with pytest.raises(Refused):
        restore_files(taken[0], "orders", folder)


def test_never_over_the_source_and_never_without_what_it_needs(
    taken: tuple[Job, Manifest], source: EmbeddedPostgres, other: EmbeddedPostgres
) -> None:
    job, _ = taken
    with pytest.raises(Refused, match="very database"):
        into(job, dsn_for(source, ODD))
    target = new_database(other, "plain")
    sql(other.dsn, "drop role if exists guest; create role guest login password 'guest-word'")
    sql(other.dsn, "alter database plain owner to guest")
    guest = target.replace(f"postgres:{other.password}@", "guest:guest-word@")
    with psycopg.connect(other.dsn, autocommit=True) as connection:
        for name in ("cöpy 'two\"", "plain"):
            quoted = name.replace('"', '""')
            connection.execute(f'drop database if exists "{quoted}" with (force)'.encode())
        connection.execute(b'drop role if exists "odd; role""x"; drop role if exists grp')
    target = new_database(other, "plain")
    with pytest.raises(Refused, match="'odd; role\"x', 'grp'; make them first"):
        into(job, guest)
    assert nothing_in(target)


def test_one_restore_at_a_time(taken: tuple[Job, Manifest], other: EmbeddedPostgres) -> None:
    target = new_database(other, "busy")
    with psycopg.connect(target, autocommit=True) as held:
        held.execute("select pg_advisory_lock(x'7372655F6C6F6164'::bigint)")
        with pytest.raises(Locked):
            into(taken[0], target)
    assert nothing_in(target)


def test_dropped_tables_come_back_where_they_were(source: EmbeddedPostgres, tmp_path: Path) -> None:
    """Into the source itself: index, key, partitions, trigger, comment, sequence, rights."""
    shop = new_database(source, "drops")
    sql(shop, SHOP)
    sql(shop, RIGHTS)
    job = job_for(tmp_path, logical(source, shop))
    run_backup(job, "orders")
    before = dumped(source.bin_dir, shop)
    with pytest.raises(Refused, match=r"public\.orders exists"):
        into(job, shop, "orders")
    sql(shop, 'drop table orders; drop table "my sch""q"."Tab le"')
    done = into(job, shop, "orders", '"my sch""q"."Tab le"')
    assert done.tables == ('"public"."orders"', '"my sch""q"."Tab le"')
    assert not done.left_out
    after = dumped(source.bin_dir, shop)
    assert sorted(after.splitlines()) == sorted(before.splitlines())
    with pytest.raises(UsageError, match="did you mean"):
        into(job, shop, "order")
    with pytest.raises(UsageError, match="no mask"):
        into(job, shop, mask=True)


def test_a_table_alone_says_what_stays_behind(
    taken: tuple[Job, Manifest], other: EmbeddedPostgres
) -> None:
    target = new_database(other, "alone")
    done = into(taken[0], target, "orders")
    assert len(done.left_out) == 2, done.left_out
    assert sql(target, "select count(*), sum(total) from orders") == [(1000, 750750)]
    with pytest.raises(CheckFailed, match="mood"):
        into(taken[0], target, "customers")  # its type is not there
    assert sql(target, "select to_regclass('customers')") == [(None,)]


def test_masked_before_anybody_sees_a_row(
    taken: tuple[Job, Manifest], other: EmbeddedPostgres
) -> None:
    """Nothing readable stays, in no file of the database either; views see the masked rows."""
    target = new_database(other, "masked")
    done = into(taken[0], target, mask=True)
    assert done.masked == ('"public"."customers"',)
    rows = sql(target, 'select id, email, "näme \'x""y", low from customers order by id')
    assert len({row[1] for row in rows}) == len(rows) == 1000
    assert all(row[2] == f"name {row[0]}" and row[3] == row[1] for row in rows)
    assert {len(row[1]) for row in rows} == {40}
    assert sql(target, "select e from mv") == [(min(row[1] for row in rows),)]
    sql(target, "checkpoint")
    assert sql(target, "select sum(length(lo_get(oid))) from pg_largeobject_metadata") == [
        (100000,)
    ]
    [(oid,)] = sql(target, "select oid from pg_database where datname = current_database()")
    files = list((other.data_dir / "base" / str(oid)).iterdir())
    assert files
    assert not [file for file in files if b"@example.com" in file.read_bytes()]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (MaskRule("customers", "nope", "hash"), "has no column nope"),
        (MaskRule("customers", "low", "hash"), "has no column low that can be written"),
        (MaskRule("customers", "m", "hash"), "hash is for text"),
        (MaskRule("customers", "email", "1/0"), "division by zero"),
        (MaskRule("customers", "email", "'x'"), "(?i)check constraint|violates"),
    ],
)
def test_a_mask_that_fails_leaves_nothing(
    rule: MaskRule, says: str, taken: tuple[Job, Manifest], other: EmbeddedPostgres
) -> None:
    job, _ = taken
    declared = job.backups.databases["orders"]
    broken = PostgresLogicalDatabase(
        declared.database.dsn,  # type: ignore[attr-defined]
        declared.database.bin_dir,  # type: ignore[attr-defined]
        mask=(rule,),
    )
    again = make_job(job.state, job.backups.keys, broken)
    target = new_database(other, "broken")
    with pytest.raises(CheckFailed, match=says):
        into(again, target, mask=True)
    assert nothing_in(target)


def test_an_empty_database(
    source: EmbeddedPostgres, other: EmbeddedPostgres, tmp_path: Path
) -> None:
    job = job_for(tmp_path, logical(source, new_database(source, "void")))
    run_backup(job, "orders")
    assert verify(job, "orders", 3).passed
    target = new_database(other, "void")
    into(job, target)
    assert nothing_in(target)


def children_named(name: str) -> list[int]:
    """Programs of that name below this process, not those of tests beside it."""
    found, parents = [], {os.getpid()}
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda each: int(each.name)):
        try:
            words = (entry / "stat").read_text().rpartition(") ")[2].split()
            command = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if int(words[1]) in parents:
            parents.add(int(entry.name))
            if command == name:
                found.append(int(entry.name))
    return found


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

    with meanwhile(alter), pytest.raises(CheckFailed, match="gave way"):
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
        with pytest.raises(CheckFailed, match=r"lock timeout|statement timeout"):
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


@pytest.mark.parametrize("version", ["16", "18"])
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


SLOW = """create function slow(int) returns bool language sql as
    'select pg_sleep(case when current_database() = ''slow'' then 0 else 0.05 end) is not null';
    create table a (i int check (public.slow(i))); insert into a select generate_series(1, 400)"""


@pytest.fixture
def scene(source: EmbeddedPostgres, tmp_path: Path) -> Scene:
    """The declaration as a file, with a small shop."""
    shop = new_database(source, "slow")
    sql(shop, SLOW)
    made = Scene(
        tmp_path, shop, {"kind": "local", "path": str(tmp_path / "store")}, str(source.bin_dir)
    )
    made.write(["{name: rows, sql: 'select count(*) from a', equals: 400}"])
    text = made.config.read_text().replace("kind: postgres\n", "kind: postgres-logical\n")
    made.config.write_text(
        text + "    give_way: 1m\n    mask: [{table: a, column: i, to: i + 1}]\n"
    )
    return made


def good(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_commands(scene: Scene, source: EmbeddedPostgres, tmp_path: Path) -> None:
    """run, show, restore into a server and into a folder; no password anywhere."""
    ran = good(scene.run("run", "orders", "--format", "json"))
    shown = good(scene.run("show", ran["id"], "--format", "json"))
    assert shown["manifest"]["dump"]["database"] == "slow"
    target = new_database(source, "commands")
    env = {"COPY_DSN": target}
    planned = scene.run("restore", "orders", "--to", "env:COPY_DSN", "--dry-run", env=env)
    assert "would load everything" in planned.stdout, planned.stderr
    sql(target, "create function slow(int) returns bool language sql as 'select true'")
    words = ("restore", "orders", "--to", "env:COPY_DSN", "--table", "a", "--mask")
    done = good(scene.run(*words, "--format", "json", env=env))
    assert (done["schema"], done["masked"]) == ("sre.loaded/1", ['"public"."a"'])
    assert sql(target, "select min(i), max(i) from a") == [(2, 401)]
    assert scene.run(*words, env=env).returncode == 5
    assert scene.run("restore", "orders", "--to", "x", "--table", "a").returncode == 2
    at = scene.run("restore", "orders", "--to", "x", "--at", "2026-01-01T00:00:00Z")
    assert at.returncode == 2
    files = good(scene.run("restore", "orders", "--to", "files", "--format", "json"))
    assert (Path(files["folder"]) / DUMP).exists()
    open_dsn = scene.run("restore", "orders", "--to", target)
    assert open_dsn.returncode == 5
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "source.json":
            assert source.password.encode() not in path.read_bytes(), path
    assert source.password not in open_dsn.stderr + open_dsn.stdout


def test_a_killed_restore_leaves_an_empty_database(scene: Scene, source: EmbeddedPostgres) -> None:
    good(scene.run("run", "orders", "--format", "json"))
    target = new_database(source, "halfway")
    env = {**scene.environment, "COPY_DSN": target}
    argv = scene.argv("restore", "orders", "--to", "env:COPY_DSN")
    loading = "select pid from pg_stat_activity where datname = 'halfway' and query ~ '^COPY'"
    with subprocess.Popen(argv, env=env, cwd=scene.folder, stderr=subprocess.DEVNULL) as running:
        try:
            wait_until(lambda: sql(source.dsn, loading), 30, "the load")
        finally:
            running.kill()
    wait_until(lambda: not sql(source.dsn, loading), 30, "the server to roll back")
    assert nothing_in(target)
    assert not children_named("psql")
