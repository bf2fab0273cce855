"""How is one address reached for a probe: admitted, resolved once, pinned, timed by phase?"""

from __future__ import annotations

import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pycurl

from sre.journey.guard import Admission, Blocked, Unresolved
from sre.journey.result import PHASES, Outcome, Reason, Row, StepResult
from sre.probes.model import GOOD, Gauge, ProbeContext, Reading

__all__ = ["Attempt", "Trouble", "admitted", "connect", "handle_for", "perform", "secured"]


class Trouble(Exception):  # noqa: N818  an answer on its way out, not a fault
    """The probe has its answer: it ends here, in this way."""

    def __init__(self, reason: Reason, message: str, outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.outcome = outcome


@dataclass
class Attempt:
    """One run of a single probe as it goes: its phases, and what it found so far."""

    step: str
    context: ProbeContext
    phases: dict[str, float] = field(default_factory=dict)
    gauges: list[Gauge] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase; one that fails counts as well, for it did happen."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.monotonic() - began

    def time_left(self) -> float:
        """Seconds for the next operation.

        Raises:
            Trouble: none are left (reason `timeout`).
        """
        left = self.context.deadline.left()
        if left <= 0:
            raise Trouble(Reason.TIMEOUT, "no time left")
        return left

    def reading(
        self, outcome: Outcome = Outcome.OK, reason: Reason = Reason.NONE, message: str = ""
    ) -> Reading:
        """What came of it: one step with one row and its phases."""
        good = outcome in GOOD
        seconds = sum(self.phases.values()) if good else time.monotonic() - self.begun
        phases = {name: self.phases[name] for name in PHASES if name in self.phases} | self.phases
        row = Row(self.step, outcome, seconds, reason=reason, phases=phases, message=message)
        step = StepResult(self.step, outcome, seconds, reason=reason, rows=(row,), message=message)
        return Reading(outcome, seconds, reason, message, (step,), tuple(self.gauges))

    def ended_by(self, trouble: Trouble) -> Reading:
        """The reading that a Trouble stands for."""
        return self.reading(trouble.outcome, trouble.reason, trouble.message)


def admitted(attempt: Attempt, host: str, port: int) -> Admission:
    """The one address that the allow-list admits; asks DNS, sends nothing else.

    Raises:
        Trouble: blocked, `dns` or `timeout`.
    """
    try:
        admission = attempt.context.guard.admit(host, port, attempt.time_left())
    except Blocked as error:
        raise Trouble(Reason.NONE, str(error), Outcome.BLOCKED) from error
    except Unresolved as error:
        raise Trouble(Reason.DNS, str(error)) from error
    if admission.seconds is not None:
        attempt.phases["resolve"] = admission.seconds
    return admission


def handle_for(admission: Admission, url: str) -> Any:
    """A libcurl handle that connects to the admitted address, at most, and sends no request."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.CONNECT_TO, [f"::{admission.authority}"])
    curl.setopt(pycurl.CONNECT_ONLY, 1)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.NOSIGNAL, 1)
    return curl


def perform(attempt: Attempt, curl: Any) -> None:
    """Connect, and shake hands if it is TLS; the phases come from libcurl's own clock.

    Raises:
        Trouble: `connect`, `tls` or `timeout`.
    """
    try:
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(attempt.time_left() * 1000)))
        curl.perform()
    except pycurl.error as error:
        raise _trouble(curl, *error.args[:2]) from error
    finally:
        connected, secure = curl.getinfo(pycurl.CONNECT_TIME), curl.getinfo(pycurl.APPCONNECT_TIME)
        if connected > 0:
            attempt.phases["connect"] = connected - curl.getinfo(pycurl.NAMELOOKUP_TIME)
        if secure > 0:
            attempt.phases["tls"] = secure - connected


def _trouble(curl: Any, code: int, text: str) -> Trouble:
    connected = curl.getinfo(pycurl.CONNECT_TIME) > 0
    if code == pycurl.E_OPERATION_TIMEDOUT:
        what = "the TLS handshake took too long" if connected else "no connection in time"
        return Trouble(Reason.TIMEOUT, what)
    if code == pycurl.E_COULDNT_CONNECT or not connected:
        return Trouble(Reason.CONNECT, text)
    return Trouble(Reason.TLS, text)


def connect(attempt: Attempt, admission: Admission) -> socket.socket:
    """A TCP connection to the admitted address. Raises Trouble: `connect` or `timeout`."""
    with closing(handle_for(admission, f"http://{admission.authority}/")) as curl:
        perform(attempt, curl)
        return socket.socket(fileno=os.dup(curl.getinfo(pycurl.ACTIVESOCKET)))


def secured(
    attempt: Attempt, raw: socket.socket, context: ssl.SSLContext, name: str
) -> ssl.SSLSocket:
    """The connection after a TLS handshake; whoever opened `raw` closes it.

    Raises:
        Trouble: `tls` or `timeout`.
    """
    with attempt.phase("tls"):
        try:
            raw.settimeout(attempt.time_left())
            return context.wrap_socket(raw, server_hostname=name)
        except TimeoutError as error:
            raise Trouble(Reason.TIMEOUT, "the TLS handshake took too long") from error
        except ssl.SSLCertVerificationError as error:
            raise Trouble(Reason.TLS, f"not trusted: {error.verify_message}") from error
        except (ssl.SSLError, OSError, ValueError) as error:
            raise Trouble(Reason.TLS, f"no TLS session: {_words(error)}") from error


def _words(error: Exception) -> str:
    """OpenSSL's sentence without its source line."""
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return re.sub(r" \(_ssl\.c:\d+\)", "", str(text)).replace("_", " ").lower()
