"""What was broken in the last month, from when until when? (pure)

Probes that failed at the same time are one incident: they saw the same trouble.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sre.core.facts import Fact
from sre.page.model import Incident

__all__ = ["Episode", "episodes_from", "incidents_of", "told"]

_MONTH = 30 * 86400.0
_TOGETHER = 300.0
"""Seconds between two beginnings that still belong together, while both go on."""
MOST = 200
"""Past episodes that are remembered."""


@dataclass(frozen=True)
class Episode:
    """One probe failed from `began` until `ended` (seconds since the epoch)."""

    probe: str
    began: float
    ended: float | None = None
    because: str = ""


def incidents_of(
    episodes: Iterable[Episode], told: Iterable[Incident], now: float
) -> tuple[Incident, ...]:
    """Those of the last 30 days, going on or over; the latest beginning first."""
    recent = [each for each in episodes if each.ended is None or each.ended > now - _MONTH]
    found: list[Incident] = []
    for each in sorted(recent, key=lambda one: one.began):
        last = found[-1] if found else None
        if last is not None and _together(last, each):
            found[-1] = _with(last, each)
        else:
            found.append(Incident((each.probe,), each.began, each.ended, each.because))
    found += [one for one in told if one.ended is None or one.ended > now - _MONTH]
    return tuple(sorted(found, key=lambda one: one.began, reverse=True))


def _together(incident: Incident, episode: Episode) -> bool:
    going_on = incident.ended is None or incident.ended >= episode.began
    return going_on and episode.began - incident.began <= _TOGETHER


def _with(incident: Incident, episode: Episode) -> Incident:
    ends = (incident.ended, episode.ended)
    ended = None if None in ends else max(end for end in ends if end is not None)
    names = tuple(dict.fromkeys((*incident.names, episode.probe)))
    return replace(incident, names=names, ended=ended)


def told(facts: Iterable[Fact]) -> Iterator[Incident]:
    """Incidents that people opened: facts `incident/ID` {title, severity, opened, closed}."""
    for fact in facts:
        if fact.name.startswith(("incident/", "incident.")):
            value = fact.value
            began, ended = _number(value.get("opened")), _number(value.get("closed"))
            title = " ".join(str(value.get("title") or fact.name[9:]).split())[:120]
            if began is not None:
                severity = str(value.get("severity") or "")[:20]
                yield Incident((title,), began, ended, severity, told=True)


def episodes_from(data: Sequence[Mapping[str, Any]]) -> list[Episode]:
    """Those of a state file. Raises KeyError, TypeError or ValueError when they are none."""
    return [
        Episode(
            str(one["probe"]),
            float(one["began"]),
            None if one["ended"] is None else float(one["ended"]),
            str(one["because"])[:80],
        )
        for one in data
    ]


def _number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if good else None  # type: ignore[arg-type]
