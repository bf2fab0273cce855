"""Is every metric that a dashboard or a rule names one that somebody exports or records? (pure)"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from sre.core.errors import UsageError
from sre.core.metrics import CATALOGUE, MetricInfo, describe

__all__ = ["Drawn", "Fault", "faults", "metrics_in"]

_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_INNER = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_NAME = re.compile(r"(?<![\w.:])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"}
_WORDS |= {"group_left", "group_right", "inf", "nan"}
_BUILT_IN = {"ALERTS", "ALERTS_FOR_STATE", "up"}
_MUST = ("uid", "title", "schemaVersion", "panels", "templating")


@dataclass(frozen=True)
class Drawn:
    """A file that was read.

    Attributes:
        board: the dashboard, None for a rule file.
        queries: (where in the file, PromQL).
        records: the series that it records.
    """

    path: str
    queries: tuple[tuple[str, str], ...]
    records: frozenset[str] = frozenset()
    board: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Fault:
    """One thing wrong in one file."""

    path: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.where}: {self.message}"


def faults(
    files: Iterable[Drawn], known: Mapping[str, MetricInfo] = CATALOGUE
) -> tuple[Fault, ...]:
    """What is wrong with files that belong together: rules record what dashboards show.

    `known` are the metrics that somebody exports.
    """
    files = list(files)
    recorded = {name for file in files for name in file.records}
    return tuple(fault for file in files for fault in _faults(file, recorded, known))


def metrics_in(expression: str) -> set[str]:
    """The names of the series that PromQL reads."""
    bare = _INNER.sub("", _TEXTS.sub("", expression))
    names = set(_NAME.findall(_LABELS.sub("", bare)))
    return {name for name in names if name.lower() not in _WORDS}


def _faults(file: Drawn, recorded: Set[str], known: Mapping[str, MetricInfo]) -> Iterator[Fault]:
    if not file.queries:
        yield Fault(file.path, "file", "it asks nothing")
    for where, expression in file.queries:
        for name in sorted(metrics_in(expression) - recorded - _BUILT_IN):
            if not _exported(name, known):
                yield Fault(file.path, where, f"nobody exports or records {name!r}")
    if file.board is not None:
        yield from _board_faults(file.path, file.board)


def _exported(name: str, known: Mapping[str, MetricInfo]) -> bool:
    try:
        describe(name, known)
    except UsageError:
        return False
    return True


def _board_faults(path: str, board: Mapping[str, Any]) -> Iterator[Fault]:
    for key in _MUST:
        if not board.get(key):
            yield Fault(path, "dashboard", f"it has no {key!r}")
    taken: dict[tuple[int, int], str] = {}
    seen: set[int] = set()
    for panel in board.get("panels", ()):
        title = str(panel.get("title"))
        if panel["id"] in seen:
            yield Fault(path, title, f"two panels have the id {panel['id']}")
        seen.add(panel["id"])
        if panel["type"] != "row" and not panel.get("description"):
            yield Fault(path, title, "it has no description")
        hidden = {taken[cell] for cell in _cells(panel["gridPos"]) if cell in taken}
        for other in sorted(hidden):
            yield Fault(path, title, f"it covers the panel {other!r}")
        taken |= dict.fromkeys(_cells(panel["gridPos"]), title)


def _cells(place: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y
