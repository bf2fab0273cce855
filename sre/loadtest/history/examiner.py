"""Is one run worse than the accepted runs before it?

The examiner of `regression:`. With enough comparable baselines it judges by the prediction bound
of one run against the last K, and against the anchor; with fewer it shows the difference and says
that nothing was judged; with baselines that cannot be compared the run is no pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sre.core.clock import Clock
from sre.core.errors import UsageError
from sre.loadtest.histogram import Histogram
from sre.loadtest.history.calibration import Calibration
from sre.loadtest.history.comparison import Compared, Rule, State, compare, decide
from sre.loadtest.history.findings import finding_of, unknown
from sre.loadtest.history.key import differences
from sre.loadtest.history.model import Metric, Regression
from sre.loadtest.history.power import Design
from sre.loadtest.history.record import Observed, Record, record_from
from sre.loadtest.history.store import Baseline, Baselines, comparable
from sre.loadtest.job import Job
from sre.loadtest.judge.assemble import Ran
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.finding import State as Found
from sre.loadtest.judge.report import build_parts

__all__ = ["Regressions", "check_noise", "merged", "observed_in", "rule_of"]

Note = Callable[[str], None]


def rule_of(declared: Regression) -> Rule:
    """The rule that `regression:` declares."""
    return Rule(float(declared.worse_than), float(declared.at_least), declared.alpha)


def check_noise(
    declared: Regression,
    calibration: Calibration | None,
    key: Mapping[str, str],
    setting: tuple[Design, int],
    clock: Clock,
    note: Note,
) -> None:
    """Refuse a gate that cannot see what it is asked for.

    Raises UsageError when a calibration of this very place says so.
    """
    if calibration is None:
        return
    why = calibration.unusable(key, clock)
    if why:
        note(f"the calibration of {calibration.name!r} is not used: {why}")
        return
    below = calibration.below_noise(declared, *setting)
    if below:
        raise UsageError(f"load test {calibration.name!r}: regression: {below}")


def observed_in(
    records: Sequence[Record], metric: Metric
) -> tuple[tuple[Observed, ...], Record | None]:
    """The metric in each run, and the first run that has too few answers for it."""
    found = []
    for record in records:
        seen = record.observed(metric)
        if seen is None or seen.of < metric.needs:
            return (), record
        found.append(seen)
    return tuple(found), None


def merged(records: Sequence[Record]) -> dict[str, Histogram]:
    """Journey -> response times of all these runs together."""
    found: dict[str, Histogram] = {}
    for record in records:
        for journey, histogram in record.responses.items():
            found.setdefault(journey, Histogram()).merge(histogram)
    return found


class Regressions:
    """Examiner of `regression:`; `job.test.regression` must be declared.

    Args:
        key: of the run to come.
        leave_out: parts of the key that may differ.
        note: takes a line for people that belongs to no finding.

    Attributes:
        baseline: after the run: journey -> response times of the runs it was compared with.
    """

    def __init__(
        self,
        job: Job,
        baselines: Baselines,
        *,
        key: Mapping[str, str],
        calibration: Calibration | None,
        clock: Clock,
        note: Note,
        leave_out: tuple[str, ...] = (),
    ) -> None:
        if job.test.regression is None:
            raise ValueError("the load test declares no regression")
        self._job, self._declared = job, job.test.regression
        self._baselines, self._leave_out = baselines, leave_out
        self._key, self._calibration, self._clock, self._note = key, calibration, clock, note
        self._found: tuple[Baseline, ...] = ()
        self.baseline: dict[str, Histogram] = {}

    def before(self, _run_id: str) -> None:
        """As Examiner.before. Raises IntegrityError too, when a baseline is damaged."""
        self._found = self._baselines.all()
        setting = (Design.HISTORY, self._declared.runs)
        check_noise(self._declared, self._calibration, self._key, setting, self._clock, self._note)

    def after(self, ran: Ran) -> Sequence[Finding]:
        """As Examiner.after."""
        journeys, steps, groups = build_parts(self._job, ran.book)
        now = record_from(ran.facts, (*journeys, *steps, *groups))
        same, differing = comparable(self._found, now.key, self._leave_out)
        records = [each.record for each in same][-self._declared.runs :]
        self.baseline = merged(records)
        if not records:
            return self._without(differing)
        if len(records) < self._declared.runs:
            return [self._too_early(metric, records, now) for metric in self._declared.metrics]
        anchor = self._anchor(same, now)
        return self._judged(records, anchor, now)

    def _anchor(self, same: Sequence[Baseline], now: Record) -> Record | None:
        for each in self._found:
            if each.anchor and each not in same:
                why = "; ".join(differences(now.key, each.record.key, self._leave_out))
                self._note(
                    f"slow drift is not looked for: the anchor {each.record.run_id} cannot be "
                    f"compared with this run ({why}); accept a run with --anchor"
                )
        return next((each.record for each in same if each.anchor), None)

    def _without(self, differing: Sequence[str]) -> list[Finding]:
        if differing:
            problem = (
                f"no baseline of {len(self._found)} can be compared with this run: "
                f"{'; '.join(differing)}; accept new ones with `sre loadtest accept`"
            )
            return [unknown("baselines", problem)]
        problem = (
            "no baseline yet, so nothing was compared; accept this run with "
            "`sre loadtest accept FOLDER --reason TEXT`"
        )
        return [_only_shown(metric.text, "no baseline", problem) for metric in self._metrics]

    @property
    def _metrics(self) -> tuple[Metric, ...]:
        return self._declared.metrics

    def _too_early(self, metric: Metric, records: Sequence[Record], now: Record) -> Finding:
        problem = (
            f"{len(records)} of {self._declared.runs} comparable baselines: too early to judge; "
            "accept this run too with `sre loadtest accept FOLDER --reason TEXT`"
        )
        before, lacking = observed_in(records, metric)
        own, lacking_now = observed_in([now], metric)
        if lacking is not None or lacking_now is not None:
            return _only_shown(metric.text, "too few samples", problem)
        shown = finding_of(compare(metric, before, own, Design.SINGLE, alpha=self._declared.alpha))
        return _only_shown(metric.text, shown.value, problem, shown.data)

    def _judged(
        self, records: Sequence[Record], anchor: Record | None, now: Record
    ) -> list[Finding]:
        alpha, found, lacking = self._declared.alpha, dict[str, Compared](), list[Finding]()
        for metric in self._metrics:
            before, few_before = observed_in(records, metric)
            own, few_now = observed_in([now], metric)
            few = few_before or few_now
            if few is not None:
                lacking.append(_too_few(metric, few, now))
                continue
            found[metric.text] = compare(metric, before, own, Design.HISTORY, alpha=alpha)
            old, few = observed_in([anchor] if anchor is not None else [], metric)
            if old and few is None and anchor is not None:
                name = f"{metric.text} against the anchor of {anchor.started[:10]}"
                found[name] = compare(metric, old, own, Design.ANCHOR, alpha=alpha, noise=before)
        decided = decide(found, rule_of(self._declared))
        return [_finding(each, name) for name, each in decided.items()] + lacking


def _finding(each: Compared, name: str) -> Finding:
    finding = finding_of(each, name)
    if each.design is not Design.ANCHOR or each.state is not State.INCONCLUSIVE:
        return finding
    # One run against one is too blunt to see small steps; the history beside it is what judges.
    return _only_shown(name, finding.value, finding.problem, finding.data)


def _too_few(metric: Metric, record: Record, now: Record) -> Finding:
    where = "this run" if record is now else f"the baseline {record.run_id}"
    problem = f"{where} has too few answers for it (at least {metric.needs}); run longer"
    return unknown(metric.text, problem, latency=metric.is_latency)


def _only_shown(
    name: str, value: str, problem: str, data: Mapping[str, object] | None = None
) -> Finding:
    return Finding(
        "regression",
        name,
        Found.KEPT,
        value,
        "not judged",
        problem,
        informational=True,
        data=data or {},
    )
