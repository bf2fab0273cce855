"""Do the deep levels of verification look at the real thing, and only at the copy?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.unit.backup.setting import Scene

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def database() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("create table orders as select 1 as id from generate_series(1, 5)")
        yield server


@pytest.fixture
def scene(database: EmbeddedPostgres, tmp_path: Path) -> Scene:
    store = {"kind": "local", "path": str(tmp_path / "store")}
    return Scene(tmp_path, database.dsn, store, str(database.bin_dir), "8MiB")


def said(scene: Scene, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = scene.run(*arguments, "--format", "json")
    assert done.returncode == code, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_levels_2_and_4_and_a_plan(scene: Scene, database: EmbeddedPostgres) -> None:
    """The smoke sees the copy as it was, not the source as it is."""
    scene.write(["{name: orders, sql: 'select count(*) from orders', equals: 5}"])
    smoke = scene.folder / "smoke.py"
    smoke.write_text(
        "import os, psycopg, sys\n"
        "with psycopg.connect(os.environ['SRE_DSN']) as c:\n"
        "    c.execute('insert into orders values (6)')\n"
        "    count = c.execute('select count(*) from orders').fetchone()[0]\n"
        "    c.rollback()\n"
        "sys.exit(0 if count == 6 else f'{count} orders')\n"
    )
    text = scene.config.read_text()
    scene.config.write_text(
        text.replace(
            "    tier: gold\n", f'    tier: gold\n    smoke: ["{sys.executable}", "{smoke}"]\n'
        )
    )
    said(scene, "run", "orders")
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("insert into orders values (99)")
    two = said(scene, "verify", "orders", "--level", "2")
    assert (two["passed"], set(two["phases"])) == (True, {"catalogue", "restore", "check_files"})
    assert two["rto_seconds"] is None
    four = said(scene, "verify", "orders", "--level", "4")
    assert four["passed"], four
    assert {"invariants", "smoke"} <= set(four["phases"])
    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("select count(*) from orders").fetchone() == (6,)
        connection.execute("delete from orders where id = 99")
        connection.commit()
    due = said(scene, "verify", "--due")
    assert due["schema"] == "sre.verifications/1"
    assert due["databases"][0]["verification"] is None  # level 4 counts for 3
    plan = said(scene, "plan")["databases"][0]
    assert {each["what"]: each["state"] for each in plan["promises"]} == {
        "rto": "kept", "rpo": "kept",
    }  # fmt: skip
    smoke.write_text("import sys; sys.exit('the shop does not open')\n")
    bad = said(scene, "verify", "orders", "--level", "4", code=1)
    assert "the shop does not open" in bad["problems"][0]["problem"]


def test_the_archived_log_is_replayed_and_a_hole_is_damage(
    scene: Scene, database: EmbeddedPostgres
) -> None:
    """What was committed after the backup is in the copy; the RPO is the log's."""
    scene.write(["{name: late, sql: 'select count(*) from late', equals: 3}"])
    text = scene.config.read_text()
    scene.config.write_text(text.replace("{rpo: 60s,", "{archive: true, rpo: 1h,"))
    said(scene, "archive", "orders", "--once")
    taken = said(scene, "run", "orders")
    early = said(scene, "verify", "orders", "--level", "3", code=1)
    assert "late" in early["problems"][0]["problem"]
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("create table late as select 1 as id from generate_series(1, 3)")
        connection.execute("select pg_switch_wal()")
        connection.execute("create table later as select 1 as id from generate_series(1, 3)")
        connection.execute("select pg_switch_wal()")
    said(scene, "archive", "orders", "--once")
    found = said(scene, "verify", "orders", "--level", "3")
    assert found["passed"], found
    assert {"download_log", "replay"} <= set(found["phases"])
    assert found["replay"]["bytes"] > 0
    folder = scene.folder / "store" / "v1" / "orders"
    records = sorted(folder.glob("*/log/*/*.json"))
    whole = [each for each in records if "partial" not in each.name]
    stop = taken["manifest"]["dump"]["stop_lsn"]
    assert len(whole) >= 2, (stop, [each.name for each in records])
    [piece] = whole[-2].parent.glob(f"{whole[-2].name.removesuffix('.json')}.zst.age")
    piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    damaged = said(scene, "verify", "orders", "--level", "3", code=7)
    assert whole[-2].name[:24] in damaged["problems"][0]["object"]
    whole[-2].unlink()
    hole = said(scene, "verify", "orders", "--level", "3", code=7)
    assert "missing from here on" in hole["problems"][0]["problem"]
