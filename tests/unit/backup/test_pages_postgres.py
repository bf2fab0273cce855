"""Do chains of a real PostgreSQL under load restore to what it was?"""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.backup.databases import pgnative
from sre.backup.job import Job
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.pages.servers import check_folder
from sre.backup.restoring.chain import extract_chain, open_chain
from sre.backup.restoring.unpack import extract
from sre.backup.runner import run_backup
from sre.backup.verifying.scratch import scratch
from sre.core.clock import Deadline
from sre.core.process import run
from tests.servers.postgresql import PgServer, running_postgres
from tests.unit.backup.setting import Scene, make_job, make_keys, postgres

MIB = 2**20
ODD = '"Bestellungen ""ü"""'
TABLES = ("plain", ODD, "wide", "cut", "unlogged_one", "empty", "accounts")
SETUP = f"""
create table plain as select g id, md5(g::text) a, 0 n from generate_series(1, 25000) g;
create index on plain (a);
create table {ODD} as select g id, 'ä' || g t from generate_series(1, 5000) g;
create table wide as select 1 id, repeat(md5('x'), 100000) t;
create table cut as select g id, md5(g::text) a from generate_series(1, 12000) g;
create unlogged table unlogged_one as select g id from generate_series(1, 5000) g;
create table empty (id int);
create table ballast as select g id, md5(g::text) || sha512(g::text::bytea)::text t
  from generate_series(1, 80000) g;
create table accounts as select g id, 100 balance from generate_series(1, 2000) g;
alter table accounts add primary key (id);
vacuum freeze
"""
BETWEEN = (
    "update plain set n = n + 1 where id % 1000 < 10",
    f"truncate cut; insert into {ODD} select g, 'neu' from generate_series(1, 999) g; vacuum plain",
    "insert into cut select g, 'again' from generate_series(1, 8000) g; vacuum full plain",
    'reindex table plain; drop table wide; create database "o\'dd ""x"; select count(*) from plain',
)


@pytest.fixture(scope="module")
def server() -> Iterator[PgServer]:
    with running_postgres("15", full_page_writes="on") as server:
        yield server


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@contextmanager
def load(server: PgServer) -> Iterator[None]:
    """Transfers between accounts: their sum never changes."""
    ended = threading.Event()

    def transfer() -> None:
        with server.connect() as connection:
            number = 0
            while not ended.wait(0.005):  # its log is part of every backup
                number += 1
                one, other = number % 2000 + 1, number * 7 % 2000 + 1
                with connection.transaction():
                    connection.execute(
                        "update accounts set balance = balance - 1 where id = %s", (one,)
                    )
                    connection.execute(
                        "update accounts set balance = balance + 1 where id = %s", (other,)
                    )

    thread = threading.Thread(target=transfer)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def sums(dsn: str) -> dict[str, Any]:
    """Every table's content in one hash each."""
    found = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        names = connection.execute(
            "select quote_ident(relname) from pg_class where relkind = 'r' "
            "and relnamespace = 'public'::regnamespace and relpersistence = 'p'"
        ).fetchall()
        for (name,) in names:
            query = f"select count(*), md5(string_agg(t::text, ',' order by id)) from {name} t"
            found[name] = connection.execute(query.encode()).fetchone()
        databases = "select array_agg(datname order by datname) from pg_database"
        found["databases"] = connection.execute(databases.encode()).fetchone()
    return found


def restore(job: Job, manifest: Manifest, folder: Path) -> Path:
    """A backup as a folder, the chain's own checks passed."""
    found = job.find(manifest.id)
    chain = open_chain(found.catalogue, manifest.where, job.backups.keys)
    folder.mkdir(mode=0o700)
    assert extract_chain(chain, folder, None, lambda _count: None) == ()
    assert check_folder(str(folder)) == ()
    return folder


def restored_sums(job: Job, manifest: Manifest) -> dict[str, Any]:
    database = job.backups.databases["orders"].database
    with scratch() as work:
        folder = restore(job, manifest, work / "data")
        assert database.check_files(folder, Deadline.after(60)) == ()
        with database.serve(folder, work, Deadline.after(60)) as dsn:
            with psycopg.connect(dsn, autocommit=True) as connection:
                (total,) = connection.execute("select sum(balance) from accounts").fetchone()
                assert total == 200_000
                connection.execute("select count(*) from unlogged_one").fetchone()
            return sums(dsn)


def execute(server: PgServer, script: str) -> None:
    for statement in script.split(";"):
        server.sql(statement)


