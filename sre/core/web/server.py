"""How do Prometheus, a load balancer and an operator talk to something that runs?"""

from __future__ import annotations

import ipaddress
import logging
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any
from urllib.parse import urlsplit

from sre import __version__
from sre.core.errors import UsageError
from sre.core.web.answer import Answer, Asked, Pages
from sre.core.web.callers import Caller, Callers
from sre.core.web.coding import coded
from sre.core.web.config import Web

__all__ = ["HttpServer", "parse_address"]

log = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds that a client has for its next request, all of it, and for each block of the answer."""

_CONNECTIONS = 512
_LARGEST_BODY = 64 * 2**10


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, [IPv6]:PORT or :PORT (every address) as a pair.

    Raises:
        UsageError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{text!r} is not an address; write HOST:PORT such as 127.0.0.1:9115")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104  as asked


class HttpServer(ThreadingHTTPServer):
    """Serves Pages, to `_CONNECTIONS` clients, quietly; a slow client holds up nobody."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        pages: Pages,
        web: Web | None = None,
    ) -> None:
        """Raises OSError when the address cannot be listened on."""
        if ":" in address[0]:
            self.address_family = AF_INET6
        self.pages = pages
        self.web = web or Web()
        self.callers = Callers(_CONNECTIONS, _PATIENCE)
        super().__init__(address, _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="http", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens, with the port that it got."""
        host, port = str(self.server_address[0]), self.server_address[1]
        name = f"[{host}]" if ":" in host else host
        return f"{'https' if self.web.now().tls else 'http'}://{name}:{port}"

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a connection, or close it at once when there are too many."""
        if self.callers.enter(request):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, in its own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.callers.leave(request)

    def service_actions(self) -> None:
        """Now and then: hang up on whoever takes too long for a request."""
        self.callers.sweep()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up or speaks nonsense is no news."""
        log.debug("connection of %s ended badly: %s", client_address, sys.exc_info()[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = f"sre/{__version__}"
    sys_version = ""
    timeout = _PATIENCE
    server: HttpServer
    caller: Caller

    def setup(self) -> None:
        """The TLS handshake happens here, in the connection's own thread."""
        self.caller = self.server.callers.of(self.request)
        access = self.server.web.now()
        if access.tls is not None:
            self.request.settimeout(self.timeout)
            self.request = access.tls.wrap_socket(
                self.request, server_side=True, do_handshake_on_connect=False
            )
            self.caller.moved(self.request)
            try:
                self.request.do_handshake()
                welcome = access.lets_in(self.request)
            except BaseException:
                self.request.close()
                raise
            if not welcome:
                self.request.close()
                raise ssl.SSLError("the client's certificate has none of client_allowed_sans")
        super().setup()

    def finish(self) -> None:
        """The server closes the plain socket only; a TLS one is ours."""
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            self.request.close()

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(urlsplit(self.path).query, headers, known=self.server.web.now().knows)
        accept = headers.get("accept", "")
        self._answer(lambda path: self.server.pages.get(path, accept, asked))

    do_HEAD = do_GET  # noqa: N815  the base's naming

    def do_POST(self) -> None:
        near = self.server.web.now().knows or _is_loopback(self.client_address[0])
        self._answer(lambda path: self.server.pages.post(path, near=near))

    def do_PUT(self) -> None:
        self._answer(self.server.pages.unused)

    do_DELETE = do_PATCH = do_OPTIONS = do_PUT  # noqa: N815

    def _answer(self, page: Callable[[str], Answer]) -> None:
        if not self._drained():
            self.close_connection = True
            self._send(Answer.text(413, "no such body is taken"))
            return
        self.caller.asks()
        try:
            self._send(self._reply(page))
        finally:
            self.caller.waits()

    def _reply(self, page: Callable[[str], Answer]) -> Answer:
        access = self.server.web.now()
        if access.pace is not None and not access.pace.allows():
            return Answer.text(429, "too many requests")
        users = access.users
        if users is not None and not users.admits(self.headers.get("Authorization")):
            realm = (("WWW-Authenticate", 'Basic realm="sre"'),)
            return replace(Answer.text(401, "who are you?"), headers=realm)
        path = urlsplit(self.path).path
        try:
            return page(path)
        except Exception:
            log.exception("could not answer %s", path)
            return Answer.text(500, "internal error, a bug of ours; see the log")

    def _drained(self) -> bool:
        """Read a small body, so that the connection can go on; False when it is not small.

        Whatever the method: a body that is left would be read as the next request.
        """
        lengths = set(self.headers.get_all("Content-Length", ["0"]))
        length = lengths.pop()
        if lengths or "Transfer-Encoding" in self.headers or not length.isdecimal():
            return False
        if not length.isascii() or int(length) > _LARGEST_BODY:
            return False
        return len(self.rfile.read(int(length))) == int(length)

    def _send(self, answer: Answer) -> None:
        accepted = self.headers.get("Accept-Encoding", "")
        blocks, coding = coded((answer.body, *answer.more), accepted)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(sum(map(len, blocks))))
        self.send_header("Vary", "Accept-Encoding")
        if coding:
            self.send_header("Content-Encoding", coding)
        ours = (("X-Content-Type-Options", "nosniff"), *answer.headers)
        for name, value in dict((*ours, *self.server.web.now().headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for block in blocks:
                self.wfile.write(block)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        log.debug("%s %s", self.address_string(), format % args)


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
