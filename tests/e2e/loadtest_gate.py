"""`sre loadtest` in a folder of its own, for the end-to-end tests of the gate."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.child import clean_environment

__all__ = ["GENERATOR", "HOLD", "REPORTS", "Gate", "sre"]

GENERATOR = {"achieved_rate", "lateness", "loop_lag", "cpu", "starvation", "steal"}
REPORTS = {
    "summary.json", "histograms.json", "junit.xml", "report.html", "github.md", "metrics.prom",
    "gate_stats.csv", "gate_stats_history.csv", "gate_failures.csv", "gate_exceptions.csv",
}  # fmt: skip
ONE_PAGE = "{home: {steps: [{name: front, get: /}]}}"
HOLD = "arrivals: uniform, stages: [{hold: %s}]"


@dataclass
class Gate:
    """`sre loadtest` in a folder of its own."""

    folder: Path
    out: Path

    def declare(self, url: str, test: str, journeys: str = ONE_PAGE, **shop: str) -> None:
        lines = "".join(
            f", {key}: {value}" for key, value in ({"environment": "test"} | shop).items()
        )
        allow = url.removeprefix("http://")
        (self.folder / "sre.yaml").write_text(
            f'version: 1\nshop: {{name: t, base_url: "{url}"{lines}}}\n'
            f'targets: {{allow: ["{allow}"]}}\njourneys: {journeys}\n'
            f"loadtests:\n  gate: {{{test}}}\n",
            encoding="utf-8",
        )

    def start(self, *more: str, before: tuple[str, ...] = (), **env: str) -> subprocess.Popen[str]:
        argv = [*before, sys.executable, "-m", "sre", "loadtest", "run", "gate", "--out", self.out]
        return subprocess.Popen(
            [*map(str, argv), *more],
            cwd=self.folder,
            env=clean_environment(self.folder) | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *more: str, before: tuple[str, ...] = (), **env: str) -> tuple[int, str, str]:
        with self.start(*more, before=before, **env) as process:
            said, complained = process.communicate(timeout=90)
        return process.returncode, said, complained

    def run_soundly(self, *more: str, **env: str) -> tuple[int, str, str]:
        """Run again, twice at most, when this machine was too busy to measure on."""
        for _ in range(3):
            code, said, complained = self.run(*more, **env)
            if not GENERATOR & self.doubts:
                break
        return code, said, complained

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "summary.json").read_text(encoding="utf-8"))
        return found

    @property
    def doubts(self) -> set[str]:
        if not (self.out / "summary.json").exists():
            return set()
        return {reason["code"] for reason in self.summary["validity"]["reasons"]}

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.out.iterdir()}


def sre(gate: Gate, *argv: str) -> subprocess.CompletedProcess[str]:
    """Any command, in the folder of the gate."""
    return subprocess.run(
        [sys.executable, "-m", "sre", *argv],
        cwd=gate.folder,
        env=clean_environment(gate.folder),
        capture_output=True,
        text=True,
        timeout=60,
    )
