"""Does the kind `postgres` say what real servers say, versions 15, 16 and 18, and end in time?"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from sre.core.secrets import Secret, redactor
from sre.core.units import Duration, Share, Size
from sre.journey.result import Outcome, Reason
from sre.probes.bounds import Of
from sre.probes.kinds.postgres import Limits, PostgresProbe
from sre.probes.model import Reading
from sre.probes.pgreplication import replay_lag, standbys_of
from sre.probes.pgwire import places
from tests.servers.certificates import issue
from tests.servers.examples import run_example, serve_example
from tests.servers.glance import glance, looking
from tests.servers.looks import values
from tests.servers.net import wait_until
from tests.servers.postgresql import PgPair, PgServer, running_postgres

WATCHER = "watching-word-1"
FEW = {"max_connections": "5", "superuser_reserved_connections": "1"}
BROKEN_ARCHIVE = {"archive_mode": "on", "archive_command": "'false'"}


def told(reading: Reading) -> tuple[Outcome, Reason, str]:
    assert WATCHER not in reading.message
    return reading.outcome, reading.reason, reading.message


def seen(server: PgServer, **config: Any) -> Reading:
    return glance("postgres", dsn=Secret.literal(server.dsn()), **config)


def facts(server: PgServer, **config: Any) -> dict[Any, float]:
    return values(seen(server, **config), "postgres")


@contextmanager
def session(server: PgServer, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """A client that is in a transaction after `statements`."""
    connection = psycopg.connect(server.dsn())
    try:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection
    finally:
        connection.close()


@contextmanager
def busy(server: PgServer, statement: str) -> Iterator[None]:
    """A client that hangs in `statement` until the block ends."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        pid = connection.info.backend_pid

        def work() -> None:
            with contextlib.suppress(psycopg.Error):
                connection.execute(statement.encode())

        thread = threading.Thread(target=work)
        thread.start()
        started = f"select 1 from pg_stat_activity where pid = {pid} and state = 'active'"
        wait_until(lambda: server.sql(started), 5, "the statement to run")
        try:
            yield
        finally:
            server.sql(f"select pg_terminate_backend({pid})")
            thread.join(5)


@contextmanager
def user(server: PgServer, *grants: str) -> Iterator[PgServer]:
    server.sql(f"create role watcher login password '{WATCHER}'")
    for grant in grants:
        server.sql(grant)
    try:
        yield server
    finally:
        server.sql("drop owned by watcher; drop role watcher")


def test_the_example(pg_pair: PgPair, tmp_path: Path) -> None:
    server = pg_pair.primary
    env = {"ORDERS_DSN": server.dsn()}
    at = {"127.0.0.1:5432": f"127.0.0.1:{server.port}"}
    code, data = run_example("postgres", tmp_path, at, env)
    assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"])
    soon = at | {"kind: postgres,": "kind: postgres, every: 1s,"}
    with serve_example("postgres", tmp_path, soon, env) as metrics:
        assert 'sre_probe_up{probe="orders_db"} 1' in metrics
        assert 'sre_probe_postgres_standby_streaming{probe="orders_db",standby="standby"} 1' in (
            metrics
        )


def test_the_numbers_are_the_server_s_own(pg_server: PgServer) -> None:
    pg_server.sql("drop table if exists numbers")
    pg_server.sql("create table numbers as select generate_series(1, 20000) as n")
    pg_server.sql("delete from numbers where n <= 5000")
    with session(pg_server, "select 1"), session(pg_server):
        wait_until(lambda: facts(pg_server)["dead_rows"] >= 5000, 5, "the statistics")
        reading = seen(pg_server)
        found = values(reading, "postgres")
        assert told(reading) == (Outcome.OK, Reason.NONE, "")
        assert set(reading.steps[0].phases) == {"connect", "processing"}
        [[version, size, most]] = pg_server.sql(
            "select split_part(current_setting('server_version'), ' ', 1), "
            "pg_database_size('postgres'), current_setting('max_connections')::int"
        )
        assert found["version_info", version, version.split(".")[0]] == 1
        assert found["database_size_bytes", "postgres"] == size
        assert (found["connections"], found["connections_limit"]) == (3, most)
        assert found["connections_by_state", "idle_in_transaction"] == 1
        reserved = 3 if version.startswith("15") else 5  # 16 has reserved_connections, too
        assert found["connections_reserved"] == reserved
        assert found["connections_used_ratio"] == 3 / (most - reserved)
        assert found["worst_dead_rows_ratio"] == pytest.approx(0.25, abs=0.01)
        [[started]] = pg_server.sql("select extract(epoch from pg_postmaster_start_time())")
        assert found["start_timestamp_seconds"] == pytest.approx(float(started))
    pg_server.sql("drop table numbers")
    asked = lambda: facts(pg_server)["checkpoints_total", "requested"]  # noqa: E731
    before = asked()
    pg_server.sql("create table more (n int); drop table more")
    pg_server.sql("checkpoint")
    wait_until(lambda: asked() == before + 1, 5, "the checkpoint")
    failed = {name for name, value in found.items() if name[0] == "collector_success" and not value}
    assert failed == set()


