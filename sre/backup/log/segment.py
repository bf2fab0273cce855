"""What does the signed record of a piece of log say, and how are its bytes sealed and opened?

A whole age file around a zstd frame, like a volume: by hand, `age -d | zstd -d` gives the segment.
The record carries its signature inside, over all its other fields in canonical form.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

import pyrage
import zstandard

from sre.backup.keys import sign, signed_by_trusted
from sre.backup.log.layout import parse_name
from sre.backup.manifest import canonical
from sre.core.errors import IntegrityError
from sre.core.secrets import Secret

__all__ = [
    "SCHEMA",
    "Record",
    "Sealed",
    "encode_record",
    "open_piece",
    "parse_record",
    "seal_piece",
]

SCHEMA = "sre.segment/1"
_LEVEL = 3
_LARGEST = 2**30
"""No segment of PostgreSQL is larger; what claims to be is a bomb."""


@dataclass(frozen=True)
class Record:
    """One committed piece of log.

    Attributes:
        segment: its name, that of a partial piece or of a history included.
        object: the key of its bytes in the store.
        size: bytes of a whole segment at this server.
        bytes, sha256: of the object as stored; `plain_`: of what is in it.
        key: the key of the wrapped key that opens it.
        at: when it was sealed, Unix seconds by the archiving host.
        upto: everything committed up to this moment (the server's clock, Unix seconds) is in it
            or before it; None when nothing measures that.
    """

    segment: str
    timeline: int
    object: str
    size: int
    bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str
    key: str
    at: float
    upto: float | None = None


def encode_record(record: Record, signing: Secret | None) -> bytes:
    """As it stands in the store. Raises UsageError without a key to sign with."""
    content = {"schema": SCHEMA, **dataclasses.asdict(record)}
    signature = sign(canonical(content), signing)
    return canonical({**content, "signature": signature.hex()})


def parse_record(data: bytes, trusted: Iterable[str], name: str) -> Record:
    """A record that a trusted key signed, of the piece `name`.

    Raises:
        IntegrityError: it is none, changed, forged, or another one's put here.
    """
    try:
        content = json.loads(data)
        signature = bytes.fromhex(content.pop("signature"))
        genuine = signed_by_trusted(canonical(content), signature, trusted)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"it is not a record of a segment: {error}") from error
    if not genuine:
        raise IntegrityError("it was changed, or is not signed by a key in keys.trusted")
    try:
        schema, record = content.pop("schema"), Record(**content)
    except (KeyError, TypeError) as error:
        raise IntegrityError(f"it is not a record of this version of sre: {error}") from error
    item = parse_name(record.segment)
    if schema != SCHEMA or item is None or record.timeline != item.timeline:
        raise IntegrityError("it is not a record of this version of sre")
    if record.segment != name:
        raise IntegrityError(f"it is the record of {record.segment}, put here")
    return record


@dataclass(frozen=True)
class Sealed:
    """A piece of log, compressed and encrypted."""

    data: bytes
    sha256: str
    plain_bytes: int
    plain_sha256: str


def seal_piece(chunks: Iterable[bytes], recipient: str) -> Sealed:
    """Compress and encrypt to an epoch's public key; the plaintext is never held whole."""
    squeeze = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    digest, count, parts = hashlib.sha256(), 0, list[bytes]()
    for chunk in chunks:
        digest.update(chunk)
        count += len(chunk)
        parts.append(squeeze.compress(chunk))
    parts.append(squeeze.flush())
    to = [pyrage.x25519.Recipient.from_str(recipient)]
    data = bytes(pyrage.encrypt(b"".join(parts), to))
    return Sealed(data, hashlib.sha256(data).hexdigest(), count, digest.hexdigest())


def open_piece(data: bytes, record: Record, secret: str) -> bytes:
    """The plaintext, every hash checked.

    Raises:
        IntegrityError: the bytes are not those of the record, or the key does not open them.
    """
    if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
        raise IntegrityError("it is damaged: size or SHA-256 differ from its signed record")
    try:
        squeezed = pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(secret)])
        plain = zstandard.ZstdDecompressor().decompress(squeezed, max_output_size=_LARGEST)
    except (pyrage.DecryptError, pyrage.IdentityError, zstandard.ZstdError) as error:
        raise IntegrityError(f"it cannot be opened: {error}") from error
    digest = hashlib.sha256(plain).hexdigest()
    if len(plain) != record.plain_bytes or digest != record.plain_sha256:
        raise IntegrityError("what is in it differs from its signed record")
    return bytes(plain)
