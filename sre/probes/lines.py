"""How does one series look in Prometheus' text format? (pure)

The name of a probe needs no escape; templates have NUL in its place. Labels are sorted, as
prometheus_client writes them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

from sre.core.metrics import describe
from sre.probes.series import KNOWN_ATTEMPTS, Histogram

__all__ = [
    "PLACE",
    "Labels",
    "attempts_template",
    "attempts_text",
    "counters_template",
    "header",
    "histogram_template",
    "histogram_text",
    "number",
    "series",
    "zeros",
]

PLACE = "\0"
Labels = tuple[tuple[str, str], ...]
"""Pairs of a name and a value, in any order."""


def header(name: str, text: str = "", kind: str = "") -> bytes:
    """The two lines above a family; what they say of our own metrics is in the catalogue."""
    if not kind:
        info = describe(name)
        text, kind = info.help, info.type
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode("utf-8", "replace")


def number(value: float) -> str:
    """A value; a bool or an int as well."""
    value = float(value)
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def series(name: str, labels: Labels) -> str:
    """A name and its labels, sorted and escaped."""
    inside = ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(labels))
    return f"{name}{{{inside}}}" if inside else name


def counters_template(name: str, rows: Iterable[Labels]) -> str:
    """A line with `%d` for each row of labels."""
    return "".join(f"{series(name, labels).replace('%', '%%')} %d\n" for labels in rows)


def zeros(name: str, rows: Iterable[Labels]) -> str:
    """The same for counters that have not counted yet."""
    return counters_template(name, rows).replace(" %d\n", " 0\n")


def attempts_template(name: str, labels: Labels, counted: tuple[tuple[str, str], ...] = ()) -> str:
    """A counter by outcome and reason: `%d` for what counted, 0 for the rest of what is known."""

    def rows(ended: Iterable[tuple[str, str]]) -> list[Labels]:
        return [(*labels, ("outcome", outcome), ("reason", reason)) for outcome, reason in ended]

    never = [key for key in KNOWN_ATTEMPTS if key not in counted]
    return counters_template(name, rows(counted)) + zeros(name, rows(never))


@lru_cache(maxsize=1024)
def histogram_template(name: str, labels: Labels, edges: tuple[float, ...]) -> str:
    """A line with `%d` for each bucket and the count, and one with `%r` for the sum."""
    bounds = [*(repr(float(edge)) for edge in edges), "+Inf"]
    buckets = counters_template(f"{name}_bucket", [(*labels, ("le", bound)) for bound in bounds])
    total = series(f"{name}_sum", labels).replace("%", "%%")
    return f"{buckets}{counters_template(f'{name}_count', [labels])}{total} %r\n"


def attempts_text(name: str, labels: Labels, attempts: Mapping[tuple[str, str], int]) -> str:
    """The same with its numbers."""
    return attempts_template(name, labels, tuple(attempts)) % tuple(attempts.values())


def histogram_text(name: str, labels: Labels, source: Histogram) -> str:
    """The same with its numbers."""
    below = list(itertools.accumulate(source.counts))
    return histogram_template(name, labels, source.edges) % (*below, below[-1], source.sum)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
