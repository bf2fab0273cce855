"""Does the kind `mysql` say what a real MariaDB and its replica say, and end in time?"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest

from sre.core.secrets import Secret
from sre.core.units import Duration, Share
from sre.journey.result import Outcome, Reason
from sre.probes.kinds.mysql import Limits, MysqlProbe
from sre.probes.model import Reading
from sre.probes.mysqlserver import channels_of, status_of
from sre.probes.mysqlwire import Place, place_of
from tests.servers.examples import run_example, serve_example
from tests.servers.glance import glance
from tests.servers.looks import values
from tests.servers.mariadb import MariaDb, MariaPair, running_mariadb
from tests.servers.net import wait_until

WATCHER = "watching-word-2"


def told(reading: Reading) -> tuple[Outcome, Reason, str]:
    assert WATCHER not in reading.message
    return reading.outcome, reading.reason, reading.message


def seen(server: MariaDb, **config: Any) -> Reading:
    return glance("mysql", dsn=Secret.literal(server.dsn()), **config)


def facts(server: MariaDb, **config: Any) -> dict[Any, float]:
    return values(seen(server, **config), "mysql")


def calmly(server: MariaDb) -> dict[Any, float]:
    """InnoDB shows transactions anew only when nobody has looked for 0.1 s."""
    time.sleep(0.15)
    return facts(server)


@contextmanager
def user(server: MariaDb, *grants: str) -> Iterator[dict[str, Any]]:
    server.sql(f"create user watcher@127.0.0.1 identified by '{WATCHER}'", *grants)
    try:
        password = Secret.literal(WATCHER)
        yield {"host": "127.0.0.1", "port": server.port, "user": "watcher", "password": password}
    finally:
        server.sql("drop user watcher@127.0.0.1")


@contextmanager
def stock(server: MariaDb) -> Iterator[None]:
    server.sql(
        "create database shop", "create table shop.stock (n int primary key, v int)",
        "insert into shop.stock values (1, 0), (2, 0)",
    )  # fmt: skip
    try:
        yield
    finally:
        server.sql("drop database shop")


@contextmanager
def session(server: MariaDb, *statements: str) -> Iterator[pymysql.connections.Connection[Any]]:
    """A client that is in a transaction after `statements`."""
    connection = server.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        yield connection
    finally:
        connection.close()


@contextmanager
def busy(server: MariaDb, *statements: str) -> Iterator[None]:
    """A client that hangs in the last of `statements` until the block ends."""
    connection = server.connect(autocommit=False)

    def work() -> None:
        with contextlib.suppress(pymysql.err.Error), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        server.sql(f"kill {connection.thread_id()}")
        thread.join(5)
        with contextlib.suppress(pymysql.err.Error):
            connection.close()


def test_the_example(mariadb_pair: MariaPair, tmp_path: Path) -> None:
    server = mariadb_pair.primary
    grant = "grant process, slave monitor, show view on *.* to watcher@127.0.0.1"
    with stock(server), user(server, grant):
        env = {"WATCHER_PASSWORD": WATCHER}
        at = {"127.0.0.1:3306": f"127.0.0.1:{server.port}", "port: 3306": f"port: {server.port}"}
        code, data = run_example("mysql", tmp_path, at, env)
        assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"])
        soon = at | {"kind: mysql,": "kind: mysql, every: 1s,"}
        with serve_example("mysql", tmp_path, soon, env) as metrics:
            assert 'sre_probe_up{probe="catalogue_db"} 1' in metrics
            collectors = [x for x in metrics.splitlines() if "mysql_collector_success{" in x]
            assert len(collectors) == 6
            assert all(float(line.split()[-1]) == 1 for line in collectors)
            assert (
                'sre_probe_mysql_schema_size_bytes{probe="catalogue_db",schema="shop"}' in metrics
            )


def test_the_numbers_are_the_server_s_own(mariadb_pair: MariaPair) -> None:
    server = mariadb_pair.primary
    with stock(server), session(server, "select 1"):
        before = dict(server.sql("show global status"))
        reading = seen(server)
        found = values(reading, "mysql")
        assert told(reading) == (Outcome.OK, Reason.NONE, "")
        assert set(reading.steps[0].phases) == {"connect", "processing"}
        assert (found["connections"], found["connections_limit"]) == (3, 12)
        assert found["connections_used_ratio"] == 0.25
        assert found["version_info", server.sql("select version()")[0][0].split("-")[0], "mariadb"]
        assert found["buffer_pool_size_bytes"] == 8 * 2**20
        assert found["statements_total"] >= float(before["Questions"])
        assert found["schema_size_bytes", "shop"] == 16384
        assert found["start_timestamp_seconds"] == pytest.approx(
            time.time() - float(before["Uptime"]), abs=2
        )
        assert (found["read_only"], found["replicas"]) == (0, 1)
        aborted = dict(server.sql("show global status like 'Aborted_clients'"))
        assert aborted["Aborted_clients"] == before["Aborted_clients"], "we said goodbye"


def test_locks_transactions_and_slow_queries(mariadb_pair: MariaPair) -> None:
    server = mariadb_pair.primary
    limits = Limits(
        lock_wait=Duration(0.1), row_lock_waits=0, transaction=Duration(0.1), slow_queries=0,
        idle_transaction=Duration(0.1),
    )  # fmt: skip
    with (
        stock(server),
        session(server, "update shop.stock set v = 1 where n = 1"),
        busy(server, "update shop.stock set v = 2 where n = 1"),
    ):
        wait_until(lambda: calmly(server)["longest_lock_wait_seconds"] > 0.2, 5, "a wait")
        wait_until(lambda: facts(server)["oldest_query_seconds"] >= 1, 5, "a slow statement")
        reading = seen(server, slow_query=Duration(1), max=limits)
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        for words in ("lock wait", "row lock waits 1", "transaction", "slow queries 1", "idle"):
            assert words in reading.message
        assert seen(server, warn=limits).outcome is Outcome.DEGRADED
        assert facts(server)["slow_queries"] == 0, "5 s by default"
        with busy(server, "drop table shop.stock"):
            waits = lambda: facts(server)["metadata_lock_waits"] == 1  # noqa: E731
            wait_until(waits, 5, "a wait for the definition")


def test_a_deadlock_is_counted(mariadb_pair: MariaPair) -> None:
    server = mariadb_pair.primary
    before = facts(server)["deadlocks_total"]
    with (
        stock(server),
        session(server, "update shop.stock set v = 1 where n = 1") as one,
        busy(
            server,
            "update shop.stock set v = 1 where n = 2",
            "update shop.stock set v = 2 where n = 1",
        ),
    ):
        wait_until(lambda: facts(server)["row_lock_waits"] == 1, 5, "the first wait")
        with contextlib.suppress(pymysql.err.OperationalError), one.cursor() as cursor:
            cursor.execute("update shop.stock set v = 3 where n = 2")
        assert facts(server)["deadlocks_total"] == before + 1


def test_the_replica(mariadb_pair: MariaPair) -> None:
    primary, replica = mariadb_pair.primary, mariadb_pair.replica
    running = lambda: facts(replica).get(("replication_lag_seconds", "default")) == 0  # noqa: E731
    wait_until(running, 10, "the replica to catch up")
    found = facts(replica)
    assert (found["read_only"], found["replication_channels"]) == (1, 1)
    assert told(seen(replica, role="replica", max=Limits(lag=Duration(5))))[0] is Outcome.OK
    assert "is to be the primary" in seen(replica, role="primary").message
    assert "is to be a replica" in seen(primary, role="replica").message
    assert told(seen(primary, role="primary", max=Limits(min_replicas=1)))[0] is Outcome.OK


def test_a_stopped_replica_has_no_lag_rather_than_none(mariadb_pair: MariaPair) -> None:
    replica = mariadb_pair.replica
    replica.sql("stop slave sql_thread")
    try:
        reading = seen(replica, max=Limits(lag=Duration(5)))
        found = values(reading, "mysql")
        assert told(reading)[:2] == (Outcome.DEGRADED, Reason.STATUS)
        assert "replication 'default' does not apply" in reading.message
        assert "'lag' cannot be judged" in reading.message
        assert found["replication_sql_running", "default"] == 0
        assert found["replication_io_running", "default"] == 1
        assert ("replication_lag_seconds", "default") not in found
        assert seen(replica, role="replica").outcome is Outcome.FAILED
    finally:
        replica.sql("start slave sql_thread")


def test_a_replica_that_breaks_says_the_number_of_the_error(mariadb_pair: MariaPair) -> None:
    primary, replica = mariadb_pair.primary, mariadb_pair.replica
    with stock(primary):
        wait_until(lambda: len(replica.sql("select * from shop.stock")) == 2, 5, "the rows")
        replica.sql("insert into shop.stock values (3, 0)")
        primary.sql("insert into shop.stock values (3, 0)")
        try:
            broken = lambda: facts(replica)["replication_error_code", "default"]  # noqa: E731
            assert wait_until(broken, 5, "the replica to break") == 1062
            assert "does not apply (error 1062)" in seen(replica).message
        finally:
            replica.sql("delete from shop.stock where n = 3", "start slave")
    gone = lambda: facts(replica)["replication_sql_running", "default"] == 1  # noqa: E731
    wait_until(gone, 5, "replication to go on")


def test_who_may_not_see_everything(mariadb_pair: MariaPair) -> None:
    with user(mariadb_pair.primary) as who:
        reading = glance("mysql", **who)
        found = values(reading, "mysql")
        assert told(reading) == (Outcome.OK, Reason.NONE, "")
        unread = {key[1] for key, each in found.items() if "collector_success" in key and not each}
        assert unread == {"transactions", "sessions", "replication", "schemas"}
        assert found["connections"] >= 1
        assert "slow_queries" not in found
        blind = glance("mysql", max=Limits(transaction=Duration(1)), role="primary", **who)
        assert told(blind)[0] is Outcome.DEGRADED
        assert "'transaction' cannot be judged" in blind.message
        assert "its role cannot be judged" in blind.message


def test_sizes_that_may_not_be_seen_are_not_zero(mariadb_pair: MariaPair) -> None:
    server = mariadb_pair.primary
    grant = "grant process on *.* to watcher@127.0.0.1"
    with user(server, grant) as who, stock(server):
        wait_until(
            lambda: server.sql("select 1 from information_schema.innodb_sys_tablespaces "
                               "where name = 'shop/stock'"), 5, "the table",
        )  # fmt: skip
        found = values(glance("mysql", **who), "mysql")
        assert found["collector_success", "schemas"] == 0
        assert "schemas_size_bytes" not in found
        server.sql("grant show view on *.* to watcher@127.0.0.1")
        assert values(glance("mysql", **who), "mysql")["schemas_size_bytes"] == 16384


def test_nobody_lets_us_in(mariadb_pair: MariaPair) -> None:
    server = mariadb_pair.primary
    wrong = glance("mysql", dsn=Secret.literal(server.dsn(password="not-the-word")))
    assert told(wrong)[:2] == (Outcome.FAILED, Reason.STATUS)
    assert wrong.message.startswith("the server refused: Access denied for user 'root'")
    assert "not-the-word" not in wrong.message
    with ExitStack() as stack:
        with contextlib.suppress(pymysql.err.OperationalError):  # until there is no room
            for _ in range(20):
                stack.enter_context(session(server))
        reading = seen(server)
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert reading.message == "the server refused: Too many connections"
    wait_until(lambda: seen(server).outcome is Outcome.OK, 5, "room again")
    assert facts(server)["refused_connections_total"] >= 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls(mariadb_pair: MariaPair, host: str) -> None:
    primary, replica = mariadb_pair.primary, mariadb_pair.replica

    def asked(server: MariaDb, **more: Any) -> Reading:
        password = Secret.literal(server.password)
        return glance("mysql", host=host, port=server.port, user="root", password=password, **more)

    for mode in ("require", "verify_ca", "verify_identity"):
        assert asked(primary, tls=mode, ca_file=mariadb_pair.ca_file).outcome is Outcome.OK
        assert asked(replica, tls=mode).reason is Reason.TLS, "it has none"
    strange = asked(primary, tls="verify_ca")
    assert told(strange)[:2] == (Outcome.FAILED, Reason.TLS)
    assert strange.message.startswith("not trusted: ")
    assert asked(primary, tls="require").outcome is Outcome.OK
    options = f"?ssl-mode=VERIFY_IDENTITY&ssl-ca={mariadb_pair.ca_file}"
    assert glance("mysql", dsn=Secret.literal(primary.dsn() + options)).outcome is Outcome.OK


def test_a_socket_of_this_machine(mariadb_pair: MariaPair) -> None:
    server = mariadb_pair.primary
    who = {"user": "root", "password": Secret.literal(server.password)}
    assert glance("mysql", unix_socket=server.socket, **who).outcome is Outcome.OK
    gone = glance("mysql", unix_socket="/nowhere/at/all", **who)
    assert told(gone) == (
        Outcome.FAILED, Reason.CONNECT, "/nowhere/at/all: No such file or directory",
    )  # fmt: skip


def test_a_frozen_and_a_killed_server() -> None:
    with running_mariadb(3) as server:
        dsn = Secret.literal(server.dsn())
        with server.frozen():
            began = time.monotonic()
            reading = glance("mysql", seconds=0.5, dsn=dsn)
            assert time.monotonic() - began < 3
            assert told(reading)[:2] == (Outcome.FAILED, Reason.TIMEOUT)
        server.kill()
        wait_until(lambda: seen(server).reason is Reason.CONNECT, 5, "the end of the server")


def test_someone_else_at_that_port(mariadb_pair: MariaPair) -> None:
    import socketserver

    class Greeting(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 3)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        reading = glance("mysql", host="127.0.0.1", port=port, user="u", seconds=2)
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.PROTOCOL)
        server.shutdown()


def test_what_a_dsn_says() -> None:
    place = place_of("mysql+pymysql://us%40er:p%2Fw@db.example:3307/shop?ssl_mode=required")
    wanted = Place("db.example", 3307, None, "us@er", "p/w", "shop", "require")
    assert place == wanted
    assert place_of("mariadb://u@/?unix_socket=/run/s").unix_socket == "/run/s"
    for dsn in (
        "postgresql://u:open-sesame@h/d",
        "mysql://u:open-sesame@h:x/",
        "open-sesame",
        "mysql://u:open-sesame@h/?ssl-mode=maybe",
        "mysql://u:open-sesame@h/?other=1",
    ):
        reading = glance("mysql", dsn=Secret.literal(dsn))
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.PROBER)
        assert "sesame" not in reading.message
    with pytest.raises(ValueError, match="exactly one"):
        MysqlProbe()
    with pytest.raises(ValueError, match="stand in the dsn"):
        MysqlProbe(database="shop", user="u")


def test_the_words_of_other_versions() -> None:
    """Rows as MySQL 8.4 gives them, with two channels, one of which lost its source."""
    good = {
        "Channel_Name": "east", "Replica_IO_Running": "Yes", "Replica_SQL_Running": "Yes",
        "Seconds_Behind_Source": 7, "Last_SQL_Errno": 0, "Last_IO_Errno": 0, "Relay_Log_Space": 9,
    }  # fmt: skip
    lost = good | {
        "Channel_Name": "west", "Replica_IO_Running": "Connecting", "Last_IO_Errno": 2003,
        "Seconds_Behind_Source": 0,
    }  # fmt: skip
    found = channels_of([good, lost])
    told_ = {
        (g.name.removeprefix("sre_probe_mysql_"), *dict(g.labels).values()): g.value
        for g in found.gauges
    }
    assert told_["replication_lag_seconds", "east"] == 7
    assert ("replication_lag_seconds", "west") not in told_
    assert found.poor == ("replication 'west' does not receive (error 2003)",)
    assert "lag" not in found.used
    assert channels_of([good]).used == {"lag": 7}
    status = {"threads_connected": "3", "uptime": "10", "slave_running": "OFF"}
    settings = {
        "version": "5.7.44-log", "max_connections": "6", "read_only": "ON", "table_open_cache": "1",
    }  # fmt: skip
    old = status_of(status, settings, 1000.0)
    assert old.used["connections"] == Share(0.5)
    assert {g.name.removeprefix("sre_probe_mysql_"): g.value for g in old.gauges}["read_only"] == 1
