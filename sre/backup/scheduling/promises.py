"""Does what was measured keep what a tier promises? (pure)

The RTO that was measured by a real restore is scaled to the size of the newest backup. The RPO is
what would be lost now: since the end of the archived log, else since the newest backup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sre.backup.manifest import Manifest
from sre.backup.scheduling.times import interval_of
from sre.backup.tier import Tier

__all__ = ["Measured", "Planned", "Promise", "added_bytes", "judge", "scaled"]

_MONTH = 30 * 86400.0


@dataclass(frozen=True)
class Promise:
    """One promise and what was measured.

    Attributes:
        what: `rto` or `rpo`.
        state: kept, missed, or unproven (nothing was measured).
        target, measured: seconds.
        why: where the number comes from.
    """

    what: str
    state: str
    target: float
    measured: float | None
    why: str


@dataclass(frozen=True)
class Measured:
    """What is known of one database's backups.

    Attributes:
        rto: seconds of the last restore that passed at level 3 or 4; rto_bytes: of its source.
        rto_at: when it was, Unix seconds.
        bytes: of the source of the newest backup.
        upto: the newest moment that can be restored (Unix seconds); None without a backup.
        by_log: whether that is the end of the archived log.
    """

    rto: float | None = None
    rto_bytes: int = 0
    rto_at: float = 0.0
    bytes: int = 0
    upto: float | None = None
    by_log: bool = False


@dataclass(frozen=True)
class Planned:
    """One database's plan.

    Attributes:
        next: kind -> when it begins next, Unix seconds.
        stored_bytes: in the store now; added_bytes: by backups of the next thirty days.
    """

    db: str
    tier: str
    promises: tuple[Promise, ...]
    next: Mapping[str, float] = field(default_factory=dict)
    backups: int = 0
    stored_bytes: int = 0
    added_bytes: int | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 when a promise is missed, 3 when one is unproven, 4 when the store is away, else 0."""
        states = {each.state for each in self.promises}
        if "missed" in states:
            return 1
        if self.problem:
            return 4
        return 3 if "unproven" in states else 0


def judge(tier: Tier, found: Measured, now: float) -> tuple[Promise, ...]:
    """RTO and RPO, as far as the tier promises them."""
    promises = []
    if tier.rto is not None:
        took = scaled(found)
        why = "no restore was measured: sre backup verify --level 3"
        if took is not None:
            larger = found.bytes > found.rto_bytes
            why = "the last real restore" + (", scaled to the newest backup" if larger else "")
        promises.append(_promise("rto", float(tier.rto), took, why))
    if tier.rpo is not None:
        lost = None if found.upto is None else max(0.0, now - found.upto)
        why = "there is no backup"
        if lost is not None:
            why = "since the end of the log" if found.by_log else "since the newest backup"
        promises.append(_promise("rpo", float(tier.rpo), lost, why))
    return tuple(promises)


def scaled(found: Measured) -> float | None:
    """The measured RTO for what a restore would have to read today; never made shorter."""
    if found.rto is None:
        return None
    return found.rto * max(1.0, found.bytes / found.rto_bytes if found.rto_bytes else 1.0)


def _promise(what: str, target: float, measured: float | None, why: str) -> Promise:
    if measured is None:
        return Promise(what, "unproven", target, None, why)
    return Promise(what, "kept" if measured <= target else "missed", target, measured, why)


def added_bytes(tier: Tier, manifests: Sequence[Manifest]) -> int | None:
    """What backups of thirty days will store, by their mean size until now; None: unknown.

    Before retention, and without the log. Raises ValueError for a rhythm that is none.
    """
    total = 0.0
    for kind in ("full", "differential", "incremental"):
        rhythm = getattr(tier, kind)
        if rhythm is None:
            continue
        sizes = [each.stored_bytes for each in manifests if each.kind == kind]
        if not sizes:
            return None
        total += sum(sizes) / len(sizes) * _MONTH / interval_of(rhythm)
    return round(total) if total else None
