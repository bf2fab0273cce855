"""How is a level brought about and taken back, whole or not at all, whoever kills us on the way?

What stood in every place is on disk before the first is changed; a run that was cut off leaves a
level that is `applying` or `restoring`, which the same command finishes and `restore` takes back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sre.core.errors import (
    CheckFailed,
    OutcomeUnknown,
    Refused,
    SreError,
    Terminated,
    Transient,
    UsageError,
)
from sre.core.facts import Facts
from sre.core.files import state_folder
from sre.core.journal import Journal
from sre.core.lock import exclusive
from sre.failover.degrade.hands import hold, look_at
from sre.failover.degrade.layers import Step, begun, bringing
from sre.failover.degrade.model import Level, Tools
from sre.failover.degrade.places.request import UNSENT, NotDone
from sre.failover.degrade.record import Active, Record, load, save
from sre.failover.degrade.shown import publish, who

__all__ = ["Bench", "Brought", "Order", "apply_level"]


@dataclass(frozen=True)
class Bench:
    """Where levels are worked on: what is declared, what is remembered, how places are reached."""

    levels: Mapping[str, Level]
    tools: Tools
    state: Path = field(default_factory=state_folder)

    @property
    def path(self) -> Path:
        """The record."""
        return self.state / "degrade" / "record.json"

    def read(self) -> Record:
        """What is remembered. Raises IntegrityError when it is damaged."""
        return load(self.path)

    def keep(self, record: Record) -> None:
        """Remember it, then tell the status page. Raises Transient when the disk refuses."""
        save(self.path, record)
        publish(Facts(self.state, self.tools.clock), record)

    def tell(self, event: str, level: str, **more: object) -> None:
        """One line of the history."""
        journal = Journal(self.state / "degrade" / "journal.jsonl", self.tools.clock)
        journal.append({"event": event, "level": level, "by": who(), **more})

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Raises Locked while another run changes levels."""
        with exclusive(self.state / "locks" / "degrade", what, self.tools.clock):
            yield


@dataclass(frozen=True)
class Order:
    """What was asked for. `lasts`: seconds; None: as declared."""

    reason: str = ""
    lasts: float | None = None


@dataclass(frozen=True)
class Brought:
    """What came of it. `already`: the level was on, and nothing had to be changed."""

    level: Active
    steps: tuple[Step, ...]
    already: bool = False


def apply_level(bench: Bench, name: str, order: Order, *, dry_run: bool = False) -> Brought:
    """Bring a level about, all of it or nothing.

    Raises:
        UsageError: there is no such level.
        Refused: it is on in another form, or a target is not on the allow-list.
        Transient, CheckFailed: a place did not answer or said no; everything was put back.
        OutcomeUnknown: the same, and not everything could be put back.
        Locked: another run is at it.
    """
    level = bench.levels.get(name)
    if level is None:
        known = ", ".join(sorted(bench.levels)) or "none; declare one under 'degrade:'"
        raise UsageError(f"there is no level {name!r}; known: {known}")
    if dry_run:
        return _plan(bench, bench.read(), level, order)[1]
    with bench.alone(f"degrade {name}"):
        record = bench.read()
        after, brought = _plan(bench, record, level, order)
        bench.keep(after)
        bench.tell("applying", name, reason=order.reason, places=_places(brought.steps))
        try:
            after = _carry_out(bench, after, brought)
        except (SreError, KeyboardInterrupt, Terminated) as error:
            _put_back(bench, record, name, brought.steps, error)
            raise
        active = replace(_of(after, name), phase="active")
        bench.keep(after.having(active))
        bench.tell("applied", name, reason=order.reason, until=active.until)
        return replace(brought, level=active)


