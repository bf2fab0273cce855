"""What does a worker do from hello to bye, and when does it give up? (child process)

It sends load only while it hears its master: a master that has gone, or cannot be reached, can
neither stop it nor take its results.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent  # noqa: TID253  child process only
from gevent.event import AsyncResult, Event  # noqa: TID253

from sre.core.errors import UsageError
from sre.loadtest.cluster.digest import digests_of
from sre.loadtest.cluster.messages import FROM_MASTER, PROTOCOL, TYPE, decode, encode
from sre.loadtest.cluster.sheet import Offer, planned
from sre.loadtest.generator.dispatcher import Dispatcher
from sre.loadtest.generator.process import listeners, settle

__all__ = ["Session"]

_LOOK = 0.25
_STALLED = 1.0
_SILENCE = 3.5
_ORPHAN_DRAIN = 0.5
_BYE_SECONDS = 10.0
_LAST_SECONDS = 5.0


class Session:
    """One run of one worker.

    Attributes:
        runner: Locust's worker; set before anything else happens.
        heard: when the master last said anything.
        result: (exit code, words) once it is over.
    """

    runner: Any = None

    def __init__(self, offer: Offer, host: str, say: Callable[[str], None]) -> None:
        self._offer, self._host, self._say = offer, host, say
        self.heard = time.monotonic()
        self.result: AsyncResult = AsyncResult()
        self._dispatcher: Dispatcher | None = None
        self._begin: AsyncResult = AsyncResult()
        self._begun = False
        self._bye = Event()

    def hello(self) -> None:
        """Tell the master who we are, and listen to what it says from now on."""
        self.runner.register_message(TYPE, self.on_message)
        self.heard = time.monotonic()
        self.send("hello", protocol=PROTOCOL, host=self._host[:100], **self._offer.versions)

    def send(self, kind: str, **fields: Any) -> None:
        """One message to the master."""
        self.runner.send_message(TYPE, encode(kind, **fields))

    def on_message(self, environment: Any, msg: Any, **_: Any) -> None:
        """One message of the master."""
        try:
            kind, fields = decode(msg.data, FROM_MASTER)
        except ValueError:
            return
        if kind == "ping":
            self.send("pong", number=fields["number"], at=time.monotonic())
        elif kind == "plan":
            gevent.spawn(self._compile, fields["sheet"])
        elif kind == "refused":
            self.end(fields["code"], f"refused by the master: {fields['why']}")
        elif kind == "start":
            self._begin.set(fields["begin"])
        elif kind == "stop":
            self._stop()
        elif kind == "bye":
            self._bye.set()

    def walk(self) -> None:
        """The one task of the one user: stand at the start, send, wait until all is heard."""
        dispatcher = self._dispatcher
        if dispatcher is None or self._begun:
            return
        self._begun = True
        settle()
        self.send("ready")
        dispatcher.begin = self._begin.get()
        self._say("the run has begun")
        dispatcher.walk()
        if self._bye.wait(_BYE_SECONDS):
            self.end(0, "the run is over")
        else:
            self.end(4, "the master did not take the last results: they are lost")

    def leave(self, why: str) -> None:
        """End before the run does; the master is told, so that it need not wait."""
        if self.runner is not None:
            self.send("leaving", why=why)
        if self._begin.ready():
            self._stop()
        else:
            self.end(0, why)

    def drained(self) -> None:
        """Wait for the last customer, for a moment."""
        if self._dispatcher is not None and self._begun and self._begin.ready():
            self._dispatcher.over.wait(_LAST_SECONDS)

    def end(self, code: int, words: str) -> None:
        """It is over; the first word counts."""
        if not self.result.ready():
            self.result.set((code, words))

    def watch(self) -> None:
        """Notices that the master is gone; for a greenlet of its own."""
        while not self._bye.is_set():
            before = time.monotonic()
            gevent.sleep(_LOOK)
            now = time.monotonic()
            if now - before > _STALLED:  # we stood still ourselves: what it said waits to be read
                self.heard = now
            if now - self.heard > _SILENCE:
                self.orphaned(f"the master was silent for {now - self.heard:.1f} s")
                return

    def orphaned(self, why: str) -> None:
        """Without a master there is no run: no more load."""
        if self._bye.is_set():
            return
        self.end(4, f"{why}; no more load is sent")
        if self._dispatcher is not None:
            self._dispatcher.stop_drain = _ORPHAN_DRAIN
        self._stop()

    def _stop(self) -> None:
        if self._dispatcher is not None and self._begin.ready():
            self._dispatcher.stop()
        else:
            self.end(4, "the run was called off before it began")

    def _send_delta(self, delta: dict[str, Any]) -> None:
        self.send("delta", delta=delta)

    def _compile(self, sheet: dict[str, Any]) -> None:
        if self._dispatcher is not None:
            return
        try:
            plan = planned(sheet, self._offer)
        except UsageError as error:
            self.send("compiled", digests={}, why=str(error)[:1000])
            return
        self._dispatcher = Dispatcher(plan, time.monotonic, self._send_delta)
        self._dispatcher.on_step = self.runner.environment.events.request.fire
        self._dispatcher.listens = listeners(self.runner.environment)
        self.send("compiled", digests=digests_of(plan), why="")
