"""Was every linked runbook rehearsed lately, and as it is written now? (pure)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.chain.ages import moment, span
from sre.chain.kept import restores
from sre.chain.model import Finding, World
from sre.chain.rules import Severity
from sre.runbook.model import Runbook
from sre.runbook.store import digest_of

__all__ = ["Past", "linked", "past_of", "rehearsed"]


@dataclass(frozen=True)
class Past:
    """What is known of a runbook's runs.

    Attributes:
        passed: when it was last followed to its good end, and the digest of its text then.
        failed: when the last rehearsal ended badly, and how.
    """

    passed: tuple[float, str] | None = None
    failed: tuple[float, str] | None = None


def past_of(fact: Mapping[str, Any]) -> Past:
    """From the fact that runs publish. Raises KeyError, TypeError, ValueError on another form."""
    last, tried = fact["last_run"], fact.get("last_rehearsal")
    records = [last, tried] if tried else [last]
    good = [(float(r["at"]), str(r["digest"])) for r in records if r["result"] == "passed"]
    bad = tried if tried and tried["result"] != "passed" else None
    return Past(max(good, default=None), bad and (float(bad["at"]), str(bad["result"])))


def linked(world: World) -> tuple[Runbook, ...]:
    """The runbooks that an objective names or that restore a database."""
    named = {about.runbook for about in world.settings.objectives}
    return tuple(
        runbook
        for runbook in world.library.runbooks.values()
        if runbook.id in named or any(restores(runbook, each) for each in world.settings.databases)
    )


def rehearsed(world: World, runbook: Runbook, past: Past, now: float) -> Iterator[Finding]:
    """What is stale about one."""
    written = moment(runbook.front.last_rehearsed)
    moments = (past.passed and past.passed[0], written)
    last = max((at for at in moments if at is not None), default=None)
    if past.failed is not None and past.failed[0] > (last or 0.0):
        at, result = past.failed
        message = f"its last rehearsal, {span(now - at)} ago, ended: {result}"
        yield _say(world, runbook, "runbook-failed", message)
    elif last is None:
        yield _say(world, runbook, "runbook-unrehearsed", "it was never rehearsed")
    elif now - last > runbook.front.max_age:
        limit = span(runbook.front.max_age)
        message = f"its last rehearsal is {span(now - last)} old, max_age is {limit}"
        yield _say(world, runbook, "runbook-stale", message)
    elif past.passed and past.passed[0] == last and past.passed[1] != digest_of(runbook.text):
        message = f"it was edited since its last rehearsal, {span(now - last)} ago"
        yield _say(world, runbook, "runbook-changed", message, "warning")


def _command(world: World, runbook: Runbook) -> str:
    front = runbook.front
    found = world.library.folder == Path("runbooks") or not world.library.own
    words = f"sre runbook run {front.id if found else runbook.path}"
    if front.rehearsal is None or not front.rehearsal.targets:
        return words
    return f"{words} --rehearse --var {front.target}={front.rehearsal.targets[0]}"


def _say(
    world: World, runbook: Runbook, rule: str, message: str, severity: Severity = "error"
) -> Finding:
    place = (str(runbook.path), world.library.line(runbook, "max_age"), 1, "max_age")
    remedy = _command(world, runbook)
    return Finding(*place, rule, severity, f"{runbook.id}: {message}", remedy)
