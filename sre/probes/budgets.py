"""How many orders may still be placed in each sliding window?"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable

from sre.probes.model import Check
from sre.probes.spending import Ledger

__all__ = ["Budgets"]

_HOUR, _DAY = 3600.0, 86400.0


class Budgets:
    """How many runs with side effects are left in each sliding window.

    A rate of one per hour or more is counted over an hour, a smaller one over a day. The budget is
    the journey's, however many probes run it. What was spent stays spent when the declaration
    changes, and with a ledger also after a restart. Thread-safe.
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._limits: dict[str, tuple[str, int, float]] = {}
        self._spent: dict[str, deque[float]] = {}

    def adopt(self, checks: Iterable[Check]) -> None:
        """Take over the budgets of a declaration, in runs per second."""
        with self._lock:
            self._limits = {
                check.name: (check.journey or check.name, *_limit(check.budget))
                for check in checks
                if check.budget is not None
            }

    def affords(self, name: str, now: float) -> bool:
        """Whether one more run may start, as far as this process knows; true without a budget."""
        if name not in self._limits:
            return True
        with self._lock:
            return self._left(name, now) > 0

    def spend(self, name: str, now: float) -> bool:
        """Whether a run may start, and if so it is spent, for all processes. May write to disk."""
        with self._lock:
            if name not in self._limits:
                return True
            what, limit, window = self._limits[name]
            if self._left(name, now) <= 0:
                return False
            if self._ledger is not None and not self._ledger.claim(what, limit, window):
                return False
            self._spent.setdefault(what, deque()).append(now)
            return True

    def _left(self, name: str, now: float) -> int:
        if name not in self._limits:
            return 1
        what, limit, window = self._limits[name]
        spent = self._spent.get(what, deque())
        while spent and spent[0] <= now - _DAY:
            spent.popleft()
        return limit - sum(moment > now - window for moment in spent)


def _limit(rate: float) -> tuple[int, float]:
    window = _HOUR if rate * _HOUR >= 1 - 1e-9 else _DAY
    return math.floor(rate * window + 1e-6), window
