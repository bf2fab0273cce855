"""How much CPU does one scrape of /metrics cost with ten thousand probes?

Each probe has a histogram, its counters and phases, and ten numbers that it found. Measured in one
process, packed by gzip as Prometheus asks for it: everything changed since the scrape before, a
quarter of it (a scrape each 15 s of probes each 60 s), nothing; and the same families through
prometheus_client alone. Prints a table and, as its last line, JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import time

from prometheus_client import generate_latest

from sre.core.clock import SystemClock
from sre.core.web.coding import coded
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Row, StepResult
from sre.journey.shop import Shop
from sre.probes.kinds.tcp import TcpProbe
from sre.probes.model import Check, Gauge, Reading
from sre.probes.plan import Plan
from sre.probes.record import Record
from sre.probes.runner import Result
from sre.probes.scrape import Scrape
from sre.probes.tuning import tuned

PROBES = 10_000
FOUND = 10
ROUNDS = 3 if os.environ.get("BENCH_QUICK") else 7


class Fleet:
    """Ten thousand probes that are said to have run."""

    def __init__(self, probes: int = PROBES) -> None:
        shop = Shop("bench", "http://127.0.0.1:1")
        one = TcpProbe("127.0.0.1", 1)
        self.names = [f"target_{number:05d}" for number in range(probes)]
        checks = tuple(Check(name, "tcp", one) for name in self.names)
        self.record = Record()
        self.record.adopt(Plan(checks, shop, Guard((), shop.base_url)))
        self.scrape = Scrape(self.record, SystemClock())
        self._round = 0

    def run(self, share: float) -> None:
        """Let a share of the probes have run once more, each with other numbers."""
        self._round += 1
        for number, name in enumerate(self.names[: int(len(self.names) * share)]):
            seconds = 0.001 * (number % 97) + 0.0001 * self._round
            phases = dict.fromkeys(("resolve", "connect", "processing", "transfer"), seconds / 3)
            rows = (Row("http", Outcome.OK, seconds, phases=phases),)
            gauges = tuple(
                Gauge(f"sre_probe_bench_{found}", seconds * found, "A number.")
                for found in range(FOUND)
            )
            steps = (StepResult("http", Outcome.OK, seconds, rows=rows),)
            reading = Reading(Outcome.OK, seconds, steps=steps, gauges=gauges)
            self.record.add(Result(name, "tcp", reading, time.time()), time.time())
            self.record.lag(name, seconds / 10)


def scrape_cpu_s(fleet: Fleet) -> tuple[float, int, int]:
    """CPU seconds of one scrape, bytes of its text, bytes when packed."""
    began = time.process_time()
    blocks, _kind = fleet.scrape.answer("text/plain")
    packed, _coding = coded(blocks, "gzip")
    return time.process_time() - began, sum(map(len, blocks)), sum(map(len, packed))


def metrics_10k_cpu_s() -> float:
    """CPU seconds of one scrape of ten thousand probes that have all changed (median)."""
    return _measure(Fleet(), 1.0)[0]


def _measure(fleet: Fleet, share: float) -> tuple[float, int, int]:
    fleet.run(1.0)
    scrape_cpu_s(fleet)
    rounds = []
    with tuned():  # as the service is
        for _ in range(ROUNDS):
            fleet.run(share)
            rounds.append(scrape_cpu_s(fleet))
    return statistics.median(cost for cost, _, _ in rounds), *rounds[-1][1:]


def _by_prometheus_client(fleet: Fleet) -> float:
    began = time.process_time()
    generate_latest(fleet.scrape.registry)
    return time.process_time() - began


def main() -> None:
    """Measure and print."""
    fleet = Fleet()
    print(f"{PROBES} probes, {ROUNDS} scrapes each, with gzip; medians")
    print(f"{'changed since the last scrape':<34}{'CPU ms':>8}{'MB':>7}{'packed MB':>11}")
    found = {}
    for share in (1.0, 0.25, 0.0):
        found[share], size, packed = _measure(fleet, share)
        label = f"{share:.0%}"
        print(f"{label:<34}{found[share] * 1e3:>8.0f}{size / 1e6:>7.1f}{packed / 1e6:>11.2f}")
    theirs = _by_prometheus_client(fleet)
    print(f"{'prometheus_client, no gzip':<34}{theirs * 1e3:>8.0f}")
    sizes = {"probes": PROBES, "text_bytes": size}
    ratios = {
        "metrics_10k_cpu_s": round(found[1.0], 4),
        "metrics_10k_quarter_cpu_s": round(found[0.25], 4),
        "metrics_10k_over_prometheus_client": round(found[1.0] / theirs, 4),
    }
    print(json.dumps({"bench": "probe-metrics", "ratios": ratios, "sizes": sizes}))


if __name__ == "__main__":
    main()