def test_a_lock_that_somebody_waits_for(pg_server: PgServer) -> None:
    pg_server.sql("create table stock (n int); insert into stock values (1)")
    try:
        with (
            session(pg_server, "update stock set n = 2"),
            busy(pg_server, "update stock set n = 3"),
        ):
            waits = lambda: facts(pg_server)["longest_lock_wait_seconds"] > 0.2  # noqa: E731
            wait_until(waits, 5, "a wait")
            limits = Limits(lock_wait=Duration(0.1), locks_waiting=0)
            reading = seen(pg_server, max=limits)
            assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
            assert "locks waiting 1 (limit 0); lock wait" in reading.message
            assert seen(pg_server, warn=limits).outcome is Outcome.DEGRADED
        assert facts(pg_server)["locks_waiting"] == 0
    finally:
        pg_server.sql("drop table stock")


def test_a_deadlock_is_counted(pg_server: PgServer) -> None:
    before = facts(pg_server)["deadlocks_total"]
    pg_server.sql("create table pair as select generate_series(1, 2) as n, 0 as v")
    try:
        with (
            session(pg_server, "update pair set v = 1 where n = 1") as one,
            session(pg_server, "update pair set v = 1 where n = 2") as two,
        ):
            second = "update pair set v = 2 where n = 2"
            thread = threading.Thread(target=_quietly, args=(one, second))
            thread.start()
            _quietly(two, "update pair set v = 2 where n = 1")
            thread.join(10)
        wait_until(lambda: facts(pg_server)["deadlocks_total"] == before + 1, 5, "the deadlock")
    finally:
        pg_server.sql("drop table pair")


def _quietly(connection: psycopg.Connection[Any], statement: str) -> None:
    with contextlib.suppress(psycopg.errors.DeadlockDetected):
        connection.execute(statement.encode())


def test_long_transactions_and_slow_queries(pg_server: PgServer) -> None:
    with session(pg_server, "select 1"), busy(pg_server, "select pg_sleep(30)"):
        old = lambda: facts(pg_server)["oldest_idle_transaction_seconds"] > 0.15  # noqa: E731
        wait_until(old, 5, "an old transaction")
        limits = Limits(transaction=Duration(0.1), idle_transaction=Duration(0.1), slow_queries=0)
        reading = seen(pg_server, slow_query=Duration(0.1), max=limits)
        assert told(reading)[0] is Outcome.FAILED
        for words in ("transaction 1", "idle transaction", "slow queries 1 (limit 0)"):
            assert words.removesuffix(" 1") in reading.message
        assert facts(pg_server)["slow_queries"] == 0, "5 s by default"
        assert facts(pg_server, slow_query=Duration(0.1))["slow_queries"] == 1


