"""How is everything about one probe written in one go? (pure)

Probes of one shape (the same buckets, phases and numbers found) share a template of all their
lines. Filling it in, and cutting it into one piece for each family, is a handful of calls of C.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from sre.probes.lines import (
    PLACE,
    Labels,
    attempts_template,
    counters_template,
    histogram_template,
    number,
    series,
    zeros,
)
from sre.probes.series import ProbeSeries, confirmations_of, skips_of
from sre.probes.shown import metric_name, phases_of, plain, taken

__all__ = ["FAMILIES", "LASTING", "Sheet", "fill"]

LASTING = (
    "sre_probe_attempts_total",
    "sre_probe_duration_seconds",
    "sre_probe_last_run_timestamp_seconds",
    "sre_probe_schedule_skipped_total",
    "sre_probe_series_dropped_total",
    "sre_probe_confirmations_total",
)
"""Families that are shown as long as the probe is declared, in the order of the pieces."""

FAMILIES = (*LASTING, "sre_probe_up", "sre_probe_schedule_lag_seconds", "sre_probe_phase_seconds")
"""All families of every probe; after these come the numbers that it found."""

_CUT = "\1"
_PROBE: Labels = (("probe", PLACE),)
_CACHEABLE = 64

Shape = tuple[tuple[str, Labels, bool], ...]
_SHAPE = attrgetter("name", "labels", "counter")
_VALUE = attrgetter("value")


@dataclass(frozen=True, slots=True)
class Sheet:
    """The template of one shape.

    Attributes:
        order: which of the numbers found stand in the template, in its order.
        plain: all of them, in the order in which they were found.
        found: their families, one for each piece after `FAMILIES`.
    """

    template: str
    order: tuple[int, ...]
    plain: bool
    found: tuple[str, ...]


class _Frame(NamedTuple):
    """What makes the shape of a probe beside the numbers it found; counters that counted."""

    edges: tuple[float, ...]
    attempts: tuple[tuple[str, str], ...]
    skipped: tuple[str, ...]
    confirmed: tuple[str, ...]
    skips: tuple[str, ...]
    confirmations: tuple[str, ...]
    ran: bool
    judged: bool
    lagged: bool
    phases: tuple[str, ...]


def fill(name: str, of: ProbeSeries) -> tuple[Sheet, list[bytes]]:
    """The pieces of text of one probe, in the order of `FAMILIES` and of its sheet's `found`."""
    phases = phases_of(of)
    frame = _Frame(
        of.duration.edges,
        tuple(of.attempts),
        tuple(of.skipped),
        tuple(of.confirmed),
        skips_of(of.check),
        confirmations_of(of.check),
        of.last_run is not None,
        of.up is not None,
        of.lag is not None,
        tuple(phases),
    )
    shape = tuple(map(_SHAPE, of.gauges))
    sheet = (_sheet if len(shape) <= _CACHEABLE else _sheet.__wrapped__)(frame, shape)
    values = _numbers(of)
    values += phases.values()
    found = list(map(_VALUE, of.gauges))
    values += map(float, found if sheet.plain else [found[index] for index in sheet.order])
    if not math.isfinite(sum(values)):
        values = [value if math.isfinite(value) else _Odd(number(value)) for value in values]
    text = (sheet.template % tuple(values)).replace(PLACE, name)
    return sheet, text.encode("utf-8", "replace").split(b"\1")


class _Odd(str):
    """A number that `%r` would write in Python's way."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _numbers(of: ProbeSeries) -> list[Any]:
    """In the order of the template."""
    values: list[Any] = [*of.attempts.values(), *itertools.accumulate(of.duration.counts)]
    values.append(values[-1])
    values.append(of.duration.sum)
    if of.last_run is not None:
        values.append(of.last_run)
    values += of.skipped.values()
    values.append(of.dropped)
    values += of.confirmed.values()
    if of.up is not None:
        values.append(of.up[0])
    if of.lag is not None:
        values.append(of.lag)
    return values


@lru_cache(maxsize=1024)
def _sheet(frame: _Frame, shape: Shape) -> Sheet:
    found = _found(shape)
    texts = [
        attempts_template("sre_probe_attempts_total", _PROBE, frame.attempts),
        histogram_template("sre_probe_duration_seconds", _PROBE, frame.edges),
        _one("sre_probe_last_run_timestamp_seconds", wanted=frame.ran),
        _counters("sre_probe_schedule_skipped_total", "reason", frame.skips, frame.skipped),
        counters_template("sre_probe_series_dropped_total", [_PROBE]),
        _counters("sre_probe_confirmations_total", "result", frame.confirmations, frame.confirmed),
        counters_template("sre_probe_up", [_PROBE] if frame.judged else []),
        _one("sre_probe_schedule_lag_seconds", wanted=frame.lagged),
        "".join(
            _one("sre_probe_phase_seconds", ("phase", phase), wanted=True) for phase in frame.phases
        ),
        *("".join(line for line, _ in lines) for lines in found.values()),
    ]
    order = tuple(index for lines in found.values() for _, index in lines)
    return Sheet(_CUT.join(texts), order, order == tuple(range(len(shape))), tuple(found))


def _found(shape: Shape) -> dict[str, list[tuple[str, int]]]:
    """Family -> a line and the index of its value, for each series once."""
    last = {}
    for index, (name, labels, counter) in enumerate(shape):
        if not taken(family := metric_name(name, counter=counter)):
            last[family, plain(labels)] = index
    found: dict[str, list[tuple[str, int]]] = {}
    for (family, labels), index in last.items():
        found.setdefault(family, []).append((_one(family, *labels, wanted=True), index))
    return found


def _one(name: str, *labels: tuple[str, str], wanted: bool) -> str:
    return f"{series(name, (*_PROBE, *labels)).replace('%', '%%')} %r\n" if wanted else ""


def _counters(name: str, label: str, words: tuple[str, ...], counted: tuple[str, ...]) -> str:
    """A line for each word that counted, in their order, and 0 for the others."""
    return counters_template(name, [(*_PROBE, (label, word)) for word in counted]) + zeros(
        name, [(*_PROBE, (label, word)) for word in words if word not in counted]
    )
