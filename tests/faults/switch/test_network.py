"""What if the network between nodes, clients and the tool is cut, one or both ways, or loses some?

Each node is a host of its own (a network namespace), reached by ssh; the tool, HAProxy and the
clients are on a further one. What is cut vanishes without a word: nothing is refused.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.sql.ledger.model import Plan
from sre.sql.ledger.process import LedgerProcess
from tests.faults.switch.stage import battle, checks, heal, only, quick, states
from tests.servers.hosts import SITE, Host, inside, running_hosts
from tests.servers.net import wait_until
from tests.servers.pgset import Node, PgSet, running_set
from tests.servers.sshd import Sshd, running_sshd

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(200)]

SETTINGS = """
fsync = off
listen_addresses = '*'
wal_receiver_timeout = 4s
wal_sender_timeout = 4s
tcp_user_timeout = 4s
"""
POWER = (
    "import sys; from sre.core.clock import Deadline; from sre.failover.nodes import Service; "
    "from sre.failover.control.local import LocalControl; "
    "LocalControl().kill(Service('postgres', sys.argv[1]), Deadline.after(10))"
)


class Far(Node):
    """A node on a host of its own."""

    on: Host

    def start(self) -> None:
        hba = self.data / "pg_hba.conf"
        if "10.77" not in hba.read_text():
            with hba.open("a") as file:
                for what in ("all", "replication"):
                    file.write(f"host {what} all 10.77.0.0/24 scram-sha-256\n")
        with inside(self.on):
            super().start()


class Net:
    """The set and its hosts."""

    def __init__(self, pgset: PgSet, hosts: dict[str, Host], ways: dict[str, Sshd]) -> None:
        self.pgset, self.hosts, self.ways = pgset, hosts, ways

    def declare(self, **more: str) -> None:
        own = {}
        for name, way in self.ways.items():
            host = self.hosts[name].address
            own[f"{name}__control"] = (
                f"{{kind: ssh, host: {host}, user: {way.user}, port: {way.port}, "
                f"key: {way.key}, known_hosts: {way.known_hosts}}}"
            )
        self.pgset.declare(**own, **more)

    def cut(self, name: str, *others: str, **how: Any) -> None:
        """`others` are names, or `site`."""
        where = [SITE if each == "site" else self.hosts[each].address for each in others]
        self.hosts[name].cut(*where, **how)

    def mend(self) -> None:
        for host in self.hosts.values():
            host.heal()

    def patience(self, shown: str) -> None:
        for node in self.pgset.nodes.values():
            node.sql(f"alter system set wal_receiver_timeout = '{shown}'")
            node.sql("select pg_reload_conf()")


def _ways(
    hosts: dict[str, Host], home: Path, stack: contextlib.ExitStack
) -> Iterator[tuple[str, Sshd]]:
    for name, host in hosts.items():
        with inside(host):
            option = f"ListenAddress {host.address}"
            way = stack.enter_context(running_sshd(home / name, option))
        known = way.known_hosts.read_text().replace("127.0.0.1", host.address)
        way.known_hosts.write_text(known)
        yield name, way


@pytest.fixture(scope="module")
def one_net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    home = tmp_path_factory.mktemp("hosts")
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(running_hosts("abc", home))
        ways = dict(_ways(hosts, home, stack))

        def make(name: str, folder: Path, port: int, programs: Path, password: str) -> Node:
            node = Far(name, folder, port, programs, password, hosts[name].address)
            node.on = hosts[name]
            return node

        yield Net(stack.enter_context(running_set(settings=SETTINGS, make=make)), hosts, ways)


@pytest.fixture
def net(one_net: Net) -> Iterator[Net]:
    one_net.mend()
    one_net.declare()
    heal(one_net.pgset)
    yield one_net
    one_net.mend()


def reasons(net: Net, *args: str) -> set[str]:
    """Why it is refused."""
    code, said = quick(net.pgset, *args)
    assert (code, said["outcome"]) == (5, "refused"), said
    return checks(said)


def power(net: Net, name: str) -> str:
    """A program that takes a host's power: nothing of its server is left."""
    return f'[{sys.executable}, -c, "{POWER}", {net.pgset[name].data}]'


def test_the_replication_link_alone_is_no_failover(net: Net, tmp_path: Path) -> None:
    """Commits wait and nothing is acknowledged; once it is whole again, they go on."""
    old = only(net.pgset)
    siblings = [name for name in "abc" if name != old]
    with battle(net.pgset, tmp_path) as field:
        net.cut(old, *siblings)
        began = time.monotonic()
        time.sleep(1.5)
        assert "primary-alive" in reasons(net, "failover", "orders")
        wait_until(lambda: "not-streaming" in reasons(net, "switchover", "orders"), 15, "seen")
        assert quick(net.pgset, "status")[0] in (1, 3)
        net.mend()
        healed = time.monotonic()
        net.pgset.whole(old)
        time.sleep(1)
        report = field.proven()
    assert report.gaps.longest is not None
    assert report.gaps.longest.seconds > healed - began - 0.5
    assert net.pgset.primaries() == [old]


