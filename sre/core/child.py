"""How does a program run beside us, and how does it surely end?"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from sre.core.clock import Deadline
from sre.core.errors import Transient
from sre.core.spawn import spawn

__all__ = ["PIPE", "Child", "Sink"]

PIPE = subprocess.PIPE
Sink = Callable[[str], None] | Path | IO[Any] | int | None
"""Where output goes: a function called with each line (in a thread), a file to append to, an open
file or descriptor, PIPE (read `child.stdout` yourself), or None: away."""

_LAST_WORDS = 0.5
_SWEEP_SECONDS = 2.0
_LOST = 255


class Child:
    """A program that runs beside us; a context manager that stops it on the way out.

    Stopping sends SIGTERM to its group, waits `grace` seconds, then sends SIGKILL.
    """

    def __init__(  # noqa: PLR0913  each is one property of a process
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        user: str | int | None = None,
        stdin: IO[Any] | int | None = None,
        stdout: Sink = None,
        stderr: Sink = None,
        pass_fds: Sequence[int] = (),
        grace: float = 5.0,
        on_parent_death: int = signal.SIGKILL,
    ) -> None:
        self._argv, self._grace, self._on_parent_death = tuple(argv), grace, on_parent_death
        self._sinks = (stdout, stderr)
        self._options: dict[str, Any] = {
            "env": {**os.environ, **(env or {})},
            "cwd": cwd,
            **_identity(user),
            "stdin": subprocess.DEVNULL if stdin is None else stdin,
            "pass_fds": tuple(pass_fds),
        }
        self._popen: subprocess.Popen[bytes] | None = None
        self._readers: list[threading.Thread] = []
        self._reaping = threading.RLock()
        self._started = 0.0
        self.returncode: int | None = None
        self.seconds = 0.0
        self.cpu = 0.0

    def start(self) -> Self:
        """Start it (entering the context does). Raises UsageError, Refused."""
        opened: list[IO[bytes]] = []
        try:
            streams = [_opened(sink, opened) for sink in self._sinks]
            self._started = time.monotonic()
            self._popen = spawn(
                self._argv,
                on_parent_death=self._on_parent_death,
                stdout=streams[0],
                stderr=streams[1],
                **self._options,
            )
        finally:
            for file in opened:
                file.close()
        for sink, pipe in zip(self._sinks, (self.stdout, self.stderr), strict=True):
            if callable(sink) and pipe is not None:
                reader = threading.Thread(target=_lines, args=(pipe, sink), daemon=True)
                reader.start()
                self._readers.append(reader)
        return self

    def __enter__(self) -> Self:
        return self if self._popen else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise RuntimeError("the child has not been started")
        return self._popen

    @property
    def pid(self) -> int:
        """Its process id, also the id of its group and session."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes] | None:
        """The pipe to its standard input, when it was made with PIPE."""
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        """The pipe from its standard output, when it was made with PIPE."""
        return self._process.stdout

    @property
    def stderr(self) -> IO[bytes] | None:
        """The pipe from its standard error, when it was made with PIPE."""
        return self._process.stderr

    def poll(self) -> int | None:
        """Its return code, None while it runs."""
        return self._exited(0.0)

    def wait(self, deadline: Deadline) -> int | None:
        """Wait for its end; None when the deadline passes first (it keeps running).

        What it said last has then reached the callables that read it; a daemon that still holds
        its pipes is not waited for.
        """
        code = self._exited(deadline.left())
        if code is not None:
            for reader in self._readers:
                reader.join(_LAST_WORDS)
        return code

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to it (or to its whole group); nothing happens once it has ended."""
        with self._reaping:
            if self.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    (os.killpg if group else os.kill)(self.pid, number)

    def stop(self, grace: float | None = None) -> int:
        """End it and its group, politely first. Idempotent. Returns its return code."""
        if self.returncode is None and self._exited(0.0) is None:
            self.signal(signal.SIGTERM, group=True)
            if self._exited(self._grace if grace is None else grace) is None:
                self.signal(signal.SIGKILL, group=True)
                self._exited(_SWEEP_SECONDS)
        if self.returncode is None:
            raise Transient(f"{self._argv[0]} (pid {self.pid}) does not die; look at its state")
        for reader in self._readers:
            reader.join(_SWEEP_SECONDS)
        return self.returncode

    def _exited(self, seconds: float) -> int | None:
        if self.returncode is None and _has_exited(self.pid, seconds):
            with self._reaping:
                if self.returncode is None:
                    self._reap()
        return self.returncode

    def _reap(self) -> None:
        """Sweep its group while its id is still ours, then collect it and what it cost."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.seconds = time.monotonic() - self._started
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:  # collected behind our back; how it ended is lost
            code = _LOST
        else:
            self.cpu = usage.ru_utime + usage.ru_stime
            code = os.waitstatus_to_exitcode(status)
        self.returncode = self._process.returncode = code


def _identity(user: str | int | None) -> dict[str, Any]:
    """Popen's options to become `user`, with that user's group and no others."""
    if user is None:
        return {}
    if isinstance(user, int):
        return {"user": user, "group": _group_of(user), "extra_groups": []}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _group_of(uid: int) -> int:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_gid
    return uid


def _opened(sink: Sink, opened: list[IO[bytes]]) -> Any:
    if sink is None:
        return subprocess.DEVNULL
    if isinstance(sink, Path):
        opened.append(sink.open("ab"))
        return opened[-1]
    return PIPE if callable(sink) else sink


def _has_exited(pid: int, seconds: float) -> bool:
    """Wait without collecting the child. True as well when somebody else has collected it."""
    end = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        poller = _poller(pid, stack) if seconds > 0 else None
        while True:
            try:
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                    return True
            except ChildProcessError:
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            if poller is not None:
                poller.poll(left * 1000)
            else:
                time.sleep(min(left, 0.01))


def _poller(pid: int, stack: contextlib.ExitStack) -> select.poll | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, descriptor)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return poller


def _lines(pipe: IO[bytes], sink: Callable[[str], None]) -> None:
    with contextlib.suppress(ValueError):  # closed under us
        for line in pipe:
            sink(line.decode("utf-8", "replace").rstrip("\r\n"))
