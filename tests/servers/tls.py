"""Does a TLS client tell a good server from an expired, a strange, an old and a silent one?"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.servers.net import missing

try:
    from tests.servers.certificates import Authority, Issued
except ModuleNotFoundError:  # the fixture says so when it is asked for
    Authority = None  # type: ignore[assignment, misc]

__all__ = ["TlsServers", "tls_servers"]


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self) -> None:
        # The handshake is done here, in the connection's own thread: a slow client holds up
        # nobody else.
        server = self.server
        assert isinstance(server, _Server)
        self.request = server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        # A good server says goodbye (close_notify) but does not wait for the answer.
        self.request.settimeout(0)
        with contextlib.suppress(OSError):
            self.request.unwrap()
        self.request.close()

    def do_GET(self) -> None:
        body = f"{self.request.version()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: probes hang up in every way."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, issued: Issued, *, tls12_only: bool = False, ca: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(issued.chain_file, issued.key_file)
        self.context.set_alpn_protocols(["http/1.1"])
        if tls12_only:
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        if ca is not None:
            self.context.load_verify_locations(ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: refused handshakes are what these servers are for."""


class _Stall:
    """Accepts TCP and never answers the ClientHello."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._held: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                self._held.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(2)
        self._listener.close()
        for connection in self._held:
            connection.close()


class TlsServers:
    """Ports of HTTPS servers that answer GET with the TLS version, and what a probe must find.

    `expires` and `fingerprints` are by label: good, expired, self_signed, wrong_host, chain,
    intermediate, root, client.
    """

    def __init__(self, folder: Path) -> None:
        made = Authority(folder)
        self.issued = made.issued
        self.ca_file = str(made.ca_file)
        self.expires = {label: one.expires for label, one in made.issued.items()}
        self.fingerprints = {label: one.fingerprint for label, one in made.issued.items()}
        good = made.issued["good"]
        ports = ("good", "expired", "self_signed", "wrong_host", "chain")
        servers = {label: _Server(made.issued[label]) for label in ports}
        servers["tls12_only"] = _Server(good, tls12_only=True)
        servers["mutual"] = _Server(good, ca=made.ca_file)
        self._servers = servers
        self._stall = _Stall()
        self.good = servers["good"].port
        self.expired = servers["expired"].port
        self.self_signed = servers["self_signed"].port
        self.wrong_host = servers["wrong_host"].port
        self.chain = servers["chain"].port
        self.tls12_only = servers["tls12_only"].port
        self.mutual = servers["mutual"].port
        self.handshake_stall = self._stall.port

    def cert_file(self, label: str) -> str:
        """PEM: the certificate, then the intermediate if there is one."""
        return str(self.issued[label].chain_file)

    def key_file(self, label: str) -> str:
        """PEM of the private key, mode 0600."""
        return str(self.issued[label].key_file)

    def close(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()
        self._stall.close()


@pytest.fixture(scope="session")
def tls_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServers]:
    """All the TLS servers, with their certificates in an own folder."""
    if Authority is None:
        missing("the Python package cryptography")
    servers = TlsServers(tmp_path_factory.mktemp("tls"))
    yield servers
    servers.close()
