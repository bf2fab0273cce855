"""How far is another host's clock from ours? (pure)

Both are CLOCK_MONOTONIC: nobody sets them, NTP or not, and their zeros have nothing in common. The
offset is asked for by ping-pong; the quickest exchange is the truest, and half its round trip is
the most that it can be wrong by. Later drift (some ten microseconds a second) does not matter: each
worker times its customers on its own clock.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Offset"]

_AT_LEAST, _AT_MOST = 8, 64
_FINE = 0.001


@dataclass
class Offset:
    """The estimate for one worker.

    Attributes:
        seconds: add it to our clock to get the worker's.
        uncertainty: it is off by this at most, seconds.
    """

    seconds: float = 0.0
    uncertainty: float = float("inf")
    exchanges: int = 0

    def add(self, sent: float, theirs: float, received: float) -> None:
        """One exchange: sent and received on our clock, answered on theirs."""
        self.exchanges += 1
        half = max(0.0, received - sent) / 2
        if half < self.uncertainty:
            self.seconds, self.uncertainty = theirs - (sent + half), half

    @property
    def enough(self) -> bool:
        """Eight exchanges, and more while they are slow."""
        fine = self.exchanges >= _AT_LEAST and self.uncertainty <= _FINE
        return fine or self.exchanges >= _AT_MOST
