"""Do the tcp, dns and icmp probers do what blackbox_exporter learned after 0.23?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.journey.guard import Guard
from sre.probes.blackbox.clientoptions import TlsConfig
from sre.probes.blackbox.icmp import IcmpProber
from sre.probes.blackbox.model import BlackboxContext, Module
from sre.probes.blackbox.modules import IcmpOptions, Label, QueryResponse, TcpOptions
from sre.probes.blackbox.session import split_host_port
from sre.probes.blackbox.tcp import TcpProber
from tests.servers.talks import Step, server_context, talking
from tests.servers.tls import TlsServers


def probe(port: int, options: TcpOptions, seconds: float = 2.0) -> tuple[bool, BlackboxContext]:
    context = BlackboxContext(Deadline.after(seconds), Guard(("127.0.0.1:*", "localhost:*")))
    good = TcpProber().probe(f"localhost:{port}", Module("tcp", tcp=options), context)
    return good, context


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("shop.test:25", ("shop.test", 25)),
        ("[::1]:25", ("::1", 25)),
        ("shop.test:smtp", ("shop.test", 25)),
        ("shop.test:0", ("shop.test", 0)),
        ("shop.test:70000", ("shop.test", 0)),
        ("shop.test:", ("shop.test", 0)),
        ("shop.test", None),
        ("::1", None),
        ("::1:25", None),
        ("[::1]", None),
        ("[::1", None),
        ("a[b:25", None),
    ],
)
def test_targets_are_split_as_go_splits_them(text: str, found: tuple[str, int] | None) -> None:
    assert split_host_port(text) == found


BYTES = TcpOptions(query_response=(QueryResponse(expect_bytes="login: "),))


@pytest.mark.parametrize(
    ("said", "good", "failed"), [("login: x", True, 0), ("password", False, 1), ("log", False, 0)]
)
def test_bytes(said: str, good: bool, failed: int) -> None:
    script: list[Step] = [("say", said), ("close", "")]
    with talking(script) as server:
        found, context = probe(server.port, BYTES)
    assert found is good
    assert context.metrics.get("probe_failed_due_to_bytes") == failed
    assert context.metrics.get("probe_failed_due_to_regex") == 0


def test_labels_of_what_was_matched_are_there_even_if_it_fails_later() -> None:
    first = QueryResponse(
        expect="^SSH-2.0-([^ -]+)(?: (.*))?$",
        labels=(Label("ssh_version", "${1}"), Label("ssh_comments", "${2}")),
    )
    options = TcpOptions(query_response=(first, QueryResponse(expect="never")))
    with talking([("say", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), ("close", "")]) as server:
        found, context = probe(server.port, options)
    assert found is False
    labels = {"ssh_version": "OpenSSH_9.2p1", "ssh_comments": "Debian-2"}
    assert context.metrics.get("probe_expect_info", **labels) == 1
    assert context.metrics.get("probe_failed_due_to_regex") == 1


def test_certificates_and_keys_may_stand_in_the_module(tls_servers: TlsServers) -> None:
    cert = Path(tls_servers.cert_file("client")).read_text(encoding="ascii")
    key = Path(tls_servers.key_file("client")).read_text(encoding="ascii")
    ca = Path(tls_servers.ca_file).read_text(encoding="ascii")
    tls = TlsConfig(ca=ca, cert=cert, key=Secret.literal(key))
    request = (QueryResponse(send="GET / HTTP/1.0\r\n\r"), QueryResponse(expect="^HTTP/1.1 200"))
    good, context = probe(
        tls_servers.mutual, TcpOptions(query_response=request, tls=True, tls_config=tls)
    )
    assert good, context.lines
    without = TcpOptions(query_response=request, tls=True, tls_config=TlsConfig(ca=ca))
    assert probe(tls_servers.mutual, without)[0] is False


@pytest.mark.parametrize(
    ("versions", "good"),
    [
        ({}, True),
        ({"min_version": "TLS13"}, False),
        ({"max_version": "TLS12"}, True),
        ({"min_version": "TLS12", "max_version": "TLS12"}, True),
        ({"max_version": "TLS11"}, False),
    ],
)
def test_versions_of_tls(versions: dict[str, Any], good: bool, tls_servers: TlsServers) -> None:
    tls = TlsConfig(ca_file=tls_servers.ca_file, **versions)
    found, context = probe(tls_servers.tls12_only, TcpOptions(tls=True, tls_config=tls))
    assert found is good, context.lines


@pytest.mark.parametrize("tls", [TlsConfig(ca_file="/none"), TlsConfig(ca="no PEM")])
def test_a_module_that_cannot_be_used_fails_and_says_so(
    tls: TlsConfig, tls_servers: TlsServers
) -> None:
    found, context = probe(tls_servers.good, TcpOptions(tls=True, tls_config=tls))
    assert found is False
    assert context.lines[-1].message == "The module cannot be used"


def test_plain_text_before_tls_is_dropped_as_by_blackbox_exporter(tls_servers: TlsServers) -> None:
    script: list[Step] = [("say", "220 ready\r\n250 injected\r\n"), ("tls", "")]
    turn = QueryResponse(expect="^220", starttls=True)
    lax = TlsConfig(insecure_skip_verify=True)
    with talking(script, server_context(tls_servers)) as server:
        options = TcpOptions(query_response=(turn,), tls_config=lax)
        assert probe(server.port, options)[0] is True


def test_a_ping_needs_an_entry_for_every_port() -> None:
    context = BlackboxContext(Deadline.after(1), Guard(("127.0.0.1:80",)))
    assert IcmpProber().probe("127.0.0.1", Module("icmp", icmp=IcmpOptions()), context) is False
    assert "add '127.0.0.1:*' to targets.allow" in context.blocked
