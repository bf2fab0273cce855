"""How is a browser started for one run, talked with, and surely ended with all its children?"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psutil

from sre.core.process import PIPE, Child

__all__ = ["AT_ONCE", "Told", "executable_path", "look", "slot"]

AT_ONCE = 2
"""Browsers at the same time in one process; one takes half a GiB."""

_SLOTS = threading.BoundedSemaphore(AT_ONCE)
_PREFIX = "sre-browser-"
_OLD = 3600.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@dataclass
class Told:
    """What the child said.

    Attributes:
        stage: the last one: `` (nothing yet), `starting`, `loading`, `done`, `lost`.
        why: of `lost`.
        starting: seconds from the driver's start to the browser being ready.
        ready_at: when that was, on the monotonic clock.
    """

    stage: str = ""
    why: str = ""
    starting: float | None = None
    ready_at: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    picture: bytes | None = None


def executable_path(named: str | None) -> str | None:
    """The browser to use; None when there is none."""
    if named is not None:
        return shutil.which(named)
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


@contextmanager
def slot(seconds: float) -> Iterator[bool]:
    """One of the few places for a browser; False when none came free in time."""
    got = _SLOTS.acquire(timeout=max(0.0, seconds))
    try:
        yield got
    finally:
        if got:
            _SLOTS.release()


def look(
    job: Mapping[str, Any],
    seconds: float,
    cancelled: threading.Event,
    wants_picture: Callable[[dict[str, Any]], bool],
) -> Told:
    """Run the child on `job` for `seconds` at most; nothing of it is left afterwards.

    The child ends itself a little earlier; one that cannot (it was stopped, say) is killed.
    """
    margin = min(1.0, seconds * 0.2)
    until = time.monotonic() + seconds - margin * 0.6
    told = Told()
    with _home() as home:
        lines: SimpleQueue[str] = SimpleQueue()
        child = Child(
            [sys.executable, "-m", "sre.probes.browser.pageload"],
            env=_environment(home),
            stdin=PIPE,
            stdout=lines.put,
            stderr=home / "log",
        )
        with child:
            try:
                _say(child, json.dumps({**job, "seconds": seconds - margin}))
                _listen(child, lines, told, until, cancelled, wants_picture)
            finally:
                _end(child)
        if told.stage == "" and not told.why and (child.returncode or 0) > 0:
            told.why = _last_line(home / "log")
    return told


def _listen(
    child: Child,
    lines: SimpleQueue[str],
    told: Told,
    until: float,
    cancelled: threading.Event,
    wants_picture: Callable[[dict[str, Any]], bool],
) -> None:
    while (left := until - time.monotonic()) > 0 and not cancelled.is_set():
        try:
            line = lines.get(timeout=min(0.1, left))
        except Empty:
            if child.poll() is not None and lines.empty():
                return
            continue
        with contextlib.suppress(ValueError):
            if _heard(child, told, json.loads(line), wants_picture):
                return


def _heard(
    child: Child,
    told: Told,
    word: dict[str, Any],
    wants_picture: Callable[[dict[str, Any]], bool],
) -> bool:
    """Take in one line; whether it was the last that matters."""
    stage = word.pop("at")
    if stage == "picture":
        told.picture = base64.b64decode(word["png"])
        return True
    if stage == "lost" and told.stage == "done":
        return True  # the picture failed; the facts are there
    told.stage = stage
    if stage == "loading":
        told.starting, told.ready_at = word["started"], time.monotonic()
    elif stage == "lost":
        told.why = word["why"]
        return True
    elif stage == "done":
        told.facts = word
        wanted = wants_picture(word)
        _say(child, "picture" if wanted else "end")
        return not wanted
    return False


def _say(child: Child, line: str) -> None:
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.write(line.encode() + b"\n")
            child.stdin.flush()


def _end(child: Child) -> None:
    """Ask it to end, which ends its descendants; what is left of them is killed from here."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(child.pid).children(recursive=True)
    child.stop(grace=0.5)
    for one in family:
        with contextlib.suppress(psutil.Error):
            one.kill()  # psutil looks at the start time: never at another process of that number


@contextmanager
def _home() -> Iterator[Path]:
    """A folder for everything that the browser writes, for its owner alone; removed afterwards.

    The certificates that its user trusts (`~/.pki`) are seen through a link.
    """
    _sweep()
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_folder()))
    try:
        with contextlib.suppress(RuntimeError, OSError):  # no home of its own
            trusted = Path.home() / ".pki"
            if trusted.is_dir():
                (home / ".pki").symlink_to(trusted)
        yield home
    finally:
        for _ in range(3):
            shutil.rmtree(home, ignore_errors=True)
            if not home.exists():
                break
            time.sleep(0.05)  # noqa: TID251  a process that was killed lets go a moment later


def _folder() -> str:
    """The temporary folder; a short one, for the path of a socket may have 107 bytes only."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= 40 or not os.access("/tmp", os.W_OK) else "/tmp"  # noqa: S108


def _sweep() -> None:
    """Folders that a killed process of ours left behind; nobody else's, and none in use."""
    for old in Path(_folder()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = old.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > _OLD:  # noqa: TID251  a file's own clock
                shutil.rmtree(old, ignore_errors=True)


def _environment(home: Path) -> dict[str, str]:
    folders = ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
    return dict.fromkeys(folders, str(home)) | {"DBUS_SESSION_BUS_ADDRESS": "disabled:"}


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
    return ""
