"""Can this measurement be trusted, or did the generator measure itself? (pure)

A load generator that is late, starved or short of CPU bills its own trouble to the shop. Each doubt
names its cause from a bounded list; `spoils_latency` tells whether latencies can still be believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sre.loadtest.histogram import Histogram

__all__ = [
    "Cause",
    "Doubt",
    "Evidence",
    "JourneyCounts",
    "Limits",
    "doubts",
    "lateness_limit",
    "starvation_limit",
]


class Cause(StrEnum):
    """Why a run cannot be trusted. Bounded: it becomes a label."""

    WORKER_LOST = "worker_lost"
    COUNTERS = "counters"
    NO_ARRIVALS = "no_arrivals"
    NO_SAMPLES = "no_samples"
    TOO_FEW_SAMPLES = "too_few_samples"
    ACHIEVED_RATE = "achieved_rate"
    LATENESS = "lateness"
    LOOP_LAG = "loop_lag"
    CPU = "cpu"
    STARVATION = "starvation"
    STEAL = "steal"
    FILE_DESCRIPTORS = "file_descriptors"
    CLOCK = "clock"
    DROPPED = "dropped"
    BLOCKED = "blocked"
    PROBER = "prober"
    UNGATED_FAILURES = "ungated_failures"
    INVARIANT_UNKNOWN = "invariant_unknown"
    NOT_COMPARABLE = "not_comparable"


_ABOUT_THE_GENERATOR = frozenset(
    {
        Cause.WORKER_LOST,
        Cause.COUNTERS,
        Cause.ACHIEVED_RATE,
        Cause.LATENESS,
        Cause.LOOP_LAG,
        Cause.CPU,
        Cause.STARVATION,
        Cause.STEAL,
        Cause.FILE_DESCRIPTORS,
    }
)


@dataclass(frozen=True)
class Doubt:
    """One reason not to trust a run: the cause as data, the text for people."""

    cause: Cause
    text: str

    @property
    def spoils_latency(self) -> bool:
        """The generator's own trouble; drops, failures and few samples leave latencies true."""
        return self.cause in _ABOUT_THE_GENERATOR


@dataclass(frozen=True)
class Limits:
    """Above (or, for the rate, below) these a run is invalid. Seconds and fractions of 1.

    `starvation` is the share of a CPU that a worker did not get when it wanted a whole one, on CPUs
    that were idle for less than `idle` of the time: where there is room, waiting is an accident of
    the moment. `starvation_always` holds with room too (a container's CPU quota). One busy
    neighbour on the only core takes a half, two take two thirds; see docs/decisions/0005.
    """

    achieved: float = 0.99
    loop_lag_p99: float = 0.020
    cpu: float = 0.80
    starvation: float = 0.40
    starvation_always: float = 0.75
    idle: float = 0.05
    steal: float = 0.05
    file_descriptors: float = 0.80
    clock: float = 0.005
    ungated_failures: float = 0.01


@dataclass(frozen=True)
class JourneyCounts:
    """What a doubt can hang on, for one journey.

    Attributes:
        drops_gated: a threshold on `dropped` was declared; it decides instead.
        failures_gated: a threshold on `ok` or `failed` was declared for it or a part of it.
        served: ended ok or degraded; None: not counted.
        turned_away_gated: a threshold on `ok`, `refused` or `throttled` was declared for it.
    """

    arrivals: int
    answered: int
    failed: int
    dropped: int
    blocked: int
    prober: int
    prober_said: str = ""
    drops_gated: bool = False
    failures_gated: bool = False
    served: int | None = None
    turned_away_gated: bool = False


@dataclass(frozen=True)
class Evidence:
    """Everything known about the generator when the run is over.

    Attributes:
        planned: arrivals that were due while the run lasted; None in a closed model.
        on_time: of these, handled before the last one's second was over.
        lateness, loop_lag: seconds.
        cpu: the busiest five seconds of any worker, a share of one core.
        starvation, steal: fractions of 1; None where the machine does not tell.
        idle: the share of time in which the CPUs of the workers had nothing to do.
        queueing: of the worker's own light work, the share spent on a run queue; to look at alone.
        clock: how far the start of any worker may be from ours, seconds; None on one machine.
        lost: what became of workers that did not end as they should.
    """

    planned: int | None
    on_time: int
    lateness: Histogram
    loop_lag: Histogram
    cpu: float
    starvation: float | None
    steal: float | None
    file_descriptors: float
    lost: Sequence[str]
    adds_up: bool
    idle: float | None = None
    queueing: float | None = None
    clock: float | None = None
    journeys: Mapping[str, JourneyCounts] = field(default_factory=dict)


def lateness_limit(tightest: float | None) -> float:
    """Seconds that the 99th percentile of lateness may reach.

    Five per cent of the tightest latency threshold, at least 10 ms, at most 50 ms.
    """
    if tightest is None:
        return 0.050
    return min(0.050, max(0.010, 0.05 * tightest))


