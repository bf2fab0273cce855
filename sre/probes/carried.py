"""What does the loop know of one run that it carries, and what does the run want next?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sre.probes.httphop import Answer, Hop, Talk, Way
from sre.probes.httpline import Line
from sre.probes.httpraw import Exchange
from sre.probes.model import ProbeContext, Reading
from sre.probes.multinames import Place

__all__ = ["Carried", "Landed", "step_of"]

Landed = Callable[[Reading | Exception | None], None]
"""Told what came of a run: its reading, a bug, or None when it was cancelled."""


@dataclass(slots=True, eq=False)
class Carried:
    """One run on its way.

    Attributes:
        asked: when the hop began; `ends`: when its time is up.
        ticket: which wait it is in, for a thread or for an exchange; 0 when it is in none.
        exchange: the hop, where a socket of ours carries it.
    """

    talk: Talk
    context: ProbeContext
    landed: Landed
    line: Line | None = None
    hop: Hop | None = None
    asked: float = 0.0
    ends: float = 0.0
    ticket: int = 0
    exchange: Exchange | None = None
    pins: dict[Place, Way] | None = None


def step_of(talk: Talk, answer: Answer | None) -> Hop | Reading | Exception:
    """The next hop of a talk, its end, or the bug in it."""
    try:
        return next(talk) if answer is None else talk.send(answer)
    except StopIteration as end:
        reading: Reading = end.value
        return reading
    except Exception as error:  # noqa: BLE001  a probe's bug must not end the loop
        return error