@pytest.mark.postgres
def test_every_link_of_a_chain_made_under_load_restores(
    server: PgServer, keys: Keys, tmp_path: Path
) -> None:
    execute(server, SETUP)
    job = make_job(tmp_path, keys, postgres(server.dsn(), server.programs))
    made = []
    with load(server):
        made.append((run_backup(job, "orders"), sums(server.dsn())))
        for kind, script in zip(
            ("differential", "incremental", "incremental", "incremental"), BETWEEN, strict=True
        ):
            execute(server, script)
            before = sums(server.dsn())
            made.append((run_backup(job, "orders", kind), before))
    last = sums(server.dsn())
    made.append((run_backup(job, "orders", "incremental"), last))
    kinds = [each.kind for each, _ in made]
    assert kinds == ["full", "differential", *["incremental"] * 4], [
        m.dump.get("full_because") for m, _ in made
    ]
    assert [each.parent for each, _ in made[1:]] == [each.id for each, _ in made[:-1]]
    full, first = made[0][0], made[1][0]
    assert first.stored_bytes < full.stored_bytes / 4
    assert first.sidecar is not None
    assert first.source_bytes > full.source_bytes / 2
    for manifest, expected in made[1::2]:  # each restore holds all before it
        found = restored_sums(job, manifest)
        if manifest is not made[-1][0]:  # the load went on meanwhile
            found, expected = ({**each, "accounts": None} for each in (found, expected))
        assert found == expected, manifest.id


@pytest.mark.postgres
def test_an_increment_that_was_killed_is_not_there_and_the_next_one_is(
    server: PgServer, tmp_path: Path
) -> None:
    store = {"kind": "local", "path": tmp_path / "store"}
    scene = Scene(tmp_path, server.dsn(), store, str(server.programs), "4MiB")
    scene.write()

    def said(*arguments: str) -> dict[str, Any]:
        done = scene.run(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    full = said("run", "orders", "--kind", "incremental")
    assert full["kind"] == "full"
    assert "no full backup" in full["manifest"]["dump"]["full_because"]
    killed = scene.run("run", "orders", "--kind", "incremental", stage="before-manifest")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [each["id"] for each in said("list")["backups"]] == [full["id"]]
    dry = said("run", "orders", "--kind", "differential", "--dry-run")
    assert (dry["kind"], dry["parent"]) == ("differential", full["id"])
    made = said("run", "orders", "--kind", "incremental")
    assert (made["kind"], made["parent"]) == ("incremental", full["id"])
    assert made["stored_bytes"] < full["stored_bytes"]
    shown = scene.run("show", made["id"]).stdout
    assert f"incremental, on {full['id']}" in shown
    assert said("verify", made["id"], "--level", "1")["passed"]


@pytest.mark.postgres
def test_the_servers_own_increments_restore_as_its_own_tool_does(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgnative, "SOUND", {})
    with running_postgres("18", summarize_wal="on") as server:
        execute(server, SETUP)
        kind = dataclasses.replace(postgres(server.dsn(), server.programs), native_incremental=True)
        job = make_job(tmp_path, keys, kind)
        made = [run_backup(job, "orders")]
        for script in BETWEEN[:2]:
            execute(server, script)
            made.append(run_backup(job, "orders", "incremental"))
        server.sql("update plain set n = n + 7 where id < 100")
        expected = sums(server.dsn())
        made.append(run_backup(job, "orders", "incremental"))
        assert [m.dump.get("changes") for m in made] == [None, *["native"] * 3], made[1].dump
        assert restored_sums(job, made[-1]) == expected
        assert made[-1].source_bytes > made[0].source_bytes / 2  # what a restore needs
        ours = restore(job, made[-1], tmp_path / "ours")
        theirs = combined(job, made, tmp_path, server)
        assert names(ours) == names(theirs)
        for name in names(ours):
            if name != "backup_manifest":
                assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
        monkeypatch.setattr(pgnative, "SOUND", {18: 99})
        by_pages = run_backup(job, "orders", "incremental")
        assert by_pages.dump["changes"] == "pages"
        assert "18.99 or newer" in by_pages.dump["not_native"]
        assert by_pages.stored_bytes < made[0].stored_bytes / 4
        assert restored_sums(job, by_pages) == expected


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def combined(job: Job, made: list[Manifest], tmp_path: Path, server: PgServer) -> Path:
    """What pg_combinebackup makes of the same links."""
    found = job.find(made[-1].id)
    chain = open_chain(found.catalogue, made[-1].where, job.backups.keys)
    folders = []
    for number, link in enumerate(chain.links):
        folder = tmp_path / f"link{number}"
        folder.mkdir()
        assert extract(link, folder, None, lambda _count: None) == ()
        folders.append(str(folder))
    out = tmp_path / "theirs"
    argv = [str(server.programs / "pg_combinebackup"), *folders, "-o", str(out), "--no-sync"]
    done = run(argv, Deadline.after(60), env={"LC_ALL": "C"})
    assert done.ok, done.stderr
    return out
