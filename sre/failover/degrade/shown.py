"""Who is told which levels are on: the status page, Prometheus, the history?"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterable
from pathlib import Path

from sre.core.errors import Transient
from sre.core.facts import Fact, Facts
from sre.core.files import replace_file
from sre.core.series.degrade import DEGRADE
from sre.failover.degrade.record import Record

__all__ = ["FACT", "metrics_text", "publish", "who", "write_metrics"]

FACT = "degrade/active"


def publish(facts: Facts, record: Record) -> Fact:
    """The fact that the status page reads. Raises Transient when the disk refuses."""
    levels = [
        {
            "name": each.name,
            "shows": each.shows,
            "since": each.at,
            "until": each.until,
            "by": each.by,
            "reason": each.reason,
            "phase": each.phase,
        }
        for each in record.levels
    ]
    return facts.publish(FACT, {"levels": levels})


def write_metrics(path: Path, declared: Iterable[str], record: Record) -> None:
    """`sre_degrade_active{level}` for node_exporter's textfile collector, in one step.

    Raises:
        Transient: the disk refuses.
    """
    try:
        replace_file(path, metrics_text(declared, record).encode(), mode=0o644)
    except OSError as error:
        raise Transient(f"cannot write {path}: {error.strerror}") from error


def metrics_text(declared: Iterable[str], record: Record) -> str:
    """The same as text; a level that is declared and off is 0."""
    on = {each.name: each for each in record.levels}
    lines = []
    for metric in DEGRADE:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}"]
        for name in sorted({*declared, *on}):
            if metric.name == "sre_degrade_active":
                lines.append(f'{metric.name}{{level="{name}"}} {int(name in on)}')
            elif name in on:
                lines.append(f'{metric.name}{{level="{name}"}} {on[name].at!r}')
    return "\n".join(lines) + "\n"


def who() -> str:
    """USER@HOST."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
