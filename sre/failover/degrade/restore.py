"""How does everything come back as it was, but for what somebody changed by hand meanwhile?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sre.core.errors import OutcomeUnknown, SreError, UsageError
from sre.failover.degrade.engine import Bench
from sre.failover.degrade.hands import hold, readings, shown
from sre.failover.degrade.layers import Step, taking
from sre.failover.degrade.places.request import UNSENT
from sre.failover.degrade.record import Active, Left, Record

__all__ = ["Restored", "Wish", "chosen", "restore"]


@dataclass(frozen=True)
class Wish:
    """What is to come back.

    Attributes:
        names: these levels; without, all but the manual ones.
        due: only those whose time is over.
        force: also what was changed by hand; what does not answer is given up.
    """

    names: tuple[str, ...] = ()
    due: bool = False
    force: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Restored:
    """What came of one level.

    Attributes:
        was_on: False: there was nothing to do.
        gone: whether the level is off now.
        kept: places that stay as somebody made them, in words.
        wrong: what went wrong.
    """

    name: str
    steps: tuple[Step, ...] = ()
    was_on: bool = True
    gone: bool = True
    kept: tuple[str, ...] = ()
    wrong: tuple[SreError, ...] = ()

    @property
    def code(self) -> int:
        """As the command ends: 0 as it was, 3 but for what others changed, else as the trouble."""
        if self.wrong and not self.gone:
            codes = {each.exit_code for each in self.wrong}
            return codes.pop() if len(codes) == 1 else OutcomeUnknown.exit_code
        return 3 if self.kept or self.wrong else 0


def chosen(record: Record, wish: Wish, now: float, declared: Sequence[str]) -> tuple[str, ...]:
    """Which levels, the last one first; `now` in seconds since the epoch.

    Raises:
        UsageError: a name that is neither declared nor on.
    """
    known = {*declared, *(each.name for each in record.levels), *(e.level for e in record.left)}
    for name in wish.names:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise UsageError(f"there is no level {name!r}; known: {listed}")
    on = [each.name for each in reversed(record.levels) if _meant(each, wish, now)]
    off = [name for name in wish.names if record.level(name) is None]
    return tuple(dict.fromkeys((*on, *off)))


def _meant(each: Active, wish: Wish, now: float) -> bool:
    if wish.names and each.name not in wish.names:
        return False
    if wish.due:
        return each.undo == "automatic" and each.until is not None and each.until <= now
    return bool(wish.names) or each.undo == "automatic"


def restore(bench: Bench, wish: Wish, *, dry_run: bool = False) -> tuple[Restored, ...]:
    """Take levels back; what goes wrong with one place holds up no other.

    Raises:
        UsageError: no such level.
        Locked: another run is at it.
    """
    if dry_run:
        names = chosen(bench.read(), wish, bench.tools.clock.wall(), tuple(bench.levels))
        return tuple(_planned(bench, bench.read(), name, wish.force) for name in names)
    with bench.alone("restore"):
        names = chosen(bench.read(), wish, bench.tools.clock.wall(), tuple(bench.levels))
        found = tuple(_one(bench, name, wish) for name in names)
        bench.keep(bench.read())  # what a run that was cut off did not tell the page
        return found


def _planned(bench: Bench, record: Record, name: str, force: bool) -> Restored:  # noqa: FBT001
    level = record.level(name)
    if level is None:
        return Restored(name, was_on=False)
    now, wrong = readings((mark.place for mark in level.marks), bench.tools)
    steps = tuple(taking(record, name, now, UNSENT, force=force))
    return Restored(name, steps, wrong=tuple(wrong.values()), kept=_kept(steps))


def _one(bench: Bench, name: str, wish: Wish) -> Restored:
    record = bench.read()
    level = record.level(name)
    if level is None:
        return _left_over(bench, record, name, wish)
    planned = _planned(bench, record, name, wish.force)
    bench.keep(record.having(replace(level, phase="restoring")))
    bench.tell("restoring", name, reason=wish.reason)
    wrong, undone = [*planned.wrong], []
    for step in planned.steps:
        if step.how == "no answer":
            undone.append(step)
        if step.how != "change":
            continue
        try:
            step.place.write(step.target, bench.tools)
            hold([step], bench.tools)
        except SreError as error:
            wrong.append(error)
            undone.append(step)
    return _ended(bench, replace(planned, wrong=tuple(wrong)), undone, wish)


def _ended(bench: Bench, done: Restored, undone: Sequence[Step], wish: Wish) -> Restored:
    record, errors = bench.read(), [str(each) for each in done.wrong]
    by_hand = all(not each.place.readable for each in undone) and _manual(record, done.name)
    gone = not undone or wish.force or by_hand
    if gone:
        lost = [step for step in done.steps if step.how == "by hand"]
        lost += [each for each in undone if each.place.readable]
        left = [Left(done.name, step.place, step.target) for step in lost]
        bench.keep(record.without(done.name).leaving(left))
    event = "restored" if gone else "not restored"
    bench.tell(event, done.name, reason=wish.reason, kept=list(done.kept), errors=errors)
    return replace(done, gone=gone)


def _manual(record: Record, name: str) -> bool:
    level = record.level(name)
    return level is not None and level.undo == "manual"


def _left_over(bench: Bench, record: Record, name: str, wish: Wish) -> Restored:
    """A level that is off, with places that stayed as somebody made them."""
    mine = [each for each in record.left if each.level == name]
    if not mine or not wish.force:
        kept = tuple(f"{each.place.name} stays as somebody made it" for each in mine)
        return Restored(name, was_on=False, kept=kept)
    wrong, steps, done = [], [], []
    for each in mine:
        try:
            before = each.place.read(bench.tools)
            step = Step(each.place, before, each.base, "change", surprise=True)
            each.place.write(each.base, bench.tools)
            hold([step], bench.tools)
            steps.append(step)
            done.append(each.place.name)
        except SreError as error:
            wrong.append(error)
    bench.keep(bench.read().leaving((), done))
    bench.tell("restored by force", name, reason=wish.reason, places=done)
    return Restored(name, tuple(steps), gone=not wrong, wrong=tuple(wrong))


def _kept(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(
        f"{step.place.name} was changed by hand to {shown(step.before)}; it stays so, "
        f"--force makes it {shown(step.target)} again"
        for step in steps
        if step.how == "by hand"
    )
