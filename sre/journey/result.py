"""What came of one run of a journey: which step, which outcome, which reason, how long?

Times are seconds. `started` of rows and steps counts from the start of the run, so a result can be
compared with a plan without a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum

from sre.core.records import record

__all__ = ["PHASES", "JourneyResult", "Outcome", "Reason", "Row", "StepResult"]

PHASES = ("resolve", "connect", "tls", "processing", "transfer")
"""Phases of a request, in order, named as in blackbox_exporter; absent if it did not happen."""


class Outcome(StrEnum):
    """How a step, and so its journey, ended. Bounded: it becomes a label."""

    OK = "ok"
    DEGRADED = "degraded"
    REFUSED = "refused"
    THROTTLED = "throttled"
    FAILED = "failed"
    BLOCKED = "blocked"

    @property
    def good(self) -> bool:
        """Counts as good for an objective, and lets the journey go on."""
        return self in _GOOD


_GOOD = (Outcome.OK, Outcome.DEGRADED)


class Reason(StrEnum):
    """Why a step failed. Bounded: it becomes a label. Empty when nothing is wrong."""

    NONE = ""
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    STATUS = "status"
    HEADER = "header"
    BODY = "body"
    EXTRACT = "extract"
    SLOW = "slow"
    PROTOCOL = "protocol"
    PROBER = "prober"


@record(frozen=True, slots=True)
class Row:
    """One request that was sent: each redirect hop, retry and `until` resend is one row."""

    step: str
    outcome: Outcome
    seconds: float
    group: str | None = None
    reason: Reason = Reason.NONE
    status: int | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    hop: int = 0
    attempt: int = 0
    started: float = 0.0
    received_bytes: int = 0
    cleanup: bool = False
    message: str = ""


@record(frozen=True, slots=True)
class StepResult:
    """One step as a whole: all its rows.

    Attributes:
        seconds: from the first byte sent to the last one received, waits between resends included.
        due: when it should have started (seconds from the run's start): the end of the step before
            it plus any planned pause. `started - due` is the generator's own lateness.
        retry_after: seconds that a throttling answer asked for, where it did.
        message: for people; masked; never a label.
    """

    name: str
    outcome: Outcome
    seconds: float
    group: str | None = None
    reason: Reason = Reason.NONE
    status: int | None = None
    due: float = 0.0
    started: float = 0.0
    rows: tuple[Row, ...] = ()
    retry_after: float | None = None
    cleanup: bool = False
    message: str = ""

    @property
    def phases(self) -> dict[str, float]:
        """Phases summed over the rows; one that never happened is absent."""
        total: dict[str, float] = {}
        for row in self.rows:
            for phase, seconds in row.phases.items():
                total[phase] = total.get(phase, 0.0) + seconds
        return total


@record(frozen=True, slots=True)
class JourneyResult:
    """One run of a journey.

    Attributes:
        outcome, reason, message: those of the step that ended it (`failed_step`), else ok.
        seconds: of the steps, cleanup and planned pauses left out.
        steps: in the order they ran, setup first; cleanup steps are flagged and never decide.
        values: extracted values that are not secret (an order number, say), for people and ledgers.
        ambiguous: a side effect may have happened without our knowing: a request with an unsafe
            method was sent and no answer came.
        key: the idempotency key of its last step that has one; for ledgers.
    """

    journey: str
    outcome: Outcome
    seconds: float
    run_id: str = ""
    reason: Reason = Reason.NONE
    message: str = ""
    failed_step: str | None = None
    steps: tuple[StepResult, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    ambiguous: bool = False
    key: str = ""

    @property
    def rows(self) -> Iterator[Row]:
        """Every request of the run, in order."""
        return (row for step in self.steps for row in step.rows)
