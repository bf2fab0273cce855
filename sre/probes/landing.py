"""What becomes of a finished run before it counts?

Is it the own network's fault? Must a failure be confirmed first? Then it is recorded, and told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sre.core.clock import Clock
from sre.probes.confirm import Confirmations, Verdict
from sre.probes.gate import Gate, could_be_ours, ours
from sre.probes.model import Check
from sre.probes.news import News
from sre.probes.plan import Plan
from sre.probes.record import Record
from sre.probes.runner import Result

__all__ = ["Landing"]


class Landing:
    """Takes results from any thread.

    Args:
        listener: told of each run of the schedule, as it was recorded, in a thread of its own:
            however long it takes, no probe waits. None: nobody listens.
        again: told of a further attempt that is wanted, and in how many seconds.
    """

    def __init__(
        self,
        record: Record,
        clock: Clock,
        listener: Callable[[Result], None] | None,
        again: Callable[[Check, float], None],
    ) -> None:
        self._record = record
        self._clock = clock
        self._news = None if listener is None else News(listener)
        self._again = again
        self._lock = threading.Lock()
        self._confirmations = Confirmations()
        self._asked: tuple[tuple[str, ...], float] = ((), 0.0)
        self._gate: Gate | None = None

    def adopt(self, plan: Plan) -> None:
        """Take over a declaration."""
        with self._lock:
            self._confirmations.adopt(plan.checks)
        asked = (plan.watch.gate, float(plan.watch.gate_timeout))
        if asked != self._asked:
            self._drop_gate()
            self._asked = asked
            self._record.gate_up = None
            if plan.watch.gate:
                self._gate = Gate(*asked, clock=self._clock, changed=self._gate_is)

    def close(self) -> None:
        """Let go of the gate, and let the listener hear what there is."""
        self._drop_gate()
        if self._news is not None:
            self._news.close()

    def _drop_gate(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.close()

    def take(self, check: Check, result: Result, *, further: bool) -> None:
        """A run has ended; `further` says that it was to confirm a failure."""
        gate = self._gate
        if gate is None or not could_be_ours(result.reading):
            self._conclude(check, result, further=further)
            return
        gate.ask(result.started, partial(self._judged, check, result, further=further))

    def _judged(self, check: Check, result: Result, up: bool, *, further: bool) -> None:  # noqa: FBT001  partial
        if not up:
            result = replace(result, reading=ours(result.reading))
        self._conclude(check, result, further=further)

    def _conclude(self, check: Check, result: Result, *, further: bool) -> None:
        now = self._clock.wall()
        verdict = None
        if further or check.retry is not None:
            with self._lock:
                heard = self._confirmations.further if further else self._confirmations.first
                verdict = heard(check, result.reading)
        if not further:
            self._record.add(result, now, decides=verdict is None or verdict.decides)
            if self._news is not None:
                self._news.put(result)
        if verdict is not None:
            self._follow(check, verdict, now)

    def _follow(self, check: Check, verdict: Verdict, now: float) -> None:
        if verdict.down is not None:
            self._record.confirm(check.name, now, down=verdict.down)
        if verdict.again is not None:
            self._again(check, verdict.again)

    def _gate_is(self, up: bool) -> None:  # noqa: FBT001  a callback
        if self._gate is not None:
            self._record.gate_up = up