@dataclass(frozen=True)
class Small:
    """A server with TLS, few connections, statistics of statements, and a broken archive."""

    server: PgServer
    ca_file: Path
    stranger: Path


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    with TemporaryDirectory(prefix="sre-test-pg-", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        root = issue(folder, "root", authority=True)
        own, other = issue(folder, "server", issuer=root), issue(folder, "else", authority=True)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        own.key_file.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(own.key_file, 65534, 65534)
        tls = {"ssl_cert_file": f"'{own.chain_file}'", "ssl_key_file": f"'{own.key_file}'"}
        extra = {"ssl": "on", "shared_preload_libraries": "'pg_stat_statements'"}
        settings = FEW | BROKEN_ARCHIVE | tls | extra
        server = stack.enter_context(running_postgres("15", **settings))
        yield Small(server, root.chain_file, other.chain_file)


def test_a_slot_whose_log_is_gone_degrades(pg_server: PgServer) -> None:
    server = pg_server
    for name, value in (("max_slot_wal_keep_size", "1MB"), ("wal_keep_size", "0")):
        server.sql(f"alter system set {name} = '{value}'")
    server.sql("select pg_reload_conf()")
    server.sql("select pg_create_physical_replication_slot('forgotten', true)")
    try:
        for _ in range(3):
            server.sql("create table filler (n int)")
            server.sql("drop table filler")
            server.sql("select pg_switch_wal()")
        server.sql("checkpoint")
        reading = seen(server)
        assert values(reading, "postgres")["slots_lost"] == 1
        assert told(reading)[:2] == (Outcome.DEGRADED, Reason.STATUS)
        assert "slot 'forgotten' needs is gone" in reading.message
    finally:
        server.sql("select pg_drop_replication_slot('forgotten')")
        server.sql("alter system reset all")
        server.sql("select pg_reload_conf()")


def test_every_connection_taken(small: Small) -> None:
    server = small.server
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(session(server))
        reading = seen(server, max=Limits(connections=Share(0.9)))
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert "connections 125.0% (limit 90.0%)" in reading.message
        stack.enter_context(session(server))
        reading = seen(server)
        assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
        assert reading.message == "the server refused: sorry, too many clients already"
    wait_until(lambda: facts(server)["connections"] == 1, 5, "room again")


def test_tls_is_verified_by_name_and_authority(small: Small) -> None:
    def asked(host: str, options: str) -> Reading:
        dsn = small.server.dsn().replace("127.0.0.1", host) + options
        return glance("postgres", dsn=Secret.literal(dsn))

    for host in ("127.0.0.1", "localhost"):
        good = asked(host, f"?sslmode=verify-full&sslrootcert={small.ca_file}")
        assert good.reason is not Reason.TLS, good.message
        assert "tls" in good.steps[0].phases
        strange = asked(host, f"?sslmode=verify-ca&sslrootcert={small.stranger}")
        assert told(strange)[:2] == (Outcome.FAILED, Reason.TLS)
        assert "certificate verify failed" in strange.message


def test_statistics_of_statements_and_an_archive_that_fails(small: Small) -> None:
    server = small.server
    assert "statements_total" not in facts(server)
    server.sql('create schema "Odd one"; create extension pg_stat_statements schema "Odd one"')
    assert facts(server)["statements_total"] > 0
    server.sql("create table a (n int); select pg_switch_wal()")
    wait_until(lambda: facts(server)["archive_failing"] == 1, 10, "a failed archive command")
    reading = seen(server)
    assert told(reading)[:2] == (Outcome.DEGRADED, Reason.STATUS)
    assert reading.message == "the last attempt to archive failed"
    assert values(reading, "postgres")["archive_failures_total"] >= 1


def test_who_may_not_see_everything(pg_server: PgServer) -> None:
    with user(pg_server) as server:
        dsn = Secret.literal(server.dsn("watcher", WATCHER))
        reading = glance("postgres", dsn=dsn)
        found = values(reading, "postgres")
        assert told(reading) == (Outcome.OK, Reason.NONE, "")
        unread = {
            key[1] for key, value in found.items() if "collector_success" in key and not value
        }
        assert unread == {"activity", "standbys", "wal_directory"}
        assert found["connections"] == 1
        assert not any(name in found for name in ("slow_queries", "oldest_transaction_seconds"))
        blind = glance("postgres", dsn=dsn, max=Limits(transaction=Duration(1)))
        assert told(blind)[0] is Outcome.DEGRADED
        assert "'transaction' cannot be judged" in blind.message
        server.sql("grant pg_monitor to watcher")
        assert "slow_queries" in values(glance("postgres", dsn=dsn), "postgres")


@pytest.mark.parametrize("what", ["password", "user", "database"])
def test_nobody_lets_us_in(pg_pair: PgPair, what: str) -> None:
    server = pg_pair.primary
    dsn = {
        "password": server.dsn(password=WATCHER),
        "user": server.dsn("nobody", WATCHER),
        "database": server.dsn(database="nowhere"),
    }[what]
    reading = glance("postgres", dsn=Secret.literal(dsn))
    assert told(reading)[:2] == (Outcome.FAILED, Reason.STATUS)
    assert reading.message.startswith("the server refused: ")
    assert server.password not in reading.message
    assert redactor.mask(WATCHER) == "<secret>" or what == "database"


def test_a_frozen_and_a_killed_server() -> None:
    with running_postgres("16") as server:
        with server.frozen():
            began = time.monotonic()
            reading = glance("postgres", seconds=0.5, dsn=Secret.literal(server.dsn()))
            assert time.monotonic() - began < 3
            assert told(reading)[:2] == (Outcome.FAILED, Reason.TIMEOUT)
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: seen(server).reason is Reason.CONNECT, 5, "the end of the server")


