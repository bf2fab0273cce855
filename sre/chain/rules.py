"""Which rules are there, how serious is each, and what does each ask?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["RULES", "Rule", "Severity", "table"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One question that `sre check` asks.

    Attributes:
        severities: what it may be, the usual one first.
        asks: what holds when it finds nothing.
    """

    part: Literal["links", "fresh"]
    severities: tuple[Severity, ...]
    asks: str


def _links(asks: str, *severities: Severity) -> Rule:
    return Rule("links", severities or ("error",), asks)


def _fresh(asks: str, *severities: Severity) -> Rule:
    return Rule("fresh", severities or ("error",), asks)


RULES: dict[str, Rule] = {
    "targets-base-url": _links("`targets.allow` admits the name and port of `shop.base_url`"),
    "journey-probe": _links("a journey has an `every`, or a probe that runs it", "warning"),
    "journey-objective": _links(
        "a probed journey, or one of its steps, has an objective; an error where it places orders",
        "warning", "error",
    ),
    "journey-loadtest": _links(
        "a load test drives a probed journey; an error where it places orders", "warning", "error"
    ),
    "objective-unwatched": _links("a probe is scheduled that looks at what an objective promises"),
    "objective-low-volume": _links(
        "no single failed run fires an alert (an error), nor do two (a warning)",
        "error", "warning",
    ),
    "objective-interval": _links(
        "the probe runs often enough for the windows of its alerts", "error", "warning"
    ),
    "objective-cannot-fire": _links("an alert can fire at all at this target", "warning"),
    "objective-runbook": _links(
        "an objective names a runbook; an error where it pages", "error", "warning"
    ),
    "objective-links": _links("`links.runbooks` gives alerts an address to link to", "warning"),
    "runbook-missing": _links("the runbook that an objective names is there"),
    "runbook-lint": _links("every runbook passes `sre runbook lint`"),
    "runbook-link": _links("every relative link of a runbook leads somewhere"),
    "runbook-alert": _links("a runbook's `alerts` name objectives or alerts of them", "warning"),
    "loadtest-threshold": _links("a threshold judges each journey of a load test", "warning"),
    "store-unused": _links("a database or a tier's `copies` uses every store", "warning"),
    "database-tier": _links("a database has a tier"),
    "database-invariants": _links("a database has invariants", "warning"),
    "database-keys": _links("`keys` has recipients, trusted and signing where there are databases"),
    "database-runbook": _links("a runbook's commands restore every database"),
    "backup-missing": _fresh("a database has a committed backup"),
    "backup-rpo": _fresh(
        "the newest backup, or the log, is younger than the tier's `rpo`; a warning with "
        "`archive: true` where another machine archives",
        "error", "warning",
    ),
    "backup-stale": _fresh("the newest backup is not older than the rhythm of `full`"),
    "copy-late": _fresh("copies that this machine makes lack no more than `rpo` (else a `full`)"),
    "backup-failed": _fresh("the last `sre backup run` on this machine succeeded", "warning"),
    "backup-damaged": _fresh("the newest manifests in the store are genuine"),
    "verify-missing": _fresh("a backup was once verified at the tier's level"),
    "verify-stale": _fresh("that was not longer ago than `verify.every`"),
    "verify-failed": _fresh("the last verification passed"),
    "store-unreachable": _fresh(
        "the store answers; a warning where facts of this machine answer instead",
        "error", "warning",
    ),
    "store-unexamined": _fresh("`sre backup doctor` has examined every store in use", "warning"),
    "store-examination-stale": _fresh("that was not longer ago than a day", "warning"),
    "store-unsafe": _fresh("it found that backups are safe there"),
    "store-degraded": _fresh("it found nothing that had to be switched off", "warning"),
    "runbook-unrehearsed": _fresh("a linked runbook was once rehearsed, or followed to its end"),
    "runbook-stale": _fresh("that was not longer ago than its `max_age`"),
    "runbook-failed": _fresh("its last rehearsal passed"),
    "runbook-changed": _fresh("it has not been edited since", "warning"),
    "fact-damaged": _fresh("what this machine remembers can be read", "warning"),
}  # fmt: skip
"""In the order of the documents."""


def table() -> str:
    """The rules as a Markdown table."""
    return "\n".join(("| rule | part | severity | asks that |", "|---|---|---|---|", *_rows()))


def _rows() -> Iterator[str]:
    for name, rule in RULES.items():
        yield f"| `{name}` | {rule.part} | {' or '.join(rule.severities)} | {rule.asks} |"
