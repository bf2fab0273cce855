"""What does the journey engine ask of a transport, and what does it get back?

The engine is a generator: it yields `Request` or `Wait` and is sent `Response` (for a Wait: None).
It never touches a socket, a clock or a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from sre.core.records import record
from sre.journey.result import Outcome, Reason

__all__ = ["Headed", "Request", "Response", "TransportFailure", "Wait"]


@record(frozen=True, slots=True)
class Request:
    """One HTTP request, complete: the transport follows no redirect and adds no header but
    Host, Content-Length, Accept-Encoding, User-Agent and, when `credentials`, Cookie.

    Attributes:
        url: absolute, http or https, no fragment.
        headers: in order; names as the user wrote them.
        timeout: seconds for everything: resolving, connecting, sending, receiving.
        body_limit: bytes after decompression; one more is a failure with reason `body`.
        credentials: the target is one of the shop's own origins: cookies may be sent and kept.
        keep_alive: False asks for a connection of its own.
    """

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout: float = 5.0
    body_limit: int = 10 * 2**20
    credentials: bool = True
    keep_alive: bool = True


@record(frozen=True, slots=True)
class Wait:
    """The engine wants `seconds` to pass: a poll interval, a retry's pause, a customer thinking."""

    seconds: float
    thinking: bool = False


@record(frozen=True, slots=True)
class TransportFailure:
    """No usable answer came. `outcome` is FAILED, or BLOCKED by the allow-list (nothing was sent).

    `sent` is True when the request, or a part of it, may have reached the server.
    """

    reason: Reason
    message: str
    outcome: Outcome = Outcome.FAILED
    sent: bool = False


@record(frozen=True, slots=True)
class Response:
    """The answer to one Request, or its failure.

    Attributes:
        status: HTTP status code, 0 when none came.
        headers: (lower-case name, value) in order of arrival.
        body: decompressed.
        phases: seconds of resolve, connect, tls, processing, transfer; absent if not happened.
        started, ended: on the clock that the driver gives to the engine.
        address: the pinned address that was connected, for people.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    phases: Mapping[str, float] = field(default_factory=dict)
    started: float = 0.0
    ended: float = 0.0
    failure: TransportFailure | None = None
    address: str = ""
    http_version: str = ""

    @property
    def sets_cookies(self) -> bool:
        """Whether there is a Set-Cookie."""
        return any(key == "set-cookie" for key, _ in self.headers)

    def header(self, name: str) -> str | None:
        """The first value of a header, by any case of its name."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    def header_values(self, name: str) -> list[str]:
        """All values of a header, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key == wanted]


@record(frozen=True, slots=True)
class Headed(Response):
    """A Response whose headers are looked for in its head as it came, and only when asked for."""

    head: str = ""
    lower: str = ""

    @property
    def sets_cookies(self) -> bool:
        """Whether there is a Set-Cookie."""
        return "\nset-cookie:" in self.lower

    def header(self, name: str) -> str | None:
        """The first value of a header, by any case of its name."""
        wanted = f"\n{name.lower()}:"
        at = self.lower.find(wanted)
        if at < 0:
            return None
        at += len(wanted)
        return self.head[at : self.lower.find("\n", at)].strip()

    def header_values(self, name: str) -> list[str]:
        """All values of a header, in order."""
        wanted, at, values = f"\n{name.lower()}:", 0, list[str]()
        while (at := self.lower.find(wanted, at)) >= 0:
            at += len(wanted)
            values.append(self.head[at : self.lower.find("\n", at)].strip())
        return values
