"""Does the kind `sql` turn rows of real databases into metrics, and change nothing?"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sre.core.errors import ConfigError
from sre.core.secrets import Secret
from sre.journey.result import Outcome, Reason
from sre.probes.facts import Facts
from sre.probes.kinds.sql import SqlProbe
from sre.probes.model import Reading
from sre.probes.sqlquery import PREFIX, Bounds, Query, Turned, Unusable, turned
from sre.settings import load_settings
from tests.servers.demo import DemoShop
from tests.servers.examples import run_example, serve_example
from tests.servers.glance import glance
from tests.servers.mariadb import MariaPair
from tests.servers.postgresql import PgPair


def business(reading: Reading) -> dict[Any, float]:
    own = [gauge for gauge in reading.gauges if gauge.name.startswith(PREFIX)]
    names = {gauge: gauge.name.removeprefix(PREFIX) for gauge in own}
    return {(names[g], *dict(g.labels).values()) if g.labels else names[g]: g.value for g in own}


def asked(dsn: str, *queries: Query, **more: Any) -> Reading:
    return glance("sql", dsn=Secret.literal(dsn), queries=queries, **more)


@pytest.fixture
def numbers(pg_pair: PgPair) -> Iterator[str]:
    server = pg_pair.primary
    server.sql("create table sales (channel text, amount numeric, paid bool)")
    server.sql(
        "insert into sales values ('web', 10.5, true), ('web', 4.5, false), ('app', 7, true)"
    )
    try:
        yield server.dsn()
    finally:
        server.sql("drop table sales")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "books of 2026.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table sales (channel text, amount real)")
        connection.executemany("insert into sales values (?, ?)", [("web", 1.5), (None, 2)])
    connection.close()
    return path


def test_the_example_on_the_demo_shop(demo_shop: DemoShop, tmp_path: Path) -> None:
    customer, prober = demo_shop.browser(), demo_shop.browser()
    prober.headers["X-Synthetic"] = "sre/1234"
    for _ in range(3):
        customer.paid_order()
    customer.order()
    prober.paid_order()
    env = {"ORDERS_DSN": demo_shop.dsn}
    port = demo_shop.dsn.rpartition("port=")[2]
    at = {"127.0.0.1:5432": f"127.0.0.1:{port}"}
    code, data = run_example("sql", tmp_path, at, env)
    assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"]), data
    with serve_example("sql", tmp_path, at | {"every: 60s": "every: 1s"}, env) as metrics:
        found = {
            line.split(" ")[0]: float(line.split(" ")[1])
            for line in metrics.splitlines()
            if line.startswith(PREFIX)
        }
    paid = demo_shop.sql("select avg(total) / 100.0 from orders where state = 'paid'")[0][0]
    of = '{probe="business"}'
    assert found[f"sre_business_orders_per_minute{of}"] == pytest.approx(4 / 5)
    assert found['sre_business_orders_by_state{probe="business",state="paid"}'] == 3
    assert found['sre_business_orders_by_state{probe="business",state="placed"}'] == 1
    assert found[f"sre_business_payment_success_ratio{of}"] == 1
    assert found[f"sre_business_average_order_value_euros{of}"] == pytest.approx(float(paid))
    assert found[f"sre_business_refunds_ratio{of}"] == 0
    assert found[f"sre_business_inventory_accuracy_ratio{of}"] == 1
    demo_shop.sql("update products set stock = stock + 1")
    code, data = run_example("sql", tmp_path, at, env)
    assert (code, data["results"][0]["outcome"]) == (1, "failed")
    assert "inventory_accuracy_ratio is 0 (at least 0.95)" in data["results"][0]["message"]


def test_rows_become_metrics(numbers: str) -> None:
    by = "from sales group by channel -- what a comment; says"
    reading = asked(
        numbers,
        Query("sales", f"select channel, sum(amount) as euros, count(*) as rows {by}",
              labels=("channel",), values=("euros", "rows")),
        Query("paid", "select sum(paid::int) from sales;", counter=True, help="Paid"),
        Query("open", "select null::int"),
        Query("wait", "select interval '90 seconds'", unit="seconds"),
        Query("like", "select count(*) from sales where channel like 'w%'"),
    )  # fmt: skip
    assert (reading.outcome, reading.message) == (Outcome.OK, "")
    assert set(reading.steps[0].phases) == {"connect", "processing"}
    assert business(reading) == {
        ("sales_euros", "web"): 15, ("sales_rows", "web"): 2,
        ("sales_euros", "app"): 7, ("sales_rows", "app"): 1,
        "paid_total": 2, "wait_seconds": 90, "like": 2,
    }  # fmt: skip
    [paid] = [gauge for gauge in reading.gauges if gauge.name.endswith("paid_total")]
    assert (paid.counter, paid.help) == (True, "Paid.")


def test_nothing_is_changed(numbers: str, mariadb_pair: MariaPair, ledger: Path) -> None:
    count = Query("sales", "select count(*) from sales")
    writes = (
        "with gone as (delete from sales returning 1) select count(*) from gone",
        "select 1; delete from sales",
        "select 1; commit; delete from sales",
        "select 1) x; delete from sales; select (1",
        "select set_config('transaction_read_only', 'off', false)::text = 'off' as done",
    )
    for sql in writes:
        reading = asked(numbers, Query("bad", sql), count)
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS), sql
        assert business(reading) == {"sales": 3}, sql
    server = mariadb_pair.primary
    server.sql("create database shop", "create table shop.sales as select 1 as n")
    try:
        for sql in ("select 1; delete from shop.sales", "select 1 from shop.sales; commit"):
            reading = asked(server.dsn(), Query("bad", sql))
            assert reading.outcome is Outcome.FAILED, sql
        assert server.sql("select count(*) from shop.sales") == [(1,)]
    finally:
        server.sql("drop database shop")
    for sql in ("select 1; delete from sales", "with x as (select 1) delete from sales"):
        reading = glance("sql", path=ledger, queries=(Query("bad", sql), count))
        assert reading.outcome is Outcome.FAILED, sql
        assert business(reading) == {"sales": 2}, sql


def test_mariadb_answers_as_well(mariadb_pair: MariaPair) -> None:
    server = mariadb_pair.primary
    server.sql(
        "create database shop",
        "create table shop.sales (channel text, amount decimal(9,2))",
        "insert into shop.sales values ('wéb', 10.50), ('app', 2)",
    )
    try:
        by = Query("sales", "select channel, sum(amount) from shop.sales group by channel",
                   labels=("channel",))  # fmt: skip
        reading = asked(
            server.dsn(), by, Query("none", "select sum(amount) from shop.sales where 0")
        )
        assert (reading.outcome, reading.message) == (Outcome.OK, "")
        assert business(reading) == {("sales", "wéb"): 10.5, ("sales", "app"): 2}
    finally:
        server.sql("drop database shop")


@pytest.mark.parametrize("engine", ["postgres", "mysql", "sqlite"])
def test_a_query_that_takes_too_long(
    engine: str, pg_pair: PgPair, mariadb_pair: MariaPair, ledger: Path
) -> None:
    endless = (
        "with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select max(i) from n where i < 0"
    )
    where: dict[str, Any] = {
        "postgres": {"dsn": Secret.literal(pg_pair.primary.dsn())},
        "mysql": {"dsn": Secret.literal(mariadb_pair.primary.dsn())},
        "sqlite": {"path": ledger},
    }[engine]
    sql = endless if engine == "sqlite" else "select pg_sleep(60)::text"
    many = ", ".join(f"information_schema.collations c{n}" for n in range(5))
    sql = f"select count(*) from {many}" if engine == "mysql" else sql
    began = time.monotonic()
    reading = glance("sql", seconds=0.6, queries=(Query("slow", sql),), **where)
    assert time.monotonic() - began < 3
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.TIMEOUT)


def test_a_sqlite_file(ledger: Path, tmp_path: Path) -> None:
    by = Query(
        "sales", "select channel, sum(amount) as s from sales group by 1", labels=("channel",)
    )
    for where in ({"path": ledger}, {"dsn": Secret.literal(f"sqlite:///{ledger}")}):
        reading = glance("sql", queries=(by,), **where)
        assert business(reading) == {("sales", "web"): 1.5, ("sales", "null"): 2}
    gone = glance("sql", path=tmp_path / "none.db", queries=(by,))
    assert (gone.outcome, gone.reason) == (Outcome.FAILED, Reason.CONNECT)
    assert not (tmp_path / "none.db").exists()
    odd = glance("sql", path=tmp_path / ("n" * 300), queries=(by,))
    assert (odd.outcome, odd.reason) == (Outcome.FAILED, Reason.CONNECT)
    assert odd.message.endswith(" cannot be read: File name too long")
    (tmp_path / "other").write_text("no database at all, but a text that is long enough")
    assert glance("sql", path=tmp_path / "other", queries=(by,)).reason is Reason.STATUS


def test_one_query_that_fails_spoils_no_other(numbers: str) -> None:
    reading = asked(
        numbers, Query("typo", "select summ(amount) from sales"), Query("fine", "select 1"),
        Query("no_table", "select 1 from nowhere"),
    )  # fmt: skip
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
    assert reading.message.startswith("typo: function summ(numeric) does not exist; no_table: ")
    assert business(reading) == {"fine": 1}
    success = {
        gauge.labels[0][1]: gauge.value
        for gauge in reading.gauges
        if gauge.name == "sre_probe_sql_query_success"
    }
    assert success == {"typo": 0, "fine": 1, "no_table": 0}


def test_a_user_without_rights(pg_pair: PgPair, numbers: str) -> None:
    server = pg_pair.primary
    server.sql("create role seller login password 'selling-it'")
    try:
        reading = asked(server.dsn("seller", "selling-it"), Query("sales", "select 1 from sales"))
        assert reading.message == "sales: permission denied for table sales"
    finally:
        server.sql("drop role seller")


def test_an_entry_of_databases(pg_pair: PgPair) -> None:
    from tests.servers.glance import looking

    probe = SqlProbe((Query("one", "select 1"),), database="orders")
    reading = probe.check(looking(orders=pg_pair.primary.dsn()))
    assert business(reading) == {"one": 1}
    none = probe.check(looking())
    assert none.reason is Reason.PROBER
    assert "has no dsn" in none.message


def turn(query: Query, names: list[str], rows: list[tuple[Any, ...]]) -> Turned:
    metrics = [(name, query.text, *query.labels) for name in query.metrics]
    return turned(query, names, rows, Facts("sql", *metrics, prefix=PREFIX))


@pytest.mark.parametrize(
    ("more", "names", "rows", "words"),
    [
        ({}, ["n"], [("12",)], "column 'n' holds no number but str"),
        ({}, ["n"], [(float("nan"),)], "column 'n' holds nan"),
        ({}, ["n"], [(Decimal("Infinity"),)], "column 'n' holds inf"),
        ({}, ["n"], [(1,), (2,)], "2 rows and no labels"),
        ({}, ["a", "b"], [(1, 2)], "which column is the value? There are: a, b"),
        ({"value": "c"}, ["a", "b"], [(1, 2)], "no single column is named 'c'"),
        ({"labels": ("l",)}, ["l", "n"], [("x", 1), ("x", 2)], "two rows with the labels {l=x}"),
        ({"labels": ("l",)}, ["l", "n"], [(b"x", 1)], "column 'l' holds bytes"),
        ({"labels": ("l",), "max_rows": 2}, ["l", "n"], [(1, 1), (2, 1), (3, 1)], "more than 2"),
    ],
)
def test_rows_of_which_no_number_can_be_made(
    more: dict[str, Any], names: list[str], rows: list[tuple[Any, ...]], words: str
) -> None:
    with pytest.raises(Unusable) as raised:
        turn(Query("q", "select 1", **more), names, rows)
    assert words in str(raised.value)


def test_rows_are_turned() -> None:
    only = turn(Query("q", "select 1"), ["name", "n"], [("text", Decimal("1.5"))])
    assert [gauge.value for gauge in only.gauges] == [1.5], "the only column with a number"
    upper = turn(Query("q", "select 1", value="n"), ["A", "N"], [(1, timedelta(minutes=1))])
    assert [gauge.value for gauge in upper.gauges] == [60.0]
    long = turn(Query("q", "select 1", labels=("l",)), ["l", "n"], [("ä" * 300, 1)])
    assert long.gauges[0].labels == (("l", "ä" * 100),)
    limits = Query("q", "select 1", min=2, warn=Bounds(max=5), required=True, labels=("l",))
    broken = turn(limits, ["l", "n"], [("a", 1), ("b", 9), ("c", None)])
    assert broken.bad == ("q{l=a} is 1 (at least 2)", "q has no value")
    assert broken.poor == ("q{l=b} is 9 (at most 5)",)
    assert turn(Query("q", "select 1", required=True), ["n"], []).bad == ("q has no value",)
    assert turn(Query("q", "select 1"), ["n"], []).bad == ()


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("Orders", {}, "small letters"),
        ("orders_count", {}, "ends like a part"),
        ("orders_total", {}, "counter: true"),
        ("order_minutes", {}, "base units"),
        ("orders", {"sql": "delete from orders"}, "one query that reads"),
        ("orders", {"labels": ("probe",)}, "cannot be a label"),
        ("orders", {"labels": ("a", "b", "c", "d", "e", "f")}, "at most 5 labels"),
        ("orders", {"max_rows": 1000}, "max_rows"),
        ("orders", {"min": 5, "max": 2}, "nothing would be good"),
        ("orders", {"value": "n", "values": ("n",)}, "either value or values"),
    ],
)
def test_queries_that_cannot_be_declared(name: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Query(name, **{"sql": "select 1", **more})


def test_two_probes_cannot_give_one_name_two_label_sets(tmp_path: Path) -> None:
    text = """
