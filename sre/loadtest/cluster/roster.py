"""Who is here, who has gone, and who may not take part? The master's side. (pure)

A seat is one worker process. Until the run is under way a seat that falls free can be taken by
somebody else; afterwards nobody is replaced and nothing is shared out anew: a worker that is lost
makes the run invalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sre.loadtest.cluster.clocks import Offset
from sre.loadtest.cluster.digest import differing
from sre.loadtest.cluster.messages import PROTOCOL

__all__ = ["FULL", "MISMATCH", "SILENCE", "Refusal", "Roster", "Seat", "State"]

SILENCE = 4.0
"""Seconds without a word after which a worker counts as lost; it has a heartbeat each second."""

MISMATCH, FULL = 2, 4
"""Exit codes of a worker that is refused: never again, or later."""

_SHOWN = 4


class State(Enum):
    """How far a worker has come."""

    GREETED = "greeted"
    HERE = "here"
    READY = "ready"
    DONE = "done"
    LOST = "lost"


@dataclass
class Seat:
    """One worker.

    Attributes:
        client: its name on Locust's socket.
        heard: when it last said anything, on the master's clock.
    """

    number: int
    client: str
    host: str
    heard: float
    state: State = State.GREETED
    offset: Offset = field(default_factory=Offset)


@dataclass(frozen=True)
class Refusal:
    """Why somebody may not take part; `code` is what its process ends with."""

    why: str
    code: int


class Roster:
    """All seats of one run.

    Attributes:
        under_way: set when customers may have been sent; from then on no seat is given away.
    """

    def __init__(
        self, expect: int, versions: Mapping[str, str], digests: Mapping[str, str]
    ) -> None:
        self._expect, self._versions, self._digests = expect, versions, digests
        self._seats: dict[str, Seat] = {}
        self.under_way = False

    @property
    def seats(self) -> list[Seat]:
        """By number."""
        return sorted(self._seats.values(), key=lambda seat: seat.number)

    def seat(self, client: str) -> Seat | None:
        """The seat of `client`, if it has one."""
        return self._seats.get(client)

    def all_are(self, *states: State) -> bool:
        """Whether every seat is taken, by workers in one of these states."""
        return len(self._seats) == self._expect and all(
            seat.state in states for seat in self._seats.values()
        )

    @property
    def here(self) -> int:
        """Workers that may begin."""
        return sum(seat.state in (State.HERE, State.READY) for seat in self._seats.values())

    def greet(self, client: str, hello: Mapping[str, Any], now: float) -> Seat | Refusal:
        """Somebody says hello; a second time gives the same seat."""
        seat = self._seats.get(client)
        if seat is not None:
            return seat
        wrong = self._wrong_version(hello)
        if wrong is not None:
            return wrong
        if self.under_way or len(self._seats) >= self._expect:
            return Refusal(f"the run has its {self._expect} workers; come to the next one", FULL)
        taken = {seat.number for seat in self._seats.values()}
        number = min(set(range(self._expect)) - taken)
        seat = self._seats[client] = Seat(number, client, str(hello["host"])[:100], now)
        return seat

    def compiled(self, seat: Seat, digests: Mapping[str, object], why: str) -> Refusal | None:
        """It says what it has made of the plan; None: the same as we have."""
        other = differing(self._digests, digests)
        if not why and not other:
            seat.state = State.HERE
            return None
        more = f" and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
        why = why or f"its sre.yaml differs from ours in {', '.join(other[:_SHOWN])}{more}"
        self.free(seat)
        return Refusal(f"{why}; give every host the same sre.yaml", MISMATCH)

    def free(self, seat: Seat) -> None:
        """It has left before the run was under way."""
        self._seats.pop(seat.client, None)

    def heard(self, client: str, now: float) -> None:
        """It said something."""
        seat = self._seats.get(client)
        if seat is not None:
            seat.heard = now

    def silent(self, now: float) -> list[Seat]:
        """Those that should have said something, and did not."""
        return [
            seat
            for seat in self.seats
            if seat.state not in (State.DONE, State.LOST) and now - seat.heard > SILENCE
        ]

    def forgive(self, now: float) -> None:
        """We ourselves stood still, and cannot know who was silent."""
        for seat in self._seats.values():
            seat.heard = now

    def _wrong_version(self, hello: Mapping[str, Any]) -> Refusal | None:
        if hello["protocol"] != PROTOCOL:
            text = f"it speaks protocol {hello['protocol']}, the master {PROTOCOL}"
            return Refusal(f"{text}; install the same version of sre", MISMATCH)
        for name, ours in self._versions.items():
            if hello[name] != ours:
                text = f"it has {name} {hello[name]}, the master {ours}"
                return Refusal(f"{text}; install the same version", MISMATCH)
        return None
