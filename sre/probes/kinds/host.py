"""Is this machine healthy: processor, memory, disks, network, open files, named processes?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sre.core.units import Share
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.facts import Facts
from sre.probes.hostparts import FACTS, Found, collectors
from sre.probes.isolate import isolated
from sre.probes.model import ProbeContext, Reading

__all__ = ["HostProbe", "Limits", "judge"]


@dataclass(frozen=True)
class Limits:
    """Shares of what there is; `disk` is the fullest of the mounts, `fds` the whole system."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    cpu: Share | None = None
    memory: Share | None = None
    disk: Share | None = None
    fds: Share | None = None

    def exceeded(self, used: Mapping[str, float]) -> list[str]:
        """What is above its limit, for people."""
        limits = {"cpu": self.cpu, "memory": self.memory, "disk": self.disk, "fds": self.fds}
        return [
            f"{what} {used[what]:.0%} (limit {limit:.0%})"
            for what, limit in limits.items()
            if limit is not None and used.get(what, 0.0) > limit
        ]


@dataclass(frozen=True)
class HostProbe:
    """Measures the machine that it runs on. Each part has a time limit of its own.

    A part that hangs (a dead network mount) or is not there makes the reading degraded, says so in
    `sre_probe_host_collector_success`, and holds up nothing else.

    Attributes:
        mounts: file systems to measure, by mount point.
        processes: how many of each name must run at least.
        warn: above one of these it is degraded.
        max: above one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    mounts: tuple[str, ...] = ("/",)
    processes: dict[str, int] = field(default_factory=dict)
    warn: Limits = Limits()
    max: Limits = Limits()

    def __post_init__(self) -> None:
        if len(self.mounts) > 20 or len(self.processes) > 20:
            raise ValueError("at most 20 mounts and 20 processes; use two probes")

    def check(self, context: ProbeContext) -> Reading:
        """Measure everything at once; a part gets nearly all the time there is."""
        began = time.monotonic()
        parts = collectors(self.mounts, self.processes)
        done = isolated(parts, max(0.05, context.deadline.left() * 0.8))
        found = {name: part for name, part in done.items() if isinstance(part, Found)}
        failed = {name: why for name, why in done.items() if isinstance(why, str)}
        outcome, reason, message = judge(found.values(), failed, self)
        seconds = time.monotonic() - began
        row = Row("host", outcome, seconds, reason=reason, message=message)
        step = StepResult("host", outcome, seconds, reason=reason, rows=(row,), message=message)
        gauges = [gauge for part in found.values() for gauge in part.gauges]
        gauges += [FACTS("collector_success", name in found, collector=name) for name in done]
        return Reading(outcome, seconds, reason, message, (step,), tuple(gauges))


def judge(
    found: Iterable[Found], failed: Mapping[str, str], probe: HostProbe
) -> tuple[Outcome, Reason, str]:
    """The verdict on what was measured (pure)."""
    used: dict[str, float] = {}
    missing: list[str] = []
    for part in found:
        missing += part.missing
        for what, share in part.used.items():
            used[what] = max(share, used.get(what, 0.0))
    bad = [*missing, *probe.max.exceeded(used)]
    if bad:
        return Outcome.FAILED, Reason.STATUS, "; ".join(bad)
    if failed:
        late = "not measured: " + "; ".join(f"{name}: {why}" for name, why in failed.items())
        return Outcome.DEGRADED, Reason.TIMEOUT, late
    high = probe.warn.exceeded(used)
    return (Outcome.DEGRADED, Reason.STATUS, "; ".join(high)) if high else _FINE


_FINE = (Outcome.OK, Reason.NONE, "")
