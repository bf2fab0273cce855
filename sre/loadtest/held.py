"""How does a signal that comes while reports are written wait until they stand?

While a run goes, the runner heeds signals itself. Before it, they end the program at once: nothing
has been sent. After it, what was measured must not be lost: the first signal waits for the reports,
a second one ends the program at once.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Held", "hold_signals"]

_BOTH = (signal.SIGTERM, signal.SIGINT)
_entered: list[Held] = []


def hold_signals() -> None:
    """A run is over: from now on the first signal waits, if anybody holds them."""
    for held in _entered:
        held.hold()


class Held:
    """A context; from `hold` to its end SIGTERM and SIGINT are noted.

    Attributes:
        signal: the one that came meanwhile; None if none did.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._holding = False
        self._before: dict[int, Any] = {}

    def hold(self) -> None:
        """From now on the first signal waits."""
        self._holding = True

    def __enter__(self) -> Self:
        _entered.append(self)
        for number in _BOTH:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _entered.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._holding and self.signal is None:
            self.signal = number
            return
        before = self._before[number]
        if callable(before):
            before(number, frame)
