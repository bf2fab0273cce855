"""How does a worker send its share of the load? (the child process; alone may import Locust)

`import locust` patches the whole process for gevent, so it happens here, first, and nowhere else.
One Locust user with one task walks the precomputed arrivals; each customer is a greenlet. Locust's
`request` event fires for every step, so that its plug-ins work, but the gate never looks at it.
"""

# ruff: noqa: E402  the environment is cleaned before Locust is imported
from __future__ import annotations

from sre.loadtest.generator.process import (
    allow_files,
    forget_settings,
    listeners,
    mask_stderr,
    settle,
)

forget_settings()

import logging
import signal
import sys
import time
from functools import partial
from typing import Any

import locust  # patches the process: before anything that opens a socket
from locust.env import Environment

from sre.core.log import setup
from sre.loadtest.crew.wire import read_plan, read_start, write_delta
from sre.loadtest.generator.dispatcher import Dispatcher

__all__ = ["main"]


def main() -> int:
    """Read the plan from stdin, say ready, wait for the start, send, report. 0 when it is done."""
    mask_stderr()
    plan = read_plan(sys.stdin.buffer)
    setup(level=plan.log_level, format="text")
    logging.getLogger("locust").setLevel(logging.ERROR)
    allow_files()
    dispatcher = Dispatcher(plan, time.monotonic, partial(write_delta, plan.report))
    environment = Environment(user_classes=[_user_class(dispatcher)], stop_timeout=None)
    runner = environment.create_local_runner()
    dispatcher.on_step = environment.events.request.fire
    dispatcher.listens = listeners(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and asks with SIGTERM
    settle()
    dispatcher.say_ready()
    dispatcher.begin = read_start(sys.stdin.buffer)
    tell: Any = environment.events.init.fire
    tell(environment=environment, runner=runner, web_ui=None)
    runner.start(1, spawn_rate=1)
    dispatcher.over.wait()
    runner.quit()
    return 0


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
