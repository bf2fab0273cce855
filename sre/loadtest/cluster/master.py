"""How does the master process run? (a child of `sre loadtest run`; Locust's MasterRunner)

It makes no load and judges nothing: it passes orders down and deltas up. Its sockets are ours, and
of Locust's habits it leaves those that would spoil a measurement: to stop when a worker goes, to
share its users out anew, to count what workers say as statistics.
"""

# ruff: noqa: E402  the environment is cleaned before Locust is imported
from __future__ import annotations

from sre.loadtest.generator.process import allow_files, forget_settings, mask_stderr

forget_settings()

import logging
import signal
import sys
import time
from functools import partial
from typing import Any, NoReturn

import gevent
import locust  # patches the process
import locust.runners
import orjson
from gevent.fileobject import FileObject
from locust.env import Environment
from locust.exception import RPCError

from sre.core.log import setup as setup_log
from sre.loadtest.cluster.coordinator import Coordinator
from sre.loadtest.cluster.sheet import Setup
from sre.loadtest.cluster.sockets import Rpc
from sre.loadtest.crew.wire import read_as, write_delta

__all__ = ["main"]

_LOG = logging.getLogger(__name__)


class Master(locust.runners.MasterRunner):
    """Locust's master that starts its users once and leaves the rest to the coordinator."""

    coordinator: Coordinator | None = None
    _started = False

    def handle_message(self, client_id: str, msg: Any) -> None:
        """A message that Locust cannot digest must not end its listener."""
        if self.coordinator is not None:
            self.coordinator.roster.heard(client_id, time.monotonic())
        try:
            super().handle_message(client_id, msg)
        except Exception:  # noqa: BLE001  whatever it is
            _LOG.exception("a %s of %s was dropped", msg.type, client_id[:100])

    def start(
        self,
        user_count: int,
        spawn_rate: float,
        wait: Any = False,  # noqa: FBT002  Locust's own
        user_classes: Any = None,
    ) -> None:
        """One user for each member, once: a worker that comes or goes changes nothing."""
        if self._started or self.coordinator is None:
            return
        self._started = True
        for client in list(self.clients):
            if self.coordinator.roster.seat(client) is None:
                self.forget(client)
        super().start(user_count, spawn_rate, wait, user_classes)

    def stop(self, send_stop_to_client: bool = True) -> None:  # noqa: FBT001, FBT002  Locust's
        """The coordinator stops workers, and waits for what they have to say."""

    def heartbeat_worker(self) -> NoReturn:
        """The coordinator watches who is silent."""
        raise gevent.GreenletExit

    def forget(self, client: str) -> None:
        """It takes no part: no user for it."""
        if client in self.clients:
            del self.clients[client]


class Arrivals(locust.User):
    """Named as the workers' own, so that Locust can share it out; never run here."""

    wait_time = locust.constant(0)

    @locust.task
    def walk_arrivals(self) -> None:
        """The workers'."""


def main() -> int:
    """Read the setup from stdin, gather the workers, obey. 0 when the parent says `end`."""
    mask_stderr()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    orders = FileObject(sys.stdin.fileno(), "rb", close=False)
    setup = read_as(Setup, orders)
    setup_log(level=setup.log_level, format="text")
    logging.getLogger("locust").setLevel(logging.ERROR)
    allow_files()
    tell = partial(write_delta, setup.report)
    vars(locust.runners)["rpc"] = Rpc(setup.key)
    environment = Environment(user_classes=[Arrivals], stop_timeout=None)
    try:
        runner = environment._create_runner(Master, setup.listen.host, setup.listen.port)
    except RPCError as error:
        tell({"event": "failed", "why": f"cannot listen on {setup.listen}: {error}"})
        return 4
    coordinator = Coordinator(setup, tell, time.monotonic)
    coordinator.runner = runner
    runner.coordinator = coordinator
    runner.register_message("sre", coordinator.on_message)
    gevent.spawn(coordinator.watch)
    gevent.spawn(coordinator.gather)
    _obey(orders, coordinator)
    runner.quit()
    return 0


def _obey(orders: Any, coordinator: Coordinator) -> None:
    """Until the parent says `end`, or has gone."""
    while line := orders.readline():
        order = orjson.loads(line)
        if order["order"] == "begin":
            coordinator.begin(order["at"])
        elif order["order"] == "stop":
            coordinator.stop()
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
