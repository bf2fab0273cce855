"""What if the machine, or the database, does something else meanwhile? (rows 16, 18, 26, 28, 29)"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.faults.ground import ids, meanwhile, none_left, said, scene_of
from tests.unit.backup.setting import Scene

pytestmark = pytest.mark.postgres

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
MIB = 2**20


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """64 MiB, enterable by every user, as a scratch server's folder must be."""
    with tempfile.TemporaryDirectory(prefix="sre-t-") as folder:
        Path(folder).chmod(0o755)
        disk = Path(folder) / "disk"
        disk.mkdir(mode=0o755)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], check=True)
        disk.chmod(0o755)
        try:
            yield disk
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)


def leave(disk: Path, room: int) -> Path:
    """Fill it but for some bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler = disk / "fill"
    with filler.open("wb") as file:
        for _ in range(max(0, free - room) // MIB):
            file.write(bytes(MIB))
    return filler


@ROOT_ONLY
def test_a_full_disk_at_each_place(
    scene: Scene, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State, local store, target, scratch: it is named, and nothing looks whole."""
    local = Scene(
        scene.folder, scene.dsn, {"kind": "local", "path": small_disk / "store"}, scene.bin_dir
    )
    filler = leave(small_disk, MIB)
    local.write()
    done = local.run("run", "orders")
    assert done.returncode == 4, done.stderr
    assert "No space left" in done.stderr or "full" in done.stderr
    assert ids(local) == []
    filler.unlink()
    scene.write()
    made = said(scene.run("run", "orders", "--format", "json"))["id"]
    leave(small_disk, 8 * MIB)
    done = scene.run("restore", made, "--to", str(small_disk / "out"))
    assert done.returncode == 5, done.stderr
    assert "bytes free" in done.stderr
    assert not (small_disk / "out").exists()
    done = scene.run("verify", made, "--level", "3", env={"TMPDIR": str(small_disk)})
    assert done.returncode == 4, (done.stdout, done.stderr)
    assert "full" in done.stderr
    assert list(small_disk.glob("sre-verify-*")) == []
    done = scene.run("run", "orders", env={"SRE_STATE": str(small_disk / "state")})
    assert done.returncode in (0, 4), done.stderr
    none_left(scene.folder)
    said(scene.run("verify", made, "--level", "1", "--format", "json"))


def busy_with_ddl(server: EmbeddedPostgres) -> None:
    """One round of what migrations do, and a sum that must always hold."""
    with psycopg.connect(server.dsn, autocommit=True) as one:
        one.execute("create table if not exists pairs (id serial, a int, b int)")
        with one.transaction():
            one.execute("insert into pairs (a, b) select i, -i from generate_series(1, 500) i")
        one.execute("create index concurrently pairs_a on pairs (a)")
        one.execute("vacuum full pairs")
        one.execute("drop index pairs_a")
        one.execute("create table wide as select * from pairs")
        one.execute("alter table wide add column c text default 'x', alter column a type bigint")
        one.execute("truncate wide")
        one.execute("drop table wide")
        one.execute("create database other template template0")
        one.execute("drop database other")
        one.execute("delete from pairs where id % 7 = 0")


def test_migrations_while_it_is_copied(scene: Scene, tmp_path: Path) -> None:
    """DROP, TRUNCATE, ALTER, VACUUM FULL, CREATE DATABASE, an index built beside: consistent."""
    checks = [
        "{name: sum, sql: 'select coalesce(sum(a + b), 0) from pairs', equals: 0}",
        "{name: pairs, sql: 'select count(*) from pairs where a is null', equals: 0}",
    ]
    good = 0
    with EmbeddedPostgres(settings={"wal_keep_size": "512MB"}) as server:
        own = scene_of(server, tmp_path, dict(scene.store))
        own.write(checks)
        with meanwhile(lambda: busy_with_ddl(server)):
            for _ in range(2):
                done = own.run("run", "orders", "--format", "json")
                assert done.returncode in (0, 1), done.stderr
                good += done.returncode == 0
        for each in ids(own):
            found = said(own.run("verify", each, "--level", "3", "--format", "json"))
            assert found["passed"], found
        assert len(ids(own)) == good > 0, server.log_path.read_text()[-2000:]


