"""Does every kind of switch keep the contract of `Traffic`, before real servers?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline
from sre.core.errors import Transient, UsageError
from sre.core.secrets import Secret
from sre.failover.switches import Traffic
from sre.failover.traffic import SWITCHES
from sre.failover.traffic.dns import DnsTraffic, Key
from sre.failover.traffic.haproxy import HaproxyTraffic
from sre.failover.traffic.nginx import NginxTraffic
from sre.failover.traffic.pgbouncer import PgbouncerTraffic
from tests.servers.child import program
from tests.servers.named import SECRET, running_named
from tests.servers.net import free_port
from tests.servers.nginx import running_nginx
from tests.servers.pgbouncer import running_pgbouncer
from tests.servers.trafficway import Named, running_front

KINDS = ("dns", "haproxy", "nginx", "pgbouncer")


@dataclass
class Case:
    """A switch that has `a` open alone, of `a` and `b`; the same one gone; its reload."""

    switch: Traffic
    gone: Traffic
    reload: Callable[[], None] = lambda: None
    canary: str = ""


def soon(seconds: float = 20.0) -> Deadline:
    return Deadline.after(seconds)


@contextlib.contextmanager
def haproxy(home: Path) -> Iterator[Case]:
    with running_front(home, "ab") as front:
        made = HaproxyTraffic(front.socket, "pg", str(front.config))
        yield Case(made, replace(made, socket=str(home / "none")), front.reload)


@contextlib.contextmanager
def nginx(home: Path) -> Iterator[Case]:
    more = "upstream u { server 127.0.0.1:1; server 127.0.0.1:2 down; }"
    with running_nginx(home, "server { listen 127.0.0.1:{port}; }", http=more):
        argv = [program("nginx"), "-e", str(home / "error.log"), "-p", str(home)]
        made = NginxTraffic(
            str(home / "n.conf"), "u", {"a": "127.0.0.1:1", "b": "127.0.0.1:2"},
            test=(*argv, "-t", "-c", "{file}"),
            reload=(*argv, "-s", "reload", "-c", str(home / "n.conf")),
        )  # fmt: skip
        yield Case(made, replace(made, pid=str(home / "none")))


@contextlib.contextmanager
def pgbouncer(home: Path) -> Iterator[Case]:
    ends = [Named("a"), Named("b")]  # nobody logs in: where it points is what counts here
    a, b = (each.port for each in ends)
    try:
        with running_pgbouncer(a, "canary-word", connects=False) as bouncer:
            servers = {"a": f"127.0.0.1:{a}", "b": f"127.0.0.1:{b}"}
            admin = Secret.literal(bouncer.admin)
            made = PgbouncerTraffic(admin, "shop", str(bouncer.config), servers)
            nobody = bouncer.admin.replace(f":{bouncer.port}/", f":{free_port()}/")
            yield Case(made, replace(made, admin=Secret.literal(nobody)), canary="console-sesame")
    finally:
        for each in ends:
            each.close()


@contextlib.contextmanager
def dns(home: Path) -> Iterator[Case]:
    with running_named(home) as named:
        key = Key("sre", Secret.literal(SECRET))
        servers = {"a": "10.0.0.1", "b": "10.0.0.2"}
        made = DnsTraffic(named.address, "shop.test", "db", servers, key, park="10.0.0.9")
        gone = replace(made, server=f"127.0.0.1:{free_port()}")
        yield Case(made, gone, canary=SECRET)


WAYS: dict[str, Any] = {"dns": dns, "haproxy": haproxy, "nginx": nginx, "pgbouncer": pgbouncer}


@pytest.fixture(scope="module", params=KINDS)
def module_case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    home = tmp_path_factory.mktemp(f"traffic-{request.param}")
    with WAYS[request.param](home) as made:
        yield made


@pytest.fixture
def case(module_case: Case) -> Case:
    module_case.switch.repoint("a", soon())
    return module_case


def states(case: Case) -> dict[str, str]:
    return {each.name: each.state for each in case.switch.look(soon()).servers}


def test_every_kind_is_here() -> None:
    assert SWITCHES.names() == KINDS == tuple(sorted(WAYS))


def test_look_touches_nothing(case: Case) -> None:
    first = case.switch.look(soon())
    assert first == case.switch.look(soon())
    assert ([each.name for each in first.servers], first.open()) == (["a", "b"], ("a",))
    assert first.problems == ()
    assert all(each.state == each.configured for each in first.servers)


def test_repoint_is_a_state_that_may_be_asked_for_twice(case: Case) -> None:
    for name in ("b", "b", "a", "b"):
        case.switch.repoint(name, soon())
        way = case.switch.look(soon())
        assert (way.open(), way.problems) == ((name,), ())


@pytest.mark.parametrize("how", ["close", "drain"])
def test_closed_and_drained_take_no_new_work_until_opened(case: Case, how: str) -> None:
    for _ in range(2):
        getattr(case.switch, how)("a", soon())
        assert case.switch.look(soon()).open() == ()
    if how == "close":
        assert states(case)["a"] == "closed"
        assert case.switch.look(soon()).servers[0].sessions in (0, None)
    for _ in range(2):
        case.switch.open("a", soon())
        assert case.switch.look(soon()).open() == ("a",)
    assert case.switch.look(soon()).problems == ()


def test_after_close_another_is_opened(case: Case) -> None:
    """The order of a failover."""
    case.switch.close("a", soon())
    case.switch.repoint("b", soon())
    assert (case.switch.look(soon()).open(), case.switch.look(soon()).problems) == (("b",), ())


def test_a_reload_changes_nothing(case: Case) -> None:
    case.switch.repoint("b", soon())
    case.reload()
    assert (case.switch.look(soon()).open(), case.switch.look(soon()).problems) == (("b",), ())


def test_unknown_servers_are_told_with_those_known(case: Case) -> None:
    for method in ("close", "drain", "open", "repoint"):
        with pytest.raises(UsageError, match="no server 'zz'; known: a, b"):
            getattr(case.switch, method)("zz", soon())
    assert case.switch.look(soon()).open() == ("a",)


def test_unreachable_is_transient(case: Case) -> None:
    for method in ("close", "drain", "open", "repoint"):
        with pytest.raises(Transient) as told:
            getattr(case.gone, method)("b", soon(2))
        assert not case.canary or case.canary not in str(told.value)
    with pytest.raises(Transient):
        case.gone.look(soon(2))
    assert case.switch.look(soon()).open() == ("a",)


def test_secrets_are_not_shown(case: Case) -> None:
    shown = f"{case.switch!r} {case.switch.look(soon())!r}"
    assert not case.canary or case.canary not in shown
