"""How does a test start a real program and be sure that nothing of it is left afterwards?"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.servers.net import missing

__all__ = ["child", "clean_environment", "program"]


def program(*names: str) -> str:
    """The path of the first of these programs that is installed; else skips, or fails in CI."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    return missing(" or ".join(names))


def clean_environment(home: Path) -> dict[str, str]:
    """This environment without proxies, with every personal folder inside `home`."""
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")
    mine = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    folders = ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
    return mine | dict.fromkeys(folders, str(home)) | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


@contextlib.contextmanager
def child(
    argv: Sequence[str],
    *,
    home: Path,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    pipes: bool = False,
    grace: float = 5.0,
) -> Iterator[subprocess.Popen[str]]:
    """Run `argv` in a process group of its own, ended as a group; its words are in home/log.

    With `pipes`, stdin and stdout are line pipes for a dialogue and only stderr is logged.
    It is asked to stop with SIGTERM and, after `grace` seconds, killed.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [*_dies_with_us(), *argv],
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else log,
            stderr=log,
            cwd=home,
            env=clean_environment(home) | dict(env or {}),
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            text=True,
            bufsize=1,
        )
    try:
        yield process
    finally:
        _end(process, grace)


def _dies_with_us() -> list[str]:
    """The prefix by which the kernel ends the program even when the tests are killed with -9.

    It is bound to the thread that starts the program: start it from one that lives on.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _end(process: subprocess.Popen[str], grace: float) -> None:
    """Ask, wait, then kill; helpers of the group go too, whoever of them is left."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait(5)


def _signal_group(group: int, which: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, which)
