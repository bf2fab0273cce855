"""Runs of a shop that never was, with noise from run to run, for the tests of comparisons."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from sre.loadtest.book import Latency
from sre.loadtest.history.record import Kind, Record, Seen

__all__ = ["KEY", "made_record", "made_reports"]

KEY = {"journey checkout": "abc", "mix": "checkout 2/s", "seed": "1", "cpu": "Xeon", "sre": "0.1"}


def made_record(
    rng: random.Random,
    *,
    slower: float = 0.0,
    sd: float = 0.05,
    failed: float = 0.0,
    number: int = 0,
    samples: int = 200,
    **given: Any,
) -> Record:
    """One run: all its latencies move together by `sd` (that is why the run is the unit)."""
    shift = math.log1p(slower) + rng.gauss(0.0, sd)
    parts: tuple[tuple[Kind, str, float], ...] = (
        ("journey", "checkout", 0.4),
        ("step", "pay", 0.25),
        ("step", "cart", 0.1),
    )
    seen = []
    for kind, name, base in parts:
        latency = Latency()
        bad = sum(rng.random() < failed for _ in range(samples))
        for _ in range(samples - bad):
            latency.good.record(base * math.exp(shift + rng.gauss(0.0, 0.3)))
        for _ in range(bad):
            latency.failed.record(base * math.exp(shift))
        counts = {"ok": samples - bad, "failed": bad}
        seen.append(Seen(kind, "checkout", name, name, samples, counts, latency, latency))
    record = Record(
        "release", f"{number:016x}", f"2026-11-{number % 28 + 1:02}T10:00:00+00:00",
        "http://127.0.0.1:1", "staging", 1, "passed", (), 60.0, 2.0, KEY, tuple(seen),
    )  # fmt: skip
    return replace(record, **given)


def made_reports(folder: Path, record: Record) -> Path:
    """The report folder that such a run leaves behind, as far as comparisons read it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "histograms.json").write_text(json.dumps(record.to_plain()), encoding="utf-8")
    told = {"run_id": record.run_id, "verdict": record.verdict}
    (folder / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    return folder
