"""What may `stores:`, `tiers:`, `keys:` and `databases:` say, and what must a kind of each do?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from sre.backup.tier import Keep, Lock, Tier, Verify
from sre.backup.upkeep import Upkeep
from sre.core.clock import Deadline
from sre.core.errors import Refused
from sre.core.secrets import Secret
from sre.core.units import Size
from sre.sql.model import Invariant

__all__ = [
    "Backups",
    "Cell",
    "Changed",
    "Database",
    "DatabaseFields",
    "Declared",
    "Dump",
    "Keep",
    "Keys",
    "Lock",
    "ObjectInfo",
    "Source",
    "Storage",
    "Store",
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
class ObjectInfo:
    """An object of a store: its key below the store's prefix, its size, and when it was stored."""

    key: str
    size: int
    modified: float | None = field(default=None, compare=False)
    """By the store's clock, Unix seconds."""


@dataclass(frozen=True)
class Cell:
    """A small object that may be replaced: what it holds, and when, by the store's own clock.

    Attributes:
        data: None when nothing is there.
        version: what `swap` compares; empty when nothing is there.
        at: Unix seconds on the store's clock, perhaps rounded down to a second.
    """

    key: str
    data: bytes | None
    version: str
    at: float


class Changed(Refused):
    """Somebody else replaced a cell first; nothing was written."""


class Storage(Upkeep, Protocol):
    """A place for objects that are written once. Safe to use from several threads.

    All methods may raise Transient (not reachable, throttled, full: retries are spent, in bounded
    time) and UsageError (wrong credentials, no such bucket). Keys are relative, with `/`.
    """

    def put(self, key: str, data: bytes) -> None:
        """Store a small object in one step, durable on return, and only if `key` is free.

        Idempotent: the same bytes there already are success (an answer may have been lost).
        Raises Refused when other bytes stand there.
        """
        ...

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        """Store a large object from a stream; as `put`, and how many bytes it has.

        Nothing is visible before the stream has ended; when iterating raises, nothing ever is and
        the exception passes through. The size is asked back from the store before it returns.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What stands there; None when nothing does."""
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of an object, or of a range of it. Raises KeyError when there is none."""
        ...

    def stream(self, key: str) -> Iterator[bytes]:
        """The bytes of an object in pieces of at most 1 MiB. Raises KeyError when there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Everything whose key begins with `prefix`, in no promised order, all pages of it."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object with all its versions, durably; nothing there is success.

        Only retention and tests call it. Raises Guarded when a lock keeps it.
        """
        ...

    def cell(self, key: str) -> Cell:
        """A lease, say, with the store's time; never from a cache."""
        ...

    def swap(self, key: str, data: bytes, version: str) -> Cell:
        """Replace a cell in one step if it still is that version (empty: nothing there).

        Idempotent: the same bytes there already are success. Raises Changed.
        """
        ...

    def conditional(self, key: str) -> bool:
        """Whether the store keeps `swap`'s promise; asked with `key`'s own bytes, changes nothing.

        Raises KeyError when nothing is there.
        """
        ...


class Store(Protocol):
    """A kind of `stores:`; its fields are its configuration."""

    def open(self) -> Storage:
        """The place itself. Contacts nothing yet; raises MissingExtra."""
        ...


@dataclass(frozen=True)
class Source:
    """What a database said about itself before a backup.

    Attributes:
        system_id: changes when it is made anew; backups of two never mix.
        bytes: about how much will be read, for progress.
    """

    engine: str
    version: str
    system_id: str
    bytes: int

    @property
    def place(self) -> str:
        """The folder of its backups: system identifier and major version."""
        return f"{self.system_id}-{self.version.split('.')[0]}"


@dataclass(frozen=True)
class Dump:
    """How to start an engine's own backup tool: it writes one tar to its standard output.

    Attributes:
        env: where passwords travel; never in `argv`.
        last_member: the tar must end with this file, else the stream was cut.
        log_folder: files below it follow once the copy has stopped; empty when there is none.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    last_member: str
    log_folder: str = ""


class Database(Protocol):
    """A kind of `databases:`; its fields are its configuration. Keeps no state."""

    def identify(self, deadline: Deadline) -> Source:
        """Ask the server what it is. Raises Transient, UsageError, MissingExtra."""
        ...

    def dump(self, source: Source, label: str) -> Dump:
        """The tool that fits the server's version. Raises UsageError when there is none."""
        ...

    def check_files(self, folder: Path, deadline: Deadline) -> tuple[str, ...]:
        """The engine's own check of restored files: what is wrong. Raises MissingExtra."""
        ...

    def serve(self, folder: Path, work: Path, deadline: Deadline) -> AbstractContextManager[str]:
        """Run restored files as a scratch server, cut off from the world; its dsn.

        `folder` is used up. It listens on a socket below `work` alone, archives nothing, and has
        ended when the context is left, even by kill -9 of this process. Raises CheckFailed when
        the files do not start, MissingExtra without the engine's programs.
        """
        ...


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
