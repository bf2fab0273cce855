"""How is a request to somebody's API a place: sent, or taken back by another one?"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sre.core.config import secret_from_reference
from sre.core.errors import CheckFailed, OutcomeUnknown, Refused, Transient, UsageError
from sre.core.secrets import Secret
from sre.failover.degrade.model import Held, Tools
from sre.journey.guard import Unresolved
from sre.journey.host import origin_of

__all__ = ["SENT", "UNSENT", "NotDone", "Request", "Sent"]

SENT, UNSENT = Held("sent"), Held("taken back")
_MEANS_NO = frozenset(range(400, 500)) - {408, 409, 425, 429}


class NotDone(CheckFailed):
    """The answer says for certain that nothing was changed."""


@dataclass(frozen=True)
class Request:
    """One request. Headers are texts, or secrets that are read when it is sent."""

    method: str
    url: str
    body: str = ""
    headers: tuple[tuple[str, str | Secret], ...] = ()

    @property
    def name(self) -> str:
        """METHOD and address without its query."""
        return f"{self.method} {self.url.partition('?')[0]}"

    def note(self) -> Mapping[str, Any]:
        """JSON; a secret is its reference."""
        return {
            "method": self.method,
            "url": self.url,
            "body": self.body,
            "headers": [
                [name, {"secret": value.reference} if isinstance(value, Secret) else value]
                for name, value in self.headers
            ],
        }

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> Request:
        headers = tuple((str(name), _value(value)) for name, value in note["headers"])
        return cls(str(note["method"]), str(note["url"]), str(note["body"]), headers)


def _value(noted: object) -> str | Secret:
    if not isinstance(noted, dict):
        return str(noted)
    found = secret_from_reference(str(noted["secret"]), ".")
    if found is None:
        raise ValueError("a secret header has no reference")
    return found


@dataclass(frozen=True)
class Sent:
    """Whether `do` was sent last, or `undo`."""

    do: Request
    undo: Request | None = None
    readable = False

    @property
    def name(self) -> str:
        return self.do.name

    @property
    def can_go_back(self) -> bool:
        """Whether there is an undo."""
        return self.undo is not None

    def note(self) -> Mapping[str, Any]:
        undo = None if self.undo is None else self.undo.note()
        return {"place": "request", "do": self.do.note(), "undo": undo}

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> Sent:
        undo = None if note["undo"] is None else Request.from_note(note["undo"])
        return cls(Request.from_note(note["do"]), undo)

    def check(self, tools: Tools) -> None:
        for each in (self.do, self.undo):
            if each is not None:
                tools.guard.check_name(*origin_of(each.url)[1:])
                _headers(each)  # a secret that cannot be read is found before anything changes

    def read(self, tools: Tools) -> Held:
        raise CheckFailed(f"nothing tells whether {self.name} was sent")

    def write(self, value: Held, tools: Tools) -> None:
        request = self.do if value.same(SENT) else self.undo
        if request is None:
            raise Refused(f"{self.name} has no undo: take it back by hand")
        send(request, tools)


def send(request: Request, tools: Tools) -> None:
    """Send it and want a 2xx; redirects are not followed.

    Raises:
        Refused: the target is not on the allow-list.
        Transient: it was not reached; nothing was sent.
        NotDone: the answer is a plain no.
        OutcomeUnknown: no answer, or one that leaves it open.
    """
    scheme, host, port = origin_of(request.url)
    deadline = tools.deadline()
    headers = _headers(request)
    raw = _connect(scheme, host, port, request, tools)
    connection = http.client.HTTPConnection(host, port)
    connection.default_port = 443 if scheme == "https" else 80
    connection.sock = raw
    too_late = threading.Timer(deadline.left(), _hang_up, (raw,))  # however slowly it answers
    too_late.start()
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        raw.settimeout(max(0.001, deadline.left()))
        body = request.body.encode() if request.body else None
        connection.request(request.method, target, body, headers)
        answer = connection.getresponse()
        status = answer.status
    except (OSError, http.client.HTTPException) as error:
        raise OutcomeUnknown(f"{request.name} was sent and not answered: {error!r}") from error
    finally:
        too_late.cancel()
        connection.close()
    if deadline.passed():
        raise OutcomeUnknown(f"{request.name} was sent and not answered in {tools.seconds:g} s")
    if 200 <= status < 300:
        return
    message = f"{request.name} was answered with {status}, a 2xx was wanted"
    raise NotDone(message) if status in _MEANS_NO else OutcomeUnknown(message)


def _hang_up(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)


def _connect(scheme: str, host: str, port: int, of: Request, tools: Tools) -> socket.socket:
    deadline = tools.deadline()
    try:
        admitted = tools.guard.admit(host, port, deadline.left())
        raw = socket.create_connection((admitted.address, port), max(0.001, deadline.left()))
        if scheme == "http":
            return raw
        raw.settimeout(max(0.001, deadline.left()))
        return ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    except (OSError, Unresolved) as error:
        raise Transient(f"{of.name} was not sent: {error}") from error


def _headers(request: Request) -> dict[str, str]:
    found = {}
    for name, value in request.headers:
        text = value.reveal() if isinstance(value, Secret) else value
        if any(each in text for each in "\r\n\0"):
            raise UsageError(f"the header {name} of {request.name} has more than one line")
        try:
            text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise UsageError(f"the header {name} of {request.name} is no Latin text") from error
        found[name] = text
    return found
