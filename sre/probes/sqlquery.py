"""What does one business query say: its numbers, their names, what they may be?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from sre.probes.facts import Facts
from sre.probes.model import Gauge
from sre.probes.parts import Unanswered

__all__ = ["PREFIX", "Bounds", "Query", "Turned", "Unusable", "turned"]

PREFIX = "sre_business_"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_READS = re.compile(
    r"(\s|\(|--[^\n]*(\n|$)|/\*.*?\*/)*(select|with|values|table)\b", re.DOTALL | re.IGNORECASE
)
_TAKEN = frozenset({"probe", "le", "quantile", "job", "instance"})
_ENDINGS = ("_count", "_sum", "_bucket", "_total", "_info")
_NOT_BASE = frozenset(
    {
        *("s", "ms", "us", "ns", "sec", "m", "h", "d", "milliseconds", "microseconds", "minutes"),
        *("hours", "days", "weeks", "b", "kb", "mb", "gb", "tb", "pb", "kilobytes", "megabytes"),
        *("gigabytes", "bits", "gauge", "counter", "histogram", "summary"),
    }
)
"""Parts of a name that promtool complains about."""
_LABEL_LENGTH = 100
_MOST_LABELS = 5


class Unusable(Unanswered):
    """The query was answered, and no numbers can be made of the rows."""


@dataclass(frozen=True)
class Bounds:
    """What a value may be, at least and at most."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing would be good")

    def broken(self, value: float) -> str:
        """Which bound a value breaks, for people; empty: none."""
        if self.min is not None and value < self.min:
            return f"at least {self.min:.15g}"
        if self.max is not None and value > self.max:
            return f"at most {self.max:.15g}"
        return ""


