"""Does a port accept connections, and does it answer as it should?"""

from __future__ import annotations

import re
import ssl
from contextlib import closing
from dataclasses import dataclass
from socket import socket
from typing import ClassVar

from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble, admitted, connect, secured
from sre.probes.facts import Facts
from sre.probes.model import ProbeContext, Reading

__all__ = ["TcpProbe"]

_LIMIT = 16 * 2**10


@dataclass(frozen=True)
class TcpProbe:
    """Connects to one address; optionally sends a text and waits for an answer.

    Attributes:
        send: text sent after connecting, e.g. "PING\\r\\n".
        expect: regular expression that the first 16 KiB of the answer must match somewhere.
        tls: speak TLS, verified, before anything is sent.
        server_name: the name in the certificate, if it is not `host`.
        ca_file: PEM file of the authorities to trust instead of the system's.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = Facts("tcp")
    host: str
    port: int
    send: str | None = None
    expect: str | None = None
    tls: bool = False
    server_name: str | None = None
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError("port must be 1 to 65535")
        try:
            re.compile(self.expect or "")
        except re.error as error:
            raise ValueError(f"expect is not a regular expression: {error}") from error

    def check(self, context: ProbeContext) -> Reading:
        """Connect, talk, hang up."""
        attempt = Attempt("tcp", context)
        try:
            admission = admitted(attempt, self.host, self.port)
            with closing(connect(attempt, admission)) as raw:
                self._talk(attempt, raw)
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        return attempt.reading()

    def _talk(self, attempt: Attempt, raw: socket) -> None:
        connection = self._secured(attempt, raw) if self.tls else raw
        with closing(connection):
            if self.send is not None:
                _send(attempt, connection, self.send)
            if self.expect is not None:
                _await(attempt, connection, self.expect)

    def _secured(self, attempt: Attempt, raw: socket) -> socket:
        context = ssl.create_default_context(cafile=self.ca_file)
        return secured(attempt, raw, context, self.server_name or self.host)


def _send(attempt: Attempt, connection: socket, text: str) -> None:
    try:
        connection.settimeout(attempt.time_left())
        connection.sendall(text.encode())
    except TimeoutError as error:
        raise Trouble(Reason.TIMEOUT, "the text could not be sent in time") from error
    except OSError as error:
        raise Trouble(Reason.PROTOCOL, f"closed while sending: {error.strerror}") from error


def _await(attempt: Attempt, connection: socket, expect: str) -> None:
    """Read until the answer matches, ends, grows too long or is too late."""
    pattern, answer = re.compile(expect), b""
    with attempt.phase("processing"):
        while len(answer) < _LIMIT:
            try:
                connection.settimeout(attempt.time_left())
                chunk = connection.recv(_LIMIT - len(answer))
            except (TimeoutError, Trouble) as error:
                raise _nothing(answer) from error
            except OSError as error:
                raise Trouble(Reason.PROTOCOL, f"reset while answering: {error}") from error
            answer += chunk
            if pattern.search(answer.decode(errors="replace")):
                return
            if not chunk:
                raise Trouble(Reason.BODY, f"closed after {len(answer)} bytes without a match")
    raise Trouble(Reason.BODY, f"no match in the first {_LIMIT} bytes")


def _nothing(answer: bytes) -> Trouble:
    if answer:
        return Trouble(Reason.BODY, f"no match in {len(answer)} bytes before the time was up")
    return Trouble(Reason.TIMEOUT, "connected, but no answer came in time")
