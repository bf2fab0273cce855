"""When a server stands still for two seconds, does a load generator tell the truth about it?

The server is an asyncio program (freeze_server.py); its log says when each request really
arrived and was answered, on CLOCK_MONOTONIC, which all processes of the machine share.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.child import child

__all__ = ["FreezeServer", "Served", "freeze_server", "hostile_freeze"]

PROGRAM = Path(__file__).with_name("freeze_server.py")


@dataclass(frozen=True)
class Served:
    """One request on the server's side, in seconds of time.monotonic(). NaN: client had left."""

    arrived: float
    answered: float
    path: str

    @property
    def seconds(self) -> float:
        return self.answered - self.arrived


class FreezeServer:
    """Answers everything with 200 "ok" after a constant service time, except while frozen."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self.log = log
        self.port = int(self._line().split()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def freeze(self, seconds: float, *, after: float = 0.0) -> None:
        """Stand still from `after` s past the first request on; then answer all held ones."""
        self._order(f"freeze {after} {seconds}")

    def freeze_now(self, seconds: float) -> None:
        """Stand still from this moment on."""
        self._order(f"now {seconds}")

    def reset(self) -> None:
        """Forget the log, the first request and the window."""
        self._order("reset")

    def served(self) -> list[Served]:
        """All requests so far, in the order of their answers; the file `log` holds the same."""
        rows = [line.split(" ", 2) for line in self._flushed()[1:]]
        return [Served(float(arrived), float(done), path) for arrived, done, path in rows]

    def window(self) -> tuple[float, float]:
        """The frozen window in time.monotonic() seconds; (0, 0) if there was none yet."""
        words = self._flushed()[0].split()
        return float(words[1]), float(words[2])

    def connections(self) -> int:
        """TCP connections since the start or the last reset()."""
        return int(self._flushed()[0].split()[3])

    def _flushed(self) -> list[str]:
        self._order("flush")
        return self.log.read_text(encoding="utf-8").splitlines()

    def _order(self, words: str) -> None:
        if self._process.stdin is None:
            raise AssertionError("the freeze server was started without pipes")
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        answer = self._line()
        if answer != "ok":
            raise AssertionError(f"the freeze server said {answer!r} to {words!r}")

    def _line(self) -> str:
        if self._process.stdout is None:
            raise AssertionError("the freeze server was started without pipes")
        return self._process.stdout.readline().strip()


@contextmanager
def freeze_server(home: Path, service: float = 0.001) -> Iterator[FreezeServer]:
    """A freeze server of its own, with another service time if you like."""
    argv = [sys.executable, "-I", str(PROGRAM), str(home / "served.log"), str(service)]
    with child(argv, home=home, pipes=True) as process:
        yield FreezeServer(process, home / "served.log")


@pytest.fixture
def hostile_freeze(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreezeServer]:
    """A fresh freeze server with 1 ms of service time; not frozen until you say freeze()."""
    with freeze_server(tmp_path_factory.mktemp("freeze")) as server:
        yield server
