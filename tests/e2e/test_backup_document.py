"""Do the commands of docs/backup.md work as they stand there, while a shop is being used?"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from sre.backup.databases.pgscratch import scratch_server
from sre.backup.keys import new_keys
from sre.core.clock import Deadline
from sre.demo.postgres import EmbeddedPostgres
from tests.servers.child import program
from tests.servers.s3 import S3Server
from tests.unit.backup.setting import ROOT

DOCUMENT = ROOT / "docs" / "backup.md"
DECLARATION = """\
version: 1
shop: {{name: demo, base_url: "http://127.0.0.1:9"}}
stores:
  main: {{kind: s3, bucket: backups, endpoint: "{s3}", prefix: {prefix}, access_key: "${{env:AK}}",
    secret_key: "${{env:SK}}"}}
  offsite: {{kind: local, path: {folder}/offsite}}
tiers:
  gold: {{rpo: 10m, rto: 15m, full: weekly, differential: daily, incremental: hourly, archive: true,
    copies: [offsite], verify: {{level: 3, every: 1d}},
    keep: {{within: 35d, daily: 7, weekly: 4, monthly: 12, min_verified_fulls: 2}}}}
keys:
  recipients: [{recipient}]
  trusted: ["{trusted}"]
  signing: "${{file:{folder}/keys/signing}}"
  identity: "${{file:{folder}/keys/identity}}"
