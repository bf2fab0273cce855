"""How is one address reached for a probe: admitted, resolved once, pinned, timed by phase?"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sre.journey.guard import Blocked, Unresolved
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.model import Gauge, ProbeContext, Reading

__all__ = ["Attempt", "Trouble", "dial", "secured"]


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
        seconds = sum(self.phases.values())
        row = Row(self.step, outcome, seconds, reason=reason, phases=self.phases, message=message)
        step = StepResult(self.step, outcome, seconds, reason=reason, rows=(row,), message=message)
        return Reading(outcome, seconds, reason, message, (step,), tuple(self.gauges))

    def ended_by(self, trouble: Trouble) -> Reading:
        """The reading that a Trouble stands for."""
        return self.reading(trouble.outcome, trouble.reason, trouble.message)


def dial(attempt: Attempt, host: str, port: int) -> tuple[socket.socket, str]:
    """A TCP connection to the one address that the allow-list admits, and that address.

    Raises:
        Trouble: blocked (nothing was sent), `dns`, `connect` or `timeout`.
    """
    try:
        admission = attempt.context.guard.admit(host, port, attempt.time_left())
    except Blocked as error:
        raise Trouble(Reason.NONE, str(error), Outcome.BLOCKED) from error
    except Unresolved as error:
        raise Trouble(Reason.DNS, str(error)) from error
    if admission.seconds is not None:
        attempt.phases["resolve"] = admission.seconds
    return connect(attempt, admission.address, port), admission.address


def connect(attempt: Attempt, address: str, port: int) -> socket.socket:
    """A TCP connection to an address that was admitted before.

    Raises:
        Trouble: `connect` or `timeout`.
    """
    left = attempt.time_left()
    with attempt.phase("connect"):
        try:
            return socket.create_connection((address, port), timeout=left)
        except TimeoutError as error:
            where = f"{address}:{port}"
            raise Trouble(Reason.TIMEOUT, f"{where}: no connection in {left:.1f} s") from error
        except OSError as error:
            raise Trouble(Reason.CONNECT, f"{address}:{port}: {error.strerror}") from error


def secured(
    attempt: Attempt, raw: socket.socket, context: ssl.SSLContext, name: str
) -> ssl.SSLSocket:
    """The connection after a TLS handshake; `raw` is closed when that fails.

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
        finally:
            if attempt.context.deadline.passed():
                raw.close()


def _words(error: Exception) -> str:
    """OpenSSL's sentence without its source line."""
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return re.sub(r" \(_ssl\.c:\d+\)", "", str(text)).replace("_", " ").lower()