def test_a_session_that_freezes_after_the_login(pg_pair: PgPair) -> None:
    """The deadline holds in the middle of a conversation, too."""
    from sre.probes.dial import Attempt, Trouble
    from sre.probes.pgwire import opened

    attempt = Attempt("postgres", looking(0.5))
    with (
        pytest.raises(Trouble) as raised,
        opened(attempt, pg_pair.primary.dsn(), "postgres") as asking,
    ):
        pid = asking.connection.pgconn.backend_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            asking.rows("select 1")
        finally:
            os.kill(pid, signal.SIGCONT)
    assert raised.value.reason is Reason.TIMEOUT


def test_a_standby_behind_an_idle_primary_is_not_late(pg_pair: PgPair) -> None:
    primary, standby = pg_pair.primary, pg_pair.standby
    primary.sql("create table if not exists beat (n int); insert into beat values (1)")
    wait_until(lambda: standby.sql("select 1 from beat"), 5, "the row on the standby")
    time.sleep(0.4)  # the last transaction grows old; nothing follows it
    found = facts(standby, role="standby", max=Limits(lag=Duration(0.3)))
    assert (found["in_recovery"], found["wal_receiver_up"]) == (1, 1)
    assert (found["replay_lag_seconds"], found["replay_lag_bytes"]) == (0, 0)
    told_by_primary = facts(primary)
    assert told_by_primary["standby_streaming", "standby"] == 1
    assert told_by_primary["standby_lag_bytes", "standby"] == 0
    wrong = seen(primary, role="standby")
    assert told(wrong) == (Outcome.FAILED, Reason.STATUS, "it is a primary, not a standby")


def test_a_standby_that_lags(pg_pair: PgPair) -> None:
    primary, standby = pg_pair.primary, pg_pair.standby
    standby.sql("select pg_wal_replay_pause()")
    try:
        primary.sql("create table if not exists beat (n int)")
        primary.sql("insert into beat select generate_series(1, 1000)")
        late = lambda: facts(standby).get("replay_lag_bytes", 0) > 0  # noqa: E731
        wait_until(late, 5, "log that is not replayed")
        time.sleep(0.3)
        reading = seen(standby, max=Limits(lag=Duration(0.2), lag_bytes=Size(100)))
        assert told(reading)[0] is Outcome.FAILED
        assert "lag " in reading.message
        assert "lag bytes" in reading.message
        assert values(reading, "postgres")["replay_paused"] == 1
        reading = seen(primary, max=Limits(standby_lag_bytes=Size(100)))
        assert "standby lag bytes of standby" in reading.message
        assert reading.outcome is Outcome.FAILED
    finally:
        standby.sql("select pg_wal_replay_resume()")
    wait_until(lambda: facts(standby)["replay_lag_seconds"] == 0, 5, "the standby to catch up")


