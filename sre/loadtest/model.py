"""What does one entry of `loadtests:` say?

    release:
      mix: {checkout: 2/s, browse: 20/s}     # open model: arrivals, whatever the answers
      stages: [{ramp: 30s}, {hold: 5m}, {step: 300%, hold: 60s}]

A stage's percentage is of the mix. A ramp goes from the level before it (0 at the start) to 100 %
unless it says `to:`; a hold keeps the level before it (100 % at the start); a step jumps.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from sre.core.units import Duration, Rate, Share
from sre.loadtest.capacity.model import Capacity
from sre.loadtest.guards.declare import Burn, Caps
from sre.loadtest.history.model import Regression
from sre.loadtest.profiles import PROFILES
from sre.loadtest.server.model import Observe
from sre.loadtest.thresholds import ThresholdSpec, parse_threshold
from sre.loadtest.truth.declare import Invariant

__all__ = ["Invariant", "LoadTest", "Regression", "Stage", "check_name", "stages_of"]

_STRICT: dict[str, object] = {"extra": "forbid"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


def check_name(name: str) -> str:
    """`name`, of a test or a stage: it becomes part of a file's name, a label, an address.

    Raises ValueError when it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name {name!r} must be a letter or _, then up to 62 letters, digits, _ or -"
        )
    return name


@dataclass(frozen=True)
class Stage:
    """One stretch of a test: `{ramp: 30s, to: 50%}`, `{hold: 5m}` or `{step: 300%, hold: 60s}`.

    Attributes:
        ramp, hold: how long.
        to: where a ramp ends, a share of the mix.
        step: the level that a step jumps to, a share of the mix.
        name: what thresholds call it (`in: spike`); stages may share one.
    """

    __pydantic_config__: ClassVar = _STRICT
    ramp: Duration | None = None
    hold: Duration | None = None
    step: Share | None = None
    to: Share | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.ramp is None) == (self.hold is None):
            raise ValueError(
                "a stage is one of {ramp: 30s}, {ramp: 30s, to: 50%}, {hold: 5m}, "
                "{step: 300%, hold: 60s}"
            )
        if self.ramp is not None and self.step is not None:
            raise ValueError("a step jumps, it has no ramp; write {ramp: 30s, to: 300%}")
        if self.hold is not None and self.to is not None:
            raise ValueError("`to` belongs to a ramp; write {step: 50%, hold: 60s}")
        if self.seconds <= 0:
            raise ValueError("a stage must last longer than 0s")
        if self.name is not None:
            check_name(self.name)

    @property
    def seconds(self) -> float:
        """How long the stage lasts."""
        return float(self.ramp if self.ramp is not None else self.hold or 0.0)

    @property
    def label(self) -> str:
        """The stage as its writer would say it: `ramp to 100%`, `hold`, `spike (step 300%)`."""
        if self.ramp is not None:
            kind = f"ramp to {(1.0 if self.to is None else self.to):.0%}"
        else:
            kind = "hold" if self.step is None else f"step {self.step:.0%}"
        return kind if self.name is None else f"{self.name} ({kind})"


