"""Do clients of a real PgBouncer wait through a pause, a restart and a repoint without an error?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.secrets import Secret
from sre.failover.switches import Pausing
from sre.failover.traffic.pgbouncer import PgbouncerTraffic
from sre.failover.traffic.pgbouncerfile import entries, pointed, target
from tests.servers.net import free_port, wait_until
from tests.servers.pgbouncer import Bouncer, running_pgbouncer
from tests.servers.postgresql import PgServer, running_postgres
from tests.servers.trafficway import stopped

pytestmark = pytest.mark.postgres


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds)


@pytest.fixture(scope="module")
def server() -> Iterator[PgServer]:
    with running_postgres("15") as running:
        yield running


@pytest.fixture(scope="module")
def bouncer(server: PgServer) -> Iterator[Bouncer]:
    with running_pgbouncer(server.port, server.password) as running:
        yield running


@pytest.fixture
def switch(bouncer: Bouncer) -> Iterator[PgbouncerTraffic]:
    made = PgbouncerTraffic(Secret.literal(bouncer.admin), "shop")
    yield made
    made.resume(soon())


class Clients:
    """Eight that write in a loop; each keeps its connection and tells its longest wait."""

    def __init__(self, bouncer: Bouncer, sql: str = "select 1") -> None:
        self.errors: list[BaseException] = []
        self.done = 0
        self.longest = 0.0
        self._bouncer, self._sql, self._stop = bouncer, sql, threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(8)]

    def _work(self) -> None:
        try:
            with self._bouncer.connect() as connection:
                while not self._stop.is_set():
                    begun = time.monotonic()
                    with connection.transaction():
                        connection.execute(self._sql)
                    self.longest = max(self.longest, time.monotonic() - begun)
                    self.done += 1
        except BaseException as error:
            self.errors.append(error)

    def __enter__(self) -> Clients:
        for each in self._threads:
            each.start()
        wait_until(lambda: self.done > 50 or self.errors, 20, "clients")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join(30)


def test_clients_see_a_delay_and_no_error(bouncer: Bouncer, switch: PgbouncerTraffic) -> None:
    assert isinstance(switch, Pausing)
    with Clients(bouncer) as clients:
        begun = time.monotonic()
        switch.pause(soon())
        took = time.monotonic() - begun
        paused_at = clients.done
        way = switch.look(soon())
        assert way.servers[0].state == "closed"
        assert "paused" in way.problems[0]
        time.sleep(1.0)
        assert clients.done - paused_at <= 8
        switch.resume(soon())
        wait_until(lambda: clients.done > paused_at + 100, 20, "clients after it")
        assert switch.look(soon()).problems == ()
    assert clients.errors == []
    assert 1.0 <= clients.longest < 5
    print(f"pause of eight busy clients: {took * 1000:.1f} ms")


def test_a_restart_behind_a_pause_is_not_noticed(
    server: PgServer, bouncer: Bouncer, switch: PgbouncerTraffic
) -> None:
    with Clients(bouncer) as clients:
        switch.pause(soon())
        server.stop()
        server.start()
        before = clients.done
        switch.resume(soon())
        wait_until(lambda: clients.done > before + 100 or clients.errors, 20, "clients after it")
    assert clients.errors == []


def test_without_a_pause_a_restart_is_noticed(server: PgServer, bouncer: Bouncer) -> None:
    """The control: the clients of the tests above would show an error."""
    with Clients(bouncer) as clients:
        server.stop()
        server.start()
        wait_until(lambda: clients.errors, 20, "an error")
    assert clients.errors


def test_a_transaction_that_stays_open_makes_it_give_up_and_go_on(
    bouncer: Bouncer, switch: PgbouncerTraffic
) -> None:
    with psycopg.connect(bouncer.dsn, application_name="forgotten") as idle:
        idle.execute("select 1")
        begun = time.monotonic()
        with pytest.raises(Transient, match=r"did not end in time.*127\.0\.0\.1:\d+.*forgotten"):
            switch.pause(soon(0.4))
        assert time.monotonic() - begun < 3
        assert switch.look(soon()).problems == ()
        with bouncer.connect() as other:
            other.execute("select 1")
        idle.execute("select 2")


_PAUSE = """
import sys, time
from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.failover.traffic.pgbouncer import PgbouncerTraffic
PgbouncerTraffic(Secret.literal(sys.stdin.readline().strip()), "shop").pause(Deadline.after(20))
print("paused", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("moment", ["after", "during"])
def test_killed_between_pause_and_resume(
    bouncer: Bouncer, switch: PgbouncerTraffic, moment: str
) -> None:
    with bouncer.connect() as busy, subprocess.Popen(
        [sys.executable, "-c", _PAUSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tool:  # fmt: skip
        if moment == "during":
            busy.execute("begin")
        assert tool.stdin is not None
        assert tool.stdout is not None
        tool.stdin.write(bouncer.admin + "\n")
        tool.stdin.flush()
        if moment == "after":
            assert tool.stdout.readline() == "paused\n"
        wait_until(lambda: switch.look(soon()).problems, 20, "the pause")
        os.kill(tool.pid, signal.SIGKILL)
        tool.wait()
        assert "sre traffic resume" in switch.look(soon()).problems[0]
        switch.resume(soon())
        switch.resume(soon())
        assert switch.look(soon()).problems == ()
        if moment == "during":
            busy.execute("commit")
        assert busy.execute("select 1").fetchone() == (1,)


def test_stopped_while_it_waits_it_lets_clients_go_on(
    bouncer: Bouncer, switch: PgbouncerTraffic, tmp_path: Path
) -> None:
    (tmp_path / "sre.yaml").write_text(
        'version: 1\nshop: {name: demo, base_url: "http://127.0.0.1:1"}\n'
        'traffic: {pool: {kind: pgbouncer, admin: "${env:ADMIN}", database: shop}}\n'
    )
    argv = [sys.executable, "-m", "sre", "traffic", "pause", "pool"]
    env = os.environ | {"ADMIN": bouncer.admin, "SRE_STATE": str(tmp_path / "state")}
    with bouncer.connect() as busy:
        busy.execute("begin")
        with subprocess.Popen(argv, cwd=tmp_path, env=env, stderr=subprocess.PIPE) as tool:
            wait_until(lambda: switch.look(soon()).problems, 20, "the pause")
            tool.terminate()
            assert tool.wait() == 143
        assert switch.look(soon()).problems == ()
        busy.execute("commit")
    journal = (tmp_path / "state" / "traffic.jsonl").read_text()
    events = [json.loads(line) for line in journal.splitlines()]
    assert [each["event"] for each in events] == ["begins", "failed"]


def test_repoint_to_another_server(server: PgServer, bouncer: Bouncer) -> None:
    before = bouncer.config.read_bytes()
    with running_postgres("16") as other:
        other.sql(f"alter user postgres password '{server.password}'")
        servers = {"a": f"127.0.0.1:{server.port}", "b": f"127.0.0.1:{other.port}"}
        made = PgbouncerTraffic(Secret.literal(bouncer.admin), "shop", str(bouncer.config), servers)
        assert (made.look(soon()).open(), made.look(soon()).problems) == (("a",), ())
        with Clients(bouncer) as clients:
            for name, port in (("b", other.port), ("b", other.port), ("a", server.port)):
                made.repoint(name, soon())
                assert (made.look(soon()).open(), made.look(soon()).problems) == ((name,), ())
                old, new = str(server.port).encode(), str(port).encode()
                changed = before.replace(
                    b"port=" + old + b" dbname=postgres u", b"port=" + new + b" dbname=postgres u"
                )
                assert bouncer.config.read_bytes() == changed
        assert clients.errors == []
        with bouncer.connect() as idle:  # in a transaction: it ends, as HAProxy would end it
            idle.execute("begin")
            made.close("a", soon(2))
            assert [each.state for each in made.look(soon()).servers] == ["closed", "closed"]
            with pytest.raises(psycopg.OperationalError):
                idle.execute("select 1")
        made.open("a", soon())
        with bouncer.connect() as again:
            again.execute("select 1")
        with pytest.raises(UsageError, match="known: a, b"):
            made.drain("c", soon())
    assert made.look(soon()).problems == ()
    assert bouncer.config.read_bytes() == before


def test_words_for_what_is_wrong(bouncer: Bouncer) -> None:
    admin = Secret.literal(bouncer.admin)
    with pytest.raises(CheckFailed, match="no database 'nope'; it has: other, shop"):
        PgbouncerTraffic(admin, "nope").pause(soon())
    nobody = Secret.literal(bouncer.admin.replace(str(bouncer.port), str(free_port())))
    with pytest.raises(Transient, match="refused"):
        PgbouncerTraffic(nobody, "shop").look(soon())
    wrong = Secret.literal(bouncer.admin.replace("console-sesame", "not-the-word"))
    with pytest.raises(Transient) as told:
        PgbouncerTraffic(wrong, "shop").look(soon())
    assert "not-the-word" not in str(told.value)
    assert "sesame" not in repr(PgbouncerTraffic(admin, "shop"))
    with stopped(bouncer.process.pid):
        begun = time.monotonic()
        with pytest.raises(Transient, match="does not answer"):
            PgbouncerTraffic(admin, "shop").look(soon(0.3))
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"database": "pgbouncer"}, "name of an entry"),
        ({"servers": {"a": "h:1"}}, "without config"),
        ({"servers": {"a": "h"}, "config": "x"}, "servers.a: 'h' is no HOST:PORT"),
    ],
)
def test_bad_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PgbouncerTraffic(**{"admin": Secret.literal("x"), "database": "shop", **wrong})  # type: ignore[arg-type]


def test_the_file() -> None:
    text = (
        b"[pgbouncer]\r\nshop = host=no\r\n[databases]\r\n;shop = host=no\r\n"
        b"shop = dbname='it''s host=x' Host = 'a b'  pool_size=3\t\r\n\"my \"\"db\" = \r\n"
        b"* = host=h port=1\r\n[users]\r\nshop = pool_mode=session\r\n"
    )
    assert entries(text) == ("shop", 'my "db', "*")
    assert target(text, "shop") == ("a b", 5432)
    assert target(text, 'my "db') == ("", 5432)
    made = pointed(text, "shop", "10.0.0.2", 6000)
    assert target(made, "shop") == ("10.0.0.2", 6000)
    assert made == text.replace(
        b"dbname='it''s host=x' Host = 'a b'", b"port=6000 dbname='it''s host=x' Host = 10.0.0.2"
    )
    assert target(pointed(text, 'my "db', "h", 7), 'my "db') == ("h", 7)
    assert target(text, "absent") is None
    with contextlib.suppress(KeyError):
        pointed(text, "absent", "h", 1)
        pytest.fail("an entry that is not there was pointed")
