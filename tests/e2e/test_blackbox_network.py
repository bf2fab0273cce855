"""Do our tcp, dns and icmp probers tell the same as blackbox_exporter of the same targets?"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any

import pytest
import requests

from tests.e2e.test_blackbox import NEAR, PATIENCE, ROUNDS, compare, is_duration
from tests.servers.blackbox import Peers, Samples, _their, serving
from tests.servers.dns import DnsServer
from tests.servers.net import free_port, wait_until
from tests.servers.talks import STARTTLS, Step, server_context, talking
from tests.servers.tls import TlsServers

NAME = "www.shop.test"
EHLO = [
    {"expect": "^220 ([^ ]+)"},
    {"send": "EHLO prober\r"},
    {"expect": "^250-STARTTLS"},
    {"send": "STARTTLS\r"},
    {"expect": "^220"},
    {"starttls": True},
]
TCP: dict[str, dict[str, Any]] = {
    "connect": {},
    "ip6_alone": {"preferred_ip_protocol": "ip6", "ip_protocol_fallback": False},
    "tls": {"tls": True, "tls_config": {"ca_file": "CA"}},
    "tls_lax": {"tls": True, "tls_config": {"insecure_skip_verify": True}},
    "tls_named": {"tls": True, "tls_config": {"ca_file": "CA", "server_name": "localhost"}},
    "tls_other": {"tls": True, "tls_config": {"ca_file": "CA", "server_name": "other.test"}},
    "smtp": {"query_response": EHLO, "tls_config": {"ca_file": "CA"}},
    "smtp_lax": {"query_response": EHLO, "tls_config": {"insecure_skip_verify": True}},
    "banner": {"query_response": [{"expect": "^SSH-2.0-"}]},
    "captured": {
        "query_response": [{"expect": "PING :([^ ]+)", "send": "PONG ${1}"}, {"expect": "^001"}]
    },
    "from_here": {"source_ip_address": "127.0.0.1"},
    "from_nowhere": {"source_ip_address": "nonsense"},
}
DNS: dict[str, dict[str, Any]] = {
    "a": {"query_name": NAME, "query_type": "A"},
    "any": {"query_name": NAME},
    "tcp": {"query_name": NAME, "query_type": "A", "transport_protocol": "tcp"},
    "dot": {
        "query_name": NAME, "query_type": "A", "transport_protocol": "tcp", "dns_over_tls": True,
        "tls_config": {"ca_file": "CA"},
    },
    "dot_udp": {"query_name": NAME, "dns_over_tls": True},
    "soa": {"query_name": "shop.test", "query_type": "SOA"},
    "ns": {"query_name": "shop.test", "query_type": "NS"},
    "chaos": {"query_name": NAME, "query_type": "A", "query_class": "CH"},
    "nx": {"query_name": "no.shop.test", "query_type": "A"},
    "nx_wanted": {"query_name": "no.shop.test", "query_type": "A", "valid_rcodes": ["NXDOMAIN"]},
    "not_recursive": {"query_name": NAME, "query_type": "A", "recursion_desired": False},
    "servfail": {"query_name": "servfail.faults.test", "query_type": "A"},
    "truncated": {"query_name": "truncated.faults.test", "query_type": "A"},
    "slow": {"query_name": "slow.faults.test", "query_type": "A"},
    "close": {
        "query_name": "close.faults.test", "query_type": "A", "transport_protocol": "tcp"
    },
    "silent": {"query_name": "silent.faults.test", "query_type": "A"},
    "silent_tcp": {
        "query_name": "silent.faults.test", "query_type": "A", "transport_protocol": "tcp"
    },
}  # fmt: skip
_RECORD = "www.shop.test.\t300\tIN\tA\t192.0.2.1"
_RULES = ("matches", "all_match", "not_matches", "none_matches")
DNS |= {
    f"{rule}_{number}": {
        "query_name": name,
        "query_type": "A",
        "validate_answer_rrs": {f"fail_if_{rule}_regexp": patterns},
    }
    for rule in _RULES
    for number, (name, patterns) in enumerate(
        [
            (NAME, [_RECORD]),
            (NAME, [r".*192\.0\.2\..*"]),
            (NAME, [r"198\.51"]),
            (NAME, [r"192\.0\.2\.1$", r"192\.0\.2\.2$"]),
            ("shop.test", [".*"]),
        ]
    )
}
ICMP: dict[str, dict[str, Any]] = {
    "ping": {},
    "ping_large": {"payload_size": 5000},
    "ping_whole": {"dont_fragment": True, "payload_size": 100},
    "ping_six": {"preferred_ip_protocol": "ip6"},
    "ping_from": {"source_ip_address": "127.0.0.1"},
    "ping_six_alone": {"preferred_ip_protocol": "ip6", "ip_protocol_fallback": False},
}
NEWER = "recursion_desired"
"""A key that blackbox_exporter 0.23 does not know yet, where it is always on."""

SCRIPTS: dict[str, list[Step]] = {
    "mail": STARTTLS["smtp"],
    "mail_old": [("say", "220 x\r\n"), ("hear", ""), ("say", "250 HELP\r\n"), ("close", "")],
    "ssh": [("say", "hello\r\nSSH-2.0-OpenSSH_9.2\r\n")],
    "ssh_cut": [("say", "SSH-2.0-OpenSSH_9.2"), ("close", "")],
    "irc": [("say", "NOTICE\nPING :42 x\n"), ("hear", "^PONG 42$"), ("say", "001 welcome\n")],
    "mute": [("close", "")],
    "long": [("flood", "x")],
    "hang": [("hang", "")],
    "drip": [("drip", "")],
}


def _modules(ca_file: str, *, newer: bool) -> str:
    def made(prober: str, given: dict[str, dict[str, Any]]) -> dict[str, Any]:
        common = {"preferred_ip_protocol": "ip4"}
        kept = {
            name: {key: value for key, value in one.items() if newer or key != NEWER}
            for name, one in given.items()
        }
        return {
            name: {"prober": prober, "timeout": "700ms", prober: common | one}
            for name, one in kept.items()
        }

    modules = made("tcp", TCP) | made("dns", DNS) | made("icmp", ICMP)
    return json.dumps({"modules": modules}).replace('"CA"', json.dumps(ca_file))


class Pair(Peers):
    """Both of them, without what blackbox_exporter tells only since 0.28."""

    def both(self, module: str, target: str, **more: str) -> tuple[Samples, Samples]:
        theirs, ours = super().both(module, target, **more)
        if module in TCP:
            assert ours.pop(("probe_failed_due_to_bytes", ())) == 0
        return theirs, ours


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, tls_servers: TlsServers, dns_server: DnsServer
) -> Iterator[Peers]:
    """Both exporters with these modules, and the targets."""
    home = tmp_path_factory.mktemp("blackbox-network")
    files = {name: home / f"{name}.yml" for name in ("theirs", "ours")}
    for name, file in files.items():
        file.write_text(_modules(tls_servers.ca_file, newer=name == "ours"), encoding="utf-8")
    labels = ("good", "expired", "self_signed", "wrong_host", "chain", "tls12_only")
    places = {label: f"127.0.0.1:{getattr(tls_servers, label)}" for label in labels}
    places |= {"dns": dns_server.address, "dot": f"localhost:{dns_server.tls_port}"}
    places |= {
        "dead": f"127.0.0.1:{free_port()}",
        "stall": f"127.0.0.1:{tls_servers.handshake_stall}",
    }
    with ExitStack() as stack:
        context = server_context(tls_servers)
        for name, script in SCRIPTS.items():
            server = stack.enter_context(talking(script, context))
            places[name] = f"127.0.0.1:{server.port}"
        theirs = _their(stack, home / "theirs", files["theirs"])
        ours = serving(stack, home / "ours", files["ours"])
        for base in (theirs, ours):
            wait_until(lambda base=base: requests.get(f"{base}/-/healthy", timeout=5).ok, 20, base)  # type: ignore[misc]
        yield Pair(theirs, ours, places)


PLAIN_DNS = [name for name in DNS if not name.startswith(("dot", "silent", *_RULES))]
CASES = {
    "a connection": ("connect", "{good}"),
    "a name": ("connect", "localhost:{good_port}"),
    "a dead port": ("connect", "{dead}"),
    "a name without an address": ("connect", "nx.invalid:1"),
    "no port": ("connect", "127.0.0.1"),
    "an address of ours": ("from_here", "{good}"),
    "an address that is none": ("from_nowhere", "{good}"),
    "no address of the only protocol": ("ip6_alone", "{good}"),
    "TLS": ("tls", "{good}"),
    "TLS 1.2": ("tls", "{tls12_only}"),
    "TLS over an intermediate": ("tls", "{chain}"),
    "TLS, a name asked for": ("tls_named", "{good}"),
    "TLS, another name": ("tls_other", "{good}"),
    "TLS, expired": ("tls", "{expired}"),
    "TLS, self-signed": ("tls", "{self_signed}"),
    "TLS, expired and nobody minds": ("tls_lax", "{expired}"),
    "no TLS there": ("tls", "{ssh}"),
    "STARTTLS": ("smtp", "{mail}"),
    "STARTTLS and nobody minds": ("smtp_lax", "{mail}"),
    "no STARTTLS": ("smtp", "{mail_old}"),
    "a banner": ("banner", "{ssh}"),
    "a banner without a line end": ("banner", "{ssh_cut}"),
    "a server that says nothing and closes": ("banner", "{mute}"),
    "a line without an end": ("banner", "{long}"),
    "what was captured": ("captured", "{irc}"),
    "DNS": ("a", "{dns}"),
    "DNS by name": ("a", "localhost:{dns_port}"),
    "DNS, a dead port": ("a", "{dead}"),
    "DNS over TCP, a dead port": ("tcp", "{dead}"),
    "DNS, no such name": ("a", "nx.invalid"),
    **{f"DNS, {name}": (name, "{dns}") for name in PLAIN_DNS},
    "DNS over TLS": ("dot", "{dot}"),
    "DNS over TLS over UDP": ("dot_udp", "{dot}"),
    "DNS over TLS, another name": ("dot", "{wrong_host}"),
    "a ping": ("ping", "127.0.0.1"),
    "a ping by name": ("ping", "localhost"),
    "a large ping": ("ping_large", "127.0.0.1"),
    "a ping in one piece": ("ping_whole", "127.0.0.1"),
    "a ping over IPv6": ("ping_six", "::1"),
    "a ping from here": ("ping_from", "127.0.0.1"),
    "a ping to no address": ("ping", "nx.invalid"),
    "a ping of the other protocol": ("ping_six_alone", "127.0.0.1"),
}
RULES = [name for name in DNS if name.startswith(_RULES)]
SLOW = {
    "another banner": ("banner", "{mail_old}"),
    "silence": ("banner", "{hang}"),
    "a byte now and then": ("banner", "{drip}"),
    "no handshake": ("tls", "{stall}"),
    "no answer": ("silent", "{dns}"),
    "no answer over TCP": ("silent_tcp", "{dns}"),
}


def place(both: Peers, target: str) -> str:
    ports = {f"{name}_port": where.rpartition(":")[2] for name, where in both.places.items()}
    return target.format(**ports, **both.places)


def apart(both: Peers, module: str, target: str) -> dict[object, tuple[float, float]]:
    """Times that differ: by their medians and, as a busy machine moves those, by the best too."""
    times: dict[object, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    found: dict[object, tuple[float, float]] = {}
    for _ in range(PATIENCE):
        for _ in range(ROUNDS):
            theirs, ours = both.both(module, target)
            compare(theirs, ours)
            for key in filter(lambda key: is_duration(key[0]), theirs):
                times[key][0].append(theirs[key])
                times[key][1].append(ours[key])
        found = {
            key: (median(their), median(our))
            for key, (their, our) in times.items()
            if abs(median(their) - median(our)) > NEAR and abs(min(their) - min(our)) > NEAR
        }
        if not found:
            break
    return found


@pytest.mark.parametrize("case", CASES)
def test_it_tells_the_same(both: Peers, case: str) -> None:
    module, target = CASES[case]
    assert apart(both, module, place(both, target)) == {}


@pytest.mark.parametrize("module", RULES)
def test_rules_for_records_judge_the_same(both: Peers, module: str) -> None:
    compare(*both.both(module, "{dns}"))


@pytest.mark.parametrize("case", SLOW)
def test_it_tells_the_same_when_time_is_up(both: Peers, case: str) -> None:
    module, target = SLOW[case]
    theirs, ours = both.both(module, place(both, target))
    compare(theirs, ours)
    for key, value in theirs.items():
        if is_duration(key[0]):
            assert ours[key] == pytest.approx(value, abs=0.05), key


def test_what_is_not_allowed_is_not_contacted(both: Peers, dns_server: DnsServer) -> None:
    before = len(dns_server.asked)
    for module in ("a", "connect", "ping"):
        answer = both.get(both.ours, module, "127.0.0.2" + ":53" * (module != "ping"))
        assert "\nprobe_success 0" in answer.text
        assert answer.headers["X-Probe-Blocked"] == "1"
    assert len(dns_server.asked) == before
