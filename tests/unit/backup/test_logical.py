"""Does a dump of one database come back, in another server, whole or not at all?"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sre.backup.databases.pglogical import PostgresLogicalDatabase
from sre.backup.job import Job
from sre.backup.logical.mask import MaskRule
from sre.backup.logical.members import DUMP
from sre.backup.logical.unpacked import restore_files
from sre.backup.manifest import Manifest
from sre.backup.runner import run_backup
from sre.backup.verifying.verify import verify
from sre.core.errors import CheckFailed, Locked, Refused, UsageError
from sre.demo.postgres import EmbeddedPostgres
from sre.sql.model import Invariant
from tests.unit.backup.logical_shop import (
    MASK,
    ODD,
    RIGHTS,
    ROLES,
    SHOP,
    dsn_for,
    dumped,
    into,
    job_for,
    logical,
    new_database,
    nothing_in,
    sql,
)
from tests.unit.backup.setting import make_job

pytestmark = pytest.mark.postgres

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


@pytest.fixture(scope="module")
def taken(
    source: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Job, Manifest]:
    """A backup of the shop with the odd name."""
    folder = tmp_path_factory.mktemp("taken")
    job = job_for(folder, logical(source, dsn_for(source, ODD), mask=MASK), COUNT)
    return job, run_backup(job, "orders")


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