def doubts(
    seen: Evidence, *, tightest: float | None = None, limits: Limits | None = None
) -> tuple[Doubt, ...]:
    """All reasons not to trust the run, the weightiest first; empty when it can be trusted."""
    limits = limits or Limits()
    found = [
        *_about_workers(seen, limits),
        *_about_punctuality(seen, limits, lateness_limit(tightest)),
        *_about_resources(seen, limits),
    ]
    for name, counts in seen.journeys.items():
        found += _about_journey(name, counts, limits)
    return tuple(found)


def starvation_limit(seen: Evidence, limits: Limits) -> float:
    """The limit of starvation that holds for this run."""
    roomy = seen.idle is None or seen.idle >= limits.idle
    return limits.starvation_always if roomy else limits.starvation


def _about_workers(seen: Evidence, limits: Limits) -> list[Doubt]:
    found = [
        Doubt(Cause.WORKER_LOST, f"worker lost: {what}; its last second is missing")
        for what in seen.lost
    ]
    if not seen.adds_up and not seen.lost:
        found.append(
            Doubt(Cause.COUNTERS, "a worker's counters do not add up: journeys went missing")
        )
    if seen.clock is not None and seen.clock > limits.clock:
        text = (
            f"the clocks of the hosts are known to {seen.clock * 1000:.1f} ms alone (at most "
            f"{limits.clock * 1000:.0f} ms): the curve of the load is smeared; a nearer network"
        )
        found.append(Doubt(Cause.CLOCK, text))
    if not sum(counts.arrivals for counts in seen.journeys.values()):
        found.append(
            Doubt(Cause.NO_ARRIVALS, "nothing was sent: no customer was due; raise rate or time")
        )
    return found


def _about_punctuality(seen: Evidence, limits: Limits, lateness: float) -> list[Doubt]:
    found = []
    if seen.planned:
        achieved = seen.on_time / seen.planned
        if achieved < limits.achieved:
            text = (
                f"only {achieved:.1%} of the planned arrivals came in time (at least "
                f"{limits.achieved:.0%}); add --workers or a faster machine"
            )
            found.append(Doubt(Cause.ACHIEVED_RATE, text))
    late = seen.lateness.quantile(0.99)
    if late is not None and late > lateness:
        text = (
            f"the generator was late: p99 {late * 1000:.1f} ms (at most {lateness * 1000:.0f} ms)"
        )
        found.append(Doubt(Cause.LATENESS, text))
    lag = seen.loop_lag.quantile(0.99)
    if lag is not None and lag > limits.loop_lag_p99:
        text = (
            f"the generator's event loop stalled: p99 {lag * 1000:.1f} ms "
            f"(at most {limits.loop_lag_p99 * 1000:.0f} ms)"
        )
        found.append(Doubt(Cause.LOOP_LAG, text))
    return found


def _about_resources(seen: Evidence, limits: Limits) -> list[Doubt]:
    rows = (
        (Cause.CPU, seen.cpu, limits.cpu, "CPU of a worker over five seconds: {}; add --workers"),
        (
            Cause.STARVATION,
            seen.starvation,
            starvation_limit(seen, limits),
            "when the generator wanted a CPU, others had it {} of the time; free a core",
        ),
        (Cause.STEAL, seen.steal, limits.steal, "the host took {} of the CPU away (steal)"),
        (
            Cause.FILE_DESCRIPTORS,
            seen.file_descriptors,
            limits.file_descriptors,
            "a worker used {} of its file descriptors; raise ulimit -n",
        ),
    )
    return [
        Doubt(cause, f"{text.format(f'{value:.0%}')} (at most {limit:.0%})")
        for cause, value, limit, text in rows
        if value is not None and value > limit
    ]


def _about_journey(name: str, counts: JourneyCounts, limits: Limits) -> list[Doubt]:
    found = []
    if counts.arrivals and not counts.answered:
        found.append(Doubt(Cause.NO_SAMPLES, f"{name}: not one journey was answered"))
    elif counts.served == 0 and not counts.failed and not counts.turned_away_gated:
        text = (
            f"{name}: not one of {counts.answered} journeys got through, all were refused or "
            f"throttled, and no threshold judges that; declare one such as '{name}.ok > 95%'"
        )
        found.append(Doubt(Cause.NO_SAMPLES, text))
    if counts.dropped and not counts.drops_gated:
        text = (
            f"{name}: {counts.dropped} of {counts.arrivals} arrivals were dropped, max_in_flight "
            f"was reached; raise it, or declare a threshold such as '{name}.dropped < 1%'"
        )
        found.append(Doubt(Cause.DROPPED, text))
    if counts.blocked:
        text = (
            f"{name}: {counts.blocked} journeys were led to an address outside targets.allow; "
            "add it there, or mend the redirect"
        )
        found.append(Doubt(Cause.BLOCKED, text))
    if counts.prober:
        why = counts.prober_said or "see worker-*.log"
        text = f"{name}: {counts.prober} journeys failed in the generator itself: {why}"
        found.append(Doubt(Cause.PROBER, text))
    allowed = limits.ungated_failures * counts.arrivals
    if counts.failed > allowed and not counts.failures_gated:
        text = (
            f"{name}: {counts.failed} of {counts.arrivals} journeys failed and no threshold judges "
            f"that; declare one such as '{name}.failed < 0.5%'"
        )
        found.append(Doubt(Cause.UNGATED_FAILURES, text))
    return found
