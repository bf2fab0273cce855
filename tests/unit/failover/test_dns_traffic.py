"""Does a real BIND point where it is told, and do two of us never undo each other?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.secrets import Secret
from sre.failover.traffic.dns import DnsTraffic, Key
from tests.servers.named import SECRET, Named, running_named
from tests.servers.net import free_port
from tests.servers.trafficway import stopped

A = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    with running_named(tmp_path_factory.mktemp("named")) as running:
        yield running


def switch(named: Named, **more: object) -> DnsTraffic:
    made = {"name": "db", "servers": A, "key": Key("sre", Secret.literal(SECRET)), **more}
    return DnsTraffic(server=named.address, zone="shop.test", **made)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def at_first(named: Named) -> Iterator[None]:
    yield
    switch(named).repoint("a", soon())


def test_addresses_come_and_go(named: Named) -> None:
    made = switch(named)
    way = made.look(soon())
    assert (way.open(), way.problems) == (("a",), ())
    assert "30.00 s" in way.notes[0]
    made.open("b", soon())
    made.open("b", soon())
    assert named.answers("db.shop.test") == ["10.0.0.1", "10.0.0.2"]
    made.close("a", soon())
    assert named.answers("db.shop.test") == ["10.0.0.2"]
    made.close("b", soon())  # the last one stays: no name would be worse
    assert made.look(soon()).open() == ("b",)
    made.repoint("c", soon())
    assert named.answers("db.shop.test") == ["10.0.0.3"]


def test_the_last_one_gives_way_to_where_it_is_parked(named: Named) -> None:
    made = switch(named, park="10.0.0.9")
    made.close("a", soon())
    assert named.answers("db.shop.test") == ["10.0.0.9"]
    assert (made.look(soon()).open(), made.look(soon()).problems) == ((), ())
    assert "parked" in made.look(soon()).notes[1]
    made.open("b", soon())
    assert named.answers("db.shop.test") == ["10.0.0.2"]


def test_ipv6_and_names(named: Named) -> None:
    six = switch(named, name="six", servers={"a": "fd00::1", "b": "FD00:0::2"})
    six.repoint("b", soon())
    assert (named.answers("six.shop.test", "AAAA"), six.look(soon()).problems) == (["fd00::2"], ())
    www = switch(named, name="www.shop.test", servers={"a": "a.shop.test", "b": "B.shop.test."})
    assert www.look(soon()).open() == ("a",)
    www.open("b", soon())
    assert named.answers("www.shop.test", "CNAME") == ["b.shop.test."]
    assert www.look(soon()).problems == ()
    with pytest.raises(CheckFailed, match="other records"):
        switch(named, name="www").look(soon())


def test_a_ttl_that_is_not_ours_is_told_and_mended(named: Named) -> None:
    made = switch(named, ttl=7)
    assert "TTL 30" in made.look(soon()).problems[0]
    made.repoint("a", soon())
    assert made.look(soon()).problems == ()


def test_many_at_once_lose_no_change(named: Named) -> None:
    servers = {f"s{number}": f"10.1.0.{number}" for number in range(4)}
    made = switch(named, name="many", servers=servers)
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            made.open(name, soon(20))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in servers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    assert named.answers("many.shop.test") == sorted(servers.values())
    for name in servers:
        made.close(name, soon())
    assert "no" not in made.look(soon()).problems


def test_keys_that_it_does_not_admit(named: Named) -> None:
    for key, told in (
        (Key("nobody", Secret.literal(SECRET)), "refuses"),
        (Key("sre", Secret.literal("b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA==")), "refuses the key sre"),
        (Key("who", Secret.literal(SECRET)), "refuses the key who"),
    ):
        with pytest.raises(CheckFailed, match=told) as error:
            switch(named, key=key).repoint("b", soon())
        assert SECRET not in str(error.value)
    with pytest.raises(UsageError, match="base64"):
        switch(named, key=Key("sre", Secret.literal("%%"))).repoint("b", soon())
    assert named.answers("db.shop.test") == ["10.0.0.1"]


def test_nobody_there_and_frozen(named: Named) -> None:
    nowhere = DnsTraffic(
        f"127.0.0.1:{free_port()}", "shop.test", "db", A, Key("sre", Secret.literal(SECRET))
    )
    with pytest.raises(Transient):
        nowhere.look(soon(0.5))
    with stopped(named.process.pid):
        begun = time.monotonic()
        with pytest.raises(Transient, match="does not answer"):
            switch(named).look(soon(0.3))
        assert time.monotonic() - begun < 2


def test_names_and_zones(named: Named) -> None:
    with pytest.raises(UsageError, match="known: a, b, c"):
        switch(named).repoint("z", soon())
    with pytest.raises(CheckFailed, match="REFUSED"):
        DnsTraffic(named.address, "other.test", "db", A, Key("sre", Secret.literal("eA=="))).look(
            soon()
        )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"server": "ns1"}, "HOST:PORT"),
        ({"servers": {}}, "empty"),
        ({"servers": {"a": "10.0.0.1", "b": "fd00::1"}}, "all IPv4"),
        ({"servers": {"a": "10.0.0.1", "b": "10.0.0.1"}}, "twice"),
        ({"servers": {"a": "not a name"}}, "neither"),
        ({"ttl": -1}, "ttl"),
        ({"zone": "."}, "zone"),
    ],
)
def test_bad_settings(wrong: dict[str, object], told: str) -> None:
    key = Key("sre", Secret.literal(SECRET))
    good = {"server": "h:53", "zone": "shop.test", "name": "db", "servers": A, "key": key}
    with pytest.raises(ValueError, match=told):
        DnsTraffic(**{**good, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="algorithm"):
        Key("sre", Secret.literal(SECRET), "md5")
