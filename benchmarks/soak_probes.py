"""Do ten thousand HTTP probes a minute stay on time for ten minutes, on one core and in 400 MiB?

    python benchmarks/soak_probes.py [--targets 10000] [--every 60] [--minutes 10]

Starts a small HTTP server that notes when each target is asked, and `sre probe serve` pinned to
processor 0 (`--anywhere`: not pinned), scraped each 15 s as Prometheus does. Tells: starts per
second, drift (how far the last start of each target is from its first plus whole intervals), lag,
skips, memory, CPU, and the cost of a scrape. Its last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
SCRAPE_EVERY = 15.0


class _Asked(asyncio.Protocol):
    """Answers GET /t/NUMBER and notes when it came."""

    def __init__(self, times: list[array[float]]) -> None:
        self.times = times
        self.seen = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.seen += data
        if b"\r\n\r\n" not in self.seen:
            return
        path = self.seen.split(b" ", 2)[1]
        self.seen = b""
        if path.startswith(b"/t/"):
            self.times[int(path[3:])].append(now)
        self.transport.write(ANSWER)


async def serve(targets: int) -> None:
    """The server: says its port, and what it noted once its input ends."""
    times = [array("d") for _ in range(targets)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Asked(times), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps([list(each) for each in times]), flush=True)


@dataclass
class Observed:
    """What was seen while it ran."""

    rss: list[int] = field(default_factory=list)
    scrapes: list[float] = field(default_factory=list)
    cpu: float = 0.0
    seconds: float = 0.0
    text: str = ""


def declare(home: Path, port: int, targets: int, every: float) -> None:
    """A declaration with so many targets."""
    lines = ["version: 1", f'shop: {{name: soak, base_url: "http://127.0.0.1:{port}"}}', "probes:"]
    lines += [
        f"  - {{name: target_{n:05d}, kind: http, url: /t/{n}, every: {every:g}s, "
        "expect: {status: 200}}"
        for n in range(targets)
    ]
    (home / "sre.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def watch(url: str, process: psutil.Process, seconds: float) -> Observed:
    """Scrape and measure for so long."""
    found = Observed()
    began, cpu_began = time.monotonic(), _cpu(process)
    next_scrape = began + SCRAPE_EVERY
    while (now := time.monotonic()) < began + seconds:
        found.rss.append(process.memory_info().rss)
        if now >= next_scrape:
            next_scrape += SCRAPE_EVERY
            found.text, cost = scrape(url, process, (_cpu(process) - cpu_began) / (now - began))
            found.scrapes.append(cost)
        time.sleep(0.5)
    found.seconds = time.monotonic() - began
    found.cpu = _cpu(process) - cpu_began
    return found


def scrape(url: str, process: psutil.Process, rate: float) -> tuple[str, float]:
    """The text, and the CPU seconds beyond what probing would have taken meanwhile."""
    import gzip

    request = urllib.request.Request(f"{url}/metrics", headers={"Accept-Encoding": "gzip"})
    began, before = time.monotonic(), _cpu(process)
    with urllib.request.urlopen(request, timeout=30) as answer:
        packed = answer.read()
    spent = _cpu(process) - before - rate * (time.monotonic() - began)
    return gzip.decompress(packed).decode(), max(0.0, spent)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def report(times: list[list[float]], seen: Observed, every: float) -> dict[str, float]:
    """The figures."""
    asked = [each for each in times if len(each) > 1]
    drift = [abs(one[-1] - one[0] - round((one[-1] - one[0]) / every) * every) for one in asked]
    gaps = [abs(b - a - every) for one in asked for a, b in itertools.pairwise(one)]
    starts = [moment for one in times for moment in one]
    first = min(starts) + every  # after the first round, which begins while it warms up
    seconds = Counter(int(moment - first) for moment in starts if moment >= first)
    full = [seconds.get(second, 0) for second in range(max(seconds, default=0))]
    lags = sorted(_values(seen.text, "sre_probe_schedule_lag_seconds"))
    failed = sum(_values(seen.text, "sre_probe_attempts_total", 'outcome="failed"'))
    return {
        "targets": len(times),
        "starts": len(starts),
        "never_asked": sum(not each for each in times),
        "starts_per_s_median": statistics.median(full or [0]),
        "starts_per_s_min": min(full, default=0),
        "starts_per_s_max": max(full, default=0),
        "drift_ms_p50": 1e3 * _at(drift, 0.5),
        "drift_ms_max": 1e3 * max(drift, default=0.0),
        "interval_error_ms_p99": 1e3 * _at(gaps, 0.99),
        "interval_error_ms_max": 1e3 * max(gaps, default=0.0),
        "lag_ms_p50": 1e3 * _at(lags, 0.5),
        "lag_ms_p99": 1e3 * _at(lags, 0.99),
        "lag_ms_max": 1e3 * max(lags, default=0.0),
        "skipped": sum(_values(seen.text, "sre_probe_schedule_skipped_total")),
        "failed": failed,
        "rss_mib_max": max(seen.rss, default=0) / 2**20,
        "cpu_share": seen.cpu / max(seen.seconds, 1e-9),
        "scrape_cpu_ms_median": 1e3 * statistics.median(seen.scrapes or [0.0]),
        "scrape_cpu_ms_max": 1e3 * max(seen.scrapes, default=0.0),
    }


def _at(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _values(text: str, name: str, having: str = "") -> list[float]:
    lines = (line for line in text.splitlines() if line.startswith(f"{name}{{"))
    return [float(line.rpartition(" ")[2]) for line in lines if having in line]


def soak(targets: int, every: float, seconds: float, *, pinned: bool = True) -> dict[str, float]:
    """Run it and give the figures."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", "--targets", str(targets)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, server:
        home = Path(folder)
        declare(home, int(server.stdout.readline()), targets, every)  # type: ignore[union-attr]
        argv = [sys.executable, "-m", "sre", "probe", "serve", "--web.listen-address=127.0.0.1:0"]
        if pinned:
            argv = ["taskset", "-c", "0", *argv]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with (home / "log").open("w") as log:
            service = subprocess.Popen(
                argv, cwd=home, env=env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            line = service.stdout.readline()  # type: ignore[union-attr]
            if not line.startswith("listening on "):
                sys.exit(f"it did not start: {(home / 'log').read_text()}")
            seen = watch(line.split()[-1], psutil.Process(service.pid), seconds)
        finally:
            service.terminate()
            service.wait(30)
        told, _ = server.communicate("", timeout=120)
    return report(json.loads(told), seen, every)


def main() -> None:
    """Read the command line, soak, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--anywhere", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.targets))
        return
    found = soak(given.targets, given.every, given.minutes * 60, pinned=not given.anywhere)
    for name, value in found.items():
        print(f"{name:<24}{value:>12.1f}" if name != "cpu_share" else f"{name:<24}{value:>12.3f}")
    print(json.dumps({"bench": "soak-probes", "ratios": {}, "sizes": found}))


if __name__ == "__main__":
    main()
