"""What does a small authoritative DNS server say, and how does a broken one misbehave?

`dns_server` answers for the zone `shop.test` over UDP, TCP and TLS, with records of its own. The
names below `faults.test` misbehave in the way that their first label says.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.net import missing

try:
    import dns.flags
    import dns.message
    import dns.name
    import dns.rcode
    import dns.rdatatype
    import dns.rrset
except ModuleNotFoundError:  # the fixture says so when it is asked for
    dns = None  # type: ignore[assignment]

from tests.servers.tls import TlsServers

__all__ = ["SERIAL", "DnsServer", "dns_server"]

SERIAL = 2026112203
_ZONE = """
shop.test. 3600 SOA ns1.shop.test. hostmaster.shop.test. 2026112203 7200 900 1209600 300
shop.test. 3600 NS ns1.shop.test.
shop.test. 3600 NS ns2.shop.test.
shop.test. 300 MX 10 mail.shop.test.
shop.test. 300 TXT "v=spf1 -all"
www.shop.test. 300 A 192.0.2.1
www.shop.test. 300 A 192.0.2.2
www.shop.test. 60 AAAA 2001:db8::1
ns1.shop.test. 3600 A 192.0.2.53
"""
_RCODES = {"servfail": "SERVFAIL", "refused": "REFUSED", "formerr": "FORMERR"}


class DnsServer:
    """On one port of 127.0.0.1 over UDP and TCP; `tls_port` speaks DNS over TLS.

    Attributes:
        asked: the names that were asked for, in order, with the transport.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.asked: list[tuple[str, str]] = []
        self.stopping = threading.Event()
        self.zone = _zone()
        self._plain = _Tcp(("127.0.0.1", 0), self)
        self.port = int(self._plain.server_address[1])
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._secure = _Tcp(("127.0.0.1", 0), self, context)
        self.tls_port = int(self._secure.server_address[1])
        for server in (self._plain, self._secure):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        threading.Thread(target=self._serve_udp, daemon=True).start()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop all three."""
        self.stopping.set()
        for server in (self._plain, self._secure):
            server.shutdown()
            server.server_close()
        self._udp.close()

    def answer(self, wire: bytes, transport: str) -> tuple[str, bytes]:
        """The fault's name, empty for none, and the answer."""
        query = dns.message.from_wire(wire)
        name = query.question[0].name
        self.asked.append((name.to_text(), transport))
        first = name.labels[0].decode()
        fault = first if name.is_subdomain(dns.name.from_text("faults.test.")) else ""
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        if fault in _RCODES:
            reply.set_rcode(dns.rcode.from_text(_RCODES[fault]))
        elif fault:
            reply.answer = [dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.9")]
        else:
            self._look_up(query.question[0], reply)
        if fault == "truncated" and transport == "udp":
            reply.flags |= dns.flags.TC
            reply.answer = []
        if fault == "wrong-question":
            reply.question[0] = dns.rrset.from_text("other.test.", 0, "IN", "A")
        made = bytes(reply.to_wire())
        if fault == "wrong-id":
            made = bytes([made[0] ^ 0xFF]) + made[1:]
        return fault, b"\xff" * 40 if fault == "garbage" else made

    def _look_up(self, asked: Any, reply: Any) -> None:
        found = [rrset for rrset in self.zone if rrset.name == asked.name]
        reply.answer = [
            rrset for rrset in found if asked.rdtype in (rrset.rdtype, dns.rdatatype.ANY)
        ]
        if not found:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        if not reply.answer:
            reply.authority = [rrset for rrset in self.zone if rrset.rdtype == dns.rdatatype.SOA]
        if asked.rdtype == dns.rdatatype.NS:
            glue = dns.name.from_text("ns1.shop.test.")
            reply.additional = [rrset for rrset in self.zone if rrset.name == glue]

    def _serve_udp(self) -> None:
        while not self.stopping.is_set():
            try:
                wire, peer = self._udp.recvfrom(65535)
            except OSError:
                return
            fault, reply = self.answer(wire, "udp")
            if fault == "slow":
                threading.Timer(0.15, self._send, (reply, peer)).start()
            elif fault != "silent":
                for _ in range(200 if fault == "garbage" else 1):
                    self._send(reply, peer)

    def _send(self, reply: bytes, peer: Any) -> None:
        with contextlib.suppress(OSError):
            self._udp.sendto(reply, peer)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, at: tuple[str, int], owner: DnsServer, context: ssl.SSLContext | None = None
    ) -> None:
        self.owner, self.context = owner, context
        super().__init__(at, _Talk)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: probes hang up in every way."""


class _Talk(socketserver.BaseRequestHandler):
    server: _Tcp

    def handle(self) -> None:
        connection, owner = self.request, self.server.owner
        transport = "tcp"
        if self.server.context is not None:
            connection = self.server.context.wrap_socket(connection, server_side=True)
            transport = "tls"
        with connection:
            size = int.from_bytes(_exactly(connection, 2), "big")
            fault, reply = owner.answer(_exactly(connection, size), transport)
            framed = len(reply).to_bytes(2, "big") + reply
            if fault == "silent":
                owner.stopping.wait(10)
            elif fault == "drip":
                for byte in framed:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.1)
            elif fault == "endless":
                while True:
                    connection.sendall(b"\xff" * 65536)
            else:
                connection.sendall(framed[:7] if fault == "close" else framed)


def _exactly(connection: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _zone() -> list[Any]:
    found: dict[tuple[str, str], Any] = {}
    for line in _ZONE.strip().splitlines():
        name, ttl, kind, data = line.split(maxsplit=3)
        if (name, kind) in found:
            found[name, kind].add(dns.rrset.from_text(name, int(ttl), "IN", kind, data)[0])
        else:
            found[name, kind] = dns.rrset.from_text(name, int(ttl), "IN", kind, data)
    return list(found.values())


@pytest.fixture(scope="session")
def dns_server(tls_servers: TlsServers) -> Iterator[DnsServer]:
    """The server, with the certificate of `tls_servers` for `localhost`."""
    if dns is None:
        missing("the Python package dnspython")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(tls_servers.cert_file("good")), tls_servers.key_file("good"))
    server = DnsServer(context)
    yield server
    server.close()
