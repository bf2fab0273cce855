"""What do the other wings learn of copies?

backup/<db>/copies  for each store of copies: the last pass, what it lacks, how late it is
"""

from __future__ import annotations

from typing import Any

from sre.backup.copying.records import Passed
from sre.backup.job import Job
from sre.backup.model import Declared

__all__ = ["last_copies", "publish_copy", "publish_copy_failure"]


def last_copies(job: Job, db: str) -> dict[str, dict[str, Any]]:
    """By store; empty when this host copied nothing of that database."""
    fact = job.facts.read(f"backup/{db}/copies")
    stores = {} if fact is None else fact.value.get("stores", {})
    return {str(name): dict(value) for name, value in stores.items()}


def publish_copy(job: Job, declared: Declared, found: Passed) -> None:
    """After a pass that ended. The caller holds the lock."""
    value = {
        "at": found.at,
        "success": found.at if not found.faults else _before(job, declared, found.target),
        "exit_code": 7 if found.faults else 0,
        "lag_seconds": found.lag_seconds,
        "missing_objects": found.missing_objects,
        "newest": found.newest,
        "consistent": found.consistent,
    }
    _publish(job, declared, found.target, value)


def publish_copy_failure(job: Job, declared: Declared, to: str, code: int) -> None:
    """After a pass that could not end: what was late is later by now."""
    before, now = last_copies(job, declared.name).get(to, {}), job.clock.wall()
    lag = float(before.get("lag_seconds", 0.0)) + max(0.0, now - float(before.get("at", now)))
    value = {
        "success": None,
        "missing_objects": None,
        "newest": "",
        "consistent": None,
        **before,
        "at": now,
        "exit_code": code,
        "lag_seconds": lag,
    }
    _publish(job, declared, to, value)


def _before(job: Job, declared: Declared, to: str) -> Any:
    return last_copies(job, declared.name).get(to, {}).get("success")


def _publish(job: Job, declared: Declared, to: str, value: dict[str, Any]) -> None:
    stores = {**last_copies(job, declared.name), to: value}
    job.facts.publish(f"backup/{declared.name}/copies", {"db": declared.name, "stores": stores})
