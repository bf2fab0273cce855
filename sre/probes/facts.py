"""Which numbers does a kind of probe export, with which labels, and how does it make one of them?

Each kind declares its own, once, beside its code: `FACTS = Facts("redis", ("clients", "Clients that
are connected."), ("keys", "Keys of a database.", "db"))`, and makes a number with
`FACTS("keys", 12, db="0")`. Documents, dashboards and tests read the same declaration.
"""

from __future__ import annotations

from typing import Literal

from sre.core.metrics import MetricInfo
from sre.probes.model import Gauge

__all__ = ["Facts", "own_metrics"]


class Facts:
    """The numbers of one kind; a name ending in `_total` is a counter, any other a gauge.

    Args:
        kind: becomes the prefix, `sre_probe_KIND_`.
        rows: name without the prefix, one line of help that ends in a full stop, labels beside
            `probe`.
        prefix: of names that the declaration chooses; a kind that lets it has such Facts in the
            attribute `own_facts` of each probe, and `catalogue.metrics_of` knows them.
    """

    def __init__(self, kind: str, *rows: tuple[str, ...], prefix: str = "") -> None:
        self._prefix = prefix or f"sre_probe_{kind}_"
        self._infos = {name: self._info(name, text, labels) for name, text, *labels in rows}

    @property
    def metrics(self) -> tuple[MetricInfo, ...]:
        """All of them, as a scraper sees them."""
        return tuple(self._infos.values())

    def __call__(self, name: str, value: float, /, **labels: str) -> Gauge:
        """One number, in base units.

        Raises:
            KeyError: no such number is declared, or not with these labels: a bug of the kind.
        """
        info = self._infos[name]
        if ("probe", *labels) != info.labels:
            raise KeyError(f"{info.name} has the labels {info.labels[1:]}, not {tuple(labels)}")
        counter = info.type == "counter"
        return Gauge(info.name, float(value), info.help, tuple(labels.items()), counter)

    def _info(self, name: str, text: str, labels: list[str]) -> MetricInfo:
        kind: Literal["counter", "gauge"] = "counter" if name.endswith("_total") else "gauge"
        return MetricInfo(f"{self._prefix}{name}", kind, text, ("probe", *labels))


def own_metrics(probe: object) -> tuple[MetricInfo, ...]:
    """The metrics that the declaration of a probe names itself, such as those of kind `sql`."""
    own = getattr(probe, "own_facts", None)
    return own.metrics if isinstance(own, Facts) else ()
