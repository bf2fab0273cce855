"""How does each promise stand, going by what Prometheus has recorded? (pure)"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from sre.slo.promise import Promise
from sre.slo.windows import budget_of, number, span

__all__ = ["Alert", "Series", "Standing", "questions", "standings"]

State = Literal["ok", "burning", "no data", "not recorded"]


class Series(Protocol):
    """A labelled number."""

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def value(self) -> float: ...


@dataclass(frozen=True)
class Alert:
    """An alert of an objective that is pending or firing."""

    name: str
    severity: str
    window: str
    state: str


@dataclass(frozen=True)
class Standing:
    """How one promise stands.

    Attributes:
        state: `burning` when an alert fires; `no data` when there were no events lately;
            `not recorded` when the rules are not loaded.
        sli: the share of good events over the period.
        budget_left: the share of the error budget, below 0 when overspent.
        burn: times the sustainable rate, by window, shortest first.
    """

    name: str
    subject: str
    target: str
    window: str
    state: State
    sli: float | None = None
    budget_left: float | None = None
    burn: Mapping[str, float] | None = None
    alerts: tuple[Alert, ...] = ()

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire now."""
        return tuple(alert for alert in self.alerts if alert.state == "firing")


def questions(service: str) -> tuple[str, str]:
    """What to ask Prometheus: the recorded series of a service, and its alerts."""
    chosen = f'sloth_service="{service}"'
    return f'{{__name__=~"slo:.+", {chosen}}}', f"ALERTS{{{chosen}}}"


def standings(
    promises: Iterable[Promise], recorded: Iterable[Series], alerts: Iterable[Series]
) -> tuple[Standing, ...]:
    """The standing of each promise, in order."""
    recorded, alerts = list(recorded), list(alerts)
    return tuple(_standing(promise, recorded, alerts) for promise in promises)


def _standing(promise: Promise, recorded: list[Series], alerts: list[Series]) -> Standing:
    values = _values(promise, recorded)
    ratios = {span(w): values.get(f"slo:sli_error:ratio_rate{span(w)}") for w in promise.windows}
    budget = float(budget_of(promise.objective))
    burn = {window: ratio / budget for window, ratio in ratios.items() if ratio is not None}
    period = span(promise.windows[-1])
    bad = ratios[period]
    told = _alerts(promise, alerts)
    known = "slo:objective:ratio" in values
    return Standing(
        name=promise.objective.name,
        subject=promise.objective.subject,
        target=f"{number((1 - budget_of(promise.objective)) * 100)}%",
        window=period,
        state=_state(told, known=known, current=ratios[span(promise.base)]),
        sli=None if bad is None else 1 - bad,
        budget_left=None if bad is None else 1 - bad / budget,
        burn=burn,
        alerts=told,
    )


def _state(alerts: tuple[Alert, ...], *, known: bool, current: float | None) -> State:
    firing = [alert for alert in alerts if alert.state == "firing"]
    if any(not alert.name.endswith("NoData") for alert in firing):
        return "burning"
    if not known:
        return "not recorded"
    return "no data" if current is None or firing else "ok"


def _values(promise: Promise, recorded: list[Series]) -> dict[str, float]:
    return {
        point.labels.get("__name__", ""): point.value
        for point in recorded
        if point.labels.get("sloth_id") == promise.id and math.isfinite(point.value)
    }


def _alerts(promise: Promise, alerts: list[Series]) -> tuple[Alert, ...]:
    keys = ("alertname", "severity", "window", "alertstate")
    found = {
        Alert(*(point.labels.get(key, "") for key in keys))
        for point in alerts
        if point.labels.get("sloth_id") == promise.id
    }
    return tuple(sorted(found, key=lambda alert: (alert.severity, alert.window, alert.state)))
