"""Two sets of runs on the disk: can they be compared, how, and by which metrics?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sre.core.errors import Untrusted, UsageError
from sre.loadtest.history.comparison import Compared, Rule, State, compare, decide
from sre.loadtest.history.examiner import observed_in
from sre.loadtest.history.key import differences, same_but_for
from sre.loadtest.history.model import Metric, parse_metric
from sre.loadtest.history.power import Design
from sre.loadtest.history.record import Record
from sre.loadtest.history.store import Baselines, read_record

__all__ = ["ENOUGH", "Sets", "compared_sets", "load", "standard_metrics"]

ENOUGH = 5
"""So many runs say how much runs differ; one run can then be held against them."""

_STEPS_ALPHA = 0.2
_QUANTILES = ("p50", "p95", "p99")
_SOUND_ALL_THE_SAME = {"too_few_samples", "not_comparable", "invariant_unknown"}
Pairing = Literal["paired", "unpaired"] | None


@dataclass(frozen=True)
class Sets:
    """What was compared, and how.

    Attributes:
        lacking: metrics that were asked for and cannot be compared, with the reason.
    """

    before: tuple[Record, ...]
    now: tuple[Record, ...]
    design: Design
    compared: Mapping[str, Compared]
    lacking: Mapping[str, str]

    @property
    def exit_code(self) -> int:
        """0 no regression, 1 a regression, 3 nobody can tell."""
        states = {each.state for each in self.compared.values()}
        if State.REGRESSION in states:
            return 1
        return 3 if self.lacking or State.INCONCLUSIVE in states or not self.compared else 0


def load(path: Path) -> tuple[Record, ...]:
    """The runs of a report folder, of a folder of report folders, or of a folder of baselines.

    Raises UsageError when there are none, IntegrityError when they are damaged, Untrusted when one
    was invalid or aborted.
    """
    if (path / "histograms.json").exists() or (path / "summary.json").exists():
        return (_sound(read_record(path), path),)
    inside = sorted(path.glob("*/")) if path.is_dir() else []
    folders = [
        each
        for each in inside
        if (each / "histograms.json").exists() or (each / "summary.json").exists()
    ]
    if folders:
        found = [_sound(read_record(each), each) for each in folders]
    elif path.is_dir() and any(path.glob("*.json")):
        found = [each.record for each in Baselines(path).all()]
    else:
        raise UsageError(f"{path}: no reports of load tests there (no histograms.json)")
    return tuple(sorted(found, key=lambda record: (record.started, record.run_id)))


def _sound(record: Record, path: Path) -> Record:
    if record.verdict == "aborted":
        raise Untrusted(f"the run in {path} was aborted; leave it out")
    spoilt = [code for code in record.doubts if code not in _SOUND_ALL_THE_SAME]
    if spoilt:
        raise Untrusted(
            f"the run in {path} cannot be trusted ({', '.join(spoilt)}); leave it out, or run it "
            "again"
        )
    return record


def compared_sets(
    before: Sequence[Record],
    now: Sequence[Record],
    rule: Rule,
    *,
    metrics: Sequence[str] = (),
    pairing: Pairing = None,
    ignore_host: bool = False,
) -> Sets:
    """Compare two sets of runs.

    Steps and groups, of which there are many, are held to a fifth of alpha of their own, so that
    looking at all of them costs the journeys nothing; and a step that nobody can tell about is
    shown, it spoils nothing. Metrics that are named are all judged alike.

    Raises Untrusted when the runs cannot be compared.
    """
    _check_keys(before, now, ignore_host=ignore_host)
    design = _design(before, now, pairing)
    asked = [parse_metric(text) for text in metrics]
    main = asked or list(standard_metrics(before, now, "journey"))
    found, lacking = _found(before, now, main, design, rule.alpha)
    decided = decide(found, rule)
    if not asked:
        inner = list(standard_metrics(before, now, "step"))
        more, _ = _found(before, now, inner, design, rule.alpha)
        strict = decide(more, replace(rule, alpha=rule.alpha * _STEPS_ALPHA))
        decided |= {name: _lenient(each) for name, each in strict.items()}
        lacking = {}
    return Sets(tuple(before), tuple(now), design, decided, lacking)


def _lenient(each: Compared) -> Compared:
    return replace(each, state=State.SHOWN) if each.state is State.INCONCLUSIVE else each


def standard_metrics(
    before: Sequence[Record], now: Sequence[Record], kind: Literal["journey", "step"]
) -> Sequence[Metric]:
    """p50, p95 and p99 of the response, and the failed share, of what all runs have."""
    names = [part.label for part in before[0].of_kind(kind)]
    texts = [f"{name}.response.{q}" for name in names for q in _QUANTILES]
    texts += [f"{name}.failed" for name in names]
    return [
        metric
        for metric in map(parse_metric, sorted(texts, key=lambda text: names.index(_name(text))))
        if observed_in(before, metric)[1] is None and observed_in(now, metric)[1] is None
    ]


def _name(text: str) -> str:
    return parse_metric(text).name


def _found(
    before: Sequence[Record],
    now: Sequence[Record],
    metrics: Sequence[Metric],
    design: Design,
    alpha: float,
) -> tuple[dict[str, Compared], dict[str, str]]:
    found: dict[str, Compared] = {}
    lacking: dict[str, str] = {}
    for metric in metrics:
        old, few = observed_in(before, metric)
        new, few_now = observed_in(now, metric)
        short = few or few_now
        if short is not None:
            lacking[metric.text] = (
                f"run {short.run_id} does not have it, or has fewer than {metric.needs} answers"
            )
        else:
            found[metric.text] = compare(metric, old, new, design, alpha=alpha)
    return found, lacking


def _check_keys(before: Sequence[Record], now: Sequence[Record], *, ignore_host: bool) -> None:
    leave_out = same_but_for(ignore_host, seed=True)
    for record in (*before[1:], *now):
        found = differences(record.key, before[0].key, leave_out)
        if found:
            raise Untrusted(
                f"run {record.run_id} cannot be compared with run {before[0].run_id}: "
                f"{'; '.join(found)}"
            )


def _design(before: Sequence[Record], now: Sequence[Record], pairing: Pairing) -> Design:
    twins = [record.seed for record in before] == [record.seed for record in now]
    if pairing == "paired" and not (twins and len(before) > 1):
        raise UsageError(
            "--paired needs the same number of runs on both sides, at least 2, with the same seeds "
            "in their order"
        )
    if pairing == "paired" or (pairing is None and twins and len(before) > 1):
        return Design.PAIRS
    if len(before) > 1 and len(now) > 1:
        return Design.GROUPS
    if len(now) == 1 and len(before) >= ENOUGH:
        return Design.HISTORY
    return Design.SINGLE
