"""How does /metrics stay cheap with ten thousand probes?

The text of each probe is kept between scrapes, in one piece for each family, and written again only
when that probe's series have changed; a scrape then joins pieces. prometheus_client would spend
seconds of CPU on every one. Nobody who records a run waits: a series is copied, then rendered.

The differential test holds this text to what `exporter` says through prometheus_client.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from sre.core.clock import Clock
from sre.probes.lines import attempts_text, header, histogram_text, number, series
from sre.probes.model import Gauge
from sre.probes.record import Record
from sre.probes.series import JourneySeries, ProbeSeries
from sre.probes.sheet import FAMILIES, LASTING, fill
from sre.probes.shown import metric_name
from sre.probes.watching import opened

__all__ = ["Exposition"]

_UP = FAMILIES.index("sre_probe_up")


@dataclass(slots=True)
class _Probe:
    """The text of one probe; what is about its last run is shown until a moment only."""

    of: ProbeSeries
    version: int
    until: float
    up_until: float
    pieces: tuple[bytes, ...]
    found: tuple[str, ...]


@dataclass(slots=True)
class _Journey:
    """The text of one journey's steps; phases are shown as long as the probe `by` is fresh."""

    of: JourneySeries
    version: int
    by: str
    durations: bytes
    attempts: bytes
    phases: bytes


class Exposition:
    """The probes of a record as Prometheus' text format. Thread-safe: one scrape at a time."""

    def __init__(self, record: Record, clock: Clock) -> None:
        self._record = record
        self._clock = clock
        self._lock = threading.Lock()
        self._probes: dict[str, _Probe] = {}
        self._journeys: dict[str, _Journey] = {}
        self._headers: dict[str, bytes] = {}

    def text(self) -> bytes:
        """All families as they are now, in one piece."""
        return b"".join(self.blocks())

    def blocks(self) -> list[bytes]:
        """The same, family by family: nobody has to copy tens of megabytes at once."""
        with self._lock:
            now = self._clock.wall()
            live, walked = self._record.now()
            self._probes = {name: self._probe(name, one) for name, one in live.items()}
            self._journeys = {name: self._journey(name, one) for name, one in walked.items()}
            parts = (self._own(now), self._steps(now), self._found(now), self._planned(live, now))
            return [b"".join(family) for part in parts for family in part]

    def _own(self, now: float) -> Iterator[list[bytes]]:
        probes = list(self._probes.values())
        fresh = [probe for probe in probes if now <= probe.until]
        judged = [probe for probe in probes if now <= probe.up_until]
        for index, name in enumerate(FAMILIES):
            shown = probes if name in LASTING else judged if index == _UP else fresh
            yield [header(name), *[probe.pieces[index] for probe in shown]]

    def _found(self, now: float) -> Iterator[list[bytes]]:
        alike: dict[tuple[str, ...], list[_Probe]] = {}
        for probe in self._probes.values():
            if probe.found and now <= probe.until:
                alike.setdefault(probe.found, []).append(probe)
        found: dict[str, list[bytes]] = {}
        for names, probes in alike.items():
            for index, name in enumerate(names, len(FAMILIES)):
                found.setdefault(name, []).extend([probe.pieces[index] for probe in probes])
        types: dict[str, str] = {}
        for name, pieces in found.items():
            if types.setdefault(name.removesuffix("_total"), name) == name:
                yield [self._headers[name], *pieces]

    def _steps(self, now: float) -> Iterator[list[bytes]]:
        journeys = self._journeys.values()
        by = {one.by: self._probes.get(one.by) for one in journeys}
        shown = {name for name, probe in by.items() if probe is not None and now <= probe.until}
        phases = [one.phases for one in journeys if one.by in shown]
        yield [header("sre_probe_step_duration_seconds"), *[one.durations for one in journeys]]
        yield [header("sre_probe_step_attempts_total"), *[one.attempts for one in journeys]]
        yield [header("sre_probe_step_phase_seconds"), *phases]

    def _planned(self, live: dict[str, ProbeSeries], now: float) -> Iterator[list[bytes]]:
        windows = self._record.plan.maintenance if self._record.plan is not None else ()
        if not windows:
            return
        open_now = opened(windows, now)
        names = {
            name: [each.name for each in open_now if each.about(one.check)]
            for name, one in live.items()
        }
        states = [
            _line("sre_probe_maintenance", bool(found), ("probe", name))
            for name, found in names.items()
        ]
        infos = [
            _line("sre_probe_maintenance_info", 1, ("probe", name), ("window", window))
            for name, found in names.items()
            for window in dict.fromkeys(found)
        ]
        yield [header("sre_probe_maintenance"), *states]
        yield [header("sre_probe_maintenance_info"), *infos]

    def _probe(self, name: str, live: ProbeSeries) -> _Probe:
        """Its text, as it was kept if nothing changed since."""
        kept = self._probes.get(name)
        if kept is not None and kept.of is live and kept.version == live.version:
            return kept
        one = self._record.probe(live)
        sheet, pieces = fill(name, one)
        for family in sheet.found:
            if family not in self._headers:
                self._headers[family] = _found_header(family, one.gauges)
        up_at = None if one.up is None else one.up[1]
        times = (one.until(one.last_run), one.until(up_at))
        return _Probe(live, one.version, *times, tuple(pieces), sheet.found)

    def _journey(self, name: str, live: JourneySeries) -> _Journey:
        kept = self._journeys.get(name)
        if kept is not None and kept.of is live and kept.version == live.version:
            return kept
        one = self._record.journey(live)
        durations = [
            histogram_text("sre_probe_step_duration_seconds", _step(name, step), times)
            for step, times in one.durations.items()
        ]
        attempts = [
            attempts_text("sre_probe_step_attempts_total", _step(name, step), counts)
            for step, counts in one.attempts.items()
        ]
        phases = [
            _line("sre_probe_step_phase_seconds", seconds, *_step(name, step), ("phase", phase))
            for step, of_step in {step.name: step.phases for step in one.last}.items()
            for phase, seconds in of_step.items()
        ]
        texts = (_bytes("".join(durations)), _bytes("".join(attempts)), b"".join(phases))
        return _Journey(live, one.version, one.by, *texts)


def _found_header(family: str, gauges: tuple[Gauge, ...]) -> bytes:
    first = next(g for g in gauges if metric_name(g.name, counter=g.counter) == family)
    return header(family, first.help, "counter" if first.counter else "gauge")


def _step(journey: str, step: str) -> tuple[tuple[str, str], ...]:
    return (("journey", journey), ("step", step))


def _line(name: str, value: float, *labels: tuple[str, str]) -> bytes:
    return _bytes(f"{series(name, labels)} {number(value)}\n")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
