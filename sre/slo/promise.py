"""What does an objective mean in Prometheus: which series are its events, which of them are bad?

Good are runs that ended ok or degraded (of a latency objective: within `below`), bad are all other
events: a run that failed was not fast either, and a timeout is the slowest run of all. Refused,
throttled and blocked runs and our own failures (reason `prober`) are no events.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from sre.slo.model import Objective
from sre.slo.windows import Pair, base_window, pairs_of, span, windows_of

__all__ = ["Promise", "Watch", "series"]

_EVENTS = 'outcome=~"ok|degraded|failed",reason!="prober"'
_FAILED = 'outcome="failed",reason!="prober"'


@dataclass(frozen=True)
class Watch:
    """A probe that looks at what was promised, each `every` seconds."""

    probe: str
    every: float


@dataclass(frozen=True)
class Promise:
    """An objective, who watches it, and where alerts link to.

    Attributes:
        service: the shop's name.
        watches: the probes whose runs are its events.
        runbooks, dashboards: addresses of folders, without a slash at the end.
    """

    objective: Objective
    service: str
    watches: tuple[Watch, ...]
    runbooks: str | None = None
    dashboards: str | None = None

    @property
    def id(self) -> str:
        """`SERVICE-NAME`, unique among all services."""
        return f"{self.service}-{self.objective.name}"

    @property
    def every(self) -> float:
        """Seconds between runs of the slowest of its probes; 60 while there is none."""
        return max((watch.every for watch in self.watches), default=60.0)

    @property
    def per_second(self) -> float:
        """Events in a second, of all its probes."""
        return sum(1 / watch.every for watch in self.watches)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every pair of windows, whether or not it can alert."""
        return pairs_of(self.objective, self.every)

    @cached_property
    def windows(self) -> tuple[int, ...]:
        """Every window that is recorded, the period last."""
        return windows_of(self.objective, self.every)

    @property
    def base(self) -> int:
        """The window that means "now"."""
        return min(base_window(self.pairs), self.windows[-1])

    @property
    def labels(self) -> dict[str, str]:
        """What Sloth's dashboards select by."""
        name = self.objective.name
        return {"sloth_id": self.id, "sloth_service": self.service, "sloth_slo": name}

    @property
    def subject(self) -> dict[str, str]:
        """The label that says what it is about."""
        about = self.objective
        if about.step is not None:
            journey, _, step = about.step.partition("/")
            return {"journey": journey, "step": step}
        return {"journey": about.journey} if about.journey else {"probe": about.subject}

    def error_ratio(self, window: int) -> str:
        """PromQL of bad events over all events; nothing, not NaN, where there are no events."""
        bad, total = self._bad_and_total(window)
        return f"(\n  {bad}\n)\n/\n(\n  {total} > 0\n)"

    def select(self, name: str, **labels: str) -> str:
        """A recorded series of this objective."""
        return series(name, {**self.labels, **labels})

    def _bad_and_total(self, window: int) -> tuple[str, str]:
        attempts = f"sre_probe_{self._infix}attempts_total"
        failed = self._sum(attempts, _FAILED, window)
        if self.objective.below is None:
            return failed, self._sum(attempts, _EVENTS, window)
        durations = f"sre_probe_{self._infix}duration_seconds"
        finished = self._sum(f"{durations}_count", "", window)
        edge = f"le={json.dumps(repr(float(self.objective.below)))}"
        fast = self._sum(f"{durations}_bucket", edge, window)
        slow = f"clamp_min({finished} - {fast}, 0)"
        return f"{slow}\n  + {failed}", f"({finished}\n  + {failed})"

    def _sum(self, metric: str, more: str, window: int) -> str:
        chosen = ",".join(part for part in (self._selector, more) if part)
        return f"sum(increase({metric}{{{chosen}}}[{span(window)}]))"

    @property
    def _infix(self) -> str:
        return "step_" if self.objective.step is not None else ""

    @property
    def _selector(self) -> str:
        if self.objective.step is not None:
            return ",".join(f"{key}={json.dumps(text)}" for key, text in self.subject.items())
        names = [watch.probe for watch in self.watches] or [self.objective.subject]
        return f'probe="{names[0]}"' if len(names) == 1 else f'probe=~"{"|".join(names)}"'


def series(name: str, labels: dict[str, str]) -> str:
    """A series by its exact labels, as PromQL writes it."""
    return f"{name}{{{', '.join(f'{k}={json.dumps(v)}' for k, v in labels.items())}}}"
