"""How do levels, and what was done about them, look as text and as JSON? (pure)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sre.core.units import format_duration
from sre.failover.degrade.engine import Brought
from sre.failover.degrade.hands import shown
from sre.failover.degrade.layers import Step
from sre.failover.degrade.look import Standing
from sre.failover.degrade.record import Active, Record
from sre.failover.degrade.restore import Restored

__all__ = [
    "brought_as_json",
    "brought_as_text",
    "levels_as_json",
    "levels_as_text",
    "restored_as_json",
    "restored_as_text",
]

SCHEMA = "sre.degrade/1"


def brought_as_text(done: Brought, now: float, *, dry_run: bool) -> str:
    """What was changed, and when it is due."""
    name = done.level.name
    if dry_run:
        head = f"{name} would change this; nothing was changed"
    elif done.already:
        head = f"{name} is on already, since {_time(done.level.at)}; nothing had to be changed"
    else:
        head = f"{name} is on"
        head += f"; the status page says: {done.level.shows}" if done.level.shows else ""
    lines = [head, *(_step(each) for each in done.steps if each.how == "change" or dry_run)]
    if done.level.until is not None:
        left = format_duration(max(0.0, round(done.level.until - now)))
        lines.append(f"  due {_time(done.level.until)} (in {left}): sre traffic restore --due")
    return "\n".join(lines)


def brought_as_json(done: Brought, now: float, *, dry_run: bool) -> str:
    """One document."""
    data = {
        "schema": SCHEMA, "dry_run": dry_run, "already": done.already, "now": _iso(now),
        "level": _active(done.level), "steps": [_step_data(each) for each in done.steps],
    }  # fmt: skip
    return json.dumps(data, indent=2)


def restored_as_text(done: Sequence[Restored], record: Record, *, dry_run: bool) -> str:
    """Level by level; then those that are still on."""
    lines = []
    for each in done:
        lines.append(_restored(each, dry_run))
        lines += [_step(step) for step in each.steps if step.how == "change"]
        lines += [f"  kept: {words}" for words in each.kept]
        lines += [f"  error: {error}" for error in each.wrong]
    if not done:
        lines.append("nothing to bring back")
    still = [each.name for each in record.levels]
    if still and not dry_run:
        lines.append(f"still on: {', '.join(still)}")
    return "\n".join(lines)


def _restored(one: Restored, dry_run: bool) -> str:  # noqa: FBT001
    if not one.was_on:
        done = "what somebody had changed is back" if one.steps else "was not on; nothing to do"
        return f"{one.name}: {done}"
    if dry_run:
        return f"{one.name} would come back; nothing was changed"
    return f"{one.name} is off" if one.gone else f"{one.name} is STILL ON, in part; run it again"


def restored_as_json(done: Sequence[Restored], record: Record, *, dry_run: bool) -> str:
    """One document."""
    levels = [
        {
            "level": each.name, "was_on": each.was_on, "off": each.gone and not dry_run,
            "kept": each.kept, "errors": [str(error) for error in each.wrong],
            "steps": [_step_data(step) for step in each.steps],
        }
        for each in done
    ]  # fmt: skip
    on = [each.name for each in record.levels]
    data = {"schema": SCHEMA, "dry_run": dry_run, "restored": levels, "still_on": on}
    return json.dumps(data, indent=2)


def levels_as_text(found: Sequence[Standing], now: float) -> str:
    """A line for each level; below it what does not hold."""
    if not found:
        return "no levels are declared; add some under 'degrade:'"
    width, lines = max(len(each.name) for each in found), []
    for each in found:
        lines.append(f"{each.name:{width}}  {_state(each, now)}".rstrip())
        lines += [f"{'':{width}}    {words}" for words in each.wrong]
    return "\n".join(lines)


def _state(one: Standing, now: float) -> str:
    if one.active is None:
        return "off"
    since = format_duration(max(0.0, round(now - one.active.at)))
    said = f"ON for {since}, by {one.active.by}"
    said += f", because {one.active.reason}" if one.active.reason else ""
    if one.active.until is not None:
        late = " (over)" if one.active.until <= now else ""
        said += f", until {_time(one.active.until)}{late}"
    return said


def levels_as_json(found: Sequence[Standing], now: float) -> str:
    """One document."""
    levels = [
        {
            "level": each.name, "on": each.active is not None, "declared": each.declared,
            "shows": each.shows, "wrong": each.wrong,
            "active": None if each.active is None else _active(each.active),
        }
        for each in found
    ]  # fmt: skip
    return json.dumps({"schema": SCHEMA, "now": _iso(now), "levels": levels}, indent=2)


def _step(step: Step) -> str:
    if not step.place.readable:
        words = {"change": f"{step.target.text}", "covered": "nothing to send"}
        return f"  {step.place.name}: {words.get(step.how, step.how)}"
    if step.how == "as wanted":
        return f"  {step.place.name}: {shown(step.target)} already"
    odd = " (somebody had changed it by hand)" if step.surprise else ""
    return f"  {step.place.name}: {shown(step.before)} -> {shown(step.target)}{odd}"


def _step_data(step: Step) -> dict[str, Any]:
    return {
        "place": step.place.name, "how": step.how, "surprise": step.surprise,
        "before": None if step.before is None else shown(step.before),
        "target": shown(step.target),
    }  # fmt: skip


def _active(level: Active) -> dict[str, Any]:
    return {
        "name": level.name, "phase": level.phase, "since": _iso(level.at), "by": level.by,
        "reason": level.reason, "shows": level.shows, "undo": level.undo,
        "until": None if level.until is None else _iso(level.until),
    }  # fmt: skip


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
