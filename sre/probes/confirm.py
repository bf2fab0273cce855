"""Is a failure confirmed by further attempts, and when is the next one? (pure)

The SLI counts the first attempt as it is. Further attempts only decide whether the probe is down:
all of them must fail. A probe that is down already, and one that places orders, gets none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sre.probes.model import GOOD, Check, Reading

__all__ = ["Confirmations", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a finished run means.

    Attributes:
        decides: whether a failure makes the probe down at once.
        again: seconds until a further attempt; None: no further one.
        down: what the further attempts said, once they are over; None: nothing, or not yet.
    """

    decides: bool = True
    again: float | None = None
    down: bool | None = None


class Confirmations:
    """Which failures are being confirmed. One run of a probe at a time."""

    def __init__(self) -> None:
        self._tried: dict[str, int] = {}
        self._down: set[str] = set()

    def adopt(self, checks: Iterable[Check]) -> None:
        """Forget what a declaration no longer has."""
        retried = {check.name for check in checks if check.retry is not None and not check.orders}
        self._tried = {name: tried for name, tried in self._tried.items() if name in retried}
        self._down &= retried

    def first(self, check: Check, reading: Reading) -> Verdict:
        """A run of the schedule has ended."""
        pending = self._tried.pop(check.name, None) is not None
        if check.retry is None or check.orders:
            return Verdict()
        if reading.outcome in GOOD:
            self._down.discard(check.name)
            return Verdict(down=False if pending else None)
        if not reading.is_down or check.name in self._down:
            return Verdict()
        self._tried[check.name] = 0
        return Verdict(decides=False, again=float(check.retry.wait))

    def further(self, check: Check, reading: Reading) -> Verdict:
        """A further attempt has ended; one that nobody waits for any more says nothing."""
        tried = self._tried.pop(check.name, None)
        if tried is None or check.retry is None:
            return Verdict()
        if reading.outcome in GOOD:
            return Verdict(down=False)
        if tried + 1 < check.retry.times:
            self._tried[check.name] = tried + 1
            return Verdict(again=float(check.retry.wait))
        if not reading.is_down:
            return Verdict()
        self._down.add(check.name)
        return Verdict(down=True)
