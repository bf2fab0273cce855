"""How do Prometheus, a load balancer and an operator talk to the running probes?"""

from __future__ import annotations

import html
import json
import logging
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, socket
from typing import Any
from urllib.parse import urlsplit

from sre import __version__
from sre.core.masking import masked
from sre.core.secrets import redactor
from sre.probes.coding import coded
from sre.probes.webconfig import Web

__all__ = ["Answer", "Asked", "HttpServer", "Pages"]

log = logging.getLogger(__name__)

_IDLE = 30.0
_CONNECTIONS = 64
_LARGEST_BODY = 64 * 2**10
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `more` is what follows `body`, where that is large."""

    status: int
    body: bytes
    type: str = _TEXT
    headers: tuple[tuple[str, str], ...] = ()
    more: tuple[bytes, ...] = ()

    @classmethod
    def text(cls, status: int, words: str) -> Answer:
        """A line for people, secrets masked."""
        return cls(status, f"{redactor.mask(words)}\n".encode())


@dataclass(frozen=True, slots=True)
class Asked:
    """One GET beyond its path.

    Attributes:
        headers: by lower-case name.
        known: whether the client named itself, which only a web configuration with users asks.
    """

    query: str
    headers: Mapping[str, str] = field(default_factory=dict)
    known: bool = False

    def header(self, name: str) -> str:
        """The value of a header, empty when it is not there."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True)
class Pages:
    """What the server can show and do.

    Attributes:
        metrics: text and content type of /metrics, for an `Accept` header.
        ready: whether a plan is loaded and its timetable runs.
        reload: reads the declaration again; gives what is wrong with it, or None.
        results: JSON-ready last results.
        routes: pages of others by path, before our own.
        questions: the same for pages that depend on more than their path.
    """

    metrics: Callable[[str], tuple[tuple[bytes, ...], str]]
    ready: Callable[[], bool]
    reload: Callable[[], str | None]
    results: Callable[[], list[dict[str, Any]]]
    routes: Mapping[str, Callable[[], Answer]] = field(default_factory=dict)
    questions: Mapping[str, Callable[[Asked], Answer]] = field(default_factory=dict)

    def get(self, path: str, accept: str, asked: Asked | None = None) -> Answer:
        """The answer to GET or HEAD."""
        theirs = self._of_others(path, asked or Asked(""))
        if theirs is not None:
            return theirs
        match path:
            case "/metrics":
                blocks, kind = self.metrics(accept)
                return Answer(200, b"", kind, more=blocks)
            case "/-/healthy":
                return Answer.text(200, "Healthy")
            case "/-/ready":
                good = self.ready()
                return Answer.text(200 if good else 503, "Ready" if good else "Not ready")
            case "/-/probes":
                data = {"schema": "sre.probes/1", "results": self.results()}
                return Answer(200, json.dumps(masked(data)).encode(), "application/json")
            case "/":
                return Answer(200, self._index().encode(), "text/html; charset=utf-8")
            case "/-/reload":
                return replace(Answer.text(405, "use POST"), headers=(("Allow", "POST"),))
            case _:
                return Answer.text(404, "not found")

    def _of_others(self, path: str, asked: Asked) -> Answer | None:
        if path in self.questions:
            return self.questions[path](asked)
        return self.routes[path]() if path in self.routes else None

    def post(self, path: str) -> Answer:
        """The answer to POST."""
        if path != "/-/reload":
            theirs = path in self.questions or path in self.routes
            known = theirs or self.get(path, "").status != 404
            return Answer.text(405 if known else 404, "use GET" if known else "not found")
        wrong = self.reload()
        if wrong is None:
            return Answer.text(200, "reloaded")
        return Answer.text(500, f"not reloaded, the old declaration stays:\n{wrong}")

    def _index(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(one['probe'])}<td>{html.escape(one['outcome'])}"
            f"<td>{html.escape(one['reason'])}<td>{one['seconds']:.3f} s<td>{one['started']}"
            for one in self.results()
        )
        links = " · ".join(
            f'<a href="{path}">{path}</a>' for path in ("/metrics", "/-/probes", "/-/ready")
        )
        head = "<tr><th>probe<th>outcome<th>reason<th>took<th>started"
        return (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>sre probes</title>"
            f"<h1>sre {__version__}: probes</h1><p>{links}</p><table>{head}{rows}</table></html>\n"
        )


class HttpServer(ThreadingHTTPServer):
    """Serves Pages, `_CONNECTIONS` at a time, quietly; a slow client holds up nobody."""

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
        self._slots = threading.BoundedSemaphore(_CONNECTIONS)
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
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, in its own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up or speaks nonsense is no news."""
        log.debug("connection of %s ended badly: %s", client_address, sys.exc_info()[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = f"sre/{__version__}"
    sys_version = ""
    timeout = _IDLE
    server: HttpServer

    def setup(self) -> None:
        """The TLS handshake happens here, in the connection's own thread."""
        access = self.server.web.now()
        if access.tls is not None:
            raw: socket = self.request
            raw.settimeout(self.timeout)
            self.request = access.tls.wrap_socket(raw, server_side=True)
            if not access.lets_in(self.request):
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
        if not self._drained():
            self.close_connection = True
            self._send(Answer.text(413, "too large"))
            return
        self._answer(self.server.pages.post)

    def _answer(self, page: Callable[[str], Answer]) -> None:
        access = self.server.web.now()
        if access.pace is not None and not access.pace.allows():
            self._send(Answer.text(429, "too many requests"))
            return
        users = access.users
        if users is not None and not users.admits(self.headers.get("Authorization")):
            realm = (("WWW-Authenticate", 'Basic realm="sre"'),)
            self._send(replace(Answer.text(401, "who are you?"), headers=realm))
            return
        try:
            answer = page(urlsplit(self.path).path)
        except Exception:
            log.exception("could not answer %s", urlsplit(self.path).path)
            answer = Answer.text(500, "internal error, a bug of ours; see the log")
        self._send(answer)

    def _drained(self) -> bool:
        """Read a small body, so that the connection can go on; False when it is not small."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            return False
        if int(length) > _LARGEST_BODY:
            return False
        self.rfile.read(int(length))
        return True

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
