"""What do the two Grafana dashboards show of a shop? Built from its declaration. (pure)

Every query answers as soon as the probes have run: counters begin at 0, so that a shop without
failures shows zeros, and what the rules record is computed from the probes' own series where the
rules are not loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sre.slo.panels import Page, Panel, Query, dashboard
from sre.slo.promise import Promise, Watch
from sre.slo.rules import DASHBOARD
from sre.slo.windows import budget_of, enough, number, span

__all__ = ["JOURNEYS", "JourneyShown", "Shown", "build", "journeys", "storefront"]

JOURNEYS = "sre-journeys"
"""The uid of the dashboard of journeys."""

_WINDOW = 600
_STEPS = "sre_probe_step_attempts_total"
_SLOW = ((None, "green"), (1.0, "yellow"), (5.0, "red"))
_BUDGET = ((None, "red"), (0.0, "orange"), (0.25, "yellow"), (0.5, "green"))
_BUSY = ((None, "green"), (0.8, "yellow"), (0.95, "red"))
_UP = {"1": ("up", "green"), "0": ("down", "red")}


@dataclass(frozen=True)
class JourneyShown:
    """A journey that probes run: its steps in their order."""

    name: str
    steps: tuple[str, ...]
    watches: tuple[Watch, ...]


@dataclass(frozen=True)
class Shown:
    """What there is to show.

    Attributes:
        slowest: seconds between the runs of the rarest probe.
        host: whether a probe measures the machine.
        runbooks: address of the runbooks' folder.
    """

    service: str
    promises: tuple[Promise, ...]
    journeys: tuple[JourneyShown, ...]
    slowest: float
    host: bool
    runbooks: str | None = None

    @property
    def window(self) -> str:
        """Over what rates are taken: always two runs, of every probe."""
        return span(max(_WINDOW, enough(self.slowest)))


def build(shown: Shown) -> dict[str, str]:
    """The dashboards as files: name -> text."""
    made = {"storefront.json": storefront(shown), "journeys.json": journeys(shown)}
    return {name: json.dumps(data, indent=2) + "\n" for name, data in made.items()}


def storefront(shown: Shown) -> dict[str, Any]:
    """What is up, what was promised, how fast it is, why it fails, how the machine is."""
    page = Page()
    page.row("Now")
    page.add(*_now(shown))
    if shown.promises:
        page.row("Promises")
        page.add(*_promises(shown.promises))
    page.row("Speed and failures")
    page.add(*_speed(shown), *_failures(shown))
    if shown.host:
        page.row("Machine")
        page.add(*_host())
    text = (
        "Is the shop up, is it fast, how much of its error budgets is left, and why does it fail?"
    )
    links = [("Journeys", f"/d/{JOURNEYS}")]
    if shown.runbooks:
        links.append(("Runbooks", shown.runbooks))
    return dashboard(DASHBOARD, f"{shown.service}: storefront", text, page, links)


def journeys(shown: Shown) -> dict[str, Any]:
    """Each journey: how far customers get, how long each step takes, where the time goes."""
    page = Page()
    for journey in shown.journeys:
        page.row(journey.name)
        page.add(*_steps(journey, shown.window), *_runs(journey, shown.window))
    text = "How far do customers get in each journey, how long do its steps take, and where?"
    links = [("Storefront", f"/d/{DASHBOARD}")]
    return dashboard(JOURNEYS, f"{shown.service}: journeys", text, page, links)


def _now(shown: Shown) -> Iterator[Panel]:
    firing = f'ALERTS{{alertstate="firing",sloth_service={json.dumps(shown.service)}}}'
    yield Panel(
        "What is up", "stat", "none",
        "The last run of each probe that had a verdict. A probe that no longer runs disappears.",
        [Query("min by (probe) (sre_probe_up)", "{{probe}}")],
        width=16, height=5, texts=_UP, steps=((None, "red"), (1, "green")),
    )  # fmt: skip
    yield Panel(
        "Alerts", "stat", "none",
        "Alerts of objectives that fire now; 0 also while the rules are not loaded.",
        [Query(f"count({firing}) or vector(0)", "firing")],
        width=4, height=5, steps=((None, "green"), (1, "red")),
    )  # fmt: skip
    yield Panel(
        "Longest without a run", "stat", "s",
        "How long ago the probe that waits longest ended a run: growing means nobody looks.",
        [Query("max(time() - sre_probe_last_run_timestamp_seconds)", "longest")],
        width=4, height=5, steps=((None, "green"), (3 * shown.slowest, "red")),
    )  # fmt: skip


def _promises(promises: Sequence[Promise]) -> Iterator[Panel]:
    yield Panel(
        "Good events", "stat", "percentunit",
        "The share of good events over the whole period of each objective.",
        [Query(f"1 - ({_period_ratio(p)})", _legend(p)) for p in promises],
        width=8, steps=((None, "blue"),),
    )  # fmt: skip
    yield Panel(
        "Error budget left", "bargauge", "percentunit",
        "The share of each error budget that is left; below 0 the promise is broken.",
        [Query(_budget_left(p), p.objective.name) for p in promises],
        width=8, steps=_BUDGET, low=0, high=1,
    )  # fmt: skip
    yield Panel(
        "Burn rate", "line", "none",
        "How many times faster than sustainable the budget burns now; 1 lasts exactly the period.",
        [Query(_burn_rate(p), p.objective.name) for p in promises],
        width=8, low=0,
    )  # fmt: skip


def _speed(shown: Shown) -> Iterator[Panel]:
    promised = {name for p in shown.promises if (name := p.subject.get("journey"))}
    for journey in shown.journeys:
        if journey.name in promised or not promised:
            series = f"sre_probe_duration_seconds_bucket{{{_probes(journey)}}}[{shown.window}]"
            by_edge = f"sum by (le) (rate({series}))"
            yield Panel(
                f"Duration of {journey.name}", "line", "s",
                "Half of the good runs took no longer than p50, 95 % no longer than p95.",
                [
                    Query(f"histogram_quantile({share}, {by_edge})", name)
                    for share, name in ((0.5, "p50"), (0.95, "p95"))
                ],
                low=0,
            )  # fmt: skip
    rate = f"rate(sre_probe_duration_seconds_bucket[{shown.window}])"
    yield Panel(
        "Duration of each probe, p95", "line", "s",
        "95 % of the good runs of a probe took no longer.",
        [Query(f"histogram_quantile(0.95, sum by (probe, le) ({rate}))", "{{probe}}")],
        low=0,
    )  # fmt: skip


def _failures(shown: Shown) -> Iterator[Panel]:
    failed = f'sre_probe_attempts_total{{outcome="failed"}}[{shown.window}]'
    yield Panel(
        "Failures by reason", "bars", "none",
        f"Failed runs in the last {shown.window} by what went wrong; prober is our own fault.",
        [Query(f"sum by (reason) (increase({failed}))", "{{reason}}")],
        width=8, low=0,
    )  # fmt: skip
    yield Panel(
        "Failures by probe", "bars", "none",
        f"Failed runs in the last {shown.window} by probe.",
        [Query(f"sum by (probe) (increase({failed}))", "{{probe}}")],
        width=8, low=0,
    )  # fmt: skip
    skipped = f"increase(sre_probe_schedule_skipped_total[{shown.window}])"
    yield Panel(
        "Runs that did not take place", "bars", "none",
        "Skipped because the run before still ran (overrun), too late, or without a budget.",
        [Query(f"sum by (reason) ({skipped})", "{{reason}}")],
        width=8, low=0,
    )  # fmt: skip


def _host() -> Iterator[Panel]:
    shares = (
        ("Processors", "cpu_used_ratio", "Share of all processors that is busy.", "{{probe}}", ""),
        ("Memory", "memory_used_ratio", "Share that programs cannot get.", "{{probe}}", ""),
        ("Disks", "disk_used_ratio", "Share that ordinary users cannot get.", "{{mount}}", "mount"),
    )
    for title, metric, text, legend, label in shares:
        labels = f"probe, {label}" if label else "probe"
        yield Panel(
            title, "line", "percentunit", text,
            [Query(f"max by ({labels}) (sre_probe_host_{metric})", legend)],
            width=6, low=0, high=1, steps=_BUSY,
        )  # fmt: skip
    yield Panel(
        "Load", "line", "none", "Processes that run or wait to, on average.",
        [Query("max by (probe, window) (sre_probe_host_load)", "{{window}}")],
        width=6, low=0,
    )  # fmt: skip


def _steps(journey: JourneyShown, window: str) -> Iterator[Panel]:
    chosen = f"journey={json.dumps(journey.name)}"
    bucket = f"sre_probe_step_duration_seconds_bucket{{{chosen}}}"
    yield Panel(
        "How far customers get", "bargauge", "none",
        "Good runs of each step in the last hour, in their order: where it narrows, they are lost.",
        [
            Query(
                f'sum(increase({_STEPS}{{{chosen},step={json.dumps(step)},outcome=~"ok|degraded"}}'
                "[1h]))",
                f"{index} {step}",
            )
            for index, step in enumerate(journey.steps, 1)
        ],
        width=8, height=10, low=0, steps=((None, "blue"),),
    )  # fmt: skip
    yield Panel(
        "Duration of each step, p95", "line", "s",
        "95 % of the good runs of a step took no longer.",
        [Query(f"histogram_quantile(0.95, sum by (step, le) (rate({bucket}[{window}])))",
               "{{step}}")],
        width=8, height=10, low=0, steps=_SLOW,
    )  # fmt: skip


def _runs(journey: JourneyShown, window: str) -> Iterator[Panel]:
    chosen = f"journey={json.dumps(journey.name)}"
    failed = f'{_STEPS}{{{chosen},outcome="failed"}}[{window}]'
    yield Panel(
        "Where the time goes", "stacked", "s",
        "Phases of all requests of the last run: name, connection, TLS, the shop itself, transfer.",
        [Query(f"sum by (phase) (sre_probe_step_phase_seconds{{{chosen}}})", "{{phase}}")],
        width=8, height=10, low=0,
    )  # fmt: skip
    yield Panel(
        "Outcomes", "bars", "none", f"Runs in the last {window} by how they ended.",
        [Query(f"sum by (outcome) (increase(sre_probe_attempts_total{{{_probes(journey)}}}"
               f"[{window}]))", "{{outcome}}")],
        width=12, height=6, low=0,
    )  # fmt: skip
    yield Panel(
        "Failures by step", "bars", "none", f"Failed steps in the last {window}.",
        [Query(f"sum by (step) (increase({failed}))", "{{step}}")],
        width=12, height=6, low=0,
    )  # fmt: skip


def _probes(journey: JourneyShown) -> str:
    names = [watch.probe for watch in journey.watches]
    return f'probe="{names[0]}"' if len(names) == 1 else f'probe=~"{"|".join(names)}"'


def _legend(promise: Promise) -> str:
    target = number((1 - budget_of(promise.objective)) * 100)
    return f"{promise.objective.name} (promised {target}%)"


def _recorded_or_computed(promise: Promise, window: int) -> str:
    recorded = promise.select(f"slo:sli_error:ratio_rate{span(window)}")
    return f"{recorded}\nor on() (\n{promise.error_ratio(window)}\n)"


def _period_ratio(promise: Promise) -> str:
    return _recorded_or_computed(promise, promise.windows[-1])


def _budget_left(promise: Promise) -> str:
    return f"1 - ({_period_ratio(promise)}) / {number(budget_of(promise.objective))}"


def _burn_rate(promise: Promise) -> str:
    ratio = _recorded_or_computed(promise, promise.base)
    return f"({ratio}) / {number(budget_of(promise.objective))}"
