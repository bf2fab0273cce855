"""Do the commands restore a logical dump, and what is left when they are killed?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.backup.logical.members import DUMP
from sre.backup.runner import run_backup
from sre.core.errors import UsageError
from sre.demo.postgres import EmbeddedPostgres
from tests.servers.net import wait_until
from tests.unit.backup.logical_shop import (
    SHOP,
    command_lines,
    dumped,
    into,
    new_database,
    nothing_in,
    sql,
)
from tests.unit.backup.setting import Scene, make_job, make_keys, postgres

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def source() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as server:
        yield server


SLOW = """create function slow(int) returns bool language sql as
    'select pg_sleep(case when current_database() = ''slow'' then 0 else 0.05 end) is not null';
    create table a (i int check (public.slow(i))); insert into a select generate_series(1, 100)"""


@pytest.fixture
def scene(source: EmbeddedPostgres, tmp_path: Path) -> Scene:
    """The declaration as a file, with a small shop."""
    shop = new_database(source, "slow")
    sql(shop, SLOW)
    made = Scene(
        tmp_path, shop, {"kind": "local", "path": str(tmp_path / "store")}, str(source.bin_dir)
    )
    made.write(["{name: rows, sql: 'select count(*) from a', equals: 100}"])
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
    assert sql(target, "select min(i), max(i) from a") == [(2, 101)]
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
    wait_until(lambda: not command_lines(scene.folder), 10, "its programs to end")


def test_a_table_out_of_a_physical_backup(source: EmbeddedPostgres, tmp_path: Path) -> None:
    """Through a scratch server, with index, keys, partitions, trigger and sequence."""
    shop = new_database(source, "physical")
    sql(shop, SHOP)
    sql(shop, "drop statistics st1")  # pg_dump --table leaves them out
    keys = make_keys(tmp_path / "keys")
    job = make_job(tmp_path, keys, postgres(shop, source.bin_dir))
    run_backup(job, "orders")
    before = dumped(source.bin_dir, shop)
    with pytest.raises(UsageError, match="name the tables"):
        into(job, shop)
    sql(shop, 'drop table "my sch""q"."Tab le"; drop table orders')
    into(job, shop, 'my sch"q.Tab le', "orders")
    assert sorted(dumped(source.bin_dir, shop).splitlines()) == sorted(before.splitlines())
