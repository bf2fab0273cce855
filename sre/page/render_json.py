"""What does a program read of the status page? (pure; `/-/status.json`)"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from sre.core.masking import masked
from sre.page import words
from sre.page.model import Budget, Component, Incident, Limit, Maintenance, Proof, StatusPage

__all__ = ["as_data", "render_json", "revision"]

SCHEMA = "sre.status/1"


def render_json(page: StatusPage) -> str:
    """One document, secrets masked."""
    data = {"schema": SCHEMA, "revision": revision(page), "now": words.iso(page.now)}
    return json.dumps({**data, **as_data(page)}, separators=(",", ":"))


def revision(page: StatusPage) -> str:
    """Changes when anything but the time has changed."""
    text = json.dumps(as_data(page), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_data(page: StatusPage) -> dict[str, Any]:
    """Everything but the moment itself; times are ISO 8601 in UTC, shares are fractions of 1."""
    data = {
        "shop": page.shop,
        "environment": page.environment,
        "state": page.state.value,
        "sentence": page.sentence,
        "details": page.details,
        "components": [_component(one) for one in page.components],
        "objectives": [_budget(one) for one in page.budgets],
        "proofs": [_proof(one) for one in page.proofs],
        "incidents": [_incident(one) for one in page.incidents],
        "maintenance": [_plan(one, page.now) for one in page.plans],
        "degraded": [_limit(one) for one in page.limits],
        "notes": page.notes,
    }
    result: dict[str, Any] = masked(data)
    return result


def _component(one: Component) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "journey": one.journey,
        "every": one.every,
        "state": one.state.value,
        "since": _time(one.since),
        "step": one.step,
        "reason": one.reason,
        "why": one.why,
        "detail": one.detail,
        "maintenance": one.maintenance,
        "note": one.note,
        "seconds": _round(one.seconds),
        "last_run": _time(one.ran),
        "last_hour_seconds": _numbers(one.hour),
        "last_day": [None if state is None else state.value for state in one.day],
        "last_day_good": one.good,
        "last_day_total": one.total,
        "steps": [
            {
                "step": step.name,
                "state": step.state.value,
                "reason": step.reason,
                "seconds": _round(step.seconds),
            }
            for step in one.steps
        ],
    }


def _budget(one: Budget) -> dict[str, Any]:
    return {
        "name": one.name,
        "promise": one.promise,
        "window_seconds": one.window,
        "budget_left": _fraction(one.left),
        "burn_rate": _fraction(one.burn),
        "burn_window_seconds": one.burn_window,
        "fires": one.fires,
        "bad": one.bad,
        "total": one.total,
        "covered_seconds": int(one.covered // 60 * 60),
    }


def _proof(one: Proof) -> dict[str, Any]:
    return {
        "topic": one.topic,
        "name": one.name,
        "good": one.good,
        "result": one.words,
        "at": _time(one.at),
        "seconds": _round(one.seconds),
        "id": one.id,
        "last_run": _time(one.ran),
        "last_failure": _time(one.failed),
    }


def _incident(one: Incident) -> dict[str, Any]:
    return {
        "names": list(one.names),
        "began": _time(one.began),
        "ended": _time(one.ended),
        "because": one.because,
        "told": one.told,
    }


def _plan(one: Maintenance, now: float) -> dict[str, Any]:
    return {
        "name": one.name,
        "begins": _time(one.begins),
        "ends": _time(one.ends),
        "names": list(one.names),
        "goes_on": one.covers(now),
    }


def _limit(one: Limit) -> dict[str, Any]:
    return {"level": one.name, "shows": one.says, "since": _time(one.since)}


def _time(at: float | None) -> str | None:
    return None if at is None else words.iso(at)


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _numbers(seconds: Sequence[float | None]) -> list[float | None]:
    return [_round(each) for each in seconds]


def _fraction(value: Fraction | None) -> float | None:
    return None if value is None else round(float(value), 6)
