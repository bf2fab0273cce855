"""Is what the edge gave out of its cache, fast, fresh, light, and the origin's? (pure)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sre.core.units import Duration, Share, Size, format_duration
from sre.journey.result import Outcome, Reason
from sre.probes.cachestatus import STATES
from sre.probes.dial import Trouble
from sre.probes.facts import Facts
from sre.probes.model import Gauge

__all__ = ["FACTS", "Limits", "Seen", "gauges_of", "judge"]

FACTS = Facts(
    "cdn",
    ("hit_ratio", "Share of this run's answers that came out of a cache."),
    ("fetches", "Answers of this run by what the cache did.", "path", "status"),
    ("age_seconds", "Time that the oldest answer spent in caches.", "path"),
    ("max_age_seconds", "Time for which a shared cache may keep the page.", "path"),
    ("edge_first_byte_seconds", "Median time to the first byte from the edge.", "path"),
    ("origin_first_byte_seconds", "Time to the first byte from the origin.", "path"),
    ("edge_to_origin_ratio", "Edge's time to the first byte by the origin's.", "path"),
    ("page_wire_bytes", "Size of the page on the wire.", "path"),
    ("page_bytes", "Size of the page after decompression.", "path"),
    ("content_same", "Whether edge and origin gave the same bytes.", "path"),
)


@dataclass(frozen=True)
class Limits:
    """How much is too much, and how little too little; what has no limit is only measured.

    Attributes:
        hit_ratio: the least share of a run's answers that must come out of the cache.
        latency: the most that the edge may take to its first byte, median of a path's fetches.
        age: the most that an answer may have spent in caches.
        page_weight: the most that a page may weigh on the wire.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    least: ClassVar = ("hit_ratio",)
    hit_ratio: Share | None = None
    latency: Duration | None = None
    age: Duration | None = None
    page_weight: Size | None = None


@dataclass(frozen=True)
class Seen:
    """What one path gave.

    Attributes:
        states: what the cache did, one for each fetch.
        first_byte: median seconds from the edge; `origin_first_byte` those of the one fetch there.
        same: whether both gave the same bytes; None when the origin was not asked.
    """

    path: str
    states: tuple[str, ...]
    first_byte: float
    wire: int
    size: int
    age: float | None = None
    max_age: float | None = None
    origin_first_byte: float | None = None
    same: bool | None = None


def judge(
    seen: Sequence[Seen],
    warn: Limits,
    most: Limits,
    *,
    same: bool = False,
    origin: Trouble | None = None,
) -> tuple[Outcome, Reason, str]:
    """The verdict on what was fetched. `origin` is why the origin could not be asked."""
    bad = _beyond(seen, most)
    if same:
        bad += [
            f"{one.path}: the edge has other content than the origin"
            for one in seen
            if one.same is False
        ]
    if bad:
        return Outcome.FAILED, Reason.STATUS, "; ".join(bad)
    weak = _beyond(seen, warn)
    if origin is not None:
        return Outcome.DEGRADED, origin.reason, "; ".join([f"origin: {origin.message}", *weak])
    if weak:
        return Outcome.DEGRADED, Reason.STATUS, "; ".join(weak)
    return Outcome.OK, Reason.NONE, ""


def _beyond(seen: Sequence[Seen], limits: Limits) -> list[str]:
    """What is beyond its limit, for people."""
    told = []
    ratio = _ratio(seen)
    if limits.hit_ratio is not None and ratio is None:
        told.append("no header tells what the cache did; name one by `status_header`")
    elif limits.hit_ratio is not None and ratio is not None and ratio < limits.hit_ratio:
        told.append(
            f"{ratio:.0%} of the answers came from the cache (limit {limits.hit_ratio:.0%})"
        )
    for one in seen:
        if limits.latency is not None and one.first_byte > limits.latency:
            took, most = format_duration(one.first_byte), format_duration(limits.latency)
            told.append(f"{one.path}: first byte from the edge after {took} (limit {most})")
        if limits.age is not None and one.age is not None and one.age > limits.age:
            told.append(f"{one.path}: {one.age:.0f} s old (limit {limits.age:.0f} s)")
        if limits.page_weight is not None and one.wire > limits.page_weight:
            told.append(f"{one.path}: {one.wire} bytes on the wire (limit {limits.page_weight:d})")
    return told


def _ratio(seen: Sequence[Seen]) -> float | None:
    """Share of answers out of a cache; None when no header told."""
    states = [state for one in seen for state in one.states]
    if not states or set(states) == {"unknown"}:
        return None
    return sum(state in ("hit", "stale") for state in states) / len(states)


def gauges_of(seen: Sequence[Seen]) -> Iterator[Gauge]:
    """The numbers of a run."""
    ratio = _ratio(seen)
    if ratio is not None:
        yield FACTS("hit_ratio", ratio)
    for one in seen:
        path = one.path.partition("?")[0]
        for state in STATES:
            yield FACTS("fetches", one.states.count(state), path=path, status=state)
        slower = one.first_byte / one.origin_first_byte if one.origin_first_byte else None
        for name, value in (
            ("age_seconds", one.age),
            ("max_age_seconds", one.max_age),
            ("edge_first_byte_seconds", one.first_byte),
            ("origin_first_byte_seconds", one.origin_first_byte),
            ("edge_to_origin_ratio", slower),
            ("page_wire_bytes", one.wire),
            ("page_bytes", one.size),
            ("content_same", one.same),
        ):
            if value is not None:
                yield FACTS(name, value, path=path)
