"""How are all checks of a store run within a time, and everything removed afterwards?

The checks of a group run one after the other, groups beside each other. A check that does not come
back in time counts as unknown; nothing waits for it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sre.backup.doctor.model import Check, Outcome, Report, Result, unknown
from sre.core.clock import Clock, Deadline

__all__ = ["Patient", "Subject", "run_checks"]

_WORKERS = 8
_LATE = 0.5

Progress = Callable[[str], None]


class Patient(Protocol):
    """A store on the table: where checks write, and how it is cleaned up."""

    checks: tuple[Check, ...]
    scene: Any
    where: str

    def ready(self) -> None:
        """Whether it can be reached and written at all. Raises Transient, Refused, UsageError."""
        ...

    def explain(self, error: Exception) -> Outcome | None:
        """What an exception of a check means; None when it is a bug."""
        ...

    def affords(self, check: Check, seconds: float) -> bool:
        """Whether the bytes of a check fit into so much time."""
        ...

    def stop(self) -> None:
        """No check begins anything new."""
        ...

    def clean(self, seconds: float) -> tuple[str, ...]:
        """Remove everything; what has to stay, and why. Raises nothing."""
        ...

    def measured(self) -> dict[str, float]:
        """Numbers that the checks came by."""
        ...


@dataclass(frozen=True)
class Subject:
    """What is examined, and how long it may take.

    Attributes:
        wants: what the tiers of this store want; checks of the rest are notes.
    """

    name: str
    kind: str
    patient: Patient
    wants: frozenset[str]
    deadline: Deadline
    clean_seconds: float
    clock: Clock


def run_checks(subject: Subject, progress: Progress = lambda _name: None) -> Report:
    """Every check; the scratch place is gone afterwards, however this ends.

    Raises:
        Transient, Refused, UsageError: the store cannot be reached, or not be written at all.
    """
    patient, clock = subject.patient, subject.clock
    began, at = clock.now(), clock.wall()
    done: dict[str, Result] = {}
    try:
        patient.ready()
        checks = [_weighed(each, subject.wants) for each in patient.checks]
        for stage in _stages(checks):
            _run_stage(subject, stage, done, progress)
    finally:
        patient.stop()
        progress("cleaning up")
        left = patient.clean(subject.clean_seconds)
    results = tuple(done[each.name] for each in checks)
    return Report(
        subject.name, subject.kind, patient.where, at, clock.now() - began, results, left,
        patient.measured(),
    )  # fmt: skip


def _weighed(check: Check, wants: frozenset[str]) -> Check:
    wanted = not check.wanted_by or check.wanted_by in wants
    return check if wanted else replace(check, severity="note")


def _stages(checks: Sequence[Check]) -> Iterable[list[list[Check]]]:
    """What is measured first, then everything, then what looks back; in groups."""
    yield [[each for each in checks if each.group == "first"]]
    groups: dict[str, list[Check]] = {}
    for each in checks:
        if each.group not in {"first", "last"}:
            groups.setdefault(each.group or f"alone {each.name}", []).append(each)
    weights = {"data": 0, "feature": 1, "note": 2}
    yield sorted(groups.values(), key=lambda each: min(weights[one.severity] for one in each))
    yield [[each for each in checks if each.group == "last"]]


def _run_stage(
    subject: Subject, groups: list[list[Check]], done: dict[str, Result], progress: Progress
) -> None:
    waiting: queue.SimpleQueue[list[Check]] = queue.SimpleQueue()
    ready: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
    for group in groups:
        waiting.put(group)
    for _ in range(min(_WORKERS, len(groups))):
        threading.Thread(target=_work, args=(subject, waiting, ready), daemon=True).start()
    missing = {check.name: check for group in groups for check in group}
    while missing:
        try:
            result = ready.get(timeout=max(0.01, subject.deadline.left() + _LATE))
        except queue.Empty:
            break
        if isinstance(result, BaseException):
            raise result
        progress(result.name)
        done[result.name] = result
        missing.pop(result.name)
    for check in missing.values():
        done[check.name] = _result(check, unknown("no answer in time"), 0.0)


def _work(
    subject: Subject,
    waiting: queue.SimpleQueue[list[Check]],
    ready: queue.SimpleQueue[Result | BaseException],
) -> None:
    try:
        while True:
            for check in waiting.get_nowait():
                ready.put(_run(subject, check))
    except queue.Empty:
        return
    except BaseException as error:  # noqa: BLE001  handed to whoever waits
        ready.put(error)


def _run(subject: Subject, check: Check) -> Result:
    clock, patient = subject.clock, subject.patient
    began = clock.now()
    if subject.deadline.passed() and check.group != "last":  # which only looks back
        return _result(check, unknown("no time was left for it"), 0.0)
    if not patient.affords(check, subject.deadline.left()):
        return _result(check, unknown("the line is too slow for it"), 0.0)
    try:
        found = check.run(patient.scene)
    except Exception as error:
        meaning = patient.explain(error)
        if meaning is None:
            raise
        found = meaning
    return _result(check, found, clock.now() - began)


def _result(check: Check, found: Outcome, seconds: float) -> Result:
    return Result(
        check.name, check.proves, check.matters, check.severity, found.state, found.found, seconds
    )
