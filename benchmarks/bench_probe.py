"""What does an HTTP probe of ours cost, and how true is it, beside blackbox_exporter's?

CPU seconds of the probing process alone; pairs in turns, medians. Prints a table and, as its last
line, JSON: ratios of ours over theirs, smaller is better. BENCH_QUICK=1 takes fewer rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import probe_bed

QUICK = bool(os.environ.get("BENCH_QUICK"))
ROUNDS = 3 if QUICK else 7
SECONDS = 2 if QUICK else 4
DELAY_MS = 20.0

Pair = tuple[float, float]
"""Ours, theirs."""


def http_cpu(bed: probe_bed.Bed) -> Pair:
    """A new connection each, 50 in flight, 2 KB page; GOMAXPROCS=1."""
    mine = probe_bed.ours("closed", bed.http, "--probes", 50, "--count", 4000)["cpu_us"]
    with bed.blackbox(procs=1) as (child, port):
        return mine, probe_bed.theirs_closed(child, port, "http_2xx", bed.http, SECONDS)


def http_cpu_100s(bed: probe_bed.Bed) -> Pair:
    """100 probes a second, on the timetable; the target answers after 1 ms; GOMAXPROCS=1."""
    url, count = f"{bed.delay}1000", 400 if QUICK else 800
    argv = ("paced", url, "--probes", 100, "--count", count, "--warm", 150)
    mine = probe_bed.ours(*argv)["cpu_us"]
    with bed.blackbox(procs=1) as (child, port):
        asked = probe_bed.theirs_asked(child, port, url, count=count, most=10, rate=100)
        return mine, asked.cpu_us


def https_cpu(procs: int | None) -> Callable[[probe_bed.Bed], Pair]:
    """Full handshakes, verified, expiry read, 50 in flight."""

    def measure(bed: probe_bed.Bed) -> Pair:
        argv = ("closed", bed.https, "--probes", 50, "--count", 1200, "--ca", bed.ca)
        mine = probe_bed.ours(*argv)["cpu_us"]
        with bed.blackbox(procs=procs) as (child, port):
            return mine, probe_bed.theirs_closed(child, port, "https_ca", bed.https, SECONDS)

    return measure


def error_p50_idle(bed: probe_bed.Bed) -> Pair:
    """Milliseconds over a known delay of 20 ms; 100 probes a second."""
    url, count = f"{bed.delay}{DELAY_MS * 1000:.0f}", 300 if QUICK else 600
    argv = ("paced", url, "--probes", 100, "--count", count)
    mine = probe_bed.ours(*argv, real_time=True)["p50_ms"] - DELAY_MS
    with bed.blackbox(procs=1) as (child, port):
        probe_bed.foreground([child.pid])
        asked = probe_bed.theirs_asked(child, port, url, count=count, most=20, rate=100)
        return mine, asked.p50_ms - DELAY_MS


def error_p50_saturated(bed: probe_bed.Bed) -> Pair:
    """The same with 200 always in flight."""
    url, count = f"{bed.delay}{DELAY_MS * 1000:.0f}", 3000
    argv = ("closed", url, "--probes", 200, "--count", count, "--warm", 400)
    mine = probe_bed.ours(*argv)["p50_ms"] - DELAY_MS
    with bed.blackbox(procs=1) as (child, port):
        asked = probe_bed.theirs_asked(child, port, url, count=count, most=200, rate=0)
        return mine, asked.p50_ms - DELAY_MS


def burning(bed: probe_bed.Bed) -> Pair:
    """Ours with another thread of the process computing, and without; milliseconds over 20."""
    url = f"{bed.delay}{DELAY_MS * 1000:.0f}"
    argv = ("paced", url, "--probes", 100, "--count", 200 if QUICK else 400)
    loud = probe_bed.ours(*argv, "--burn")["p50_ms"] - DELAY_MS
    return loud, probe_bed.ours(*argv)["p50_ms"] - DELAY_MS


MEASURES: dict[str, tuple[str, Callable[[probe_bed.Bed], Pair]]] = {
    "http_cpu": ("us CPU", http_cpu),
    "http_cpu_100s": ("us CPU", http_cpu_100s),
    "https_cpu_default": ("us CPU", https_cpu(None)),
    "https_cpu_best": ("us CPU", https_cpu(1)),
    "error_p50_idle": ("ms", error_p50_idle),
    "error_p50_saturated": ("ms", error_p50_saturated),
}


def main() -> None:
    """Measure in turns, print."""
    rounds: dict[str, list[Pair]] = {name: [] for name in [*MEASURES, "burning"]}
    with tempfile.TemporaryDirectory() as folder, probe_bed.bed(Path(folder)) as bed:
        for _ in range(ROUNDS):
            for name, (_, measure) in MEASURES.items():
                rounds[name].append(measure(bed))
        rounds["burning"].append(burning(bed))
    print(f"{'measure':<22}{'unit':<8}{'ours':>10}{'blackbox':>10}{'ratio':>8}  of each round")
    ratios = {}
    for name, (unit, _) in MEASURES.items():
        mine, theirs = (statistics.median(column) for column in zip(*rounds[name], strict=True))
        each = [one / other for one, other in rounds[name]]
        ratios[name] = round(statistics.median(each), 3)
        shown = " ".join(f"{one:.2f}" for one in each)
        print(f"{name:<22}{unit:<8}{mine:>10.2f}{theirs:>10.2f}{ratios[name]:>8.3f}  {shown}")
    loud, calm = rounds["burning"][0]
    print(f"{'error while burning':<22}{'ms':<8}{loud:>10.2f}{calm:>10.2f}  (ours beside ours)")
    ratios |= metrics()
    sizes = {"rounds": ROUNDS, "page_bytes": 2048, "burning_error_ms": [loud, calm]}
    print(json.dumps({"bench": "probe", "ratios": ratios, "sizes": sizes}))


def metrics() -> dict[str, float]:
    """CPU seconds of a scrape of 10,000 probes: absolute, no peer."""
    from bench_probe_metrics import metrics_10k_cpu_s

    seconds = metrics_10k_cpu_s()
    print(f"{'metrics_10k_cpu_s':<22}{'s CPU':<8}{seconds:>10.3f}")
    return {"metrics_10k_cpu_s": round(seconds, 3)}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
