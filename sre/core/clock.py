"""What time is it, how long may this take, and how do tests hold time still?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Clock", "Deadline", "FakeClock", "SystemClock"]


class Clock(Protocol):
    """Time as the toolkit sees it. Injected, so that tests need not wait."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait. Zero or less returns at once."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class FakeClock:
    """A clock that moves only when somebody sleeps on it or advances it."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        self._now += seconds


@dataclass(frozen=True)
class Deadline:
    """A moment on a clock after which work must stop."""

    at: float
    clock: Clock

    @classmethod
    def after(cls, seconds: float, clock: Clock | None = None) -> Deadline:
        """A deadline `seconds` from now."""
        clock = clock or SystemClock()
        return cls(clock.now() + seconds, clock)

    def left(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - self.clock.now())

    def passed(self) -> bool:
        """True once no time is left."""
        return self.left() <= 0.0

    def within(self, seconds: float) -> Deadline:
        """The sooner of this deadline and `seconds` from now."""
        return Deadline(min(self.at, self.clock.now() + seconds), self.clock)
