"""How does a thread of a child program fail, so that nobody waits for it for ever?"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable

__all__ = ["start"]


def start(run: Callable[[], None], name: str) -> threading.Thread:
    """A daemon thread; whatever it raises is printed and ends the whole process with 1."""

    def guarded() -> None:
        try:
            run()
        except BaseException:  # noqa: BLE001  the other threads may wait for this one
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread
