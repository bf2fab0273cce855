"""Does a search for the capacity find it? A shop whose capacity is known: M/D/c.

`c` tills, each needing the same time for every customer, one queue, first come first served: it
serves exactly c / service customers a second, whatever is asked of it. Its own log says when each
came and was answered, in time.monotonic() seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.child import child

__all__ = ["Tills", "tills"]

PROGRAM = Path(__file__).with_name("mdc_server.py")


class Tills:
    """The running server."""

    def __init__(self, port: int, log: Path, count: int, service: float) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.capacity = count / service
        self._log = log

    def served(self) -> list[tuple[float, float]]:
        """(came, answered) of all customers so far."""
        rows = [line.split() for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [(float(came), float(answered)) for came, answered in rows]


@contextmanager
def tills(home: Path, count: int, service: float) -> Iterator[Tills]:
    """A shop with so many tills, each taking `service` seconds for a customer."""
    log = home / "served.log"
    argv = [sys.executable, "-I", str(PROGRAM), str(log), str(count), str(service)]
    with child(argv, home=home, pipes=True) as process:
        assert process.stdout is not None
        yield Tills(int(process.stdout.readline().split()[1]), log, count, service)