def _plan(bench: Bench, record: Record, level: Level, order: Order) -> tuple[Record, Brought]:
    """The record as it has to be before anything is changed, and what is to be changed."""
    there = record.level(level.name)
    if there is not None and not there.of(level):
        raise Refused(
            f"{level.name} is on, and sre.yaml says something else of it now; bring it back first: "
            f"sre traffic restore {level.name}"
        )
    _no_clash(record, level)
    for spot in level.spots:
        spot.place.check(bench.tools)
    now = look_at((spot.place for spot in level.spots), bench.tools)
    wall = bench.tools.clock.wall()
    lasts = level.fields.for_ if order.lasts is None else order.lasts
    active = Active(
        name=level.name, at=wall, by=who(), reason=order.reason, shows=level.fields.shows,
        undo=level.fields.undo, until=None if lasts is None else wall + lasts,
        phase="applying", marks=(),
    )  # fmt: skip
    after = begun(record, level, active, now, UNSENT)
    steps = tuple(bringing(record, after, level.name, now))
    idle = there is not None and there.phase == "active"
    already = idle and all(step.how != "change" for step in steps)
    return after, Brought(_of(after, level.name), steps, already)


def _no_clash(record: Record, level: Level) -> None:
    """A request is sent once, whoever needs it; two different ones to one place have no order."""
    for other in record.levels:
        for mark in other.marks:
            for spot in level.spots:
                same = mark.place.name == spot.place.name and other.name != level.name
                if same and not spot.place.readable and mark.place != spot.place:
                    raise Refused(
                        f"{other.name} is on and sends another {spot.place.name}; bring it back "
                        f"first: sre traffic restore {other.name}"
                    )


def _carry_out(bench: Bench, record: Record, brought: Brought) -> Record:
    name = brought.level.name
    for step in brought.steps:
        if not step.place.readable:
            record = _sent(record, name, step, sent=True)
            save(bench.path, record)
        if step.how != "change":
            continue
        try:
            step.place.write(step.target, bench.tools)
        except (NotDone, Transient):
            if not step.place.readable:
                save(bench.path, _sent(record, name, step, sent=False))
            raise
    hold(brought.steps, bench.tools)
    return record


def _put_back(
    bench: Bench, before: Record, name: str, steps: Sequence[Step], error: BaseException
) -> None:
    """After a failure: as it was. Raises what to tell, in place of `error`, when it is ours."""
    what = f"{error}" if isinstance(error, SreError) else "interrupted"
    if before.level(name) is not None:
        bench.tell("failed", name, error=what)
        if isinstance(error, SreError):
            raise type(error)(
                f"{what}; {name} is on in part: run it again, or sre traffic restore {name}"
            ) from error
        return
    wrong = _reversed(bench, name, steps)
    if wrong:
        bench.tell("failed", name, error=what, left=wrong)
        raise OutcomeUnknown(
            f"{what}; and not everything could be put back ({'; '.join(wrong)}): "
            f"sre traffic restore {name} tries again"
        ) from error
    bench.keep(before)
    bench.tell("failed", name, error=what)
    if isinstance(error, SreError):
        kind = CheckFailed if isinstance(error, OutcomeUnknown) else type(error)
        raise kind(f"{what}; everything was put back, {name} is off") from error


def _reversed(bench: Bench, name: str, steps: Sequence[Step]) -> list[str]:
    """Every change taken back, the last first; what could not be."""
    sent = {mark.place.name for mark in _of(bench.read(), name).marks if mark.sent}
    wrong = []
    for step in reversed(steps):
        try:
            if step.how == "change" and step.before is not None:
                step.place.write(step.before, bench.tools)
            elif step.how == "change" and step.place.name in sent:
                step.place.write(UNSENT, bench.tools)
        except SreError as trouble:
            wrong.append(f"{trouble}")
    return wrong


def _sent(record: Record, name: str, step: Step, *, sent: bool) -> Record:
    level = _of(record, name)
    marks = tuple(
        replace(mark, sent=sent) if mark.place.name == step.place.name else mark
        for mark in level.marks
    )
    return record.having(replace(level, marks=marks))


def _of(record: Record, name: str) -> Active:
    return next(each for each in record.levels if each.name == name)


def _places(steps: Sequence[Step]) -> list[str]:
    return [each.place.name for each in steps]
