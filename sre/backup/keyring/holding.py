"""Which wrapped forms of a key are there, and which of them opens here?

The newest counts whose record a trusted key signed. A record that nobody trusted signed, that was
made for another key or that stands under another number counts for nothing; what it cannot do is
keep a backup closed. When the newest is damaged, an older one that is genuine opens as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sre.backup.keyring.names import KeyObject, family, original, parse_key, wrapped
from sre.backup.keys import opens_with, unwrap
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.records import Fault
from sre.backup.signed import LARGEST, enclose, opened
from sre.backup.twice import read_until_good
from sre.core.errors import IntegrityError

__all__ = [
    "SCHEMA",
    "Held",
    "Wrapped",
    "as_record",
    "held_key",
    "log_secret",
    "of_log",
    "of_manifest",
    "open_held",
    "recorded",
]

SCHEMA = "sre.key/1"


@dataclass(frozen=True)
class Wrapped:
    """One wrapped form of a key.

    Attributes:
        number: 0 is the one that was written first.
        bytes, sha256: None where nothing says them: the first one of a log's key.
        recipients: None where nothing says them.
    """

    stem: str
    number: int
    bytes: int | None
    sha256: str | None
    recipients: tuple[str, ...] | None

    @property
    def key(self) -> str:
        """The key of its object."""
        return wrapped(self.stem, self.number)


@dataclass(frozen=True)
class Held:
    """All of them.

    Attributes:
        forms: those that count and are there, the newest first.
        missing: those that count and are gone.
        strays: faults of records that count for nothing.
        last: the highest number that is used, whatever for.
        objects: every object of this key.
    """

    stem: str
    forms: tuple[Wrapped, ...]
    missing: tuple[Wrapped, ...]
    strays: tuple[Fault, ...]
    last: int
    objects: tuple[str, ...]

    @property
    def newest(self) -> Wrapped | None:
        """The one by which recipients are judged, there or not."""
        return max((*self.forms, *self.missing), key=lambda each: each.number, default=None)


def of_manifest(manifest: Manifest) -> Wrapped:
    """A backup's key as its manifest has it."""
    return Wrapped(
        manifest.id, 0, manifest.key_bytes, manifest.key_sha256, tuple(manifest.recipients)
    )


def of_log(stem: str) -> Wrapped:
    """The key of a part of the log: no record says its hash, but only it opens that log."""
    return Wrapped(stem, 0, None, None, None)


def held_key(storage: Storage, trusted: Sequence[str], first: Wrapped) -> Held:
    """What is in the store of one key. Raises Transient."""
    sizes = {each.key: each.size for each in storage.list(family(first.stem))}
    counted, strays, last = [first], list[Fault](), 0
    for key, size in sorted(sizes.items()):
        name = parse_key(key)
        if name is None or name.stem != first.stem:
            continue
        last = max(last, name.number)
        if name.what == "json":
            form = _recorded_at(storage, key, trusted, name) if size <= LARGEST else None
            if form is None:
                strays.append(Fault(key, _STRAY))
            else:
                counted.append(form)
    counted.sort(key=lambda each: each.number, reverse=True)
    return Held(
        stem=first.stem,
        forms=tuple(each for each in counted if each.key in sizes),
        missing=tuple(each for each in counted if each.key not in sizes),
        strays=tuple(strays),
        last=last,
        objects=tuple(sorted(sizes)),
    )


def _recorded_at(
    storage: Storage, key: str, trusted: Sequence[str], name: KeyObject
) -> Wrapped | None:
    return read_until_good(
        lambda: recorded(storage.get(key), trusted, name.stem, name.number),
        lambda found: found is not None,
    )


_STRAY = (
    "the record was changed, forged, or belongs to another key: it counts for nothing; remove it "
    "once you know who put it there"
)


def recorded(data: bytes, trusted: Sequence[str], stem: str, number: int) -> Wrapped | None:
    """What a record says, if it counts here. (pure)"""
    found = opened(data, trusted, SCHEMA)
    if found is None or (found.get("id"), found.get("number")) != (stem, number):
        return None
    try:
        to = tuple(str(each) for each in found["recipients"])
        return Wrapped(stem, number, int(found["bytes"]), str(found["sha256"]), to)
    except (KeyError, TypeError, ValueError):
        return None


def as_record(form: Wrapped, keys: Keys, at: float) -> bytes:
    """The object that makes it count. Raises UsageError without a key to sign with."""
    content: dict[str, Any] = {
        "schema": SCHEMA, "id": form.stem, "number": form.number, "bytes": form.bytes,
        "sha256": form.sha256, "recipients": list(form.recipients or ()), "at": at,
    }  # fmt: skip
    return enclose(content, keys.signing)


def open_held(storage: Storage, held: Held, keys: Keys) -> tuple[str, Wrapped] | Fault:
    """The secret and the form that gave it, or why none opens: of the newest, the first reason."""
    reasons: list[Fault] = []
    for form in held.forms:
        found = _open(storage, form, keys)
        if not isinstance(found, Fault):
            return found, form
        reasons.append(found)
    if not reasons:
        return Fault(original(held.stem), "the object is missing")
    about_host = [each for each in reasons if each.host]
    return about_host[0] if about_host else reasons[0]


def _open(storage: Storage, form: Wrapped, keys: Keys) -> str | Fault:
    return read_until_good(
        lambda: _open_once(storage, form, keys), lambda found: not isinstance(found, Fault)
    )


def _open_once(storage: Storage, form: Wrapped, keys: Keys) -> str | Fault:
    try:
        data = storage.get(form.key)
    except KeyError:
        return Fault(form.key, "the object is missing")
    if form.sha256 is not None and hashlib.sha256(data).hexdigest() != form.sha256:
        by = "its signed record" if form.number else "the manifest"
        return Fault(form.key, f"its SHA-256 is not the one in {by}: changed, or another backup's")
    try:
        return unwrap(data, keys.identity)
    except IntegrityError as error:
        mine = opens_with(keys.identity)
        text = str(error)
        if form.recipients is not None and mine and not set(mine) & set(form.recipients):
            text = (
                f"keys.identity is {', '.join(mine)}, and only {', '.join(form.recipients)} can "
                "open it: name that identity, or let its holder run sre backup keys rewrap"
            )
        return Fault(form.key, text, host=form.sha256 is not None or keys.identity is None)


def log_secret(storage: Storage, keys: Keys, stem: str) -> str | Fault:
    """The secret of a part of the log (`log-<epoch>`), or why it does not open."""
    found = open_held(storage, held_key(storage, keys.trusted, of_log(stem)), keys)
    return found if isinstance(found, Fault) else found[0]
