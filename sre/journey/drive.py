"""How is one run of a journey driven, start to finish, as a probe?"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sre.core.clock import Clock, SystemClock
from sre.journey.engine import Cancelled, RunContext, VirtualUser, run
from sre.journey.exchange import Request, Response, Wait
from sre.journey.guard import Guard
from sre.journey.model import Journey
from sre.journey.result import JourneyResult
from sre.journey.shop import Shop
from sre.journey.transport import CurlTransport

__all__ = ["run_once"]


def run_once(  # noqa: PLR0913  one call with everything named is the point
    journey: Journey,
    *,
    shop: Shop,
    guard: Guard,
    clock: Clock | None = None,
    cancel: threading.Event | None = None,
    sequence: int = 0,
    seed: int | str | None = None,
    run_id: str | None = None,
    perform: Callable[[Request], Response] | None = None,
) -> JourneyResult:
    """Drive one run in this thread, as user 0.

    Args:
        cancel: once set, the run ends at the next request or wait; its cleanup still happens.
        sequence: which run of this journey it is; picks the data row.
        perform: another transport, for tests.

    KeyboardInterrupt and Terminated end the run too: cleanup first, then they go on up.
    """
    clock = clock or SystemClock()
    transport = CurlTransport(guard, clock.now)
    context = RunContext(shop, clock.now, user=VirtualUser(), sequence=sequence, seed=seed)
    if run_id is not None:
        context.run_id = run_id
    try:
        return _drive(journey, context, perform or transport.perform, clock, cancel)
    finally:
        transport.close()


def _drive(
    journey: Journey,
    context: RunContext,
    perform: Callable[[Request], Response],
    clock: Clock,
    cancel: threading.Event | None,
) -> JourneyResult:
    steps = run(journey, context)
    interrupted: BaseException | None = None
    answer: Response | None = None
    try:
        command = next(steps)
        while True:
            try:
                answer = _do(command, perform, clock, cancel if interrupted is None else None)
            except BaseException as error:
                if interrupted is not None:
                    raise
                interrupted = error
                command = steps.throw(Cancelled(sent=not isinstance(error, _Asked)))
                continue
            command = steps.send(answer)
    except StopIteration as end:
        if interrupted is not None and not isinstance(interrupted, _Asked):
            raise interrupted from None
        result: JourneyResult = end.value
        return result


class _Asked(Exception):  # noqa: N818  the cancel event was set
    """Somebody asked this run to stop."""


def _do(
    command: Request | Wait,
    perform: Callable[[Request], Response],
    clock: Clock,
    cancel: threading.Event | None,
) -> Response | None:
    if cancel is not None and cancel.is_set():
        raise _Asked
    if isinstance(command, Request):
        return perform(command)
    if cancel is not None:
        if cancel.wait(command.seconds):
            raise _Asked
    else:
        clock.sleep(command.seconds)
    return None
