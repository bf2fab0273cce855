"""How does one block run: bounded, in a group of its own, with the declared environment alone?

The block's process waits at a gate until the journal knows its number; a runner that dies before
takes it along, so nothing ever runs that no record speaks of.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from sre.core.clock import Deadline
from sre.core.errors import OutcomeUnknown
from sre.core.process import PIPE, Child

__all__ = ["RUN_MARK", "Ended", "end_leftovers", "environment", "run_block"]

RUN_MARK = "SRE_RUNBOOK_RUN"
_KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "SSH_AUTH_SOCK", "SRE_STATE",
)  # fmt: skip
_HEAD, _TAIL = 1 << 20, 1 << 16
_GRACE = 2.0
_NO_START = 125
_GATE = (
    f'read -r go && [ "$go" = go ] || exit {_NO_START}; '
    'exec bash -euo pipefail -c "$1" "$2" </dev/null'
)


@dataclass(frozen=True)
class Ended:
    """How a block ended. `truncated`: more came than is kept."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool
    truncated: bool

    @property
    def output(self) -> str:
        """Both streams, errors last."""
        parts = (self.stdout.rstrip("\n"), self.stderr.rstrip("\n"))
        return "\n".join(part for part in parts if part)


def environment(
    run: str, values: Mapping[str, str], passed: Mapping[str, str], *, rehearsal: bool
) -> dict[str, str]:
    """All that a block sees: a few common names, what the declaration needs, the variables."""
    kept = {name: value for name in _KEPT if (value := os.environ.get(name)) is not None}  # noqa: TID251
    if shutil.which("sre") is None:  # a virtual environment that is not activated
        kept["PATH"] = os.pathsep.join([kept.get("PATH", os.defpath), str(_own_programs())])
    marks = {RUN_MARK: run, **({"SRE_REHEARSAL": "1"} if rehearsal else {})}
    return {**kept, **passed, **values, **marks}


def _own_programs() -> Path:
    return Path(sys.executable).parent


def run_block(
    text: str,
    name: str,
    env: Mapping[str, str],
    deadline: Deadline,
    started: Callable[[int], None],
) -> Ended:
    """Run `text` through bash to its end, at the latest to the deadline; its group ends with it.

    Args:
        name: what error messages of bash begin with.
        started: told the process id before the first command runs; what it raises stops all.
    """
    unset = [word for other in os.environ if other not in env for word in ("-u", other)]  # noqa: TID251
    argv = ["env", *unset, "bash", "-c", _GATE, "gate", text, name]
    child = Child(argv, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE, grace=_GRACE)
    with child:
        out, err = _Reader(child.stdout), _Reader(child.stderr)
        started(child.pid)
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(b"go\n")
                child.stdin.close()
        ended = child.wait(deadline)
        child.stop()
        stdout, stderr = out.text(), err.text()
    code = child.returncode if child.returncode is not None else _NO_START
    cut = out.cut or err.cut
    return Ended(code, stdout, stderr, child.seconds, ended is None, cut)


class _Reader:
    """Reads a pipe to its end in a thread; keeps the beginning and, beyond it, whole last lines."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._pipe = pipe
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._size = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def cut(self) -> bool:
        """Whether something was left out."""
        return self._size > _TAIL

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            while self._pipe is not None and (chunk := os.read(self._pipe.fileno(), 65536)):
                room = _HEAD - len(self._head)
                self._head += chunk[:room]
                if rest := chunk[room:]:
                    self._keep(rest)

    def _keep(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._size += len(chunk)
        while sum(map(len, self._tail)) - len(self._tail[0]) > _TAIL:
            self._tail.popleft()

    def text(self) -> str:
        """What was read; a process that left the group and holds the pipe does not hold us."""
        self._thread.join(_GRACE)
        head = self._head.decode("utf-8", "replace")
        tail = b"".join(self._tail).decode("utf-8", "replace")
        if not self.cut:
            return head + tail
        whole_lines = head.rpartition("\n")[0], tail.partition("\n")[2]
        return "\n[…]\n".join(whole_lines)


def end_leftovers(pid: int, run: str) -> int:
    """End what a killed runner left of the block with this process id; how many there were.

    Raises:
        OutcomeUnknown: something of it does not end.
    """
    left = [each for each in psutil.process_iter() if _belongs(each, pid, run)]
    for signal_them in (psutil.Process.terminate, psutil.Process.kill):
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                signal_them(each)
        _gone, alive = psutil.wait_procs(left, timeout=_GRACE)
        if not alive:
            return len(left)
    pids = ", ".join(str(each.pid) for each in alive)
    raise OutcomeUnknown(f"processes of the interrupted block do not end: {pids}; look at them")


def _belongs(process: psutil.Process, pid: int, run: str) -> bool:
    """Whether it is of that block's session: a server that went its own way is not."""
    try:
        return os.getsid(process.pid) == pid and process.environ().get(RUN_MARK) == run
    except (psutil.Error, OSError):
        return False
