"""What would a load test do? (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sre.loadtest.guards.caps import Cap, caps_of
from sre.loadtest.guards.promise import tolerated
from sre.loadtest.guards.watchers import burn_of
from sre.loadtest.job import Job
from sre.loadtest.output.curve import levels
from sre.loadtest.output.plan_text import plan_text
from sre.loadtest.profiles import CAPACITY
from sre.loadtest.thresholds import Target, Threshold

__all__ = ["ADVISED", "plan_data", "plan_text"]

ADVISED = {"p90": 100, "p95": 200, "p99": 1000}
"""Below so many samples a percentile hangs on a handful of customers: ten are above it."""


def plan_data(
    job: Job,
    admitted: str | None,
    refused: str | None,
    *,
    cores: int | None = None,
    kill_files: Sequence[str] = (),
) -> dict[str, Any]:
    """What a run would do, JSON-ready (schema sre.loadtest-plan/1).

    Args:
        admitted: the pinned address; None when `refused` says why not.
        refused: why the run would be refused; None if it would not.
        cores: that this machine has; None: unknown.
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
        **_sent(job),
        "workers_needed": job.workers_needed,
        "cores": cores,
        "max_in_flight": job.test.max_in_flight,
        "min_samples": job.test.min_samples,
        "caps": [_cap(cap) for cap in caps_of(job)],
        "only_between": job.test.caps.only_between,
        "kill_files": list(kill_files),
        "burn": _burn(job),
        "thresholds": [_threshold(job, *declared) for declared in job.thresholds],
        "invariants": [invariant.name for invariant in job.test.invariants],
        "regression": job.test.regression is not None,
        "warnings": _warnings(job, cores),
    }


def _sent(job: Job) -> dict[str, Any]:
    return {
        "model": "closed" if job.test.closed else f"open, {job.test.arrivals} arrivals",
        "search": job.test.profile == CAPACITY,
        "seed": job.test.seed,
        "seconds": job.shape.seconds,
        "warmup_seconds": float(job.test.warmup),
        "stages": [_stage(job, index) for index in range(len(job.shape.pieces))],
        "curve": _curve(job),
        "users": job.test.users,
        "arrivals": dict(job.expected),
        "requests": None if job.test.closed else job.requests,
        "orders": None if job.test.closed and job.with_effects else job.orders,
        "peak_requests_per_second": round(job.peak_requests, 3),
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


def _curve(job: Job) -> dict[str, Any]:
    """Arrivals a second, or users; each point is the highest of its slot."""
    heights = levels(job.shape)
    full = float(job.test.users or 0) if job.test.closed else sum(job.shape.mix.values())
    return {
        "slot_seconds": job.shape.seconds / len(heights),
        "unit": "users" if job.test.closed else "arrivals/s",
        "points": [round(level * full, 4) for level in heights],
    }


def _cap(cap: Cap) -> dict[str, Any]:
    return {
        "cap": cap.key,
        "used": None if cap.used is None else round(cap.used, 3),
        "limit": cap.limit,
        "exceeded": cap.exceeded,
        "shown_used": "unknown" if cap.used is None else cap.show(cap.used),
        "shown_limit": cap.show(cap.limit),
    }


def _burn(job: Job) -> dict[str, Any] | None:
    burn = burn_of(job)
    if burn is None:
        return None
    return {
        "rate": burn.rate,
        "over_seconds": float(burn.over),
        "and_over_seconds": float(burn.and_over),
        "min_failures": burn.min_failures,
        "objectives": [
            {
                "name": promise.name,
                "of": f"{promise.journey}/{promise.step}" if promise.step else promise.journey,
                "below_seconds": promise.below,
                "limit": round(tolerated(promise.target, burn.rate), 6),
            }
            for promise in job.promises
        ],
    }


def _threshold(job: Job, threshold: Threshold, target: Target) -> dict[str, Any]:
    abort = threshold.abort
    return {
        "expression": threshold.expression,
        "stage": threshold.stage,
        "expected_samples": job.samples(threshold, target),
        "min_samples": job.min_samples(threshold),
        "advised_samples": ADVISED.get(threshold.measure, 0),
        "abort": None
        if abort is None
        else {
            "after_seconds": float(job.test.warmup) if abort.after is None else abort.after,
            "over_seconds": None if threshold.unit == "count" else abort.over,
        },
    }


def _warnings(job: Job, cores: int | None) -> list[str]:
    found = [said for declared in job.thresholds if (said := _too_few(job, *declared))]
    if not job.test.closed and not job.expected.total():
        found.append("nobody is due: the run will be invalid; raise the rate, or the time")
    if cores is not None and job.workers_needed > cores:
        found.append(
            f"the peak takes {job.workers_needed} workers, this machine has {cores} "
            f"core{'s' * (cores != 1)}: the run is likely to be invalid; use a bigger machine, or "
            "more of them"
        )
    burn = burn_of(job)
    if burn is not None and not job.promises:
        found.append("no objective is about a journey of this test: abort_on_burn has no effect")
    return found


def _too_few(job: Job, threshold: Threshold, target: Target) -> str | None:
    expected, needed = job.samples(threshold, target), job.min_samples(threshold)
    if expected is None or (threshold.unit == "count" and not threshold.is_latency):
        return None
    advised = ADVISED.get(threshold.measure, 0)
    about = f"{threshold.expression}: about {expected} samples"
    if expected < needed:
        return (
            f"{about}, fewer than min_samples ({needed}): the run will be invalid; send for longer"
        )
    if expected < advised:
        return f"{about}; a {threshold.measure} is worth its name from {advised} on"
    return None
