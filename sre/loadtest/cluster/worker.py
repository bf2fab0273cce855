"""How does a worker process run? (a child of `sre loadtest worker`; Locust's WorkerRunner)

The load is made by the same dispatcher as on one machine. What stands here is the way there: find
the master, say hello, and survive what networks do.
"""

# ruff: noqa: E402  the environment is cleaned before Locust is imported
from __future__ import annotations

from sre.loadtest.generator.process import allow_files, forget_settings, mask_stderr

forget_settings()

import logging
import signal
import socket
import sys
import time
from typing import Any, NoReturn, cast

import gevent
import locust  # patches the process
import locust.runners
from locust.env import Environment

from sre.core.log import setup as setup_log
from sre.loadtest.cluster.address import Address
from sre.loadtest.cluster.session import Session
from sre.loadtest.cluster.sheet import Offer
from sre.loadtest.cluster.sockets import TURNED_AWAY, Client, Message, Rpc
from sre.loadtest.crew.wire import read_as, write_delta

__all__ = ["main"]

_STDOUT = 1
_RETRY = 0.25
_LOG = logging.getLogger(__name__)


class _NoMaster(Exception):
    """Nobody there, or not with our key. `args`: exit code, words."""


class Worker(locust.runners.WorkerRunner):
    """Locust's worker with our patience and our clock."""

    def __init__(self, environment: Environment, offer: Offer, session: Session) -> None:
        self._session, self._offer = session, offer
        self._end = time.monotonic() + offer.wait
        host = self._resolved()
        super().__init__(environment, host, offer.master.port)

    @property
    def sockets(self) -> Client:
        """Locust's client, which is ours."""
        client: Any = self.client
        return cast(Client, client)

    def connect_to_master(self) -> None:
        """Knock until somebody answers, or `wait` is over."""
        while not self.connection_event.wait(_RETRY):
            if self._session.result.ready():
                raise _NoMaster(*self._session.result.get())
            if self.sockets.turned_away >= TURNED_AWAY:
                raise _NoMaster(
                    5,
                    f"{self._offer.master} answers, but not with our key: give master and workers "
                    "the same --key-file, or none on loopback",
                )
            if time.monotonic() > self._end:
                raise _NoMaster(4, self._nobody())
            self.client.send(Message("client_ready", locust.__version__, self.client_id))
        self.connected = True

    def handle_message(self, msg: Any) -> None:
        """What Locust cannot digest is dropped; a master that ends the run is gone for us."""
        self._session.heard = time.monotonic()
        if msg.type in ("quit", "stop"):
            self._session.orphaned("the master ended the run")
            return
        try:
            super().handle_message(msg)
        except Exception:  # noqa: BLE001  whatever it is
            _LOG.exception("a %s of the master was dropped", msg.type)

    def heartbeat_timeout_checker(self) -> NoReturn:
        """Ours watches by a clock that nobody sets, and sooner."""
        raise gevent.GreenletExit

    def stats_reporter(self) -> NoReturn:
        """Locust's statistics are not used."""
        raise gevent.GreenletExit

    def logs_reporter(self) -> None:
        """Logs stay on their host."""

    def _resolved(self) -> str:
        """The master's address as a number: a name may be unknown until the master runs."""
        wanted = self._offer.master
        while True:
            try:
                found = socket.getaddrinfo(wanted.host, wanted.port, type=socket.SOCK_STREAM)
                return str(min(found)[4][0])  # IPv4 first, as masters listen by default
            except OSError:
                if time.monotonic() > self._end:
                    raise _NoMaster(4, self._nobody()) from None
                gevent.sleep(_RETRY)

    def _nobody(self) -> str:
        return (
            f"no master at {self._offer.master} within {self._offer.wait:.0f} s; start one with "
            "sre loadtest run NAME --expect-workers N --listen HOST:PORT"
        )


def _user_class(session: Session) -> type[locust.User]:
    class Arrivals(locust.User):
        """All customers of this worker; the master's has the same name."""

        wait_time = locust.constant(0)

        @locust.task
        def walk_arrivals(self) -> None:
            session.walk()
            raise locust.exception.StopUser

    return Arrivals


def main() -> int:
    """Read the offer from stdin, serve one run. The exit code says how it ended."""
    mask_stderr()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and asks with SIGTERM
    offer = read_as(Offer, sys.stdin.buffer)
    setup_log(level=offer.log_level, format="text")
    logging.getLogger("locust").setLevel(logging.ERROR)
    allow_files()
    session = Session(offer, socket.gethostname(), lambda words: _tell(words=words))
    gevent.signal_handler(signal.SIGTERM, lambda: session.leave("was told to end on its host"))
    vars(locust.runners)["rpc"] = Rpc(offer.key)
    environment = Environment(user_classes=[_user_class(session)], stop_timeout=None)
    try:
        session.runner = environment._create_runner(Worker, offer, session)
    except _NoMaster as error:
        code, words = error.args
        _tell(words=words, code=code)
        return int(code)
    return _serve(session, offer.master)


def _serve(session: Session, master: Address) -> int:
    session.hello()
    _tell(words=f"joined {master}")
    gevent.spawn(session.watch)
    code, words = session.result.get()
    _tell(words=words, code=code)
    session.runner.client.send(Message("quit", None, session.runner.client_id))
    session.drained()
    session.runner.greenlet.kill(block=True)
    session.runner.client.close(linger=1000)
    return int(code)


def _tell(**fields: Any) -> None:
    write_delta(_STDOUT, fields)


if __name__ == "__main__":
    sys.exit(main())