@pytest.mark.long
def test_a_primary_alone_is_replaced_once_its_power_is_cut(net: Net, tmp_path: Path) -> None:
    pgset, old = net.pgset, only(net.pgset)
    rest = [name for name in "abc" if name != old]
    with battle(pgset, tmp_path) as field:
        net.cut(old, "site", *rest)
        wait_until(lambda: reasons(net, "failover", "orders") == {"fence"}, 30, "seen dead")
        assert pgset[old].pids()
        net.declare(**{f"{old}__fence": power(net, old)})
        code, said = quick(pgset, "failover", "orders")
        assert (code, said["outcome"]) == (0, "ok"), said
        assert said["noted"]["fence"]["by"] == "program"
        assert not pgset[old].pids()
        time.sleep(0.5)
        field.proven()
    returns(net, old, str(said["new"]))


def returns(net: Net, old: str, new: str) -> None:
    """With its power, an old primary that nobody could tell comes back as one: it is of no use."""
    pgset = net.pgset
    pgset[old].start()
    net.mend()
    assert sorted(pgset.primaries()) == sorted([old, new])
    code, said = quick(pgset, "status")
    assert code == 1
    assert any("two-primaries" in each for each in said["clusters"][0]["problems"]), said
    assert [name for name, state in states(pgset).items() if "open" in state] == [new]
    with psycopg.connect(pgset[old].dsn, autocommit=True) as connection:
        connection.execute("set statement_timeout = 0")
        with pytest.raises(psycopg.errors.QueryCanceled):  # it waits for standbys that are gone
            never(connection)
    assert quick(pgset, "fence", "orders", old)[1]["outcome"] == "ok"
    assert quick(pgset, "rejoin", "orders", old)[1]["outcome"] == "ok"
    assert pgset[new].sql("select to_regclass('never')") == [(None,)]
    pgset.whole(new)


def never(connection: psycopg.Connection[Any]) -> None:
    """A write that nobody acknowledges within two seconds."""
    import threading

    timer = threading.Timer(2, connection.close)
    timer.start()
    try:
        connection.execute("create table never ()")
    except psycopg.OperationalError as error:
        raise psycopg.errors.QueryCanceled(str(error)) from error
    finally:
        timer.cancel()


@pytest.mark.long
def test_clients_on_the_side_of_the_primary_get_no_false_word(net: Net, tmp_path: Path) -> None:
    """They write to it directly while nobody else can: what it tells them holds afterwards."""
    pgset, old = net.pgset, only(net.pgset)
    rest = [name for name in "abc" if name != old]
    plan = Plan(table="sre_ledger_near", writers=4, rate=100.0, deadline=2.0)
    with contextlib.ExitStack() as stack:
        field = stack.enter_context(battle(pgset, tmp_path))
        with inside(net.hosts[old]):
            near = LedgerProcess(Secret.literal(pgset[old].dsn), tmp_path / "near", plan)
            stack.enter_context(near)
        near.ready(Deadline.after(20))
        time.sleep(0.5)
        net.cut(old, "site", *rest)
        net.declare(**{f"{old}__fence": power(net, old)})
        found = wait_until(lambda: _allowed(net), 40, "a failover")
        assert found["outcome"] == "ok", found
        time.sleep(0.5)
        field.proven()
        near.stop()
    returns(net, old, str(found["new"]))
    again = LedgerProcess(Secret.literal(pgset.dsn), tmp_path / "near", plan)
    report = again.verify(Deadline.after(20))
    assert report.verdict is not None
    assert (report.verdict.lost, report.verdict.unexpected) == (0, 0)
    assert report.counts.acknowledged > 10
    assert report.counts.ambiguous >= 4  # each of the clients was left without a word


def _allowed(net: Net) -> Any:
    code, said = quick(net.pgset, "failover", "orders")
    assert code in (0, 5), said
    return said if code == 0 else None


@pytest.mark.long
@pytest.mark.parametrize("way", ["in", "out"])
def test_one_way_between_us_and_the_primary(net: Net, tmp_path: Path, way: str) -> None:
    """Its standbys hear it: it is we who are cut off."""
    pgset, old = net.pgset, only(net.pgset)
    with battle(pgset, tmp_path) as field:
        net.cut(old, "site", ways=(way,))
        for _ in range(3):
            assert "primary-alive" in reasons(net, "failover", "orders")
        code, said = quick(pgset, "switchover", "orders")
        assert code == 5, said
        net.mend()
        wait_until(lambda: pgset.primaries() == [old], 20, "it answers again")
        time.sleep(1.5)
        field.proven()


@pytest.mark.long
def test_a_network_that_loses_every_fifth_packet(net: Net, tmp_path: Path) -> None:
    """Slow and unsure, and no reason for a failover: nobody flaps."""
    pgset, old = net.pgset, only(net.pgset)
    net.patience("60s")
    try:
        with battle(pgset, tmp_path, deadline=5.0) as field:
            net.cut(old, "site", *(name for name in "abc" if name != old), percent=20)
            end = time.monotonic() + 12
            while time.monotonic() < end:
                assert "primary-alive" in reasons(net, "failover", "orders")
            net.mend()
            wait_until(lambda: pgset.primaries() == [old], 20, "it answers again")
            time.sleep(1.5)
            field.proven(least=10)
    finally:
        net.patience("4s")
