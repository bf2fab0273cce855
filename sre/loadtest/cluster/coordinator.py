"""How does the master bring its workers to one start, and what does it pass on? (child process)

The parent hears lines of JSON: `listening`, `here`, `gone`, `refused`, `ready`, `delta`, `lost`,
`failed`. It commands `begin`, `stop` and `end`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent  # noqa: TID253  child process only
from gevent.event import Event  # noqa: TID253

from sre.loadtest.cluster.messages import FROM_WORKER, TYPE, decode, encode
from sre.loadtest.cluster.roster import Refusal, Roster, Seat, State
from sre.loadtest.cluster.sheet import Setup

__all__ = ["Coordinator"]

_LOOK = 0.25
_STALLED = 1.0
_STAND_SECONDS = 30.0
_PONG_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


class Coordinator:
    """Everything that the master does beyond Locust.

    Args:
        tell: gives the parent one event.
        now: CLOCK_MONOTONIC.

    Attributes:
        runner: Locust's master; set before anything else happens.
    """

    runner: Any

    def __init__(
        self, setup: Setup, tell: Callable[[dict[str, Any]], None], now: Callable[[], float]
    ) -> None:
        self._setup, self._tell, self._now = setup, tell, now
        self.roster = Roster(setup.expect, setup.versions, setup.digests)
        self._pings: dict[str, tuple[int, float]] = {}
        self._ponged = Event()
        self._heeded: dict[str, Callable[[Seat, dict[str, Any]], None]] = {
            "compiled": self._compiled,
            "ready": self._ready,
            "pong": self._pong,
            "delta": self._delta,
            "leaving": self._leaving,
        }

    def on_message(self, environment: Any, msg: Any, **_: Any) -> None:
        """One message of ours; whatever is wrong with it, the master goes on."""
        try:
            kind, fields = decode(msg.data, FROM_WORKER)
        except ValueError as error:
            _LOG.warning("dropped what %s said: %s", msg.node_id[:100], error)
            return
        if kind == "hello":
            self._greet(msg.node_id, fields)
            return
        seat = self.roster.seat(msg.node_id)
        if seat is not None:
            self._heeded[kind](seat, fields)

    def watch(self) -> None:
        """Notices who has fallen silent; for a greenlet of its own."""
        while True:
            before = self._now()
            gevent.sleep(_LOOK)
            if self._now() - before > _STALLED:
                self.roster.forgive(self._now())
            for seat in self.roster.silent(self._now()):
                self._gone(seat, f"was silent for {self._now() - seat.heard:.1f} s")

    def gather(self) -> bool:
        """Wait for everybody, get them to the line, learn their clocks. False: give up."""
        self._tell({"event": "listening", "port": self.runner.server.port})
        while not self.roster.all_are(State.HERE):
            gevent.sleep(_LOOK / 5)
        self.roster.under_way = True
        self.runner.start(self._setup.expect, spawn_rate=self._setup.expect)
        end = self._now() + _STAND_SECONDS
        while not self.roster.all_are(State.READY):
            gevent.sleep(_LOOK / 5)
            late = [seat for seat in self.roster.seats if seat.state is not State.READY]
            lost = [seat for seat in late if seat.state is State.LOST]
            if lost or self._now() > end:
                who = (lost or late)[0]
                self._fail(f"worker-{who.number} of {who.host} did not come to the start")
                return False
        for seat in self.roster.seats:
            self._compare_clocks(seat)
        clocks = [seat.offset.uncertainty for seat in self.roster.seats]
        self._tell({"event": "ready", "clocks": [min(each, 1e6) for each in clocks]})
        return True

    def begin(self, at: float) -> None:
        """Set the start: `at` on our clock, told to each worker on its own."""
        for seat in self.roster.seats:
            self._say(seat.client, "start", begin=at + seat.offset.seconds)

    def stop(self) -> None:
        """No more arrivals, anywhere."""
        for seat in self.roster.seats:
            self._say(seat.client, "stop")

    def _say(self, client: str, kind: str, **fields: Any) -> None:
        self.runner.send_message(TYPE, encode(kind, **fields), client)

    def _fail(self, why: str) -> None:
        self._tell({"event": "failed", "why": why})

    def _greet(self, client: str, hello: dict[str, Any]) -> None:
        found = self.roster.greet(client, hello, self._now())
        if isinstance(found, Refusal):
            self._refuse(client, str(hello["host"])[:100], found)
            return
        sheet = self._setup.sheet
        share = self._setup.shares[found.number]
        own = {**sheet, "worker": found.number, "max_in_flight": share}
        self._say(client, "plan", sheet=own)

    def _refuse(self, client: str, host: str, refusal: Refusal) -> None:
        self._say(client, "refused", why=refusal.why, code=refusal.code)
        self.runner.forget(client)
        self._tell({"event": "refused", "host": host, "why": refusal.why})

    def _compiled(self, seat: Seat, fields: dict[str, Any]) -> None:
        if seat.state is not State.GREETED:
            return
        refusal = self.roster.compiled(seat, fields["digests"], fields["why"])
        if refusal is not None:
            self._refuse(seat.client, seat.host, refusal)
            return
        row = {"worker": seat.number, "host": seat.host, "here": self.roster.here}
        self._tell({"event": "here", **row})

    def _ready(self, seat: Seat, _: dict[str, Any]) -> None:
        if seat.state is State.HERE:
            seat.state = State.READY

    def _pong(self, seat: Seat, fields: dict[str, Any]) -> None:
        number, sent = self._pings.get(seat.client, (-1, 0.0))
        if fields["number"] == number:
            seat.offset.add(sent, fields["at"], self._now())
            self._ponged.set()

    def _compare_clocks(self, seat: Seat) -> None:
        number = 0
        end = self._now() + 5 * _PONG_SECONDS
        while not seat.offset.enough and self._now() < end:
            number += 1
            self._ponged.clear()
            self._pings[seat.client] = (number, self._now())
            self._say(seat.client, "ping", number=number)
            self._ponged.wait(_PONG_SECONDS)

    def _delta(self, seat: Seat, fields: dict[str, Any]) -> None:
        delta = fields["delta"]
        self._tell({"event": "delta", "worker": seat.number, "delta": delta})
        if delta.get("done"):
            if seat.state is not State.LOST:
                seat.state = State.DONE
            self._say(seat.client, "bye")

    def _leaving(self, seat: Seat, fields: dict[str, Any]) -> None:
        self._gone(seat, fields["why"])

    def _gone(self, seat: Seat, why: str) -> None:
        if self.roster.under_way:
            if seat.state not in (State.DONE, State.LOST):
                seat.state = State.LOST
                self._tell({"event": "lost", "worker": seat.number, "why": why})
            return
        self.roster.free(seat)
        self.runner.forget(seat.client)
        row = {"worker": seat.number, "host": seat.host, "here": self.roster.here}
        self._tell({"event": "gone", "why": why, **row})
