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
from dataclasses import dataclass
from pathlib import Path

import load_pages
from probe_bed import CORES, HERE, cpu_of, free_port, need

GENERATOR, SERVER = CORES[0], CORES[-1]
USERS = 20
WARM = 1.5
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


@dataclass(frozen=True)
class Cost:
    """Microseconds of CPU for a request, and requests a second of wall time."""

    cpu_us: float
    per_second: float


def ours(bed: Bed, journey: str, seconds: float, users: int = USERS) -> Cost:
    """`sre loadtest run` with one worker, closed, so that it is never idle."""
    config, out = bed.folder / "sre.yaml", bed.folder / "out"
    hold = seconds + WARM + 60
    config.write_text(
        f"version: 1\nshop: {{name: bench, base_url: '{bed.url}', environment: test}}\n"
        f"{load_pages.JOURNEYS}\nloadtests:\n  bench: {{users: {users}, journeys: [{journey}], "
        f"stages: [{{hold: {hold:.0f}s}}]}}\n",
        encoding="utf-8",
    )
    shutil.rmtree(out, ignore_errors=True)
    argv = [sys.executable, "-m", "sre", "loadtest", "run", "bench", "--workers", "1"]
    argv += ["--config", str(config), "--out", str(out)]
    with _running(argv, bed.folder / "ours.log") as runner:
        _until(lambda: bool(_children(runner.pid)), "no worker was started")
        cost = _steady(bed, _children(runner.pid)[0], seconds)
        runner.send_signal(signal.SIGTERM)
        runner.wait(60)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    outcomes = summary["journeys"][journey]
    if outcomes["failed"] or not outcomes["ok"]:
        sys.exit(f"journeys of ours failed: {outcomes}")
    return cost


def locust(bed: Bed, user: str, seconds: float, users: int = USERS) -> Cost:
    """Locust itself, headless, with the locustfile that a person would write."""
    argv = [sys.executable, "-m", "locust", "-f", str(HERE / "load_locustfile.py"), "--headless"]
    argv += ["-u", str(users), "-r", str(users), "-t", f"{seconds + WARM + 4:.0f}s", "-H", bed.url]
    argv += ["--only-summary", user]
    with _running(argv, bed.folder / "locust.log") as runner:
        cost = _steady(bed, runner.pid, seconds)
        if runner.wait(60):
            sys.exit(f"Locust failed: {(bed.folder / 'locust.log').read_text()[-2000:]}")
    return cost


def autocannon(bed: Bed, path: str, seconds: float, users: int = USERS) -> Cost:
    """autocannon on one page."""
    program = _autocannon()
    argv = [need("node", "nodejs"), str(program), "-j", "-c", str(users)]
    argv += ["-d", f"{seconds + WARM + 3:.0f}", f"{bed.url}{path}"]
    with _running(argv, bed.folder / "autocannon.log") as runner:
        cost = _steady(bed, runner.pid, seconds)
        runner.wait(60)
    said = (bed.folder / "autocannon.log").read_text(encoding="utf-8")
    found = json.loads(said[said.index("{") : said.rindex("}") + 1])
    if found["errors"] or found["non2xx"] or not found["2xx"]:
        sys.exit(f"autocannon failed: {found}")
    return cost


def _autocannon() -> Path:
    folder = _CACHE / "node"
    program = folder / "node_modules" / "autocannon" / "autocannon.js"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        argv = [need("npm", "npm"), "install", "--silent", "--ignore-scripts", "--no-audit"]
        subprocess.run([*argv, "--prefix", str(folder), "autocannon"], cwd=folder, check=True)
    return program


def _steady(bed: Bed, pid: int, seconds: float) -> Cost:
    first = bed.counts()[0]
    _until(lambda: bed.counts()[0] > first + 100, "the generator sends nothing", 60)
    time.sleep(WARM)
    cpu, began, (count, _) = cpu_of(pid), time.monotonic(), bed.counts()
    time.sleep(seconds)
    used, took, (ended, bad) = cpu_of(pid) - cpu, time.monotonic() - began, bed.counts()
    if bad:
        sys.exit(f"{bad} requests were for no page of the shop")
    return Cost(1e6 * used / (ended - count), (ended - count) / took)


@contextlib.contextmanager
def _running(argv: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as said:
        child = subprocess.Popen(
            [*_on(GENERATOR), *argv], cwd=log.parent, stdout=said, stderr=subprocess.STDOUT
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
