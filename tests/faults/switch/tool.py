"""How does a test stop the real tool at one line of its journal: to kill it, or to break something?

`sre failover` runs in a process of its own. At the line it is killed with -9, or it calls us and
waits until we let it go, or its wall clock jumps: nothing depends on how fast this machine is.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.servers.pgset import REPO, PgSet

__all__ = ["Tool", "broken_at", "journal_of", "lines_of", "tool"]

_WRAPPED = """
import os, signal, sys, time
from sre.failover.operation.record import Record
what, at, out, back = sys.argv[1:5]
del sys.argv[1:5]
whole, line, hit = Record.add, 0, False
def add(self, event, **more):
    global line, hit
    whole(self, event, **more)
    line += 1
    if hit or at not in (str(line), f"{event} {more.get('step', '')}".strip()):
        return
    hit = True
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "call":
        os.write(int(out), b".")
        os.read(int(back), 1)
    else:
        real = time.time
        time.time = lambda: real() + float(what)
Record.add = add
from sre.cli.main import main
main()
"""


class Tool:
    """`sre failover …` at work.

    Attributes:
        code, said: its exit code and JSON document, once it has ended.
    """

    def __init__(self, process: subprocess.Popen[str], calls: int, answers: int) -> None:
        self.process, self._calls, self._answers = process, calls, answers
        self.code, self.said = -1, dict[str, Any]()
        self.began = time.monotonic()

    @property
    def killed(self) -> bool:
        return self.code == -9

    def called(self, seconds: float = 60.0) -> bool:
        """Whether it came to the line; False: it ended without."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._calls], [], [], 0.02)[0]:
                return os.read(self._calls, 1) == b"."
            if self.process.poll() is not None:
                return False
        raise AssertionError(f"the tool neither called nor ended in {seconds} s")

    def go(self) -> None:
        """Let it go on."""
        with contextlib.suppress(OSError):
            os.write(self._answers, b".")

    def end(self, seconds: float = 110.0) -> tuple[int, dict[str, Any]]:
        """Wait for its end. Raises TimeoutExpired."""
        out, err = self.process.communicate(timeout=seconds)
        self.code = self.process.returncode
        try:
            self.said = json.loads(out)
        except ValueError:
            self.said = {"outcome": "", "text": out + err}
        return self.code, self.said


@contextlib.contextmanager
def tool(
    pgset: PgSet, *args: str, at: str = "0", what: str = "kill", env: dict[str, str] | None = None
) -> Iterator[Tool]:
    """Start it. `at` is a number, or `begin promote`; `what` is kill, call, or seconds to add."""
    calls, out = os.pipe()
    back, answers = os.pipe()
    argv = [
        sys.executable, "-c", _WRAPPED, what, at, str(out), str(back), "failover", *args,
        "--config", str(pgset.config), "--format", "json",
    ]  # fmt: skip
    process = subprocess.Popen(
        argv, env={**os.environ, **pgset.env, **(env or {})}, cwd=REPO, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(out, back),
    )  # fmt: skip
    os.close(out)
    os.close(back)
    try:
        yield Tool(process, calls, answers)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        os.close(calls)
        os.close(answers)


def journal_of(pgset: PgSet) -> Path:
    """The newest operation's file."""
    return max((pgset.home / "state" / "failover" / "orders").glob("*.jsonl"))


def lines_of(pgset: PgSet) -> list[dict[str, Any]]:
    """What the newest operation has written down."""
    found = []
    for line in journal_of(pgset).read_text().splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def broken_at(
    pgset: PgSet, line: str, breaks: Callable[[], object], *args: str
) -> tuple[int, dict[str, Any]]:
    """Run the tool; at the line it waits while `breaks` does its work."""
    with tool(pgset, *args, at=line, what="call") as running:
        assert running.called(), running.end()
        breaks()
        running.go()
        return running.end()
