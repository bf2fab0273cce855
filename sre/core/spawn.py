"""How does a child process start so that it cannot outlive us?

The kernel's parent-death signal fires when the *thread* that forked ends, so all children are
forked by one thread that lives as long as the process. It is also cleared by a change of user,
hence set after it, in the last step before exec.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sre.core.errors import Refused, UsageError
from sre.core.secrets import redactor

__all__ = ["spawn"]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

Popen = subprocess.Popen


def spawn(argv: Sequence[str], *, on_parent_death: int, **options: Any) -> Popen[bytes]:
    """Start `argv` in a session of its own; `options` are Popen's.

    Raises:
        Refused: a revealed secret stands in the arguments, where every user could read it.
        UsageError: the program or the folder does not exist or may not be used.
    """
    _check(argv)
    last_step = _last_step(on_parent_death)

    def start() -> Popen[bytes]:
        # preexec_fn is risky beside threads; this one is a single prctl, loaded beforehand
        return Popen(list(argv), start_new_session=True, preexec_fn=last_step, **options)

    try:
        return _forker.call(start)
    except OSError as error:
        folder = options.get("cwd")
        in_folder = folder is not None and str(error.filename) == str(folder)
        what = f"folder {str(folder)!r}" if in_folder else f"program {argv[0]!r}"
        raise UsageError(f"cannot use the {what}: {error.strerror}; {_cure(error)}") from error


def _cure(error: OSError) -> str:
    absent = isinstance(error, FileNotFoundError)
    return "make it, or install it and put it on PATH" if absent else "check its permissions"


def _check(argv: Sequence[str]) -> None:
    if not argv or not all(argv[:1]):
        raise UsageError("cannot start an empty command; name a program")
    for position, argument in enumerate(argv):
        if redactor.mask(argument) != argument:
            raise Refused(
                f"a secret stands in argument {position} of {redactor.mask(argv[0])}; "
                "pass it by environment, standard input or file"
            )


def _last_step(on_parent_death: int) -> Callable[[], None] | None:
    if _LIBC is None or not on_parent_death:
        return None
    parent, prctl, kill = os.getpid(), _LIBC.prctl, signal.SIGKILL

    def bind_to_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, on_parent_death, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), kill)

    return bind_to_parent


class _Forker:
    """One daemon thread that runs what it is handed, in order."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def call(self, function: Callable[[], Popen[bytes]]) -> Popen[bytes]:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="fork", daemon=True)
                self._thread.start()
        job = _Job(function)
        self._work.put(job)
        job.done.wait()
        if job.error is not None:
            raise job.error
        assert job.result is not None  # noqa: S101  either way, for the type checker
        return job.result

    def _serve(self) -> None:
        while True:
            self._work.get().run()


class _Job:
    def __init__(self, function: Callable[[], Popen[bytes]]) -> None:
        self.function = function
        self.done = threading.Event()
        self.result: Popen[bytes] | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            self.error = error
        finally:
            self.done.set()


_forker = _Forker()


def _after_fork() -> None:
    global _forker  # noqa: PLW0603  threads do not survive a fork
    _forker = _Forker()


os.register_at_fork(after_in_child=_after_fork)
