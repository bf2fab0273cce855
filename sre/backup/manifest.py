"""What does a manifest say, and may it be believed?

Canonical JSON, signed as the bytes that it is: read back, it is checked before it is parsed.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sre.backup.layout import Place
from sre.backup.strict import strict_json
from sre.core.errors import IntegrityError

__all__ = ["LARGEST", "SCHEMA", "Manifest", "Volume", "canonical", "parse_manifest"]

SCHEMA = "sre.manifest/1"
LARGEST = 2**28
"""Bytes; a manifest of a million volumes is smaller."""

_OURS = re.compile(r"sre\.manifest/[0-9]{1,6}")


@dataclass(frozen=True)
class Volume:
    """One object: an age file around zstd frames around a piece of the tar.

    Attributes:
        object: its key in the store.
        bytes, sha256: of the object as it is stored.
        plain_bytes: of the piece of the tar.
        plain_sha256: of the piece of the tar; older backups have it.
        plain_blake3: of the piece of the tar; backups have this or the other, "" is neither.
    """

    object: str
    bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str = ""
    plain_blake3: str = ""


@dataclass(frozen=True)
class Manifest:
    """One backup, all of it.

    Attributes:
        place: system identifier and major version of the source.
        kind: full, differential (builds on a full one) or incremental (on any).
        parent: the backup that this one builds on; None for a full one.
        key, key_bytes, key_sha256: the wrapped key's object.
        consistent: the moment (Unix seconds) to which a restore leads; nothing later is in it.
        dump: what the engine's tool said at its end (timeline, LSNs).
        argv: the tool's command line; it holds no secret.
        fence: the number of the lease under which it was made; None in older ones.
        audit_head: number and hash of the newest audit record before it; None when there is none.
        sidecar: what a later backup that builds on this one compares with; only a host with the
            signing key opens it, and no restore needs it.
    """

    id: str
    db: str
    engine: str
    version: str
    place: str
    kind: str
    parent: str | None
    tier: str
    started: float
    finished: float
    consistent: float
    source_bytes: int
    stored_bytes: int
    key: str
    key_bytes: int
    key_sha256: str
    recipients: tuple[str, ...]
    volumes: tuple[Volume, ...]
    dump: dict[str, Any]
    argv: tuple[str, ...]
    tool: str
    fence: int | None = None
    audit_head: dict[str, Any] | None = None
    sidecar: Volume | None = None

    @property
    def where(self) -> Place:
        """Where it stands in a store."""
        return Place(self.db, self.place, self.id)

    def encode(self) -> bytes:
        """The bytes that are signed and stored."""
        return canonical({"schema": SCHEMA, **dataclasses.asdict(self)})


def canonical(data: dict[str, Any]) -> bytes:
    """JSON of which there is one form: sorted keys, no spaces, one line."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def parse_manifest(data: bytes, expected: Place) -> Manifest:
    """A manifest whose signature has been checked.

    Raises:
        IntegrityError: it is not one, or it is another backup's (copied from elsewhere).
    """
    try:
        found = strict_json(data)
        _must_be_known(found)
        found.pop("schema")
        found["volumes"] = tuple(Volume(**each) for each in found["volumes"])
        if found.get("sidecar"):
            found["sidecar"] = Volume(**found["sidecar"])
        found["recipients"], found["argv"] = tuple(found["recipients"]), tuple(found["argv"])
        manifest = Manifest(**found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"it is not a manifest: {error}") from error
    if manifest.where != expected:
        raise IntegrityError(f"it is the manifest of {manifest.where.manifest}, put here")
    strays = [
        volume.object
        for number, volume in enumerate(manifest.volumes)
        if volume.object != expected.volume(number)
    ]
    if manifest.sidecar is not None and manifest.sidecar.object != expected.sidecar:
        strays.append(manifest.sidecar.object)
    if strays or manifest.key != expected.key or not manifest.volumes:
        raise IntegrityError("it names objects of another backup")
    return manifest


def _must_be_known(found: dict[str, Any]) -> None:
    """A newer version of sre may mean more than this one understands: then nothing is guessed."""
    schema, tool = found.get("schema"), str(found.get("tool", "a newer sre"))[:40]
    if schema == SCHEMA:
        extra = sorted(set(found) - _NAMES) + sorted(_fields_of_volumes(found) - _VOLUME_NAMES)
        if not extra:
            return
        what = f"it says {extra[0][:40]!r}"
    elif isinstance(schema, str) and _OURS.fullmatch(schema):
        what = f"it is a {schema}"
    else:
        raise IntegrityError("it is not a manifest of sre")
    raise IntegrityError(
        f"{what}, which this version of sre does not know; it was written by {tool}: upgrade sre "
        "on this host"
    )


def _fields_of_volumes(found: dict[str, Any]) -> set[str]:
    volumes: Iterable[Any] = (*found.get("volumes", ()), found.get("sidecar") or {})
    return {name for each in volumes if isinstance(each, dict) for name in each}


_NAMES = {each.name for each in dataclasses.fields(Manifest)} | {"schema"}
_VOLUME_NAMES = {each.name for each in dataclasses.fields(Volume)}
