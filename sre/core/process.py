"""How does the toolkit run other programs: bounded, in a group of their own, leaving none behind?

`run` is for a program that ends by itself; `Child` for one that runs beside us. Both start a
session of their own, die with us (even on `kill -9`), and take their group with them when stopped.
Arguments are lists, never shell text; secrets travel by environment, standard input or file.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sre.core.child import PIPE, Child, Sink
from sre.core.clock import Deadline
from sre.core.secrets import redactor

__all__ = ["PIPE", "Child", "Done", "Sink", "run"]

_TAIL = 8192
_DRAIN_SECONDS = 2.0
_LATE_SECONDS = 0.1


@dataclass(frozen=True)
class Done:
    """How a program ended. `returncode` is minus the signal's number when a signal ended it."""

    returncode: int
    stdout: bytes
    stderr: str
    """The last 8 KiB, secrets masked."""
    seconds: float
    cpu: float
    """User and system seconds of the program and of the children it waited for."""
    timed_out: bool = False
    truncated: bool = False
    """True when more came out than `limit` allows."""

    @property
    def ok(self) -> bool:
        """Ended by itself with exit code 0."""
        return self.returncode == 0 and not self.timed_out


def run(
    argv: Sequence[str],
    deadline: Deadline,
    *,
    input: bytes | str = b"",  # noqa: A002  as in subprocess.run
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    user: str | int | None = None,
    limit: int = 64 * 2**20,
) -> Done:
    """Run a program to its end, at the latest to the deadline; leaves nothing of its group behind.

    `env` is added to our environment. A bad exit code is a result, not an exception.

    Raises:
        UsageError: the program cannot be started.
        Refused: a revealed secret stands in `argv`.
    """
    data = input.encode() if isinstance(input, str) else input
    child = Child(
        argv, env=env, cwd=cwd, user=user, stdin=PIPE if data else None, stdout=PIPE, stderr=PIPE
    )
    with child:
        out, tail = _Collector(child.stdout, limit), _Collector(child.stderr, None)
        _feed(child.stdin, data)
        ended = child.wait(deadline)
        child.stop(grace=0.5)
        patience = _DRAIN_SECONDS if ended is not None else _LATE_SECONDS
        output, errors = out.result(patience), tail.result(patience)
    return Done(
        returncode=child.returncode or 0,
        stdout=output,
        stderr=redactor.mask(errors.decode("utf-8", "replace")),
        seconds=child.seconds,
        cpu=child.cpu,
        timed_out=ended is None,
        truncated=out.truncated,
    )


def _feed(pipe: IO[bytes] | None, data: bytes) -> None:
    def write() -> None:
        with contextlib.suppress(OSError, ValueError):  # it need not read all
            if pipe is not None:
                pipe.write(data)
                pipe.close()

    if pipe is not None:
        threading.Thread(target=write, daemon=True).start()


class _Collector:
    """Reads a pipe to its end in a thread: the first `limit` bytes, or the tail without one."""

    def __init__(self, pipe: IO[bytes] | None, limit: int | None) -> None:
        self._pipe, self._limit = pipe, limit
        self._chunks: deque[bytes] = deque()
        self._kept = 0
        self.truncated = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            while self._pipe is not None and (chunk := os.read(self._pipe.fileno(), 65536)):
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        if self._limit is not None and self._kept + len(chunk) > self._limit:
            chunk, self.truncated = chunk[: self._limit - self._kept], True
        self._chunks.append(chunk)
        self._kept += len(chunk)
        while self._limit is None and self._kept - len(self._chunks[0]) > _TAIL:
            self._kept -= len(self._chunks.popleft())

    def result(self, patience: float) -> bytes:
        """What was read; a stray process that holds the pipe (ssh's master) does not hold us."""
        self._thread.join(patience)
        whole = b"".join(self._chunks)
        return whole if self._limit is not None else whole[-_TAIL:]
