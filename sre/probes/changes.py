"""What does the log of the service say when a probe begins to fail, and when it is well again?"""

from __future__ import annotations

import logging

from sre.core.secrets import redactor
from sre.journey.result import Outcome
from sre.probes.model import Reading, Result

__all__ = ["Changes"]

log = logging.getLogger(__name__)


class Changes:
    """Hears every run, says one line for each change; not safe for threads.

    A probe that is well from its first run on is no news.
    """

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def hear(self, result: Result) -> None:
        """A run has ended."""
        state = _state(result.reading)
        before = self._last.get(result.probe, "ok")
        if state == before:
            return
        self._last[result.probe] = state
        if state == "ok":
            log.warning("probe %s is well again", result.probe)
            del self._last[result.probe]
            return
        why = ": ".join(part for part in (state, result.reading.message) if part)
        log.warning("probe %s: %s", result.probe, redactor.mask(" ".join(why.split()))[:500])


def _state(reading: Reading) -> str:
    """`ok`, or outcome and reason: a failure for another reason is news."""
    if reading.outcome is Outcome.OK:
        return "ok"
    return " ".join(part for part in (reading.outcome.value, reading.reason.value) if part)
