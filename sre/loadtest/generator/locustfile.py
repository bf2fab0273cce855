"""How does a worker send its share of the load? (the child process; alone may import Locust)

`import locust` patches the whole process for gevent, so it happens here, first, and nowhere else.
One Locust user with one task walks the precomputed arrivals; each customer is a greenlet. Locust's
`request` event fires for every step, so that its plug-ins work, but the gate never looks at it.
"""

# ruff: noqa: E402  the environment is cleaned before Locust is imported
from __future__ import annotations

import os

for _name in [n for n in os.environ if n.startswith(("LOCUST_", "GEVENT_"))]:  # noqa: TID251
    del os.environ[_name]  # noqa: TID251  a stray setting must not change the gate

import contextlib
import ctypes
import gc
import logging
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

import locust  # patches the process: before anything that opens a socket
from locust.env import Environment

from sre.core.log import setup
from sre.core.secrets import redactor
from sre.loadtest.crew.wire import read_plan, read_start
from sre.loadtest.generator.dispatcher import Dispatcher

__all__ = ["main"]


class _Masked:
    """stderr without secrets: gevent prints tracebacks there on its own account."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(redactor.mask(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main() -> int:
    """Read the plan from stdin, say ready, wait for the start, send, report. 0 when it is done."""
    sys.stderr = _Masked(sys.stderr)
    plan = read_plan(sys.stdin.buffer)
    setup(level=plan.log_level, format="text")
    logging.getLogger("locust").setLevel(logging.ERROR)
    _allow_files()
    _keep_memory()
    dispatcher = Dispatcher(plan, time.monotonic)
    environment = Environment(user_classes=[_user_class(dispatcher)], stop_timeout=None)
    runner = environment.create_local_runner()
    dispatcher.on_step = environment.events.request.fire
    dispatcher.listens = _listeners(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and asks with SIGTERM
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    dispatcher.say_ready()
    dispatcher.begin = read_start(sys.stdin.buffer)
    tell: Any = environment.events.init.fire
    tell(environment=environment, runner=runner, web_ui=None)
    runner.start(1, spawn_rate=1)
    dispatcher.over.wait()
    runner.quit()
    return 0


def _allow_files() -> None:
    """Each customer in flight is a socket: take as many descriptors as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listeners(environment: Environment) -> Callable[[], bool]:
    """Whether anybody but Locust's own statistics, which nobody reads here, wants to be told."""
    handlers = environment.events.request._handlers  # noqa: SLF001  there is no other way to know
    own = len(handlers)
    return lambda: len(handlers) > own


def _keep_memory() -> None:
    """glibc gives memory back to the system after each parsed page, and asks for it again: that
    takes longer than parsing. What was needed once is needed again, so keep it."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-1, 256 * 2**20), (-3, 32 * 2**20), (-2, 2**20)):
            mallopt(parameter, value)  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_TOP_PAD


def _user_class(dispatcher: Dispatcher) -> type[locust.User]:
    class Arrivals(locust.User):
        """All customers of this worker."""

        fixed_count = 1
        wait_time = locust.constant(0)

        @locust.task
        def walk_arrivals(self) -> None:
            dispatcher.walk()
            raise locust.exception.StopUser

    return Arrivals


if __name__ == "__main__":
    sys.exit(main())
