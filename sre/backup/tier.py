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
    """What retention keeps; parsed and shown, not acted on yet: nothing is ever removed."""

    __pydantic_config__: ClassVar = _STRICT
    last: int = 0
    within: Duration | None = None
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    min_verified_fulls: int = 2


@dataclass(frozen=True)
class Lock:
    """Object lock of what is written; parsed, not acted on yet."""

    __pydantic_config__: ClassVar = _STRICT
    mode: Literal["COMPLIANCE", "GOVERNANCE"] = "GOVERNANCE"
    days: int = 35


@dataclass(frozen=True)
class Tier:
    """How much a database matters.

    `rpo`, `rto` and `verify` are acted on (metrics, the default level of `sre backup verify`);
    `full`, `differential`, `incremental`, `archive`, `copies`, `keep` and `lock` are read and
    checked, and wait for scheduling, retention and replication.
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