version: 1
shop: {name: demo, base_url: "http://127.0.0.1:18080"}
probes:
  - {name: a, kind: sql, path: a.db, queries: [{name: sales, sql: "select 1"}]}
  - {name: b, kind: sql, path: b.db, queries: [{name: sales, sql: "select 1", labels: [channel]}]}
  - {name: c, kind: sql, path: c.db, queries: [{name: sales, sql: "select 2"}]}
"""
    path = tmp_path / "sre.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_settings(path)
    assert "sre.yaml:6:5 probes[1]: sre_business_sales has another help or other labels" in str(
        raised.value
    )
    assert str(raised.value).count("\n") == 0


def test_rules_and_dashboards_may_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from sre.cli.main import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "sre.yaml").write_text(
        'version: 1\nshop: {name: demo, base_url: "http://127.0.0.1:18080"}\nprobes:\n'
        "  - {name: a, kind: sql, path: a.db, queries: [{name: sales, sql: select 1}]}\n"
    )
    rule = "groups: [{name: shop, rules: [{alert: NoSales, expr: sre_business_sales < 1}]}]\n"
    for text, wrong in ((rule, False), (rule.replace("_sales", "_sale"), True)):
        (tmp_path / "shop.rules.yml").write_text(text)
        told = CliRunner().invoke(cli, ["dashboards", "check", "shop.rules.yml"])
        assert ("nobody exports or records" in told.output) is wrong, told.output
