"""How do two builds run side by side, so that what the machine does to one it does to the other?

A B, B A, A B …: within a pair the order changes from pair to pair, so that a drift of the place
favours nobody. Both runs of a pair have the same seed (the same customers at the same moments),
each pair another one. Then the pairs differ, but within a pair only the build does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

from sre.loadtest.history.comparison import Compared, compare, decide
from sre.loadtest.history.examiner import merged, observed_in, rule_of
from sre.loadtest.history.findings import finding_of, unknown
from sre.loadtest.history.key import addresses_of
from sre.loadtest.history.model import Regression
from sre.loadtest.history.power import Design
from sre.loadtest.history.record import Record, record_of
from sre.loadtest.job import Job
from sre.loadtest.judge.assemble import Ran, assemble
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.report import Report
from sre.loadtest.judge.validity import Cause
from sre.loadtest.judge.verdict import VerdictName

__all__ = [
    "ATTEMPTS",
    "Done",
    "Outcome",
    "Side",
    "interleaved",
    "moved",
    "order",
    "overall",
    "repeated",
    "seeded",
    "sound",
]

Side = Literal["baseline", "candidate"]
ATTEMPTS = 3
_SAYS_NOTHING_OF_THE_PLACE = frozenset(
    {Cause.TOO_FEW_SAMPLES, Cause.NOT_COMPARABLE, Cause.INVARIANT_UNKNOWN}
)
_WORST_FIRST = (
    VerdictName.ABORTED,
    VerdictName.FAILED,
    VerdictName.INVALID,
    VerdictName.PASSED,
)
Note = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """One finished run with all that is needed to judge it again beside the others."""

    job: Job
    report: Report
    ran: Ran

    @property
    def record(self) -> Record:
        """What comparisons look at."""
        return record_of(self.report)


@dataclass(frozen=True)
class Outcome:
    """What came of all runs.

    Attributes:
        pairs: (baseline, candidate) of each pair that was whole.
        stopped: the run that was aborted, after which none was begun.
        spoilt: why a pair could not be made whole, in words.
    """

    pairs: tuple[tuple[Done, Done], ...]
    stopped: Done | None = None
    spoilt: str = ""
    last: Done | None = None


def order(pair: int) -> tuple[Side, Side]:
    """Who runs first in pair `pair`, from 0."""
    return ("baseline", "candidate") if pair % 2 == 0 else ("candidate", "baseline")


def seeded(job: Job, pair: int) -> Job:
    """The same job with the customers of pair `pair`, from 0; the first has the declared seed."""
    return replace(job, test=replace(job.test, seed=job.test.seed + pair))


def sound(report: Report) -> str:
    """Why a run cannot be compared, in words; empty when it can."""
    for doubt in report.verdict.doubts:
        if doubt.cause not in _SAYS_NOTHING_OF_THE_PLACE:
            return doubt.text
    return ""


def repeated(run: Callable[[], Done], what: str, note: Note) -> tuple[Done, str]:
    """Run until the run is sound or was aborted, three times at most; and why it is not sound."""
    for attempt in range(1, ATTEMPTS + 1):
        done = run()
        why = sound(done.report)
        if not why or done.ran.aborted is not None:
            return done, ""
        if attempt < ATTEMPTS:
            note(f"{what} was invalid and is repeated: {why}")
    return done, f"{what} stayed invalid after {ATTEMPTS} attempts: {why}"


def interleaved(pairs: int, run: Callable[[int, Side], Done], note: Note) -> Outcome:
    """All pairs; both runs of a pair are repeated when one of them is invalid."""
    whole: list[tuple[Done, Done]] = []
    last = None
    for pair in range(pairs):
        for attempt in range(1, ATTEMPTS + 1):
            found, why = _pair(pair, run)
            last = list(found.values())[-1]
            if last.ran.aborted is not None:
                return Outcome(tuple(whole), stopped=last, last=last)
            if not why:
                whole.append((found["baseline"], found["candidate"]))
                break
            if attempt == ATTEMPTS:
                spoilt = f"pair {pair + 1} stayed invalid after {ATTEMPTS} attempts: {why}"
                return Outcome(tuple(whole), spoilt=spoilt, last=last)
            note(f"pair {pair + 1} is repeated, {why}")
    return Outcome(tuple(whole), last=last)


def _pair(pair: int, run: Callable[[int, Side], Done]) -> tuple[dict[Side, Done], str]:
    """Its runs, and why they are no pair, in words."""
    found: dict[Side, Done] = {}
    for side in order(pair):
        done = found[side] = run(pair, side)
        why = sound(done.report)
        if done.ran.aborted is not None or why:
            return found, f"its {side} was invalid: {why}"
    return found, ""


def overall(outcome: Outcome, declared: Regression) -> tuple[Report, Ran, tuple[Compared, ...]]:
    """The report of the whole: the candidate's worst run, with the comparison in it.

    A threshold must hold in each of the candidate's runs; of equal ones the last is shown.
    """
    if outcome.stopped is not None:
        return outcome.stopped.report, outcome.stopped.ran, ()
    findings: list[Finding] = []
    decided: Mapping[str, Compared] = {}
    if outcome.spoilt:
        findings.append(unknown("pairs", outcome.spoilt))
    else:
        decided, findings = _compared(outcome.pairs, declared)
    shown = _worst([candidate for _, candidate in outcome.pairs], outcome.last)
    report = assemble(shown.job, shown.ran, [*shown.report.findings, *findings])
    baseline = merged([before.record for before, _ in outcome.pairs])
    return replace(report, baseline=baseline), shown.ran, tuple(decided.values())


def _worst(candidates: Sequence[Done], last: Done | None) -> Done:
    if not candidates:
        if last is None:
            raise ValueError("not one run was made")
        return last
    ranks = [_WORST_FIRST.index(done.report.verdict.name) for done in candidates]
    worst = min(ranks)
    return [done for done, rank in zip(candidates, ranks, strict=True) if rank == worst][-1]


def _compared(
    pairs: Sequence[tuple[Done, Done]], declared: Regression
) -> tuple[dict[str, Compared], list[Finding]]:
    before = [done.record for done, _ in pairs]
    now = [done.record for _, done in pairs]
    found: dict[str, Compared] = {}
    lacking: list[Finding] = []
    for metric in declared.metrics:
        old, few = observed_in(before, metric)
        new, few_now = observed_in(now, metric)
        if few is not None or few_now is not None:
            side = "a baseline run" if few is not None else "a candidate run"
            problem = f"{side} has too few answers for it (at least {metric.needs}); run longer"
            lacking.append(unknown(metric.text, problem, latency=metric.is_latency))
            continue
        found[metric.text] = compare(metric, old, new, Design.PAIRS, alpha=declared.alpha)
    decided = decide(found, rule_of(declared))
    return decided, [*(finding_of(each) for each in decided.values()), *lacking]


def moved(job: Job, url: str) -> Job:
    """The same job against another build: relative addresses, and absolute ones of the shop, go
    there; so does the trust in the shop's own origin.
    """
    mark, new = addresses_of(job.shop.base_url), url.rstrip("/")
    journeys = {name: _moved(each, mark, new) for name, each in job.journeys.items()}
    shop = replace(job.shop, base_url=url)
    return replace(job, journeys=journeys, shop=shop)


def _moved(value: Any, old: re.Pattern[str], new: str) -> Any:
    if isinstance(value, str):
        return old.sub(lambda _: new, value) if type(value) is str else value
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: found
            for field in fields(value)
            if field.init
            and (found := _moved(getattr(value, field.name), old, new))
            is not getattr(value, field.name)
            and found != getattr(value, field.name)
        }
        return replace(value, **changed) if changed else value
    if type(value) is tuple:
        return tuple(_moved(each, old, new) for each in value)
    if type(value) is dict:
        return {key: _moved(each, old, new) for key, each in value.items()}
    if type(value) is list:
        return [_moved(each, old, new) for each in value]
    return value
