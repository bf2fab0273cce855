"""What may `tiers:`, `keys:` and `databases:` say?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sre.backup.engine import Database
from sre.backup.objects import Store
from sre.backup.tier import Keep, Lock, Tier, Verify
from sre.core.secrets import Secret
from sre.core.units import Size
from sre.sql.model import Invariant

__all__ = [
    "Backups",
    "DatabaseFields",
    "Declared",
    "Keep",
    "Keys",
    "Lock",
    "Tier",
    "Verify",
    "check_database_name",
]

_STRICT: dict[str, object] = {"extra": "forbid"}
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_TRUSTED = re.compile(r"ed25519:[A-Za-z0-9+/]{43}=")
_MIB = 2**20
_VOLUME = Size(64 * _MIB)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Keys:
    """Who can read backups, and whose are believed.

    Attributes:
        recipients: age public keys; all that a backup host needs to encrypt.
        signing: the Ed25519 key that signs manifests; on backup hosts.
        trusted: public keys whose signatures are believed.
        identity: private age key; on hosts that verify and restore alone.
    """

    __pydantic_config__: ClassVar = _STRICT
    recipients: tuple[str, ...] = ()
    signing: Secret | None = None
    trusted: tuple[str, ...] = ()
    identity: Secret | None = None

    def __post_init__(self) -> None:
        for each in self.recipients:
            if not _RECIPIENT.fullmatch(each):
                raise ValueError(
                    f"{each[:12]!r}… is not an age public key; write the line that "
                    "`sre backup keys new` or `age-keygen -y` prints (age1…)"
                )
        for each in self.trusted:
            if not _TRUSTED.fullmatch(each):
                raise ValueError(
                    f"{each[:12]!r}… is not a public signing key; write the line of signing.pub "
                    "that `sre backup keys new` made (ed25519:…)"
                )


@dataclass(frozen=True)
class DatabaseFields:
    """What every entry of `databases:` may say beside the fields of its kind.

    Attributes:
        volume: bytes of the tar in one object, before compression; at least 1MiB.
    """

    __pydantic_config__: ClassVar = _STRICT
    store: str
    tier: str | None = None
    invariants: tuple[Invariant, ...] = ()
    volume: Size = _VOLUME

    def __post_init__(self) -> None:
        if self.volume < _MIB:
            raise ValueError("volume must be at least 1MiB")


@dataclass(frozen=True)
class Declared:
    """One database with everything that its backups need."""

    name: str
    kind: str
    database: Database
    store_name: str
    store: Store
    tier_name: str = ""
    tier: Tier = field(default_factory=Tier)
    invariants: tuple[Invariant, ...] = ()
    volume: int = _VOLUME


@dataclass(frozen=True)
class Backups:
    """The four sections together, names resolved."""

    stores: Mapping[str, Store] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)
    databases: Mapping[str, Declared] = field(default_factory=dict)


def check_database_name(name: str) -> str:
    """`name` itself, if folders, labels and facts can carry it. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name {name!r} must be lower-case letters, digits and -, at most 63, "
            "and begin with a letter or digit"
        )
    return name
