"""Does `sre loadtest` report what customers waited? Beside a server that keeps its own log."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from probe_bed import HERE

__all__ = ["constant_error", "freeze_error"]

_SERVER = HERE.parent / "tests" / "servers" / "freeze_server.py"
_RATE = 100
_SECONDS = 10


def freeze_error(folder: Path) -> float:
    """The server stands still for two seconds of ten: p95 of `response` beside the exact one.

    Exact is what the server's log says about each customer, counted from when they were due.
    """
    found, log = _run(folder, service=0.001, order="freeze 3.0 2.0\n", rate=_RATE)
    rows = sorted(tuple(map(float, line.split()[:2])) for line in log[1:])
    count = _RATE * _SECONDS
    if len(rows) != count or found["ok"] != count:
        sys.exit(f"{len(rows)} arrived and {found['ok']} went well, of {count}")
    begin = min(arrived - number / _RATE for number, (arrived, _) in enumerate(rows))
    waits = sorted(done - begin - number / _RATE for number, (_, done) in enumerate(rows))
    exact = waits[round(0.95 * count) - 1] * 1000
    return abs(float(found["response_ms"]["p95"]) - exact) / exact


def constant_error(folder: Path) -> float:
    """Each answer takes 304.9 ms: how far off is the median?"""
    found, log = _run(folder, service=0.3049, order="", rate=20)
    took = sorted(done - arrived for arrived, done in _times(log))
    exact = 1000 * took[round(0.5 * len(took)) - 1]
    return abs(float(found["service_ms"]["p50"]) - exact) / exact


def _times(log: list[str]) -> list[tuple[float, float]]:
    rows = [line.split()[:2] for line in log[1:]]
    return [(float(arrived), float(done)) for arrived, done in rows]


def _run(
    folder: Path, *, service: float, order: str, rate: int
) -> tuple[dict[str, Any], list[str]]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    log = folder / "served.log"
    argv = [sys.executable, "-I", str(_SERVER), str(log), str(service)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline().split()[1])
            for line in [order] if order else []:
                server.stdin.write(line)
                server.stdin.flush()
                server.stdout.readline()
            found = _load(folder, port, rate)
            server.stdin.write("flush\n")
            server.stdin.flush()
            server.stdout.readline()
        finally:
            server.kill()
    return found, log.read_text(encoding="utf-8").splitlines()


def _load(folder: Path, port: int, rate: int) -> dict[str, Any]:
    config, out = folder / "sre.yaml", folder / "out"
    config.write_text(
        f"version: 1\nshop: {{name: t, base_url: 'http://127.0.0.1:{port}', environment: test}}\n"
        "journeys: {home: {steps: [{name: front, get: /}]}}\nloadtests:\n"
        f"  truth: {{mix: {{home: {rate}/s}}, arrivals: uniform, "
        f"stages: [{{hold: {_SECONDS}s}}]}}\n",
        encoding="utf-8",
    )
    argv = [sys.executable, "-m", "sre", "loadtest", "run", "truth"]
    done = subprocess.run(
        [*argv, "--config", str(config), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    summary = out / "summary.json"
    if not summary.exists():
        sys.exit(f"our load test failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))["journeys"]["home"]
    return found