databases:
  orders:
    kind: postgres
    dsn: "${{env:ORDERS_DSN}}"
    tier: gold
    store: main
    volume: 8MiB
    orders: {{table: orders, id: id}}
    invariants:
      - {{name: no_orphan_lines, equals: 0, sql: "select count(*) from order_lines l left join
          orders o on o.id = l.order_id where o.id is null"}}
      - {{name: orders_are_there, min: 4000, sql: "select count(*) from orders"}}
  orders-logical:
    kind: postgres-logical
    dsn: "${{env:ORDERS_DSN}}"
    store: main
    mask:
      - {{table: customers, column: email, to: hash}}
      - {{table: customers, column: name, to: "'customer ' || id"}}
"""
SHOP = """
create schema sales;
create table sales."Odd Name" (id int primary key, note text);
insert into sales."Odd Name" select i, 'n' || i from generate_series(1, 50) i;
create table customers (id int primary key, email text, name text);
insert into customers select i, 'c' || i || '@example.test', 'Ann ' || i
  from generate_series(1, 50) i;
create table orders (id bigserial primary key, customer_id int, placed timestamptz default now());
create table order_lines (order_id bigint references orders, sku text);
insert into orders (customer_id) select 1 + i % 50 from generate_series(1, 4000) i;
insert into order_lines select i, 'sku' from generate_series(1, 4000) i;
"""
ORDER = """\
with made as (insert into orders (customer_id) values (1) returning id)
insert into order_lines select id, 'sku' from made;
"""


@dataclass(frozen=True)
class Day:
    """The shop, and the folder in which somebody types."""

    folder: Path
    server: EmbeddedPostgres
    environment: dict[str, str]

    def type(self, block: str) -> None:
        """Run a block as a careful person does. What it says goes with a failure."""
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-x", "-c", block],
            cwd=self.folder, env=self.environment, text=True, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def sql(self, text: str, database: str = "") -> list[tuple[object, ...]]:
        """What a query answers."""
        dsn = self.server.dsn if not database else renamed(self.server.dsn, database)
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(text)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []


def renamed(dsn: str, database: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn, dbname=database)


def blocks(section: str) -> list[str]:
    """The shell blocks of a section of the document."""
    text = DOCUMENT.read_text()
    [body] = re.findall(
        rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return re.findall(r"^```sh\n(.*?)^```", body, re.MULTILINE | re.DOTALL)


@contextmanager
def load(server: EmbeddedPostgres, folder: Path) -> Iterator[None]:
    """Customers order all the while."""
    script = folder / "order.sql"
    script.write_text(ORDER)
    argv = [
        str(server.bin_dir / "pgbench"), "-n", "-c", "2", "-R", "5", "-T", "600",
        "-f", str(script), server.dsn,
    ]  # fmt: skip
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            yield
        finally:
            running.kill()


@pytest.fixture
def day(tmp_path: Path, s3_server: S3Server) -> Iterator[Day]:
    program("pgbench")
    made = new_keys(tmp_path / "keys")
    (tmp_path / "sre.yaml").write_text(
        DECLARATION.format(
            s3=s3_server.endpoint,
            prefix=f"day-{secrets.token_hex(4)}",
            folder=tmp_path,
            recipient=made.recipient,
            trusted=made.trusted,
        )
    )
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "sre"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m sre "$@"\n')
    shim.chmod(0o755)
    with EmbeddedPostgres() as server:
        names = ("copy", "tables", "staging")
        environment = {
            **os.environ,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SRE_STATE": str(tmp_path / "state"),
            "ORDERS_DSN": server.dsn,
            "AK": s3_server.access_key,
            "SK": s3_server.secret_key,
            **{f"{name.upper()}_DSN": renamed(server.dsn, name) for name in names},
        }
        scene = Day(tmp_path, server, environment)
        scene.sql(SHOP)
        for name in names:
            scene.sql(f"create database {name} template template0")
        scene.sql("create schema sales", "tables")
        yield scene


@pytest.mark.timeout(300)  # some thirty commands, each a process
def test_a_day_with_it(day: Day) -> None:
    """Every block of the section, in order, on a server that a load is writing to."""
    accident = "sre backup restore orders --to latest"
    day.type("sre backup run orders-logical")
    with load(day.server, day.folder):
        for block in blocks("A day with it"):
            if accident in block:
                place_many(day)
                day.environment["BEFORE_THE_ACCIDENT"] = delete_some(day)
            day.type(block)
    found = {each.name for each in day.folder.iterdir()}
    assert {"latest", "earlier", "before", "from-offsite", "names"} <= found
    assert "backup_label" in (day.folder / "names").read_text() or (
        "PG_VERSION" in (day.folder / "names").read_text()
    )
    assert served(day, "earlier", "select count(*) from orders where id <= 4000") == 4000
    assert served(day, "latest", "select count(*) from orders where id <= 100") == 0
    assert served(day, "before", "select max(id) < 4711 from orders") is True


def place_many(day: Day) -> None:
    """So that there is an order 4711, whatever the load did meanwhile; each commits by itself."""
    with psycopg.connect(day.server.dsn, autocommit=True) as connection:
        newest = 0
        while newest < 4720:
            connection.execute(ORDER)
            [newest] = connection.execute("select max(id) from orders").fetchone() or (0,)


def delete_some(day: Day) -> str:
    """The accident; a moment just before it, in UTC."""
    time.sleep(0.01)
    before = datetime.now(UTC).isoformat()
    time.sleep(0.01)
    day.sql("delete from order_lines where order_id <= 100")
    day.sql("delete from orders where id <= 100")
    return before


def served(day: Day, name: str, query: str) -> object:
    """What a restored folder says when it runs."""
    with tempfile.TemporaryDirectory(prefix="sre-t-") as scratch:
        Path(scratch).chmod(0o755)
        copy = Path(scratch) / "data"
        shutil.copytree(day.folder / name, copy, symlinks=True)
        words = psycopg.conninfo.conninfo_to_dict(day.server.dsn)
        with (
            scratch_server(
                copy, Path(scratch), Deadline.after(60), major="15", bin_dir=day.server.bin_dir,
                user=str(words["user"]), database=str(words["dbname"]),
            ) as dsn,
            psycopg.connect(dsn) as connection,
        ):  # fmt: skip
            [answer] = connection.execute(query).fetchone() or (None,)  # type: ignore[arg-type]
            return answer


def test_logical_dumps(day: Day) -> None:
    for block in blocks("Logical dumps"):
        day.type(block)
    assert day.sql("select count(*) from orders", "copy") == [(4000,)]
    assert day.sql('select count(*) from sales."Odd Name"', "tables") == [(50,)]
    assert day.sql("select count(*) from customers where email like '%@%'", "staging") == [(0,)]
    assert (day.folder / "files").is_dir()
