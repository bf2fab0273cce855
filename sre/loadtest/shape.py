"""When does which customer come?

The rate of a journey is a curve made of straight pieces, one for each stage. Arrivals are laid out
before the run begins, by inverting the cumulative rate: at exponential distances (`poisson`) or at
even ones (`uniform`; 100/s for 10 s is exactly 1,000 arrivals at 0, 10 ms, 20 ms and so on). The
same seed gives the same list, on every machine and for any number of workers.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from heapq import merge
from typing import Any, Literal, NamedTuple

from sre.loadtest.model import LoadTest, Stage, stages_of

__all__ = ["WARMUP", "Arrival", "Piece", "Shape", "shard"]

WARMUP = -1
"""The phase of what is sent but not counted."""


class Arrival(NamedTuple):
    """One customer who comes.

    Attributes:
        due: seconds from the start of the run.
        phase: index of the stage, or WARMUP.
        sequence: which arrival of its journey it is, from 0.
    """

    number: int
    journey: str
    due: float
    phase: int
    sequence: int


@dataclass(frozen=True)
class Piece:
    """One stage as a straight line of levels; 1.0 is the mix.

    Attributes:
        start, seconds: when, from the start of the run.
        first, last: the level at its two ends.
        area: of all pieces before this one, in level-seconds.
    """

    label: str
    start: float
    seconds: float
    first: float
    last: float
    area: float

    @property
    def own_area(self) -> float:
        """Level-seconds of this piece alone."""
        return (self.first + self.last) / 2 * self.seconds

    def level(self, t: float) -> float:
        """The level at `t`, seconds from the start of the run."""
        return self.first + (self.last - self.first) * (t - self.start) / self.seconds

    def time_at(self, area: float) -> float:
        """When the cumulative level of the run reaches `area`; it must lie in this piece."""
        wanted = area - self.area
        slope = (self.last - self.first) / self.seconds
        root = math.sqrt(max(0.0, self.first * self.first + 2 * slope * wanted))
        bottom = self.first + root
        return self.start + (2 * wanted / bottom if bottom > 0 else 0.0)


class Shape:
    """The whole curve of a test: stages, rates, arrivals. Pure."""

    def __init__(
        self,
        stages: Sequence[Stage],
        mix: Mapping[str, float],
        *,
        arrivals: Literal["poisson", "uniform"] = "poisson",
        seed: int = 1,
        warmup: float = 0.0,
    ) -> None:
        self.pieces = _pieces(stages)
        self.mix = dict(mix)
        self.kind = arrivals
        self.seed = seed
        self.warmup = warmup
        self._index()

    def _index(self) -> None:
        self._starts = [piece.start for piece in self.pieces]
        self._areas = [piece.area for piece in self.pieces]

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready, for other hosts; the mix keeps its order."""
        return {
            "pieces": [list(astuple(piece)) for piece in self.pieces],
            "mix": self.mix,
            "arrivals": self.kind,
            "seed": self.seed,
            "warmup": self.warmup,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Shape:
        """The reverse of `to_plain`. Raises KeyError, TypeError when it is not its work."""
        kind, seed, warmup = plain["arrivals"], plain["seed"], plain["warmup"]
        shape = cls((), plain["mix"], arrivals=kind, seed=seed, warmup=warmup)
        shape.pieces = tuple(Piece(*piece) for piece in plain["pieces"])
        shape._index()
        return shape

    @classmethod
    def of(cls, test: LoadTest) -> Shape:
        """The shape of one declared test; a closed one has an empty mix."""
        return cls(
            stages_of(test),
            {name: float(rate) for name, rate in test.mix.items()},
            arrivals=test.arrivals,
            seed=test.seed,
            warmup=float(test.warmup),
        )

    @property
    def seconds(self) -> float:
        """How long arrivals go on."""
        return self.pieces[-1].start + self.pieces[-1].seconds

    @property
    def area(self) -> float:
        """Level-seconds of the whole curve: times a rate, the expected number of arrivals."""
        return self.pieces[-1].area + self.pieces[-1].own_area

    @property
    def peak(self) -> float:
        """The highest level."""
        return max(max(piece.first, piece.last) for piece in self.pieces)

    def expected(self) -> Iterator[tuple[str, int, float]]:
        """About how many arrivals each journey has in each phase, without laying them out."""
        for phase, piece in enumerate(self.pieces):
            warm = min(max(self.warmup - piece.start, 0.0), piece.seconds)
            area = (piece.first + piece.level(piece.start + warm)) / 2 * warm
            for journey, rate in self.mix.items():
                yield journey, WARMUP, area * rate
                yield journey, phase, (piece.own_area - area) * rate

    def level(self, t: float) -> float:
        """The share of the mix at `t` seconds; 0 outside the run."""
        if not 0 <= t < self.seconds:
            return 0.0
        return self.pieces[bisect.bisect_right(self._starts, t) - 1].level(t)

    def rate(self, journey: str, t: float) -> float:
        """Arrivals a second of one journey at `t` seconds."""
        return self.mix[journey] * self.level(t)

    def phase(self, t: float) -> int:
        """The index of the stage at `t` seconds, or WARMUP."""
        if t < self.warmup:
            return WARMUP
        return max(0, bisect.bisect_right(self._starts, t) - 1)

    def arrivals(self) -> Iterator[Arrival]:
        """All arrivals, by time; journeys of the same instant in the mix's order.

        Laid out one by one: a working day of them would not fit into memory.
        """
        lanes = [self._lane(name, lane) for lane, name in enumerate(self.mix)]
        for number, (due, _, name, sequence) in enumerate(merge(*lanes)):
            yield Arrival(number, name, due, self.phase(due), sequence)

    def _lane(self, journey: str, lane: int) -> Iterator[tuple[float, int, str, int]]:
        rate = self.mix[journey]
        total = self.area * rate
        for sequence, count in enumerate(self._counts(journey, lane)):
            if count >= total - 1e-9:
                return
            yield self._time_at(count / rate), lane, journey, sequence

    def _counts(self, journey: str, lane: int) -> Iterator[float]:
        if self.kind == "uniform":
            at = lane / max(
                1, len(self.mix)
            )  # staggered: journeys of one rate do not come in pairs
            while True:
                yield at
                at += 1.0
        draw = random.Random(f"{self.seed}:{journey}").expovariate  # noqa: S311  not for secrecy
        at = 0.0
        while True:
            at += draw(1.0)
            yield at

    def _time_at(self, area: float) -> float:
        return self.pieces[bisect.bisect_right(self._areas, area) - 1].time_at(area)


def shard(arrivals: Iterable[Arrival], worker: int, workers: int) -> Iterator[Arrival]:
    """The arrivals of worker `worker` (from 0) of `workers`: every number that leaves that rest."""
    return itertools.islice(arrivals, worker, None, workers)


def _pieces(stages: Sequence[Stage]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    start = area = 0.0
    level: float | None = None
    for stage in stages:
        first, last = _levels(stage, level)
        piece = Piece(stage.label, start, stage.seconds, first, last, area)
        pieces.append(piece)
        start, area, level = start + piece.seconds, area + piece.own_area, last
    return tuple(pieces)


def _levels(stage: Stage, before: float | None) -> tuple[float, float]:
    if stage.ramp is not None:
        return (before or 0.0), float(1.0 if stage.to is None else stage.to)
    level = stage.step if stage.step is not None else (1.0 if before is None else before)
    return float(level), float(level)
