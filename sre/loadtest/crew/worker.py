"""How does the parent hold one worker: start it, listen to it, stop it, know how it ended?"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.process import PIPE, Child
from sre.loadtest.crew.hearing import NOT_A_DELTA, Hearing
from sre.loadtest.crew.wire import START, WorkerPlan, read_deltas, write_plan

__all__ = ["Worker"]

_PIPE_SIZE = 2**20
_F_SETPIPE_SZ = 1031


class Worker(Hearing):
    """One child process with its plan, its deltas and its log.

    Attributes:
        ready: set when it waits for the start; also when it ended before that.
    """

    def __init__(self, log: Path, clock: Clock | None = None) -> None:
        super().__init__()
        self.log = log
        self._clock = clock or SystemClock()
        self._begin = self._gone = math.inf
        self.ready = threading.Event()
        self._is_ready = False
        self._garbled = False
        self._child: Child | None = None
        self._reader: threading.Thread | None = None
        self._pipe = -1
        self.report = -1

    def start(self) -> None:
        """Start the process. It imports Locust and waits for its plan.

        Raises UsageError when it cannot be started.
        """
        self._pipe, self.report = os.pipe()
        with contextlib.suppress(OSError, ImportError):
            import fcntl  # noqa: PLC0415  a bigger pipe is a comfort, where there is one

            fcntl.fcntl(self.report, _F_SETPIPE_SZ, _PIPE_SIZE)
        path = os.pathsep.join(folder for folder in sys.path if folder)
        try:
            self._child = Child(
                # -S: what a sitecustomize imports before Locust patches the process breaks it
                [sys.executable, "-S", "-P", "-m", "sre.loadtest.generator.locustfile"],
                env={"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                stdin=PIPE,
                stderr=self.log,
                pass_fds=[self.report],
            ).start()
        finally:
            os.close(self.report)
        self._reader = threading.Thread(target=self._listen, name=f"read {self.log.stem}")
        self._reader.daemon = True
        self._reader.start()

    def send_plan(self, plan: WorkerPlan) -> None:
        """Give it its plan; a worker that is gone is found out by `lost`."""
        with contextlib.suppress(OSError):
            write_plan(self._stdin, plan)

    def send_start(self, begin: float) -> None:
        """Tell it when to begin, on CLOCK_MONOTONIC."""
        self._begin = begin
        with contextlib.suppress(OSError):
            self._stdin.write(START.pack(begin))
            self._stdin.flush()

    def ask_to_stop(self) -> None:
        """No more arrivals; drain for a few seconds, report, end."""
        if self._child is not None:
            self._child.signal(signal.SIGTERM)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._child is not None and self._child.poll() is None

    def finish(self, grace: float) -> None:
        """End it if it still runs, and read what it said to the end. Safe to call twice."""
        if self._child is None:
            return
        self._child.wait(Deadline.after(grace))
        self._child.stop(grace=0.5)
        if self._reader is not None:
            self._reader.join(5.0)
        self._child.__exit__(None, None, None)

    @property
    def lost(self) -> str | None:
        """What became of it if it did not end as it should; None if it did."""
        code = self._child.returncode if self._child is not None else None
        if self.collector.done and code == 0 and not self._garbled:
            return None
        if code is None:
            return f"{self.log.stem} was never started"
        if code < 0:
            return f"{self.log.stem} was killed by {_signal_name(-code)}"
        return f"{self.log.stem} ended with code {code}, see {self.log.name}"

    @property
    def ended(self) -> float | None:
        """When nothing more came from it, in seconds from the start; None while something may."""
        return self._gone - self._begin if math.isfinite(self._gone) else None

    @property
    def label(self) -> str:
        """`worker-0`."""
        return self.log.stem

    @property
    def is_ready(self) -> bool:
        """It has said so."""
        return self._is_ready

    @property
    def _stdin(self) -> Any:
        if self._child is None or self._child.stdin is None:
            raise BrokenPipeError("the worker has not been started")
        return self._child.stdin

    def _listen(self) -> None:
        with open(self._pipe, "rb") as pipe:  # noqa: PTH123  a descriptor, not a path
            try:
                for delta in read_deltas(pipe):
                    self._take(delta)
            except NOT_A_DELTA:
                self._garbled = True
        self._gone = self._clock.now()
        self.ready.set()

    def _take(self, delta: dict[str, Any]) -> None:
        if delta.get("ready"):
            self._is_ready = True
            self.ready.set()
            return
        self.take(delta)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
