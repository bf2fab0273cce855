"""How does one host serve: its worker processes, for one run or for all that come?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sre.core.clock import Clock, Deadline
from sre.core.process import PIPE, Child
from sre.loadtest.cluster.sheet import Offer
from sre.loadtest.crew.wire import write_plan

__all__ = ["Ended", "serve"]

_POLL = 0.2
_PAUSE = 2.0
_STAY_WAIT = 30.0
_GRACE = 8.0
_AGAIN = frozenset({0, 4})
_KILLED = 3


@dataclass(frozen=True)
class Ended:
    """How the host's service ended: the exit code and the words of the process that decided."""

    code: int
    words: str


def serve(
    offer: Offer,
    count: int,
    *,
    stay: bool,
    clock: Clock,
    tell: Callable[[str], None],
    stop: Callable[[], bool],
) -> Ended:
    """Run `count` worker processes until their run is over; with `stay`, for one run after another.

    What cannot get better by itself (another sre.yaml, another key) ends the service in any case.
    `stop()` says that somebody wants to end it; the processes then report and leave.
    """
    if stay:
        offer = replace(offer, wait=_STAY_WAIT)
    slots = [_Slot(number, offer, tell, quiet=stay) for number in range(count)]
    with contextlib.ExitStack() as stack:
        for slot in slots:
            stack.callback(slot.end)
            slot.start()
        while not stop():
            clock.sleep(_POLL)
            decided = _decided(slots, stay=stay, clock=clock)
            if decided is not None:
                return decided
        for slot in slots:
            slot.ask_to_stop()
        for slot in slots:
            slot.wait(_GRACE)
    return Ended(0, "ended")


def _decided(slots: Sequence[_Slot], *, stay: bool, clock: Clock) -> Ended | None:
    """How the service has ended; None: it goes on, with new processes where it stays."""
    ended = [(slot, slot.ended) for slot in slots if slot.ended is not None]
    worst = max((end for _, end in ended if end is not None), key=_badness, default=None)
    if not stay:
        return worst if len(ended) == len(slots) else None
    if worst is not None and worst.code not in _AGAIN:
        return worst
    for slot, _ in ended:
        slot.again(clock)
    return None


def _badness(ended: Ended) -> tuple[bool, int]:
    return ended.code not in _AGAIN, ended.code


class _Slot:
    """One worker process after the other.

    Attributes:
        ended: how the last one ended; None while it runs.
    """

    def __init__(
        self, number: int, offer: Offer, tell: Callable[[str], None], *, quiet: bool
    ) -> None:
        self._number, self._offer, self._tell, self._quiet = number, offer, tell, quiet
        self._child: Child | None = None
        self._words = ""
        self._told = ""
        self._due: float | None = None

    def start(self) -> None:
        path = os.pathsep.join(folder for folder in sys.path if folder)
        self._words, self._due = "", None
        self._child = Child(
            [sys.executable, "-P", "-m", "sre.loadtest.cluster.worker"],
            env={"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=PIPE,
            stdout=self._hear,
            stderr=2,
        ).start()
        with contextlib.suppress(OSError):
            if self._child.stdin is not None:
                write_plan(self._child.stdin, self._offer)

    def again(self, clock: Clock) -> None:
        """The next one, at once after a run, after a while where there was none."""
        if self._due is None:
            pause = 0.0 if self.ended is not None and self.ended.code == 0 else _PAUSE
            self._due = clock.now() + pause
        if clock.now() >= self._due:
            self.end()
            self.start()

    @property
    def ended(self) -> Ended | None:
        code = self._child.poll() if self._child is not None else None
        if code is None:
            return None
        if code < 0:
            with contextlib.suppress(ValueError):
                self._words = f"was killed by {signal.Signals(-code).name}"
            return Ended(_KILLED, self._words)
        return Ended(code, self._words)

    def ask_to_stop(self) -> None:
        if self._child is not None:
            self._child.signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        if self._child is not None:
            self._child.wait(Deadline.after(seconds))

    def end(self) -> None:
        if self._child is not None:
            self._child.__exit__(None, None, None)

    def _hear(self, line: str) -> None:
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            self._words = str(said["words"])
            waits = self._quiet and said.get("code") == 4
            if not waits or self._words != self._told:
                self._told = self._words if waits else ""
                self._tell(f"worker process {self._number + 1}: {self._words}")
