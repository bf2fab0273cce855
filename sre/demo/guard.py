"""How does a server end with the process that wanted it, even after kill -9?

A guard is a small process between us and the server. It stops the server as soon as its stdin
closes or its parent is gone, and then removes the server's folder: the kernel's own signal
(PR_SET_PDEATHSIG, as in core.process) would end the server but leave 50 MB for each kill -9. The
guard's child has that signal too, in case somebody kills the guard.

The file is also the guard's program, run by path with `-I -S`: standard library alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

__all__ = ["Guarded", "remove_folder"]

_KEEP = b"k"
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.5


class _Plan(TypedDict):
    """What the guard is told, as JSON in its one argument (hence nothing secret)."""

    command: list[str]
    folder: str | None
    signal: int
    grace: float
    owner: list[int] | None
    parent: int


class Guarded:
    """A running command that does not outlive us; output goes to `log`.

    Args:
        folder: removed by the guard once the command has been stopped.
        stop_signal: asks the command to end; after `grace` seconds its group is killed.
        owner: uid and gid to run as, without supplementary groups (root only).
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        folder: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 5.0,
        owner: tuple[int, int] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._grace = grace
        plan: _Plan = {
            "command": list(command),
            "folder": str(folder) if folder else None,
            "signal": int(stop_signal),
            "grace": grace,
            "owner": list(owner) if owner else None,
            "parent": os.getpid(),
        }
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, json.dumps(plan)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """The command's exit status once it has ended, else None."""
        return self._guard.poll()

    def wait(self, timeout: float) -> int:
        """The command's exit status; raises subprocess.TimeoutExpired."""
        return self._guard.wait(timeout)

    def stop(self, *, keep_folder: bool = False) -> None:
        """End the command and wait for it. Idempotent."""
        pipe = self._guard.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                if keep_folder:
                    pipe.write(_KEEP)
                pipe.close()
        try:
            self._guard.wait(self._grace + 5)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()


def remove_folder(folder: Path, within: float = 2.0) -> bool:
    """True once the folder is gone; a server that is just ending may still write into it."""
    end = time.monotonic() + within
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.05)


def main(plan_text: str) -> int:
    """The guard's program: run the command, watch the parent, clean up."""
    plan: _Plan = json.loads(plan_text)
    wake = _wake_on_signals()
    child = _spawn(plan)
    keep, orphaned = _watch(child, wake, plan["parent"])
    if orphaned:
        _end(child, plan["signal"], plan["grace"])
        if plan["folder"] and not keep and not remove_folder(Path(plan["folder"])):
            sys.stderr.write(f"left behind: {plan['folder']}\n")
    code = child.returncode
    return code if code >= 0 else 128 - code


def _wake_on_signals() -> int:
    """A file descriptor that becomes readable when a child ends or somebody wants us to end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reader


def _spawn(plan: _Plan) -> subprocess.Popen[bytes]:
    guard = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def die_with_the_guard() -> None:
        # After the change of user: that change would clear the setting.
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, plan["signal"], 0, 0, 0)
        if os.getppid() != guard:
            os._exit(1)

    uid, gid = plan["owner"] or (None, None)
    return subprocess.Popen(
        plan["command"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        user=uid,
        group=gid,
        extra_groups=[] if plan["owner"] else None,
        umask=0o077,
        preexec_fn=die_with_the_guard,  # noqa: PLW1509  the guard has one thread
    )


def _watch(child: subprocess.Popen[bytes], wake: int, parent: int) -> tuple[bool, bool]:
    """(keep the folder?, must we end the child?) once the child or the parent has ended."""
    keep = False
    while child.poll() is None:
        ready, _, _ = select.select([0, wake], [], [], _POLL_SECONDS)
        if 0 in ready:
            order = os.read(0, 1)
            keep = keep or order == _KEEP
            if not order:
                return keep, True
        if wake in ready and set(os.read(wake, 64)) - {signal.SIGCHLD}:
            return keep, True
        if os.getppid() != parent:
            return keep, True
    return keep, False


def _end(child: subprocess.Popen[bytes], number: int, grace: float) -> None:
    child.send_signal(number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(grace)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
