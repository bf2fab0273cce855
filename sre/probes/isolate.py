"""How is something measured that may never come back, such as a dead mount?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["isolated"]

T = TypeVar("T")

_overdue: dict[str, threading.Thread] = {}


def isolated(calls: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T | str]:
    """Make all calls at the same time, each in a daemon thread; what came back, or why not.

    A call that hung before and still does is not made again: one thread is lost, not one a run.
    """
    answers: dict[str, T | str] = {}
    hanging = {name for name in calls if name in _overdue and _overdue[name].is_alive()}
    threads = {
        name: _start(name, call, answers) for name, call in calls.items() if name not in hanging
    }
    until = time.monotonic() + seconds
    for name, thread in threads.items():
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            _overdue[name] = thread
    late = f"no answer in {seconds:.1f} s"
    return {n: answers.get(n, "still hanging" if n in hanging else late) for n in calls}


def _start(name: str, call: Callable[[], T], answers: dict[str, T | str]) -> threading.Thread:
    def work() -> None:
        try:
            answers[name] = call()
        except Exception as error:  # noqa: BLE001  one part must not take the others down
            answers[name] = f"{type(error).__name__}: {error}"

    thread = threading.Thread(target=work, name=f"measure {name}", daemon=True)
    thread.start()
    return thread
