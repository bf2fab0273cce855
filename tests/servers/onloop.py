"""What does an `http` probe find on each of its ways: in a thread, on the loop, by the engine?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sre.core.clock import Deadline, SystemClock
from sre.journey.compile import single_step
from sre.journey.drive import run_once
from sre.journey.guard import Guard
from sre.journey.resolve import Resolver
from sre.journey.shop import Shop
from sre.probes.crew import Crew
from sre.probes.kinds.http import HttpProbe
from sre.probes.model import ProbeContext, Reading
from sre.probes.multi import Loop
from sre.probes.path import reading_of

__all__ = ["LOCAL", "by_engine", "context", "looping", "on_loop"]

LOCAL = ("127.0.0.1:*", "localhost:*", "[::1]:*")


def context(
    seconds: float = 3.0,
    allow: Sequence[str] = LOCAL,
    resolve: Resolver | None = None,
    base_url: str = "http://127.0.0.1:1",
) -> ProbeContext:
    """What one run may use."""
    shop = Shop("t", base_url)
    return ProbeContext(Deadline.after(seconds), Guard(allow, None, resolve), shop, SystemClock())


def warm(probe: HttpProbe, its: ProbeContext) -> None:
    """Have the request of a probe made, as its first run does."""
    made = probe.talk(its)
    if made is not None and probe.oauth2 is None:
        with suppress(StopIteration):
            next(made)
        made.close()


@contextmanager
def looping(*, raw: bool = True) -> Any:
    """A loop and its crew, closed at the end; without `raw` libcurl carries everything."""
    crew = Crew()
    loop = Loop(crew, raw=raw)
    try:
        yield loop
    finally:
        loop.close()
        crew.dismiss()


def on_loop(
    *runs: tuple[HttpProbe, ProbeContext], seconds: float = 15.0, raw: bool = True
) -> list[Reading]:
    """All of them at the same time on one loop; their readings in the same order.

    Without `raw` libcurl carries everything. With it each script has run before, for the first run
    of a script never goes over a socket of ours.
    """
    found: dict[int, Any] = {}
    if raw:
        for probe, its in runs:
            warm(probe, its)
    with looping(raw=raw) as loop:
        for number, (probe, its) in enumerate(runs):
            talk = probe.talk(its)
            assert talk is not None, "it needs a thread"
            loop.carry(talk, its, lambda what, n=number: found.__setitem__(n, what))
        until = time.monotonic() + seconds
        while len(found) < len(runs):
            assert time.monotonic() < until, f"only {len(found)} of {len(runs)} came back"
            loop.work(0.05)
        assert len(loop) == 0
    readings = [found[number] for number in range(len(runs))]
    for reading in readings:
        assert isinstance(reading, Reading), reading
    return readings


def by_engine(probe: HttpProbe, its: ProbeContext) -> Reading:
    """The same request as a journey of one step."""
    step = {**probe._step(), "keep_alive": False}
    journey = single_step("http", step, shop=its.shop, timeout=its.deadline.left())
    return reading_of(run_once(journey, shop=its.shop, guard=its.guard), None)