@dataclass(frozen=True)
class LoadTest:
    """One load test.

    Attributes:
        mix: journey -> arrivals a second at 100 % (open model).
        users: virtual users at 100 %, each running one journey after the other (closed model: when
            the shop is slow, less is sent, and response times do not count what was not sent).
        journeys: those that closed-model users draw from, with equal odds; all by default.
        arrivals: `poisson`, as customers come, or `uniform`, evenly spaced.
        seed: fixes arrivals, choices and data of a run.
        stages, profile: the curve; one of the two.
        warmup: the first seconds are sent but not counted.
        max_in_flight: journeys at once, over all workers; an arrival above it is dropped.
        min_samples: a threshold on a latency or a percentage needs that many.
        thresholds: `checkout.response.p95 < 800ms`, or a mapping that says more.
        trace: requests carry a W3C `traceparent`, unless a journey sets that header itself; the
            report names the traces of the slowest and of failed requests.
        caps: how much the run may do at most.
        kill_file: a path, seen from the folder of sre.yaml; a run stops as soon as it exists, and
            none begins. `OUT/STOP` does the same for a run into the folder OUT, always.
        abort_on_burn: stop as soon as an objective of its journeys burns its error budget too
            fast. On production by default, elsewhere if declared; `false` turns it off.
        regression: which metrics may not be worse than in the runs before, and by how much.
        invariants: what must hold in the shop's database afterwards.
        observe: what to ask the shop's own Prometheus about the time of the run; shown beside it.
        resend: step -> share of its runs that send it twice, with the same idempotency key.
        capacity: how `sre loadtest capacity` searches for the highest rate that the shop holds.
    """

    __pydantic_config__: ClassVar = _STRICT
    mix: dict[str, Rate] = field(default_factory=dict)
    users: int | None = None
    journeys: tuple[str, ...] = ()
    arrivals: Literal["poisson", "uniform"] = "poisson"
    seed: int = 1
    stages: tuple[Stage, ...] = ()
    profile: str | None = None
    warmup: Duration = Duration(0.0)
    max_in_flight: int = 1000
    min_samples: int = 20
    trace: bool = True
    thresholds: tuple[str | ThresholdSpec, ...] = ()
    caps: Caps = field(default_factory=Caps)
    kill_file: str | None = None
    abort_on_burn: Burn | bool | None = None
    capacity: Capacity = field(default_factory=Capacity)
    regression: Regression | None = None
    invariants: tuple[Invariant, ...] = ()
    observe: Observe | None = None
    resend: dict[str, Share] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_model()
        self._check_curve()
        if self.max_in_flight < 1:
            raise ValueError("max_in_flight must be at least 1")
        if self.min_samples < 1:
            raise ValueError("min_samples must be at least 1")
        if any(share > 1 for share in self.resend.values()):
            raise ValueError("resend: a share of the runs is at most 100%")
        if self.kill_file == "":
            raise ValueError("kill_file must name a file, such as /run/sre/stop-load")
        said = Counter(parse_threshold(declared) for declared in self.thresholds)
        twice = [threshold.expression for threshold, count in said.items() if count > 1]
        if twice:
            raise ValueError(f"threshold {twice[0]!r} is declared twice; keep one of them")

    @property
    def closed(self) -> bool:
        """Whether virtual users wait for answers before they send more."""
        return self.users is not None

    def _check_model(self) -> None:
        if bool(self.mix) == self.closed:
            raise ValueError(
                "write either `mix: {JOURNEY: RATE}` (open model) or `users: N` (closed model)"
            )
        if self.users is not None and self.users < 1:
            raise ValueError("users must be at least 1")
        if self.journeys and not self.closed:
            raise ValueError("`journeys` belongs to `users`; with `mix`, the mix names them")
        idle = [name for name, rate in self.mix.items() if rate <= 0]
        if idle:
            raise ValueError(f"the rate of {idle[0]!r} must be above 0; or leave it out of the mix")

    def _check_curve(self) -> None:
        if bool(self.stages) == (self.profile is not None):
            names = ", ".join(sorted(PROFILES))
            raise ValueError(
                f"write either `stages: [{{ramp: 30s}}, {{hold: 5m}}]` or `profile: NAME` ({names})"
            )
        if self.profile is not None and self.profile not in PROFILES:
            raise ValueError(
                f"unknown profile {self.profile!r}; known: {', '.join(sorted(PROFILES))}"
            )
        total = sum(stage.seconds for stage in stages_of(self))
        if self.warmup >= total:
            raise ValueError(f"warmup must be shorter than the stages, which last {total:g}s")


def stages_of(test: LoadTest) -> tuple[Stage, ...]:
    """The stages of a test, those of its profile if it names one."""
    if test.profile is None:
        return test.stages
    return tuple(_stage(entry) for entry in PROFILES[test.profile])


def _stage(entry: dict[str, str]) -> Stage:
    def duration(key: str) -> Duration | None:
        return Duration.parse(entry[key]) if key in entry else None

    def share(key: str) -> Share | None:
        return Share.parse(entry[key]) if key in entry else None

    return Stage(duration("ramp"), duration("hold"), share("step"), share("to"), entry.get("name"))
