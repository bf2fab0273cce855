"""What does a Grafana panel look like as data, and how do panels fill a page? (pure)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DATASOURCE", "Page", "Panel", "Query", "dashboard"]

DATASOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
"""Whatever Prometheus the viewer has chosen."""

_WIDTH = 24
_SCHEMA = 38

_BARS = {"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal"}}
_STACKED = {"drawStyle": "line", "fillOpacity": 40, "stacking": {"mode": "normal"}}
_LINE = {"drawStyle": "line", "fillOpacity": 5, "lineWidth": 2, "showPoints": "auto"}


@dataclass(frozen=True)
class Query:
    """PromQL and the name of what it returns."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        look: `stat`, `bargauge`, or `line`, `stacked`, `bars` over time.
        description: for whoever asks what it means.
        steps: colours from a value on, `(None, "green"), (0.9, "red")`.
        texts: value -> (text, colour), such as 1 -> up.
    """

    title: str
    look: str
    unit: str
    description: str
    queries: Sequence[Query]
    width: int = 12
    height: int = 8
    steps: Sequence[tuple[float | None, str]] = ((None, "green"),)
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None

    def plain(self, number: int, x: int, y: int) -> dict[str, Any]:
        """As Grafana reads it."""
        over_time = self.look in ("line", "stacked", "bars")
        return {
            "id": number,
            "type": "timeseries" if over_time else self.look,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": [self._target(i, query, over_time) for i, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(over_time), "overrides": []},
            "options": _OVER_TIME if over_time else _AT_ONCE[self.look],
        }

    def _target(self, index: int, query: Query, over_time: bool) -> dict[str, Any]:  # noqa: FBT001
        letter, rest = chr(ord("A") + index % 26), index // 26
        return {
            "refId": f"{letter}{rest or ''}",
            "datasource": DATASOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": not over_time,
            "range": over_time,
        }

    def _defaults(self, over_time: bool) -> dict[str, Any]:  # noqa: FBT001
        steps = [{"color": colour, "value": value} for value, colour in self.steps]
        data: dict[str, Any] = {
            "unit": self.unit,
            "color": {"mode": "palette-classic" if over_time else "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
            "mappings": [_mapping(self.texts)] if self.texts else [],
        }
        if over_time:
            data["custom"] = {"bars": _BARS, "stacked": _STACKED, "line": _LINE}[self.look]
        limits = {"min": self.low, "max": self.high}
        return data | {key: limit for key, limit in limits.items() if limit is not None}


_CALC = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OVER_TIME: dict[str, Any] = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
_AT_ONCE: dict[str, dict[str, Any]] = {
    "stat": {"reduceOptions": _CALC, "textMode": "value_and_name", "colorMode": "background"},
    "bargauge": {"reduceOptions": _CALC, "orientation": "horizontal", "displayMode": "gradient"},
}


def _mapping(texts: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(texts.items())
    }
    return {"type": "value", "options": options}


class Page:
    """Places panels from left to right, and below one another where a line is full."""

    def __init__(self) -> None:
        self.panels: list[dict[str, Any]] = []
        self._x = self._y = self._line = 0

    def add(self, *panels: Panel) -> None:
        """Place panels after those there are."""
        for panel in panels:
            if self._x + panel.width > _WIDTH:
                self._break()
            self.panels.append(panel.plain(len(self.panels) + 1, self._x, self._y))
            self._x += panel.width
            self._line = max(self._line, panel.height)

    def row(self, title: str) -> None:
        """Begin a part of the page."""
        self._break()
        place = {"h": 1, "w": _WIDTH, "x": 0, "y": self._y}
        number = len(self.panels) + 1
        head = {"id": number, "type": "row", "title": title, "collapsed": False}
        self.panels.append({**head, "gridPos": place, "panels": []})
        self._y += 1

    def _break(self) -> None:
        self._x, self._y, self._line = 0, self._y + self._line, 0


def dashboard(
    uid: str, title: str, description: str, page: Page, links: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """A dashboard of Grafana 9 and newer; `links` are (title, address)."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["sre"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_datasource()]},
        "annotations": {"list": []},
        "links": [_link(name, address) for name, address in links],
        "panels": page.panels,
    }


def _link(title: str, address: str) -> dict[str, Any]:
    return {
        "type": "link",
        "title": title,
        "url": address,
        "icon": "external link",
        "tags": [],
        "asDropdown": False,
        "keepTime": address.startswith("/d/"),
        "targetBlank": False,
    }


def _datasource() -> dict[str, Any]:
    return {
        "name": "DS_PROMETHEUS",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "refresh": 1,
    }
