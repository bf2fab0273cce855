"""What may `tiers:`, `keys:` and `databases:` say?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sre.backup.engine import Database
from sre.backup.log.config import Archive
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
    "Orders",
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
class Orders:
    """Where orders are, for `sre backup restore --before-order`: `{table: orders, id: id}`.

    Attributes:
        table: its name, as it is, without quotes.
        id: the column by which people name an order.
        schema: the table's schema; without it the one that is found by the search path.
    """

    __pydantic_config__: ClassVar = _STRICT
    table: str = "orders"
    id: str = "id"
    schema: str | None = None

    def __post_init__(self) -> None:
        if not self.table or not self.id:
            raise ValueError("table and id must not be empty")


@dataclass(frozen=True)
class DatabaseFields:
    """What every entry of `databases:` may say beside the fields of its kind.

    Attributes:
        volume: bytes of the tar in one object, before compression; at least 1MiB.
        orders: where orders are, for restores to the moment before one.
        smoke: a command that tries the restored copy at level 4 of verification; it gets the
            scratch server as SRE_DSN, PGHOST, PGPORT, PGUSER, PGDATABASE, and ends with 0.
        archive: how `sre backup archive` follows its log.
    """

    __pydantic_config__: ClassVar = _STRICT
    store: str
    tier: str | None = None
    invariants: tuple[Invariant, ...] = ()
    volume: Size = _VOLUME
    smoke: tuple[str, ...] = ()
    archive: Archive = field(default_factory=Archive)
    orders: Orders = field(default_factory=Orders)

    def __post_init__(self) -> None:
        if self.volume < _MIB:
            raise ValueError("volume must be at least 1MiB")
        if self.smoke and not self.smoke[0].strip():
            raise ValueError("smoke begins with the name of a program: [./smoke.sh, --quick]")


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
    smoke: tuple[str, ...] = ()
    archive: Archive = field(default_factory=Archive)
    orders: Orders = field(default_factory=Orders)


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
