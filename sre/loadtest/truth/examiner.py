"""Does the shop's database keep its promises after a run?

Each database is asked once before any load is sent, so that a wrong password or a misspelt table
costs nothing; afterwards each invariant gets its time to settle. A question that cannot be asked
is no pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sre.core.clock import Clock, SystemClock
from sre.core.errors import CheckFailed, SreError, Transient, UsageError
from sre.core.secrets import Secret, redactor
from sre.loadtest.job import Job
from sre.loadtest.judge.assemble import Ran
from sre.loadtest.judge.finding import Finding, State
from sre.loadtest.truth.declare import Invariant
from sre.loadtest.truth.ledger import Ledger, ledger_of
from sre.loadtest.truth.reconcile import reconcile
from sre.sql.engines import Asked, open_session
from sre.sql.invariants import judge
from sre.sql.model import Invariant as Bounded

__all__ = ["InvariantsExaminer"]

_POLL = 0.5
_HURRY = 1.0


class InvariantsExaminer:
    """The invariants of one load test, and what became of its unknown outcomes.

    Args:
        databases: name -> dsn of those that may be named.
        opened: opens a session by its dsn.
    """

    def __init__(
        self,
        job: Job,
        databases: Mapping[str, Secret],
        *,
        clock: Clock | None = None,
        opened: Callable[[str], AbstractContextManager[Asked]] = open_session,
    ) -> None:
        self._job, self._databases = job, databases
        self._clock, self._opened = clock or SystemClock(), opened
        self._parameters: dict[str, dict[str, object]] = {}

    def before(self, run_id: str) -> None:
        """Ask every question once; those of `before:` are remembered.

        Raises UsageError or Transient when one of them cannot be asked.
        """
        with ExitStack() as stack:
            sessions: dict[str, Asked] = {}
            for each in self._job.test.invariants:
                try:
                    self._rehearse(each, run_id, sessions, stack)
                except Transient as error:
                    raise Transient(f"{_where(self._job, each)}: {error}") from error
                except (CheckFailed, UsageError) as error:
                    raise UsageError(f"{_where(self._job, each)}: {error}") from error

    def _rehearse(
        self, each: Invariant, run_id: str, sessions: dict[str, Asked], stack: ExitStack
    ) -> None:
        dsn = self._dsn(each)
        if dsn not in sessions:
            sessions[dsn] = stack.enter_context(self._opened(dsn))
        session = sessions[dsn]
        known: dict[str, object] = {"run_id": run_id}
        if each.before is not None:
            known["before"] = session.value(each.before, known)
        session.rows(each.sql, known)
        self._parameters[each.name] = known

    def after(self, ran: Ran) -> Sequence[Finding]:
        """What each invariant says once it holds, or its time to settle is over."""
        facts = ran.facts
        ledger = ledger_of(
            self._job,
            ran.members,
            facts.planned_seconds if facts.stopped is None else facts.stopped,
        )
        invariants = self._job.test.invariants
        found: dict[str, Finding] = {}
        begun = self._clock.now()
        while True:
            open_ones = [i for i in invariants if not _holds(found.get(i.name))]
            passed = self._clock.now() - begun
            due = [i for i in open_ones if i.name not in found or _settle(i, ran) >= passed]
            if not due:
                break
            found |= {f.name: f for f in self._ask_all(due, facts.run_id, ledger)}
            waiting = [i for i in due if not _holds(found[i.name])]
            left = max((_settle(i, ran) for i in waiting), default=0.0)
            left -= self._clock.now() - begun
            if left <= 0:
                break
            self._clock.sleep(min(_POLL, left))
        findings = [found[i.name] for i in invariants]
        return [*findings, *_about_unknown(ledger, findings)]

    def _ask_all(
        self, invariants: Sequence[Invariant], run_id: str, ledger: Ledger
    ) -> Iterator[Finding]:
        with ExitStack() as stack:
            sessions: dict[str, Asked | str] = {}
            for each in invariants:
                known = self._parameters.get(each.name, {"run_id": run_id})
                ask = partial(self._ask, each, known, ledger)
                yield _blindfolded(ask(self._session(each, sessions, stack)), ledger)

    def _session(
        self, each: Invariant, sessions: dict[str, Asked | str], stack: ExitStack
    ) -> Asked | str:
        """The session, or why there is none."""
        try:
            dsn = self._dsn(each)
        except SreError as error:
            return str(error)
        if dsn not in sessions:
            try:
                sessions[dsn] = stack.enter_context(self._opened(dsn))
            except SreError as error:
                sessions[dsn] = str(error)
        return sessions[dsn]

    def _ask(
        self, each: Invariant, known: Mapping[str, object], ledger: Ledger, session: Asked | str
    ) -> Finding:
        blank = Finding("invariant", each.name, State.UNKNOWN, "nothing", _expected(each))
        if isinstance(session, str):
            return replace(blank, problem=f"cannot be asked: {session}")
        try:
            if each.by_ledger:
                return _by_ledger(each, session.rows(each.sql, known), ledger)
            return _by_count(each, session.value(each.sql, known), ledger)
        except SreError as error:
            return replace(blank, problem=f"cannot be asked: {redactor.mask(str(error))}")

    def _dsn(self, each: Invariant) -> str:
        if each.dsn is not None:
            return each.dsn.reveal()
        return self._databases[each.database or ""].reveal()


@dataclass(frozen=True)
class _Count:
    """What a bound stands for in this run.

    Attributes:
        slack: how much the bound is widened.
    """

    bound: int | float | str
    slack: int


def _count(each: Invariant, ledger: Ledger) -> _Count:
    by_word = {"accepted": ledger.accepted, "ambiguous": ledger.ambiguous}
    bound = each.bound
    if each.terms:
        bound = sum(by_word[term.word][term.journey] for term in each.terms)
    slack = 0
    if each.within is not None:
        named = {term.journey for term in each.terms}
        slack = sum(n for name, n in ledger.ambiguous.items() if not named or name in named)
    return _Count(bound, slack)


def _by_count(each: Invariant, value: object, ledger: Ledger) -> Finding:
    count = _count(each, ledger)
    key = next(key for key in ("equals", "min", "max") if getattr(each, key) is not None)
    bounded = Bounded(each.name, each.sql, within=each.within, **{key: count.bound})
    result = judge(bounded, value, {"ambiguous.all": count.slack})
    expected = result.expected
    if each.terms:
        expected += f" ({each.bound})"
    return Finding(
        "invariant",
        each.name,
        State.KEPT if result.passed else State.BROKEN,
        "nothing" if result.value is None else str(result.value),
        expected,
        "" if result.passed else f"{result.problem}{_of(each)}",
    )


def _by_ledger(each: Invariant, rows: Sequence[Sequence[Any]], ledger: Ledger) -> Finding:
    said = reconcile(rows, ledger, each.terms)
    return Finding(
        "invariant",
        each.name,
        said.state,
        said.value,
        said.expected,
        said.problem,
        data=said.data,
    )


def _of(each: Invariant) -> str:
    return f" ({each.bound})" if each.terms else ""


def _expected(each: Invariant) -> str:
    if each.by_ledger:
        return "every accepted order stored once"
    words = {"equals": "equals", "min": "at least", "max": "at most"}
    key = next(key for key in words if getattr(each, key) is not None)
    return f"{words[key]} {each.bound}"


def _holds(finding: Finding | None) -> bool:
    return finding is not None and finding.state is State.KEPT


def _settle(each: Invariant, ran: Ran) -> float:
    """Who stops a run does not want to wait."""
    return float(each.settle) if ran.signal is None else min(_HURRY, float(each.settle))


def _blindfolded(finding: Finding, ledger: Ledger) -> Finding:
    """Where the ledger itself has a hole of unknown size, a mismatch proves nothing."""
    if not ledger.blind or finding.state is not State.BROKEN:
        return finding
    problem = f"{finding.problem}; but a worker was lost, what it did last is not known"
    return replace(finding, state=State.UNKNOWN, problem=problem)


def _about_unknown(ledger: Ledger, findings: Sequence[Finding]) -> list[Finding]:
    """A row for the reader: what became of those of whom nobody knows."""
    unknown = ledger.ambiguous.total()
    if not unknown:
        return []
    told = [f.data["unknown_found_stored"] for f in findings if "unknown_found_stored" in f.data]
    value = f"{unknown} outcomes unknown"
    if told:
        value += f", of these {max(told)} found stored"
    else:
        value += "; no `ledger` invariant tells which of them are stored"
    expected = "a request was sent and no answer came"
    row = Finding("invariant", "unknown outcomes", State.KEPT, value, expected)
    return [replace(row, informational=True, data={"unknown_outcomes": unknown})]


def _where(job: Job, each: Invariant) -> str:
    return f"load test {job.name!r}, invariant {each.name!r}: nothing was sent"
