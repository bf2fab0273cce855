"""How much does a database matter: what may be lost, how soon must it be back, what is kept?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from sre.core.units import Duration

__all__ = ["Keep", "Lock", "Tier", "Verify"]

_STRICT: dict[str, object] = {"extra": "forbid"}


@dataclass(frozen=True)
class Verify:
    """How often backups of a tier are verified, and how deeply: `{level: 3, every: 1d}`."""

    __pydantic_config__: ClassVar = _STRICT
    level: Literal[0, 1, 2, 3, 4] = 1
    every: Duration = Duration(86400.0)


@dataclass(frozen=True)
class Keep:
    """What `sre backup prune` keeps; the rest may go, within limits that no key can change.

    Attributes:
        last: so many of the newest verified backups.
        within: every backup that is not older, counted back from the newest one.
        hourly, daily, weekly, monthly, yearly: the newest verified backup of each of so many.
        min_verified_fulls: so many full backups that are proven to restore, always; at least 1.
    """

    __pydantic_config__: ClassVar = _STRICT
    last: int = 0
    within: Duration | None = None
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    min_verified_fulls: int = 2

    def __post_init__(self) -> None:
        counts = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
        for name in counts:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more")
        if self.min_verified_fulls < 1:
            raise ValueError("min_verified_fulls must be at least 1")
        if self.within is not None and not self.within > 0:
            raise ValueError("within must be longer than 0s")
        if self.within is None and not any(getattr(self, name) for name in counts):
            raise ValueError(
                f"it keeps nothing; say within, or one of {', '.join(counts)}, such as daily: 7 "
                "(leave keep: out to keep everything)"
            )


@dataclass(frozen=True)
class Lock:
    """Object lock of what is written: until then nobody removes it.

    Attributes:
        mode: COMPLIANCE (not even the owner can undo it) or GOVERNANCE (special rights can).
        days: from the moment of the backup; a full's lock is extended for what builds on it.
        waive: why a store without object lock will do after all; said again with each backup.
    """

    __pydantic_config__: ClassVar = _STRICT
    mode: Literal["COMPLIANCE", "GOVERNANCE"] = "GOVERNANCE"
    days: int = 35
    waive: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.days <= 36_500:
            raise ValueError("days must be from 1 to 36500")


@dataclass(frozen=True)
class Tier:
    """How much a database matters.

    Attributes:
        rpo, rto: how much may be lost, how long a restore may take; held against what was measured.
        full, differential, incremental: hourly, daily, weekly, monthly, a duration that divides a
            day (6h), or five cron fields; what `sre backup schedule` prints.
        archive: follow the log as well, for any moment in between.
        copies: stores that `sre backup copy` fills; not the database's own.
    """

    __pydantic_config__: ClassVar = _STRICT
    rpo: Duration | None = None
    rto: Duration | None = None
    full: str | None = None
    differential: str | None = None
    incremental: str | None = None
    archive: bool = False
    copies: tuple[str, ...] = ()
    verify: Verify = field(default_factory=Verify)
    keep: Keep | None = None
    lock: Lock | None = None
