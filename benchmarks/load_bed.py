"""On what are load generators measured? A canned shop in C, each generator on the other core.

CPU seconds (user and system) of the generating process in its steady state, over the requests that
the server counted in the same stretch: start-up and reports are left out for everybody.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import load_pages
from probe_bed import CORES, HERE, free_port, need

GENERATOR, SERVER = CORES[0], CORES[-1]
USERS = 20
_WARM, _SETTLE, _TURN = 1.5, 0.1, 0.6
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sre-bench"


@dataclass
class Bed:
    """The canned shop, running, in a folder of its own."""

    folder: Path
    url: str

    def counts(self) -> tuple[int, int]:
        """Requests so far, and those that no page answered."""
        found = json.load(urllib.request.urlopen(f"{self.url}/count"))
        return found["requests"], found["bad"]


@contextlib.contextmanager
def bed(folder: Path) -> Iterator[Bed]:
    """Build and start the canned shop."""
    program, port = folder / "load_server", free_port()
    subprocess.run([need("cc", "gcc"), "-O2", "-o", program, HERE / "load_server.c"], check=True)
    load_pages.write(folder / "pages")
    argv = [*_on(SERVER), str(program), str(port), str(folder / "pages")]
    with subprocess.Popen(argv) as server:
        made = Bed(folder, f"http://127.0.0.1:{port}")
        try:
            _until(lambda: _answers(made), "the canned shop does not listen")
            yield made
        finally:
            server.kill()


Generator = AbstractContextManager[int]
"""Sends as fast as it can while it is open; gives the process that sends, which is stopped."""


@contextlib.contextmanager
def ours(bed: Bed, journey: str) -> Iterator[int]:
    """`sre loadtest run` with one worker, closed, so that it is never idle."""
    folder = bed.folder / f"ours-{journey}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "sre.yaml").write_text(
        f"version: 1\nshop: {{name: bench, base_url: '{bed.url}', environment: test}}\n"
        f"{load_pages.JOURNEYS}\nloadtests:\n  bench: {{users: {USERS}, journeys: [{journey}], "
        "stages: [{hold: 10m}], caps: {requests: 1000000/s, orders: 1000000000}}\n",
        encoding="utf-8",
    )
    argv = [sys.executable, "-m", "sre", "loadtest", "run", "bench", "--workers", "1"]
    with _running([*argv, "--out", "out"], folder) as runner:
        _until(lambda: bool(_children(runner.pid)), "no worker was started")
        yield _warmed(bed, _children(runner.pid)[0])
        _end(runner, signal.SIGTERM)
    summary = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    outcomes = summary["journeys"][journey]
    if outcomes["failed"] or not outcomes["ok"]:
        sys.exit(f"journeys of ours failed: {outcomes}")


@contextlib.contextmanager
def locust(bed: Bed, user: str) -> Iterator[int]:
    """Locust itself, headless, with the locustfile that a person would write."""
    folder = bed.folder / f"locust-{user}"
    folder.mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "locust", "-f", str(HERE / "load_locustfile.py"), "--headless"]
    argv += ["-u", str(USERS), "-r", str(USERS), "-t", "10m", "-H", bed.url, "--only-summary", user]
    with _running(argv, folder) as runner:
        yield _warmed(bed, runner.pid)
        if _end(runner, signal.SIGTERM):
            sys.exit(f"Locust failed: {(folder / 'said').read_text()[-2000:]}")


@contextlib.contextmanager
def autocannon(bed: Bed, path: str) -> Iterator[int]:
    """autocannon on one page."""
    folder = bed.folder / "autocannon"
    folder.mkdir(exist_ok=True)
    argv = [need("node", "nodejs"), str(_autocannon()), "-j", "-c", str(USERS), "-d", "600"]
    with _running([*argv, f"{bed.url}{path}"], folder) as runner:
        yield _warmed(bed, runner.pid)
        if bed.counts()[1]:  # it says nothing of what it found when it is ended early
            sys.exit("autocannon asked for what is not there")


def compare(bed: Bed, mine: Generator, theirs: Generator, turns: int) -> list[tuple[float, float]]:
    """Microseconds of CPU for a request, ours and theirs, turn about.

    Both run; one of them is stopped while the other sends. So whatever else the machine does falls
    on both.
    """
    with mine as first, theirs as second:
        return [(_turn(bed, first), _turn(bed, second)) for _ in range(turns)]


def _turn(bed: Bed, pid: int) -> float:
    os.kill(pid, signal.SIGCONT)
    time.sleep(_SETTLE)
    count, cpu = bed.counts()[0], _cpu_of(pid)
    time.sleep(_TURN)
    ended, used = bed.counts()[0], _cpu_of(pid) - cpu
    os.kill(pid, signal.SIGSTOP)
    time.sleep(_SETTLE)
    return 1e6 * used / (ended - count)


def _cpu_of(pid: int) -> float:
    """User and system seconds of all threads so far."""
    used = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            used += int((task / "schedstat").read_text().split()[0])
    return used / 1e9


def _autocannon() -> Path:
    folder = _CACHE / "node"
    program = folder / "node_modules" / "autocannon" / "autocannon.js"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        argv = [need("npm", "npm"), "install", "--silent", "--ignore-scripts", "--no-audit"]
        subprocess.run([*argv, "--prefix", str(folder), "autocannon"], cwd=folder, check=True)
    return program


def _warmed(bed: Bed, pid: int) -> int:
    """Stopped, once it has sent for a while."""
    first = bed.counts()[0]
    _until(lambda: bed.counts()[0] > first + 100, "the generator sends nothing", 60)
    time.sleep(_WARM)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(_SETTLE)
    if bed.counts()[1]:
        sys.exit("requests were for no page of the shop")
    return pid


def _end(runner: subprocess.Popen[bytes], how: signal.Signals) -> int:
    for pid in (*_children(runner.pid), runner.pid):
        os.kill(pid, signal.SIGCONT)
    runner.send_signal(how)
    return runner.wait(60)


@contextlib.contextmanager
def _running(argv: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "said").open("wb") as said:
        child = subprocess.Popen(
            [*_on(GENERATOR), *argv], cwd=folder, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def _on(core: int) -> list[str]:
    return [need("taskset", "util-linux"), "-c", str(core)]


def _children(pid: int) -> list[int]:
    found = list[int]()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def _answers(made: Bed) -> bool:
    with contextlib.suppress(OSError):
        return made.counts() == (0, 0)
    return False


def _until(holds: object, trouble: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        if time.monotonic() > end:
            sys.exit(trouble)
        time.sleep(0.05)
