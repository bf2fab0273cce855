"""What does the parent tell a worker, and in which form?

The plan goes down an anonymous pipe as a pickle: journeys carry secrets, and a pipe leaves no trace
on disk, in the arguments or in the environment. Deltas come up as lines of JSON.
"""

from __future__ import annotations

import os
import pickle
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

import orjson

from sre.journey.model import Journey
from sre.journey.shop import Shop, Targets
from sre.loadtest.shape import Shape

__all__ = [
    "START",
    "WorkerPlan",
    "read_as",
    "read_deltas",
    "read_plan",
    "read_start",
    "write_delta",
    "write_plan",
]

T = TypeVar("T")
_LENGTH = struct.Struct("!Q")
START = struct.Struct("!d")
"""When the run begins, CLOCK_MONOTONIC seconds of this machine; sent when every worker is ready."""


@dataclass(frozen=True)
class WorkerPlan:
    """Everything that one worker needs.

    Attributes:
        worker, workers: which one it is, from 0, of how many.
        users: virtual users at 100 % over all workers; None in an open model.
        max_in_flight: of this worker alone.
        slot: seconds that a point of the time series covers.
        drain: seconds that journeys in flight get after the last arrival.
        report: file descriptor that deltas go to.
        trace: whether requests carry `traceparent`.
        resend: journey -> step -> share of its runs that send the step twice.
    """

    run_id: str
    worker: int
    workers: int
    shape: Shape
    journeys: dict[str, Journey]
    shop: Shop
    targets: Targets
    users: int | None
    max_in_flight: int
    slot: float
    drain: float
    report: int
    log_level: str = "warning"
    trace: bool = True
    resend: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def with_effects(self) -> frozenset[str]:
        """The journeys whose runs go to the ledger."""
        return frozenset(n for n, each in self.journeys.items() if each.side_effects != "none")

    def resent(self, journey: str, sequence: int) -> frozenset[str]:
        """The steps that this run sends twice: the seed and the run's own number decide."""
        shares = self.resend.get(journey)
        if not shares:
            return frozenset()
        draw = random.Random(f"{self.shape.seed}:resend:{journey}:{sequence}")  # noqa: S311
        return frozenset(step for step, share in shares.items() if draw.random() < share)


def write_plan(pipe: IO[bytes], plan: object) -> None:
    """Send the plan, or what else a child of ours begins with. OSError: the child is gone."""
    data = pickle.dumps(plan)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def read_plan(pipe: IO[bytes]) -> WorkerPlan:
    """Read what `write_plan` wrote. Raises EOFError when the parent is gone."""
    return read_as(WorkerPlan, pipe)


def read_as(kind: type[T], pipe: IO[bytes]) -> T:
    """As `read_plan`, of another kind."""
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    found = pickle.loads(_exactly(pipe, length))  # noqa: S301  from our own parent, by our own pipe
    if not isinstance(found, kind):
        raise TypeError(f"expected a {kind.__name__}, not {type(found).__name__}")
    return found


def read_start(pipe: IO[bytes]) -> float:
    """When the run begins. Raises EOFError when the parent is gone."""
    (start,) = START.unpack(_exactly(pipe, START.size))
    return float(start)


def write_delta(descriptor: int, delta: dict[str, Any]) -> None:
    """Send one delta as a line of JSON. Raises OSError when the parent is gone."""
    data = memoryview(orjson.dumps(delta) + b"\n")
    while data:
        data = data[os.write(descriptor, data) :]


def read_deltas(pipe: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Deltas until the worker closes its end; a last line that was cut short is left out."""
    for line in pipe:
        if line.endswith(b"\n"):
            yield orjson.loads(line)


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    data = pipe.read(length)
    if len(data) != length:
        raise EOFError("the parent closed the pipe")
    return data