@pytest.mark.long
def test_names_and_rows_that_are_odd(tmp_path: Path, scene: Scene) -> None:
    """Quotes, unicode, a row of 100 MB, and tables that hold nothing."""
    odd = 'Käse "o\'r" ☃; drop table x --'
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn, autocommit=True) as one:
            name = psycopg.sql.Identifier(odd)
            one.execute(psycopg.sql.SQL("create schema {}").format(name))
            one.execute(psycopg.sql.SQL("create table {}.{} ({} text)").format(name, name, name))
            one.execute(
                psycopg.sql.SQL("insert into {}.{} select repeat(md5('x'), 3276800)").format(
                    name, name
                )
            )
            one.execute("create table nothing ()")
        own = scene_of(server, tmp_path, dict(scene.store))
        quoted = odd.replace('"', '""')
        sql = f'select length("{quoted}") from "{quoted}"."{quoted}"'
        text = sql.replace("'", "''")
        own.write(
            [
                f"{{name: huge, sql: '{text}', equals: 104857600}}",
                "{name: nothing, sql: 'select count(*) from nothing', equals: 0}",
            ]
        )
        made = said(own.run("run", "orders", "--format", "json"))["id"]
        found = said(own.run("verify", made, "--level", "3", "--format", "json"))
        assert found["passed"], found


@pytest.mark.long
@pytest.mark.timeout(600)
def test_five_thousand_tables(scene: Scene, tmp_path: Path) -> None:
    """Fifteen thousand files: counted, and all of them back."""
    with EmbeddedPostgres(settings={"max_locks_per_transaction": "512"}) as server:
        with psycopg.connect(server.dsn, autocommit=True) as one:
            for start in range(0, 5000, 500):
                one.execute(
                    f"do $$ begin for i in {start}..{start + 499} loop execute format("
                    "'create table t%s (id int primary key, note text)', i); end loop; end $$"
                )
        own = scene_of(server, tmp_path, dict(scene.store))
        count = "select count(*) from pg_class where relkind = ''r'' and relname like ''t%''"
        own.write([f"{{name: tables, sql: '{count}', min: 5000}}"])
        made = said(own.run("run", "orders", "--format", "json"))["id"]
        found = said(own.run("verify", made, "--level", "3", "--format", "json"))
        assert found["passed"], found


@pytest.mark.long
def test_no_server_of_that_version_here(scene: Scene, tmp_path: Path) -> None:
    """Level 3 says which programs are missing; level 1 goes on without."""
    made = said(scene.run("run", "orders", "--format", "json"))["id"]
    empty = tmp_path / "empty"
    empty.mkdir()
    other = Scene(scene.folder, scene.dsn, scene.store, str(empty), scene.volume)
    other.write()
    done = other.run("verify", made, "--level", "3")
    assert done.returncode in (1, 2), (done.stdout, done.stderr)
    assert "PostgreSQL 15" in done.stderr + done.stdout
    assert str(empty) in done.stderr + done.stdout
    said(other.run("verify", made, "--level", "1", "--format", "json"))


def test_a_verified_copy_is_never_the_live_database(
    scene: Scene, database: EmbeddedPostgres
) -> None:
    """What was changed after the backup is not seen by its invariants."""
    with psycopg.connect(database.dsn, autocommit=True) as one:
        one.execute("create table marker as select 1 as then_or_now")
        scene.write(
            ["{name: then, sql: 'select then_or_now from marker', equals: 1}",
             "{name: elsewhere, sql: 'select count(inet_server_port())', equals: 0}"]
        )  # fmt: skip
        made = said(scene.run("run", "orders", "--format", "json"))["id"]
        one.execute("update marker set then_or_now = 2")
        found = said(scene.run("verify", made, "--level", "3", "--format", "json"))
    assert [each["passed"] for each in found["invariants"]] == [True, True]
