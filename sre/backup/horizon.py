"""Up to which moment is everything in a copy that was taken while orders came in?

The copy ends at a position of the engine's log. When its end reaches us says nothing: it may have
waited in buffers. So the server is asked for its position while it is copied: whatever it had
acknowledged at an answer that lies before the end of the copy is in it. A little pessimistic (the
time between two questions), never too hopeful.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sre.core.clock import Clock, Deadline
from sre.core.errors import SreError

__all__ = ["Horizon", "position_of"]

_EVERY = 1.0
_SECONDS = 5.0
_JOIN_SECONDS = 20.0

Ask = Callable[[Deadline], str]


def position_of(text: str) -> int:
    """PostgreSQL's `16/B374D848` as a number. Raises ValueError."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


class Horizon:
    """Asks inside the context, in a thread; without `ask`, or unanswered, it knows nothing."""

    def __init__(self, ask: Ask | None, clock: Clock, every: float = _EVERY) -> None:
        self._ask, self._clock, self._every = ask, clock, every
        self._seen: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="horizon", daemon=True)

    def __enter__(self) -> Self:
        if self._ask is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)

    def before(self, end: str) -> float | None:
        """The last moment (Unix seconds) of which all is before that position; None: unknown."""
        try:
            last = position_of(end)
        except ValueError:
            return None
        return max((at for at, seen in list(self._seen) if seen <= last), default=None)

    def _watch(self) -> None:
        while True:
            with contextlib.suppress(SreError, ValueError):  # the next answer will do
                self._look()
            if self._ended.wait(self._every):
                return

    def _look(self) -> None:
        if self._ask is not None:
            at = self._clock.wall()  # before the question: an order in between is not promised
            self._seen.append((at, position_of(self._ask(Deadline.after(_SECONDS)))))
