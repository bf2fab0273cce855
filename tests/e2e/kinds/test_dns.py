"""Does the `dns` kind tell right answers from wrong, broken and missing ones?"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline, SystemClock
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.kinds.dns import DnsProbe, Expect, Records, place
from sre.probes.model import ProbeContext, Reading
from tests.servers.dns import SERIAL, DnsServer
from tests.servers.examples import run_example, serve_example
from tests.servers.tls import TlsServers


def look(asked: DnsServer, name: str, seconds: float = 3.0, **keys: Any) -> Reading:
    probe = DnsProbe(name, **({"server": asked.address} | keys))
    guard = Guard(("127.0.0.1:*", "localhost:*"))
    shop = Shop("t", "http://127.0.0.1:1")
    return probe.check(ProbeContext(Deadline.after(seconds), guard, shop, SystemClock()))


def verdict(reading: Reading) -> tuple[Outcome, Reason]:
    return reading.outcome, reading.reason


def values(reading: Reading) -> dict[str, float]:
    return {gauge.name.removeprefix("sre_probe_dns_"): gauge.value for gauge in reading.gauges}


def test_the_example(dns_server: DnsServer, tmp_path: Path) -> None:
    at = {"127.0.0.1:53": dns_server.address, "www.shop.test}": "www.shop.test, every: 1s}"}
    code, told = run_example("dns", tmp_path, at)
    assert (code, [one["outcome"] for one in told["results"]]) == (0, ["ok"])
    with serve_example("dns", tmp_path, at) as metrics:
        assert 'sre_probe_dns_info{name="www.shop.test",probe="shop_name",type="A"} 1' in metrics
        assert 'sre_probe_dns_answer_records{probe="shop_name"} 2' in metrics
        assert 'sre_probe_dns_smallest_ttl_seconds{probe="shop_name"} 300' in metrics


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_every_transport(transport: str, dns_server: DnsServer, tls_servers: TlsServers) -> None:
    where = {"udp": dns_server.address, "tcp": dns_server.address}
    server = where.get(transport, f"localhost:{dns_server.tls_port}")
    reading = look(
        dns_server, "www.shop.test", transport=transport, server=server, ca_file=tls_servers.ca_file
    )
    assert verdict(reading) == (Outcome.OK, Reason.NONE), reading.message
    assert dns_server.asked[-1] == ("www.shop.test.", transport)
    phases = {"udp": [], "tcp": ["connect"], "tls": ["resolve", "connect", "tls"]}[transport]
    assert list(reading.steps[0].phases) == [*phases, "processing"]
    found = values(reading)
    assert found["query_seconds"] == reading.steps[0].phases["processing"]
    assert (found["answer_records"], found["authoritative"], found["truncated"]) == (2, 1, 0)


def test_the_zone_and_its_sections(dns_server: DnsServer) -> None:
    found = values(look(dns_server, "shop.test", query_type="SOA"))
    assert (found["soa_serial"], found["smallest_ttl_seconds"]) == (SERIAL, 3600)
    reading = look(
        dns_server, "shop.test", query_type="NS",
        expect=Expect(min_answers=2, additional=Records(match=(r"^ns1\.shop\.test\. .* 192\.",))),
    )  # fmt: skip
    assert verdict(reading) == (Outcome.OK, Reason.NONE)
    assert (values(reading)["answer_records"], values(reading)["additional_records"]) == (2, 1)


@pytest.mark.parametrize(
    ("keys", "reason", "words"),
    [
        ({"answers": (r"^www\.shop\.test\. 300 IN A 192\.0\.2\.1$", r"\.2$")}, "", ""),
        ({"answers": (r"198\.51\.100\.",)}, "body", "no record of the answer section matches"),
        ({"forbid": (r"192\.0\.2\.2$",)}, "body", "forbidden"),
        ({"max_answers": 1}, "body", "2 records in the answer section, not at most 1"),
        ({"min_answers": 3}, "body", "not at least 3"),
        ({"rcode": "NXDOMAIN"}, "status", "answered NOERROR for www.shop.test, not NXDOMAIN"),
        ({"rcode": ("NXDOMAIN", "NOERROR")}, "", ""),
        ({"authority": Records(match=("SOA",))}, "body", "authority section"),
    ],
)
def test_expectations(keys: dict[str, Any], reason: str, words: str, dns_server: DnsServer) -> None:
    reading = look(dns_server, "www.shop.test", expect=Expect(**keys))
    assert reading.reason == reason
    assert words in reading.message


@pytest.mark.parametrize(("least", "good"), [(SERIAL, True), (SERIAL + 1, False), (1, True)])
def test_a_serial_at_least(least: int, good: bool, dns_server: DnsServer) -> None:
    reading = look(dns_server, "shop.test", query_type="SOA", expect=Expect(min_serial=least))
    assert (reading.outcome is Outcome.OK) is good


@pytest.mark.parametrize(
    ("name", "transport", "reason", "words"),
    [
        ("no-such.shop.test", "udp", Reason.STATUS, "NXDOMAIN (no such name)"),
        ("ns1.shop.test", "udp", Reason.BODY, "0 records"),
        ("servfail.faults.test", "udp", Reason.STATUS, "SERVFAIL"),
        ("refused.faults.test", "tcp", Reason.STATUS, "REFUSED"),
        ("silent.faults.test", "udp", Reason.TIMEOUT, "no answer came in time"),
        ("silent.faults.test", "tcp", Reason.TIMEOUT, "no answer came in time"),
        ("garbage.faults.test", "udp", Reason.PROTOCOL, "no DNS"),
        ("garbage.faults.test", "tcp", Reason.PROTOCOL, "no DNS"),
        ("wrong-id.faults.test", "udp", Reason.PROTOCOL, "another question"),
        ("wrong-id.faults.test", "tcp", Reason.PROTOCOL, "another question"),
        ("wrong-question.faults.test", "udp", Reason.PROTOCOL, "another question"),
        ("drip.faults.test", "tcp", Reason.TIMEOUT, "did not end in time"),
        ("close.faults.test", "tcp", Reason.PROTOCOL, "closed before"),
        ("endless.faults.test", "tcp", Reason.PROTOCOL, "no DNS"),
    ],
)
def test_faults(
    name: str, transport: str, reason: Reason, words: str, dns_server: DnsServer
) -> None:
    began = time.monotonic()
    kind = "MX" if name.startswith("ns1") else "A"
    reading = look(dns_server, name, 0.5, transport=transport, query_type=kind)
    assert time.monotonic() - began < 3
    assert verdict(reading) == (Outcome.FAILED, reason), reading.message
    assert words in reading.message
    assert reading.gauges[0].labels == (("name", name), ("type", kind))


def test_a_truncated_answer_is_asked_for_again_over_tcp(dns_server: DnsServer) -> None:
    reading = look(dns_server, "truncated.faults.test")
    assert verdict(reading) == (Outcome.OK, Reason.NONE)
    assert [transport for _, transport in dns_server.asked[-2:]] == ["udp", "tcp"]
    assert (values(reading)["truncated"], values(reading)["answer_records"]) == (1, 1)


def test_the_time_is_the_servers(dns_server: DnsServer) -> None:
    reading = look(dns_server, "slow.faults.test")
    assert 0.14 < values(reading)["query_seconds"] < 0.3


def test_a_closed_port_over_udp_is_told_at_once(dns_server: DnsServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    reading = look(dns_server, "www.shop.test", server=f"127.0.0.1:{port}")
    assert verdict(reading) == (Outcome.FAILED, Reason.CONNECT)


def test_dns_over_tls_is_verified(dns_server: DnsServer) -> None:
    reading = look(
        dns_server, "www.shop.test", transport="tls", server=f"localhost:{dns_server.tls_port}"
    )
    assert verdict(reading) == (Outcome.FAILED, Reason.TLS)


def test_nothing_is_sent_to_a_server_that_is_not_allowed(dns_server: DnsServer) -> None:
    before = len(dns_server.asked)
    probe = DnsProbe("www.shop.test", server=dns_server.address)
    guard, shop = Guard(("127.0.0.1:53",)), Shop("t", "http://127.0.0.1:1")
    reading = probe.check(ProbeContext(Deadline.after(1), guard, shop, SystemClock()))
    assert reading.outcome is Outcome.BLOCKED
    assert f"'127.0.0.1:{dns_server.port}' to targets.allow" in reading.message
    assert len(dns_server.asked) == before


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("ns1.shop.test:54", ("ns1.shop.test", 54)),
    ],
)
def test_where_a_server_is(text: str, found: tuple[str, int]) -> None:
    assert place(text, 53) == found


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"query_name": ""}, "must be a name"),
        ({"query_name": "a..b"}, "must be a name"),
        ({"query_name": "a." * 130 + "test"}, "longer"),
        ({"query_name": "a", "server": "x:y"}, "port"),
        ({"query_name": "a", "server": ":53"}, "HOST"),
        ({"query_name": "a", "expect": {"answers": ("(",)}}, "regular expression"),
        ({"query_name": "a", "expect": {"min_answers": 2, "max_answers": 1}}, "most"),
        ({"query_name": "a", "expect": {"min_serial": 1}}, "SOA"),
    ],
)
def test_nonsense_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DnsProbe(**(keys | ({"expect": Expect(**keys["expect"])} if "expect" in keys else {})))
