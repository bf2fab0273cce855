"""What does a request of our load generator cost, and how true is it, beside Locust and autocannon?

CPU seconds of the generating process alone; turn about, medians over pairs. Prints a table and, as
its last line, JSON: ratios of ours over theirs, smaller is better. BENCH_QUICK=1: fewer rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import load_bed
import load_truth

QUICK = bool(os.environ.get("BENCH_QUICK"))
ROUNDS = 1 if QUICK else 4
TURNS = 8

Pair = tuple[float, float]
"""Ours, theirs: microseconds of CPU for a request."""


def journey(bed: load_bed.Bed) -> list[Pair]:
    """Seven steps with checks and extractions, 20 customers at a time."""
    mine, theirs = load_bed.ours(bed, "buy"), load_bed.locust(bed, "Buyer")
    return load_bed.compare(bed, mine, theirs, TURNS)


def plain(bed: load_bed.Bed) -> list[Pair]:
    """A page of 2 KB over and over, 20 customers at a time."""
    mine, theirs = load_bed.ours(bed, "page"), load_bed.autocannon(bed, "/page")
    return load_bed.compare(bed, mine, theirs, TURNS)


def plain_locust(bed: load_bed.Bed) -> list[Pair]:
    """The same page beside FastHttpUser."""
    mine, theirs = load_bed.ours(bed, "page"), load_bed.locust(bed, "Page")
    return load_bed.compare(bed, mine, theirs, TURNS)


MEASURES: dict[str, tuple[str, Callable[[load_bed.Bed], list[Pair]]]] = {
    "journey_cpu_over_fasthttpuser": ("FastHttpUser", journey),
    "plain_cpu_over_autocannon": ("autocannon", plain),
    "plain_cpu_over_fasthttpuser": ("FastHttpUser", plain_locust),
}


def main() -> None:
    """Measure in turns, print."""
    rounds: dict[str, list[Pair]] = {name: [] for name in MEASURES}
    errors: dict[str, list[float]] = {"freeze_p95_error": [], "constant_p50_error": []}
    with tempfile.TemporaryDirectory() as folder, load_bed.bed(Path(folder)) as bed:
        for _ in range(ROUNDS):
            for name, (_, measure) in MEASURES.items():
                rounds[name] += measure(bed)
        for _ in range(1 if QUICK else 3):
            errors["freeze_p95_error"].append(load_truth.freeze_error(Path(folder) / "freeze"))
        errors["constant_p50_error"].append(load_truth.constant_error(Path(folder) / "constant"))
    print(f"{'measure':<32}{'us CPU':>9}{'theirs':>9}{'ratio':>8}  peer, and of each pair")
    ratios = {}
    for name, (peer, _) in MEASURES.items():
        mine, theirs = (statistics.median(column) for column in zip(*rounds[name], strict=True))
        each = [one / other for one, other in rounds[name]]
        ratios[name] = round(statistics.median(each), 3)
        shown = " ".join(f"{one:.2f}" for one in each)
        print(f"{name:<32}{mine:>9.1f}{theirs:>9.1f}{ratios[name]:>8.3f}  {peer}: {shown}")
    for name, found in errors.items():
        ratios[name] = round(statistics.median(found), 4)
        print(f"{name:<32}{'':>18}{ratios[name]:>8.4f}  {' '.join(f'{e:.4f}' for e in found)}")
    sizes = {"pairs": ROUNDS * TURNS, "customers": load_bed.USERS, "steps": 7, "page_bytes": 2048}
    print(json.dumps({"bench": "load", "ratios": ratios, "sizes": sizes}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
