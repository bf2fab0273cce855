"""How does `sre loadtest run` hold a crew of other hosts? The side of the parent.

One child process, Locust's master, joined by pipes as a local worker is; behind it the members.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from sre.core.clock import Clock, Deadline
from sre.core.errors import Transient
from sre.core.process import PIPE, Child
from sre.loadtest.cluster.address import Address
from sre.loadtest.cluster.digest import digests_of
from sre.loadtest.cluster.member import RemoteMember
from sre.loadtest.cluster.sheet import Setup, sheet_of
from sre.loadtest.cluster.versions import versions
from sre.loadtest.crew.hearing import NOT_A_DELTA
from sre.loadtest.crew.local import share_of
from sre.loadtest.crew.wire import WorkerPlan, read_deltas, write_plan

__all__ = ["ClusterCrew"]

_LEAD = 1.0
_POLL = 0.1
_UP_SECONDS = 30.0
_READY_SECONDS = 60.0
_END_SECONDS = 3.0


class ClusterCrew:
    """`expect` worker processes, on this host and on others.

    Args:
        name: of the load test, as the workers' sre.yaml has it.
        out: where the master's log goes.
        wait: seconds for all workers to come.
        tell: a line for people: where it listens, who is refused.
        say: what goes on, to be written over the line before.
    """

    def __init__(  # noqa: PLR0913  each is one option of the command
        self,
        name: str,
        out: Path,
        expect: int,
        listen: Address,
        key: str | None,
        clock: Clock,
        *,
        wait: float = 60.0,
        tell: Callable[[str], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._members = [RemoteMember(number) for number in range(expect)]
        self.members: Sequence[RemoteMember] = self._members
        self._name, self._listen, self._key, self._wait = name, listen, key, wait
        self._log = out / "master.log"
        self._clock, self._tell, self._say = clock, tell, say
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._child: Child | None = None
        self._reader: threading.Thread | None = None

    def launch(self, plan: WorkerPlan, asked: Callable[[], bool]) -> float:
        """As Crew.launch."""
        self._start(plan)
        port = self._next("listening", _UP_SECONDS, asked, "the load test's master did not come up")
        if port is not None:
            self._announce(int(port["port"]))
            self._gather(asked)
        if asked():
            self._over("the run was called off before it began")
            return self._clock.now()
        begin = self._clock.now() + _LEAD
        self._order("begin", at=begin)
        return begin

    def ask_to_stop(self) -> None:
        """As Crew.ask_to_stop."""
        self._order("stop")

    def finish(self) -> None:
        """As Crew.finish; an empty log is removed."""
        if self._child is None:
            return
        self._order("end")
        self._child.wait(Deadline.after(_END_SECONDS))
        self._child.stop(grace=0.5)
        if self._reader is not None:
            self._reader.join(5.0)
        self._child.__exit__(None, None, None)
        with contextlib.suppress(OSError):
            if not self._log.stat().st_size:
                self._log.unlink()

    def _start(self, plan: WorkerPlan) -> None:
        self._log.unlink(missing_ok=True)
        inlet, report = os.pipe()
        expect = len(self._members)
        shares = tuple(share_of(plan.max_in_flight, number, expect) for number in range(expect))
        plan = replace(plan, workers=expect)
        setup = Setup(
            listen=self._listen,
            key=self._key,
            expect=expect,
            sheet=sheet_of(plan, self._name),
            shares=shares,
            digests=digests_of(plan),
            versions=versions(),
            report=report,
            log_level=plan.log_level,
        )
        path = os.pathsep.join(folder for folder in sys.path if folder)
        try:
            self._child = Child(
                [sys.executable, "-P", "-m", "sre.loadtest.cluster.master"],
                env={"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                stdin=PIPE,
                stderr=self._log,
                pass_fds=[report],
            ).start()
        finally:
            os.close(report)
        self._reader = threading.Thread(target=self._listen_to, args=(inlet,), daemon=True)
        self._reader.start()
        with contextlib.suppress(OSError):
            if self._child.stdin is not None:
                write_plan(self._child.stdin, setup)

    def _announce(self, port: int) -> None:
        address = replace(self._listen, port=port)
        shown = f"THIS_HOST:{port}" if address.is_wildcard else str(address)
        key = " --key-file FILE" if self._key is not None else ""
        self._tell(
            f"listening on {address} for {len(self._members)} workers; start each with: "
            f"sre loadtest worker --master {shown}{key}"
        )

    def _gather(self, asked: Callable[[], bool]) -> None:
        expect, here = len(self._members), 0
        end = self._clock.now() + self._wait
        while here < expect and not asked():
            self._say(f"{here} of {expect} workers are here")
            left = end - self._clock.now()
            event = self._next("", left, asked, self._too_few(here)) or {}
            here = int(event.get("here", here))
            if event.get("event") == "here":
                self._members[event["worker"]].host = str(event["host"])
            elif event.get("event") == "gone":
                self._tell(f"the worker of {event['host']} {event['why']}; another may come")
            elif event.get("event") == "refused":
                self._tell(f"refused the worker of {event['host']}: {event['why']}")
        self._say("all workers are here; comparing clocks")
        ready = self._next("ready", _READY_SECONDS, asked, "the workers did not come to the start")
        for member, uncertainty in zip(
            self._members, (ready or {}).get("clocks", ()), strict=False
        ):
            member.clock = float(uncertainty)

    def _too_few(self, here: int) -> str:
        return (
            f"{here} of {len(self._members)} workers came within {self._wait:.0f} s; start them "
            "with sre loadtest worker --master HOST:PORT, or give them longer with --wait"
        )

    def _next(
        self, wanted: str, seconds: float, asked: Callable[[], bool], late: str
    ) -> dict[str, Any] | None:
        """The next event `wanted` (any, if empty); None when somebody wants to stop.

        Raises Transient: it failed, it ended, or it took too long.
        """
        end = self._clock.now() + seconds
        while not asked():
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=_POLL)
                if event["event"] == "failed":
                    raise Transient(f"{event['why']}; nothing was sent")
                if event["event"] == wanted or not wanted:
                    return event
                continue
            if self._clock.now() > end:
                raise Transient(f"{late}; nothing was sent")
        return None

    def _order(self, order: str, **more: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._child is not None and self._child.stdin is not None:
                self._child.stdin.write(orjson.dumps({"order": order, **more}) + b"\n")
                self._child.stdin.flush()

    def _listen_to(self, inlet: int) -> None:
        with open(inlet, "rb") as pipe, contextlib.suppress(ValueError):
            for event in read_deltas(pipe):
                self._heed(event)
        ended = f"the load test's master {self._ended()}"
        self._over(f"was cut off: {ended}")
        self._events.put({"event": "failed", "why": f"{ended}, see {self._log}"})

    def _heed(self, event: dict[str, Any]) -> None:
        if event["event"] == "delta":
            member = self._members[event["worker"]]
            try:
                member.take(event["delta"])
            except NOT_A_DELTA:
                member.over("sent something that is no report")
        elif event["event"] == "lost":
            self._members[event["worker"]].over(str(event["why"]))
        else:
            self._events.put(event)

    def _over(self, why: str) -> None:
        for member in self._members:
            member.over(why)

    def _ended(self) -> str:
        code = self._child.wait(Deadline.after(2.0)) if self._child is not None else None
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-code).name}"
        return f"ended with code {code}"
