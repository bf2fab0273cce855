"""How much CPU does `sre --help` cost beside the library it cannot do without?

Prints a table and, as its last line, JSON. Both commands run in turns, so that a busy machine
disturbs them alike; the median counts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
HELP = [str(BIN / "sre"), "--help"]
CLICK = [sys.executable, "-c", "import click"]
ROUNDS = 5 if os.environ.get("BENCH_QUICK") else 9


def cpu_ms(argv: list[str]) -> float:
    """User and system milliseconds of one run."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(argv)} ended with {child.returncode}")
    return 1000 * (usage.ru_utime + usage.ru_stime)


def main() -> None:
    """Warm up, measure in turns, print."""
    for argv in (HELP, CLICK):
        cpu_ms(argv)
    rounds = [(cpu_ms(HELP), cpu_ms(CLICK)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{'command':<26}{'median CPU ms':>14}{'least':>8}{'most':>8}")
    for name, column in zip(("sre --help", "import click"), zip(*rounds, strict=True), strict=True):
        print(f"{name:<26}{statistics.median(column):>14.1f}{min(column):>8.1f}{max(column):>8.1f}")
    ratios = {"help_over_click": round(ours / theirs, 3)}
    print(json.dumps({"bench": "startup", "ratios": ratios, "sizes": {}}))


if __name__ == "__main__":
    main()
