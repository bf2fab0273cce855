"""How is something measured that may never come back, such as a dead mount?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["isolated"]

T = TypeVar("T")

_stuck: dict[str, threading.Thread] = {}
_lock = threading.Lock()


def isolated(calls: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T | str]:
    """Make all calls at the same time, each in a daemon thread; what came back, or why not.

    A call that hung before and still does is not made again: one thread is lost, not one a run.
    """
    answers: dict[str, T | str] = {}
    threads: dict[str, threading.Thread] = {}
    for name, call in calls.items():
        thread = _start(name, call, answers)
        if thread is not None:
            threads[name] = thread
    until = time.monotonic() + seconds
    for thread in threads.values():
        thread.join(max(0.0, until - time.monotonic()))
    late = f"no answer in {seconds:.1f} s"
    return {name: answers.get(name, late if name in threads else "still hanging") for name in calls}


def _start(
    name: str, call: Callable[[], T], answers: dict[str, T | str]
) -> threading.Thread | None:
    def work() -> None:
        try:
            answers[name] = call()
        except Exception as error:  # noqa: BLE001  one part must not take the others down
            answers[name] = f"{type(error).__name__}: {error}"

    with _lock:
        old = _stuck.get(name)
        if old is not None and old.is_alive():
            return None
        thread = threading.Thread(target=work, name=f"measure {name}", daemon=True)
        _stuck[name] = thread
        thread.start()
    return thread
