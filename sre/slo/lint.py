"""Which objectives promise what their probes cannot measure, or alert where nobody can act? (pure)

The trap that no other tool names: a strict target on a rare probe. 99.9 % looked at each minute
pages on one failed run, because one run in sixty burns more than 14.4 times the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from sre.slo.burn import may_tell
from sre.slo.promise import Promise
from sre.slo.windows import Pair, budget_of, number, span

__all__ = ["Finding", "lint"]

_ENOUGH = 2
"""Failed runs that an alert should take at least."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one objective; `message` is what, `remedy` is the cure."""

    objective: str
    rule: Literal["unwatched", "low-volume", "runbook", "links", "interval", "cannot-fire"]
    severity: Literal["error", "warning"]
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity} [{self.rule}] {self.objective}: {self.message}; {self.remedy}"


def lint(promises: Iterable[Promise]) -> tuple[Finding, ...]:
    """Everything wrong, in the order of the objectives."""
    return tuple(finding for promise in promises for finding in _findings(promise))


def _findings(promise: Promise) -> Iterator[Finding]:
    if promise.watches:
        for pair in promise.pairs:
            if may_tell(promise.objective, pair):
                yield from _interval(promise, pair)
                yield from _volume(promise, pair)
    else:
        subject = promise.objective.subject
        yield Finding(
            promise.objective.name, "unwatched", "error",
            f"no probe runs {subject!r}, so it has no events",
            "give the journey an 'every', or declare a probe of kind journey",
        )  # fmt: skip
    yield from _runbook(promise)


def _interval(promise: Promise, pair: Pair) -> Iterator[Finding]:
    every, name = f"{promise.every:g} s", promise.objective.name
    if not pair.usable:
        yield Finding(
            name, "interval", "error",
            f"a run each {every} is too rare for the window of {span(pair.long)}: that "
            f"{pair.severity} alert is left out",
            f"run it each {pair.long / 5:g} s or more often",
        )  # fmt: skip
    elif pair.short > pair.wanted:
        yield Finding(
            name, "interval", "warning",
            f"a run each {every} stretches the short window of the {span(pair.long)} "
            f"{pair.severity} alert from {span(pair.wanted)} to {span(pair.short)}: it clears late",
            f"run it each {float(pair.wanted / Fraction(5, 2)):g} s or more often",
        )  # fmt: skip


def _volume(promise: Promise, pair: Pair) -> Iterator[Finding]:
    if not pair.usable:
        return
    budget, name = budget_of(promise.objective), promise.objective.name
    if not pair.can_fire(budget):
        yield Finding(
            name, "cannot-fire", "warning",
            f"the {span(pair.long)} {pair.severity} alert never fires: even when everything fails "
            f"the budget burns {number(1 / budget)} times, not {number(pair.factor)}",
            f"promise more than {_percent(1 - 1 / pair.factor)}, or rely on the slower alerts",
        )  # fmt: skip
        return
    events = Fraction(repr(promise.per_second * pair.long)).limit_denominator(1000)
    needed = events * pair.factor * budget
    if needed < _ENOUGH:
        yield _too_few(promise, pair, events, needed)


def _too_few(promise: Promise, pair: Pair, events: Fraction, needed: Fraction) -> Finding:
    alone = needed < 1
    faster = float(promise.every * needed / _ENOUGH)
    target = 1 - Fraction(_ENOUGH) / (events * pair.factor)
    runs = f"{float(events):g} runs" if events > 1 else "at most one run"
    hurts = "one failed run alone fires it" if alone else "two failed runs fire it"
    cures = [f"run it each {_floor(faster)} or more often"] if faster >= 1 else []
    if target > 0:
        cures.append(f"promise {_percent(target)} or less")
    return Finding(
        promise.objective.name,
        "low-volume",
        "error" if alone else "warning",
        f"the {span(pair.long)} {pair.severity} alert sees {runs}: {hurts} "
        f"({number(pair.factor)} x {number(budget_of(promise.objective) * 100)}% of them is "
        f"{float(needed):.3g}, at least {_ENOUGH} are wanted)",
        ", or ".join(cures) or "choose a longer window",
    )


def _runbook(promise: Promise) -> Iterator[Finding]:
    about = promise.objective
    if about.runbook is None:
        yield Finding(
            about.name, "runbook", "error" if about.severity == "page" else "warning",
            f"its alerts ({about.severity}) link to no runbook: nobody is told what to do",
            "write one and name it with 'runbook: ID'",
        )  # fmt: skip
    elif promise.runbooks is None:
        yield Finding(
            about.name, "links", "warning",
            "its alerts carry the runbook's name but no address",
            "set links.runbooks to the folder's address",
        )  # fmt: skip


def _percent(share: Fraction) -> str:
    """A target rounded down to what people write: 99.76%."""
    hundredths = share * 10000
    return f"{number(Fraction(hundredths.numerator // hundredths.denominator, 100))}%"


def _floor(seconds: float) -> str:
    whole = int(seconds)
    return span(whole // 60 * 60 if whole >= 600 else whole)