def test_a_standby_without_its_primary(pg_pair: PgPair) -> None:
    """Nothing is received: then equal positions say nothing, and no lag of 0 is shown."""
    primary, standby = pg_pair.primary, pg_pair.standby
    standby.stop()
    held = wait_until(lambda: facts(primary)["slots_inactive"] == 1, 5, "an idle slot")
    assert held
    primary.sql("insert into beat values (2); select pg_switch_wal()")
    reading = seen(primary, warn=Limits(inactive_slots=0), max=Limits(min_standbys=1))
    assert told(reading)[0] is Outcome.FAILED
    assert "standbys 0 (at least 1)" in reading.message
    assert values(reading, "postgres")["slot_retained_bytes", "standby"] > 0
    standby.start()
    wait_until(lambda: facts(standby).get("wal_receiver_up") == 1, 20, "streaming again")
    primary.stop()
    try:
        cut = lambda: facts(standby)["wal_receiver_up"] == 0  # noqa: E731
        wait_until(cut, 10, "the standby to notice")
        reading = seen(standby)
        assert told(reading)[:2] == (Outcome.DEGRADED, Reason.STATUS)
        assert "receives no log" in reading.message
        assert values(reading, "postgres").get("replay_lag_seconds", 1) > 0
    finally:
        primary.start()
    wait_until(lambda: facts(standby)["wal_receiver_up"] == 1, 20, "streaming again")


def test_several_hosts_and_a_socket(pg_pair: PgPair) -> None:
    primary, standby = pg_pair.primary, pg_pair.standby
    words = f"user=postgres password={primary.password} dbname=postgres"
    both = f"host=127.0.0.1,127.0.0.1 port={primary.port},{standby.port} {words}"
    first = glance(
        "postgres", dsn=Secret.literal(f"host=127.0.0.1,127.0.0.1 port=1,{standby.port} {words}")
    )
    assert values(first, "postgres")["in_recovery"] == 1
    for wanted, recovery in (("prefer-standby", 1), ("read-write", 0), ("any", 0)):
        reading = glance("postgres", dsn=Secret.literal(f"{both} target_session_attrs={wanted}"))
        assert values(reading, "postgres")["in_recovery"] == recovery, wanted
    local = Secret.literal(f"host={primary.folder} port={primary.port} {words}")
    assert glance("postgres", dsn=local).outcome is Outcome.OK


def test_someone_else_at_that_port() -> None:
    import socketserver

    class Greeting(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"\xff\x00SSH-2.0-OpenSSH_9.2\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        dsn = Secret.literal(f"host=127.0.0.1 port={server.server_address[1]} user=u dbname=d")
        reading = glance("postgres", seconds=5, dsn=dsn)
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.PROTOCOL)
        assert reading.message.isprintable()
        server.shutdown()


def test_dsns_that_name_no_place() -> None:
    secret = "open%zzsesame"
    for dsn in (
        f"postgresql://u:{secret}@h/d",
        "dbname=shop",
        "host=a,b port=1,2,3",
        "host=a port=x",
    ):
        reading = glance("postgres", dsn=Secret.literal(dsn))
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.PROBER)
        assert secret not in reading.message
    [one] = places("postgresql://u@db.example/shop?connect_timeout=3")
    assert one["host"] == "db.example"
    assert one["gssencmode"] == "disable"
    with pytest.raises(ValueError, match="either"):
        PostgresProbe()


def test_a_lag_is_told_only_where_there_is_one() -> None:
    def at(received: float | None, replayed: float, age: float | None, up: bool = True) -> Any:
        return {"receiving": up, "received": received, "replayed": replayed, "age": age}

    assert replay_lag(at(9, 9, 3600), at(9, 9, 3600)) == 0
    assert replay_lag(at(9, 8, 3600), at(12, 9, 3600)) == 0, "what was there has been replayed"
    assert replay_lag(at(9, 8, 5), at(9, 8, 5.2)) == 5.2
    assert replay_lag(at(9, 9, 3600, up=False), at(9, 9, 3600, up=False)) == 3600
    assert replay_lag(at(9, 8, None), at(9, 8, None)) is None


def test_more_standbys_than_are_told() -> None:
    rows = [
        {"name": f"s{n}", "count": 1, "streaming": 1, "bytes": 100.0 - n, "seconds": None}
        for n in range(14)
    ]
    found = standbys_of(rows)
    told_ = {
        (g.name.removeprefix("sre_probe_postgres_"), *dict(g.labels).values()): g.value
        for g in found.gauges
    }
    assert (told_["standbys",], told_["standbys_left_out",]) == (14, 4)
    assert ("standby_lag_bytes", "s9") in told_
    assert ("standby_lag_bytes", "s10") not in told_
    assert found.used["standby_lag_bytes"] == Of(100.0, "s0")