@dataclass(frozen=True)
class Query:
    """One query and the metric `sre_business_NAME` that its rows become.

    Attributes:
        name: of the metric, in small letters: `orders_per_minute`.
        sql: one statement that reads: select, with or values. Leave synthetic orders out in it.
        value: the column that holds the number; by default the only one that is no label.
        values: several columns, each a metric of its own, `sre_business_NAME_COLUMN`.
        labels: columns that tell rows apart, five at most; their values must be few.
        help: one line for people.
        unit: base unit, ends the metric's name: `seconds`, `euros`, `ratio`.
        counter: the number only ever grows; the metric's name ends in `_total`.
        min: below it the probe has failed.
        max: above it the probe has failed.
        warn: `min` and `max` beyond which the probe is degraded.
        required: whether a missing number (no row, or NULL) fails the probe.
        max_rows: more rows than this fail the probe, and none of them is exported.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    sql: str
    value: str | None = None
    values: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    help: str = ""
    unit: str | None = None
    counter: bool = False
    min: float | None = None
    max: float | None = None
    warn: Bounds = Bounds()
    required: bool = False
    max_rows: int = 100

    def __post_init__(self) -> None:
        if not _READS.match(self.sql):
            raise ValueError(f"{self.name}: sql must be one query that reads: select, with, values")
        if self.value is not None and self.values:
            raise ValueError(f"{self.name}: write either value or values")
        if not 1 <= self.max_rows <= 150:
            raise ValueError(f"{self.name}: max_rows must be 1 to 150")
        Bounds(self.min, self.max)
        self._check_labels()
        for metric in self.metrics:
            _check_name(metric, counter=self.counter)

    def _check_labels(self) -> None:
        if len(set(self.labels)) != len(self.labels) or len(self.labels) > _MOST_LABELS:
            raise ValueError(f"{self.name}: at most {_MOST_LABELS} labels, each once")
        for label in self.labels:
            if not _NAME.fullmatch(label) or label in _TAKEN or label in (self.value, *self.values):
                raise ValueError(
                    f"{self.name}: {label!r} cannot be a label; name the column otherwise: "
                    "`as channel`, small letters, not probe, le, job, instance or a value"
                )

    @property
    def metrics(self) -> dict[str, str]:
        """The metric of each value column, without the prefix; of the only one under ''."""
        bases = {column: f"{self.name}_{column}" for column in self.values} or {"": self.name}
        return {self._full(base): column for column, base in bases.items()}

    @property
    def text(self) -> str:
        """The help of its metrics."""
        words = " ".join(self.help.split()) or f"Result of the query {self.name}"
        return words if words.endswith(".") else f"{words}."

    @property
    def bounds(self) -> Bounds:
        """Beyond them the probe has failed."""
        return Bounds(self.min, self.max)

    def _full(self, base: str) -> str:
        if self.unit and not base.endswith(f"_{self.unit}"):
            base = f"{base}_{self.unit}"
        return f"{base}_total" if self.counter and not base.endswith("_total") else base


def _check_name(name: str, *, counter: bool) -> None:
    bare = name.removesuffix("_total") if counter else name
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise ValueError(
            f"{name!r} must be small letters, digits and single _, such as orders_paid"
        )
    odd = sorted(_NOT_BASE & set(bare.split("_")))
    if odd:
        raise ValueError(
            f"{name!r} says {odd[0]!r}; Prometheus wants base units (seconds, bytes, ratio) and no "
            "type in a name"
        )
    if bare.endswith(_ENDINGS):
        raise ValueError(
            f"{name!r} ends like a part of another metric; rename it, or write counter: true for "
            "a number that only grows"
        )


@dataclass(frozen=True)
class Turned:
    """What the rows of one query became.

    Attributes:
        bad, poor: bounds that are broken, for people.
    """

    gauges: tuple[Gauge, ...]
    bad: tuple[str, ...] = ()
    poor: tuple[str, ...] = ()


def turned(query: Query, names: Sequence[str], rows: Sequence[Sequence[Any]], own: Facts) -> Turned:
    """The numbers of a query's rows. (pure)

    Raises:
        Unusable: a column is missing or holds no number, or rows cannot be told apart.
    """
    if len(rows) > query.max_rows:
        raise Unusable(f"more than {query.max_rows} rows; group less finely, or add a limit")
    if len(rows) > 1 and not query.labels:
        raise Unusable(f"{len(rows)} rows and no labels; give one row, or labels: [COLUMN]")
    columns = {metric: _value_of(query, names, rows, col) for metric, col in query.metrics.items()}
    gauges: list[Gauge] = []
    for row, labels in zip(rows, _told_apart(query, names, rows), strict=True):
        numbers = {m: _number(row[place], names[place]) for m, place in columns.items()}
        gauges += [own(m, each, **labels) for m, each in numbers.items() if each is not None]
    bad, poor = (_broken(gauges, bounds) for bounds in (query.bounds, query.warn))
    if query.required and len(gauges) < len(columns) * max(1, len(rows)):
        bad.append(f"{query.name} has no value")
    return Turned(tuple(gauges), tuple(bad), tuple(poor))


def _broken(gauges: Sequence[Gauge], bounds: Bounds) -> list[str]:
    return [
        f"{gauge.name.removeprefix(PREFIX)}{_braces(dict(gauge.labels))} "
        f"is {gauge.value:.15g} ({broken})"
        for gauge in gauges
        if (broken := bounds.broken(gauge.value))
    ]


def _told_apart(
    query: Query, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> list[dict[str, str]]:
    """The labels of each row; no two the same."""
    places = {label: _place(names, label) for label in query.labels}
    found = [{label: _label(row[place], label) for label, place in places.items()} for row in rows]
    seen: set[tuple[str, ...]] = set()
    for labels in found:
        if tuple(labels.values()) in seen:
            raise Unusable(f"two rows with the labels {_braces(labels)}; group by them")
        seen.add(tuple(labels.values()))
    return found


def _value_of(
    query: Query, names: Sequence[str], rows: Sequence[Sequence[Any]], column: str
) -> int:
    """Where the value is: as declared, else the only column that is no label, or holds numbers."""
    wanted = column or query.value
    if wanted:
        return _place(names, wanted)
    labels = {_place(names, label) for label in query.labels}
    free = [place for place in range(len(names)) if place not in labels]
    if len(free) > 1 and rows:
        free = [place for place in free if isinstance(rows[0][place], int | float | Decimal)]
    if len(free) == 1:
        return free[0]
    told = ", ".join(names) or "none"
    raise Unusable(f"which column is the value? There are: {told}; write value: COLUMN")


def _place(names: Sequence[str], wanted: str) -> int:
    for spelled in (list(names), [name.lower() for name in names]):
        if spelled.count(wanted) == 1:
            return spelled.index(wanted)
    raise Unusable(f"no single column is named {wanted!r}; there are: {', '.join(names)}")


def _number(value: Any, column: str) -> float | None:
    """A value in base units; None is left out, anything that is no number is refused."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, int | float | Decimal):
        kind = type(value).__name__
        raise Unusable(f"column {column!r} holds no number but {kind}; convert it in the query")
    number = float(value)
    if not math.isfinite(number):
        raise Unusable(f"column {column!r} holds {number}; use nullif() where it divides")
    return number


def _label(value: Any, column: str) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        raise Unusable(f"column {column!r} holds bytes; convert it to text in the query")
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text[:_LABEL_LENGTH]


def _braces(labels: dict[str, str]) -> str:
    return f"{{{', '.join(f'{k}={v}' for k, v in labels.items())}}}" if labels else ""
