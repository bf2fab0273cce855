"""What does a run of an HTTP probe ask to be sent, and what does it get back? (pure)

A thread of its own (`httpline.converse`) and the scheduler's loop (`multi`) carry the same talk, so
that a probe finds the same on both ways.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from sre.journey.exchange import Headed, Request, Response
from sre.journey.guard import Admission
from sre.probes.httpoptions import HttpOptions, Told
from sre.probes.model import Reading

__all__ = ["Answer", "Headed", "Hop", "Talk", "Way"]

_NOTHING = Told()


@dataclass(frozen=True, slots=True)
class Hop:
    """One request, and how its connection is made.

    Attributes:
        keep_body: whether the body is wanted; otherwise it is read, counted and let go.
        lines: the request's headers for libcurl, where they are made already.
        seconds: for everything, where it is not the request's own timeout.
        wire: the request as it is sent, where it is plain enough for a socket of ours.
    """

    request: Request
    options: HttpOptions
    keep_body: bool = True
    lines: list[bytes] | None = None
    seconds: float = 0.0
    wire: bytes = b""

    @property
    def timeout(self) -> float:
        """Seconds for everything: resolving, connecting, sending, receiving."""
        return self.seconds or self.request.timeout


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a Hop. `size` is that of the body, after decompression."""

    response: Response
    told: Told = _NOTHING
    size: int = 0


Talk = Generator[Hop, Answer, Reading]
"""A run of a probe: asks for requests to be sent, and in the end says what it found."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a hop's connection leads: the target's admitted address, and the proxy's before it.

    `target` is None where the proxy is to resolve the name.
    """

    target: Admission | None
    proxy: Admission | None = None

    @property
    def admission(self) -> Admission:
        """What is connected to."""
        found = self.proxy or self.target
        assert found is not None  # noqa: S101  one of them is always there
        return found

    def later(self) -> Way:
        """The same for the next hop of a run: its name is not resolved again."""
        if self.target is None or self.target.seconds is None:
            return self
        return Way(replace(self.target, seconds=None), self.proxy)
