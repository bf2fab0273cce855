"""How are many asked at once, and how is one that says nothing given up in time? (effects)"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from sre.core.clock import Deadline
from sre.core.errors import SreError, Transient

__all__ = ["Silent", "all_of", "in_time", "together"]

T = TypeVar("T")


class Silent(Transient):
    """A node did not answer.

    Attributes:
        state: `refused`, `silent` (nothing came in time), `starting` (it runs and takes nobody
            yet), `no-login` (it runs and does not let us in).
    """

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


def in_time(who: str, work: Callable[[], T], deadline: Deadline, give_up: Callable[[], None]) -> T:
    """The answer of `work`, which runs in a thread of its own; `give_up` wakes it when it is late.

    Raises:
        Silent: no answer by the deadline.
    """
    box: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((work(), None))
        except BaseException as error:  # noqa: BLE001  it belongs to whoever asked
            box.put((None, error))

    threading.Thread(target=run, name=f"ask {who}", daemon=True).start()
    try:
        answer, error = box.get(timeout=max(deadline.left(), 0.001))
    except queue.Empty:
        give_up()
        raise Silent(f"{who} did not answer in time", "silent") from None
    except BaseException:  # a signal: nobody waits for it any more
        give_up()
        raise
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # T may allow None


def together(jobs: Mapping[str, Callable[[], T]]) -> dict[str, T | SreError]:
    """Every job at once, each in a thread; its answer, or the error that it ended with.

    Jobs keep to deadlines of their own. Raises what is no SreError.
    """
    found: dict[str, T | SreError] = {}
    odd: list[BaseException] = []

    def run(name: str, job: Callable[[], T]) -> None:
        try:
            found[name] = job()
        except SreError as error:
            found[name] = error
        except BaseException as error:  # noqa: BLE001  raised again below
            odd.append(error)

    threads = [
        threading.Thread(target=run, args=each, name=each[0], daemon=True) for each in jobs.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if odd:
        raise odd[0]
    return {name: found[name] for name in jobs}


def all_of(jobs: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """As `together`; raises the first error, once all have ended."""
    found = together(jobs)
    for answer in found.values():
        if isinstance(answer, SreError):
            raise answer
    return found  # type: ignore[return-value]
