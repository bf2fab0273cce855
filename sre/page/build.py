"""From what is declared and remembered, what does the page say? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sre.core.facts import Fact
from sre.journey.result import StepResult
from sre.page import words
from sre.page.budgets import budget_of
from sre.page.counts import Cell
from sre.page.history import History, Standing, plain
from sre.page.incidents import incidents_of, told
from sre.page.limits import limits_of
from sre.page.model import (
    Budget,
    Component,
    Declared,
    Maintenance,
    Proof,
    State,
    StatusPage,
    Step,
)
from sre.page.proofs import proofs_of
from sre.probes.model import Check
from sre.probes.record import STALE_AFTER

__all__ = ["Moment", "build"]

_HOUR, _DAY = 3600, 86400
_SLICES = 48
_CHARTED = 60
"""Probes that are drawn in full; of more, those that work stand in a list."""


@dataclass(frozen=True)
class Moment:
    """What is known at one time.

    Attributes:
        now: seconds since the epoch.
        steps: of the last run of each probe since this process began.
        facts: backups and rehearsals, as they were published.
        notes: about the page itself.
    """

    now: float
    history: History
    steps: Mapping[str, tuple[StepResult, ...]] = field(default_factory=dict)
    facts: Sequence[Fact] = ()
    notes: tuple[str, ...] = ()


def build(declared: Declared, at: Moment) -> StatusPage:
    """The page; journeys before single probes, in each the worst first."""
    plans = tuple(declared.plans(at.now))
    components = tuple(_components(declared.checks, at, plans))
    budgets = tuple(budget_of(o, declared.checks, at.history, at.now) for o in declared.objectives)
    proofs: tuple[Proof, ...] = proofs_of(at.facts, declared.databases, declared.runbooks)
    return StatusPage(
        now=at.now,
        shop=declared.shop.name,
        environment=declared.shop.environment or "",
        state=min((c.state for c in components), key=lambda s: s.rank, default=State.UNKNOWN),
        sentence=sentence(components, at.now),
        details=(*_others(components), *_burnt(budgets)),
        components=components,
        budgets=budgets,
        proofs=proofs,
        notes=at.notes,
        incidents=incidents_of(at.history.episodes, told(at.facts), at.now),
        plans=plans,
        limits=tuple(limits_of(at.facts)),
    )


def _components(
    checks: Sequence[Check], at: Moment, plans: Sequence[Maintenance]
) -> Iterator[Component]:
    """Journeys before single probes, in each the worst first; charts for the first of them."""
    going_on = [plan for plan in plans if plan.covers(at.now)]
    bare = sorted((_component(check, at) for check in checks), key=_order)
    drawn = 0
    for found in bare:
        plan = next((plan.name for plan in going_on if found.name in plan.names), "")
        one = replace(found, maintenance=plan)
        brief = one.state is State.WORKS and one.journey is None and drawn >= _CHARTED
        drawn += not brief
        yield replace(one, brief=True) if brief else _charted(one, at)


def sentence(components: Sequence[Component], now: float) -> str:
    """How the shop is, in one sentence about the worst that there is."""
    if not components:
        return "Nothing is watched: no probes are declared"
    for state in State:
        those = [c for c in components if c.state is state]
        if not those:
            continue
        if state is State.WORKS:
            return "Everything works"
        if state is State.UNKNOWN:
            return _unknown(those, components)
        if len(those) == 1:
            return words.upper(_about(those[0], now))
        count = f"{len(those)} of {len(components)} probes are {state}"
        named = state is State.FAILING and len(those) <= 3
        return f"{count}: {'; '.join(_about(c, now, '') for c in those)}" if named else count
    raise AssertionError("every component has a state")


def _about(component: Component, now: float, verb: str = "is ") -> str:
    since = "" if component.since is None else f" since {words.moment(component.since, now)}"
    because = f" ({component.because})" if component.because else ""
    state = f"{verb}{component.state}" if verb else ""
    planned = ", in maintenance" if component.maintenance else ""
    return f"{component.name} {state}".rstrip() + since + because + planned


def _unknown(those: Sequence[Component], everything: Sequence[Component]) -> str:
    if all(c.ran is None for c in everything):
        return "Nothing is known yet: the first runs are due"
    if all(c.ran is None for c in those):
        verb = "has" if len(those) == 1 else "have"
        return f"Everything seen so far works; {_some(those)} {verb} not run yet"
    if len(those) == 1:
        return f"Not known whether {those[0].name} works"
    return f"Not known of {len(those)} of {len(everything)} probes whether they work"


def _others(components: Iterable[Component]) -> list[str]:
    """What the sentence leaves out: lesser trouble beside the worst."""
    found: dict[State, list[Component]] = {state: [] for state in State}
    for component in components:
        found[component.state].append(component)
    lines = []
    if found[State.FAILING] and found[State.SLOW]:
        lines.append(f"Also slow: {_names(found[State.SLOW])}.")
    stale = [c for c in found[State.UNKNOWN] if c.ran is not None]
    if stale and (found[State.FAILING] or found[State.SLOW]):
        lines.append(f"Not known: {_names(stale)}.")
    return lines


def _burnt(budgets: Iterable[Budget]) -> list[str]:
    spent = [b.name for b in budgets if b.spent]
    far = "" if any(b.spent and b.full for b in budgets) else " so far"
    lines = [f"Error budget spent{far}: {', '.join(spent)}."] if spent else []
    fast = [f"{b.name} ({b.fires})" for b in budgets if b.fires and not b.spent]
    return lines + ([f"Error budget burns too fast: {', '.join(fast)}."] if fast else [])


def _some(those: Sequence[Component]) -> str:
    return those[0].name if len(those) == 1 else f"{len(those)} probes"


def _names(those: Sequence[Component]) -> str:
    names = [c.name for c in those[:5]]
    return ", ".join(names) + (f" and {len(those) - 5} more" if len(those) > 5 else "")


def _order(component: Component) -> tuple[bool, int]:
    return component.journey is None, component.state.rank


def _component(check: Check, at: Moment) -> Component:
    standing = at.history.standings.get(check.name)
    empty = Component(
        name=check.name,
        kind=check.kind,
        every=check.every,
        state=State.UNKNOWN,
        journey=check.journey,
        why="waiting for its first run",
        steps=tuple(_step(step) for step in at.steps.get(check.name, ())),
    )
    return empty if standing is None else _standing(empty, check, standing, at.now)


def _charted(one: Component, at: Moment) -> Component:
    """With its last hour and its last day."""
    track = at.history.track(plain(one.name))
    slices = track.last(_DAY, _DAY // _SLICES, at.now)
    day = track.last(_DAY, _DAY, at.now)[0]
    return replace(
        one,
        hour=tuple(cell.mean for cell in track.last(_HOUR, 60, at.now)),
        day=tuple(_worst(cell) for cell in slices),
        good=day.good + day.slow,
        total=day.total,
    )


def _standing(empty: Component, check: Check, standing: Standing, now: float) -> Component:
    known = replace(
        empty,
        since=min(standing.since, now),
        ran=min(standing.ran, now),
        note=words.note(standing.note) if standing.note else "",
        why="",
    )
    if standing.judged is None:
        return replace(known, why=known.note or empty.why, note="")
    if now - standing.judged > STALE_AFTER * check.every + check.timeout:
        when = words.moment(min(standing.judged, now), now)
        late = f"no verdict since {when}; until then: {standing.state}"
        return replace(known, why=late, since=min(standing.judged, now))
    return replace(
        known,
        state=standing.state,
        step=standing.step,
        reason=standing.reason,
        why=words.why(standing.step, standing.reason, standing.status),
        detail=standing.message,
        seconds=standing.seconds,
    )


def _worst(cell: Cell) -> State | None:
    if not cell.total:
        return None
    return State.FAILING if cell.bad else State.SLOW if cell.slow else State.WORKS


def _step(step: StepResult) -> Step:
    state = {"ok": State.WORKS, "degraded": State.SLOW, "failed": State.FAILING}
    found = state.get(step.outcome.value, State.UNKNOWN)
    return Step(step.name, found, step.seconds, step.reason.value)
