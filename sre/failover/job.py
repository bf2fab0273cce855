"""What can be asked of a declared cluster: look, plan, carry out, go on, acknowledge? (effects)"""

from __future__ import annotations

import contextlib
import getpass
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import Refused, UsageError
from sre.core.facts import Facts
from sre.core.files import state_folder
from sre.core.lock import exclusive
from sre.core.units import format_duration
from sre.failover.engine import Decision, Engine, Ground, Reason, Reasons, Step, Wish
from sre.failover.model import Declared
from sre.failover.operation.carry import Say, carry_out, passed_no_return
from sre.failover.operation.outcome import Result
from sre.failover.operation.record import Progress, Record, records_of
from sre.failover.publish import last_failover, publish_ack, publish_result
from sre.failover.snapshot import Snapshot

__all__ = ["Job", "Planned"]

_LOOK_SECONDS = 8.0


class Planned:
    """What would be done, and why or why not."""

    def __init__(self, seen: Snapshot, decision: Decision, steps: tuple[Step, ...]) -> None:
        self.seen, self.decision, self.steps = seen, decision, steps


Agree = Callable[[Planned], None]


def _quiet(_line: str) -> None:
    """Nobody follows."""


def _agreed(_planned: Planned) -> None:
    """Nobody has to agree."""


class Job:
    """Operations on one cluster; a context manager that gives its connections back."""

    def __init__(
        self, declared: Declared, clock: Clock | None = None, facts: Facts | None = None
    ) -> None:
        self.declared = declared
        self.clock = clock or SystemClock()
        self.facts = facts or Facts(clock=self.clock)
        self.engine: Engine = declared.cluster.engine(self._ground())

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_error: object) -> None:
        self.engine.close()

    def _ground(self) -> Ground:
        fields = self.declared.fields
        return Ground(
            cluster=self.declared.name,
            nodes=self.declared.nodes,
            switches=self.declared.switches,
            clock=self.clock,
            rto=float(fields.rto),
            lost_writes=fields.lost_writes,
            facts=self.facts,
        )

    def look(self) -> Snapshot:
        """The cluster now."""
        return self.engine.observe(Deadline.after(_LOOK_SECONDS, self.clock))

    def plan(self, wish: Wish) -> Planned:
        """What would be done; asks everybody, touches nothing."""
        seen = self.look()
        decision = self.engine.decide(self._informed(wish), seen)
        unfinished = self.unfinished()
        if unfinished is not None:
            decision = _blocked(decision, _unfinished(unfinished))
        steps = self.engine.steps(decision) if decision.allowed else ()
        return Planned(seen, decision, steps)

    def carry_out(self, wish: Wish, say: Say = _quiet, agree: Agree = _agreed) -> Result:
        """Decide and do it. A decision against it is a result, `refused`; nothing was touched.

        `agree` is shown the plan before anything is touched, and may raise Refused.

        Raises:
            Refused: whoever was asked did not agree.
            Locked: somebody is at it already.
            Transient: the journal cannot be written; the message says what had begun.
        """
        with self.alone(wish.action):
            planned = self.plan(wish)
            if not planned.decision.allowed:
                return Result("refused", planned.decision, planned.decision.blockers)
            agree(planned)
            record = Record.new(planned.decision, _who(), self.clock)
            progress = Progress(planned.decision, _who(), self.clock.wall())
            result = carry_out(self.engine, record, progress, self.clock, say)
            publish_result(self.facts, result, _who())
            return result

    def resume(self, say: Say = _quiet, *, back: bool = False) -> Result:
        """Go on with the operation that was not finished; `back` takes it back instead.

        Raises:
            UsageError: there is none.
            Refused: `back` after the point of no return.
            Locked: it still runs.
        """
        with self.alone("resume"):
            record = self.unfinished()
            if record is None:
                raise UsageError(f"nothing of {self.declared.name} is unfinished")
            progress = record.read()
            steps = self.engine.steps(progress.decision)
            if back and passed_no_return(steps, progress.begun):
                raise Refused(
                    f"{record.id} is past its point of no return: the only way is forward "
                    f"(sre failover resume {self.declared.name})"
                )
            found = self.engine.obstacles(progress.decision, self.look(), progress.begun)
            if found and not back:
                return Result("refused", progress.decision, found, progress.seconds, record.id)
            record.add("resumed", by=_who())
            result = carry_out(self.engine, record, progress, self.clock, say, back=back)
            publish_result(self.facts, result, _who())
            return result

    def abandon(self, reason: str) -> Result:
        """Nobody goes on with the unfinished operation. Raises UsageError when there is none."""
        with self.alone("abandon"):
            record = self.unfinished()
            if record is None:
                raise UsageError(f"nothing of {self.declared.name} is unfinished")
            progress = record.read()
            why = Reason("abandoned", f"given up by {_who()}: {reason}")
            plain = {"check": why.check, "text": why.text, "evidence": {}}
            record.add("outcome", outcome="abandoned", reasons=[plain])
            return Result("abandoned", progress.decision, (why,), progress.seconds, record.id)

    def unfinished(self) -> Record | None:
        """The operation that somebody has to go on with."""
        newest = next(records_of(self.declared.name, self.clock), None)
        return newest if newest is not None and newest.read().unfinished else None

    def history(self) -> tuple[tuple[Record, Progress], ...]:
        """Every operation, newest first. Raises IntegrityError when one was changed."""
        return tuple((each, each.read()) for each in records_of(self.declared.name, self.clock))

    def acknowledge(self, reason: str) -> None:
        """The last failover was looked at: another one may follow. Raises UsageError."""
        last = last_failover(self.facts, self.declared.name, self.clock)
        if last is None:
            raise UsageError(f"there was no failover of {self.declared.name} that needs it")
        publish_ack(self.facts, self.declared.name, last, _who(), reason)

    def publish_pause(self, on: bool, reason: str) -> None:  # noqa: FBT001  a state, not a mode
        """Who told it to fail over to nobody, or to go on; for whoever looks next."""
        value = {"paused": on, "by": _who(), "reason": reason}
        self.facts.publish(f"failover/{self.declared.name}/pause", value)

    def _informed(self, wish: Wish) -> Wish:
        """The wish, with what is remembered of the last failover."""
        last = last_failover(self.facts, self.declared.name, self.clock)
        if last is None or last.acknowledged:
            return wish
        age = self.clock.wall() - last.at
        if age >= float(self.declared.fields.calm):
            return wish
        when = datetime.fromtimestamp(last.at, UTC).strftime("%H:%M:%S UTC")
        text = f"{last.old} to {last.new} at {when}, {format_duration(age)} ago, by {last.by}"
        return replace(wish, recent=text)

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Nobody else is at the cluster meanwhile. Raises Locked."""
        path = state_folder() / "locks" / f"failover-{self.declared.name}"
        with exclusive(path, f"{what} of {self.declared.name}", self.clock):
            yield


def _blocked(decision: Decision, reasons: Reasons) -> Decision:
    return replace(decision, blockers=(*reasons, *decision.blockers))


def _unfinished(record: Record) -> Reasons:
    cluster = record.path.parent.name
    text = (
        f"{record.id} is not finished; go on with `sre failover resume {cluster}`, or give it up "
        f"with `sre failover resume {cluster} --abandon REASON`"
    )
    return (Reason("unfinished", text, {"operation": record.id}),)


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
