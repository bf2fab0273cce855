"""What became of a request whose answer may take longer than we want to wait? (effects)"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from sre.core.errors import SreError
from sre.failover.clusters.pat.api import Answer

__all__ = ["Asked"]

Reply = tuple[str, Answer]


class Asked:
    """A request beside us."""

    def __init__(self, ask: Callable[[], Reply]) -> None:
        self._ask = ask
        self._box: queue.SimpleQueue[Reply | SreError | BaseException] = queue.SimpleQueue()

    def start(self) -> None:
        """Send it."""
        threading.Thread(target=self._run, name="ask Patroni", daemon=True).start()

    def _run(self) -> None:
        try:
            self._box.put(self._ask())
        except BaseException as error:  # noqa: BLE001  it belongs to whoever asked
            self._box.put(error)

    def answer(self) -> Reply | SreError | None:
        """It, with the node that gave it; or why there is none; None: not yet."""
        try:
            found = self._box.get_nowait()
        except queue.Empty:
            return None
        if isinstance(found, BaseException) and not isinstance(found, SreError):
            raise found
        return found
