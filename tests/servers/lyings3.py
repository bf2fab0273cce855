"""What if an S3 server says yes and does otherwise? A proxy before a good one that tells lies.

The proxy has the credentials: what it changes on the way it signs again. Each lie is one word.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers.s3 import S3Server

__all__ = ["LIES", "LyingS3", "lying_s3"]

LIES = (
    "ignores-if-none-match", "ignores-if-match", "racy-create", "ignores-sha256", "ignores-md5",
    "error-in-200", "stale-list", "cut-pages", "stale-read", "whole-range", "late-date", "no-date",
    "lets-anybody-in", "lets-any-secret-in", "keeps-deleted", "flips-a-bit", "forgets-a-part",
    "deletes-locked", "loses-puts", "slow", "denies-put", "denies-delete", "busy",
)  # fmt: skip

_ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code>'
    b"<Message>We encountered an internal error.</Message></Error>"
)
_DENIED = _ERROR.replace(b"InternalError", b"AccessDenied")
_HOP = {"connection", "transfer-encoding", "expect", "content-length", "keep-alive"}


@dataclass
class Request:
    """One request on its way."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    changed: bool = False

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def drop(self, *names: str) -> None:
        for name in [each for each in self.headers if each.lower() in names]:
            del self.headers[name]
            self.changed = True


@dataclass
class Answer:
    """What comes back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class LyingS3:
    """The proxy; `lies` may be changed at any time."""

    server: S3Server
    lies: set[str] = field(default_factory=set)
    requests: int = 0
    kept: dict[str, Answer] = field(default_factory=dict)

    def carry(self, request: Request) -> Answer:
        """Pass a request on, spoiled, and its answer back, spoiled."""
        self.requests += 1
        if "slow" in self.lies:
            time.sleep(0.4)
        early = self._early(request)
        if early is not None:
            return early
        self._spoil(request)
        return self._spoiled(request, self._ask(request))

    def _early(self, request: Request) -> Answer | None:
        """Lies that never reach the server."""
        object_key = urlsplit(request.path).path
        if "error-in-200" in self.lies and request.method == "POST" and "uploadId" in request.query:
            return Answer(200, [("Content-Type", "application/xml")], _ERROR)
        if "keeps-deleted" in self.lies and request.method == "DELETE":
            return Answer(204, [], b"")
        if request.method == "PUT" and "denies-put" in self.lies:
            return Answer(403, [], _DENIED)
        deletes = request.method == "DELETE" or "delete" in request.query
        if deletes and "denies-delete" in self.lies:
            return Answer(403, [], _DENIED)
        if "busy" in self.lies and request.method == "PUT":
            return Answer(503, [], _ERROR.replace(b"InternalError", b"SlowDown"))
        locked = "/locked/" in object_key and request.method == "DELETE"
        if locked and "deletes-locked" in self.lies:
            return Answer(204, [], b"")
        if "loses-puts" in self.lies and request.method == "PUT" and "/fresh/" in object_key:
            return Answer(200, [("ETag", '"0"')], b"")
        if "stale-read" in self.lies and request.method == "GET" and object_key.endswith("/over"):
            return self.kept.setdefault(request.path, self._ask(request))
        return None

    def _spoil(self, request: Request) -> None:
        for lie, names in (
            ("ignores-if-none-match", ("if-none-match",)),
            ("ignores-if-match", ("if-match",)),
            ("ignores-sha256", ("x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm")),
            ("ignores-md5", ("content-md5",)),
        ):
            if lie in self.lies:
                request.drop(*names)
        if "racy-create" in self.lies and "/race/" in request.path and request.method == "PUT":
            look = Request("HEAD", request.path, {}, b"", changed=True)
            if self._ask(look).status == 404:
                time.sleep(0.1)
                request.drop("if-none-match")
        if "whole-range" in self.lies:
            request.drop("range")
        if "forgets-a-part" in self.lies and b"<PartNumber>2</PartNumber>" in request.body:
            second = rb"<Part>(?:(?!</Part>).)*?<PartNumber>2<.*?</Part>"
            request.body = re.sub(second, b"", request.body, flags=re.DOTALL)
            request.changed = True
        signed = any(name.lower() == "authorization" for name in request.headers)
        if "lets-anybody-in" in self.lies and not signed:
            request.changed = True
        if "lets-any-secret-in" in self.lies:
            request.changed = True

    def _ask(self, request: Request) -> Answer:
        headers = dict(request.headers)
        if request.changed:
            headers = self._signed(request)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(request.method, request.path, request.body or None, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())

    def _signed(self, request: Request) -> dict[str, str]:
        ours = {"authorization", "x-amz-date", "x-amz-content-sha256", "host", "content-length"}
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ours}
        url = f"http://127.0.0.1:{self.server.port}{request.path}"
        made = AWSRequest(request.method, url, headers=headers, data=request.body)
        keys = Credentials(self.server.access_key, self.server.secret_key)
        S3SigV4Auth(keys, "s3", "us-east-1").add_auth(made)
        return dict(made.prepare().headers.items())

    def _spoiled(self, request: Request, answer: Answer) -> Answer:
        if "list-type" in request.query and request.method == "GET":
            answer = self._listed(request, answer)
        if "late-date" in self.lies or "no-date" in self.lies:
            answer.headers = [(k, v) for k, v in answer.headers if k.lower() != "date"]
        if "late-date" in self.lies:
            answer.headers.append(("Date", formatdate(time.time() - 3600, usegmt=True)))
        if "flips-a-bit" in self.lies and request.method == "GET" and len(answer.body) > 30_000:
            answer.body = answer.body[:20_000] + bytes([answer.body[20_000] ^ 1]) + (
                answer.body[20_001:]
            )  # fmt: skip
        return answer

    def _listed(self, request: Request, answer: Answer) -> Answer:
        if "stale-list" in self.lies and "seen" in request.path:
            return self.kept.setdefault("list", answer)
        if "cut-pages" in self.lies:
            answer.body = answer.body.replace(b"<IsTruncated>true", b"<IsTruncated>false")
        return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lying: LyingS3

    def _any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        body = self.rfile.read(size)
        if body or self.command in {"PUT", "POST"}:
            headers["Content-Length"] = str(len(body))
        answer = self.lying.carry(Request(self.command, self.path, headers, body))
        self.send_response_only(answer.status)
        length = str(len(answer.body))
        for name, value in answer.headers:
            if name.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def lying_s3(server: S3Server) -> Iterator[tuple[LyingS3, S3Server]]:
    """The liar, and what a client takes for the server."""
    liar = LyingS3(server)
    handler = type("Handler", (_Handler,), {"lying": liar})
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http_server.daemon_threads = True
    thread = threading.Thread(target=http_server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield liar, S3Server(http_server.server_port, server.access_key, server.secret_key)
    finally:
        http_server.shutdown()
        http_server.server_close()
        thread.join(5)
