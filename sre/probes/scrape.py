"""What does a scraper of /metrics get, in which format?

Prometheus' text format whenever the scraper takes it, and Prometheus always does: its own parts
are written by `exposition`. A scraper that takes OpenMetrics alone gets that, the same families
through prometheus_client, at prometheus_client's price.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.registry import Collector

from sre.core.clock import Clock
from sre.probes.exporter import registry_of
from sre.probes.exposition import Exposition
from sre.probes.record import Record

__all__ = ["Scrape", "takes_text"]

_OPEN_METRICS = "application/openmetrics-text"


class Scrape:
    """Everything that /metrics shows.

    Args:
        collectors: further families beside those of the record and of the process.
    """

    def __init__(self, record: Record, clock: Clock, collectors: Iterable[Collector] = ()) -> None:
        self._probes = Exposition(record, clock)
        self._all = registry_of(record, clock)
        self._rest = registry_of(record, clock, probes=False)
        for collector in collectors:
            self._all.register(collector)
            self._rest.register(collector)

    @property
    def registry(self) -> CollectorRegistry:
        """All families, for whoever reads them through prometheus_client."""
        return self._all

    def answer(self, accept: str) -> tuple[tuple[bytes, ...], str]:
        """Text, in blocks, and its content type, for an `Accept` header."""
        if takes_text(accept):
            return (*self._probes.blocks(), generate_latest(self._rest)), CONTENT_TYPE_PLAIN_0_0_4
        encode, kind = choose_encoder(accept)
        return (encode(self._all),), kind


def takes_text(accept: str) -> bool:
    """Whether text is good enough: it is, unless OpenMetrics is all that is asked for."""
    kinds = [each.partition(";")[0].strip().lower() for each in accept.split(",")]
    return _OPEN_METRICS not in kinds or any(k in kinds for k in ("text/plain", "text/*", "*/*"))
