"""What would a load test do? (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sre.core.units import format_duration
from sre.loadtest.job import Job
from sre.loadtest.output.render import Table

__all__ = ["plan_data", "plan_text"]


def plan_data(job: Job, admitted: str | None, refused: str | None) -> dict[str, Any]:
    """What a run would do, JSON-ready (schema sre.loadtest-plan/1).

    Args:
        admitted: the pinned address; None when `refused` says why not.
    """
    return {
        "schema": "sre.loadtest-plan/1",
        "name": job.name,
        "target": job.shop.base_url,
        "environment": job.shop.environment or "not declared",
        "production": job.shop.is_production,
        "allowed": refused is None,
        "address": admitted,
        "refused": refused,
        "model": "closed" if job.test.closed else f"open, {job.test.arrivals} arrivals",
        "seed": job.test.seed,
        "seconds": job.shape.seconds,
        "warmup_seconds": float(job.test.warmup),
        "stages": [_stage(job, index) for index in range(len(job.shape.pieces))],
        "users": job.test.users,
        "arrivals": dict(job.expected),
        "requests": job.requests,
        "orders": job.orders,
        "peak_requests_per_second": round(job.peak_requests, 3),
        "workers_needed": job.workers_needed,
        "max_in_flight": job.test.max_in_flight,
        "min_samples": job.test.min_samples,
        "thresholds": list(job.test.thresholds),
    }


def _stage(job: Job, index: int) -> dict[str, Any]:
    piece = job.shape.pieces[index]
    return {
        "stage": piece.label,
        "start_seconds": piece.start,
        "seconds": piece.seconds,
        "from_per_second": {n: round(r * piece.first, 6) for n, r in job.shape.mix.items()},
        "to_per_second": {n: round(r * piece.last, 6) for n, r in job.shape.mix.items()},
        "from_percent": round(piece.first * 100, 3),
        "to_percent": round(piece.last * 100, 3),
    }


def plan_text(data: dict[str, Any], table: Table) -> str:
    """`plan_data` for people."""
    lines = [
        f"{data['name']}: {format_duration(data['seconds'])} against {data['target']} "
        f"({'production' if data['production'] else data['environment']})",
        f"target:   {_allowed(data)}",
        f"model:    {data['model']}, seed {data['seed']}",
        f"workers:  {data['workers_needed']} (500 requests/s each; the peak is "
        f"{data['peak_requests_per_second']:g}/s)",
        f"caps:     {data['max_in_flight']} journeys in flight",
        f"requests: about {data['requests']}",
        f"orders:   {data['orders'] or 'none'}",
        "",
        table(["stage", "at", "lasts", "rate"], [_stage_row(stage) for stage in data["stages"]]),
    ]
    if data["users"] is None:
        rows = [[name, count] for name, count in data["arrivals"].items()]
        lines.append(table(["journey", "arrivals"], rows, right=["arrivals"]))
    lines += [f"threshold {threshold}" for threshold in data["thresholds"]]
    return "\n".join(line.rstrip("\n") if line else "" for line in lines)


def _allowed(data: dict[str, Any]) -> str:
    if not data["allowed"]:
        return f"REFUSED: {data['refused']}"
    word = f"admitted, connects to {data['address']}"
    return f"{word}; needs --i-know-this-is-production" if data["production"] else word


def _stage_row(stage: dict[str, Any]) -> Sequence[str]:
    first, last = stage["from_percent"], stage["to_percent"]
    ends = [f"{name} {rate:g}/s" for name, rate in stage["to_per_second"].items()]
    level = f"{last:g}%" if first == last else f"{first:g}% to {last:g}%"
    rate = f"{level}: {', '.join(ends)}" if ends else level
    return [
        stage["stage"],
        format_duration(stage["start_seconds"]),
        format_duration(stage["seconds"]),
        rate,
    ]
