"""What does one audit record say, and what ties it to the one before it?

Pure. A record holds the hash of its predecessor; it stands in the folder of the month in which its
predecessor was written, so that there is one place alone for each number and two writers at once
meet there.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sre.backup.manifest import canonical
from sre.core.errors import IntegrityError
from sre.core.masking import masked

__all__ = [
    "COPIES", "FOLDER", "START", "Entry", "Head", "Record", "key_after", "parse_entry",
    "safe_argv", "seq_of",
]  # fmt: skip

SCHEMA = "sre.audit/1"
FOLDER = "v1/audit/"
COPIES = "v1/audit-of/"
"""Below it, by the name of a store: that one's record of changes, as `sre backup copy` left it."""
_KEY = re.compile(r"v1/audit/(\d{4}/\d{2})/(\d{9,})\.json")
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]*@")
_PASSWORD = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|secret|token|access_key|secret_key|api_key)=)\S+"
)
_SECRET_KEY = re.compile(r"AGE-SECRET-KEY-[0-9A-Z]+|SRE-ED25519-SECRET-[A-Za-z0-9+/=]+")


@dataclass(frozen=True)
class Record:
    """One action that changed something, or tried to.

    Attributes:
        seq: from 1, without a gap.
        at: Unix seconds, by the clock of the host; its end.
        argv: the command line, secrets masked.
        objects: what it was about: the id of a backup, a database, a key.
        result: `ok`, or what went wrong.
        fence: the number of the lease under which it ran; None without one.
        signer: the public key that signed; empty where there is no key.
        prev: SHA-256 of the record before, empty for the first.
    """

    seq: int
    at: float
    who: str
    host: str
    argv: tuple[str, ...]
    action: str
    objects: tuple[str, ...]
    result: str
    fence: int | None
    signer: str
    prev: str

    def encode(self) -> bytes:
        """The bytes that are hashed and signed."""
        return canonical({"schema": SCHEMA, **dataclasses.asdict(self)})

    @property
    def digest(self) -> str:
        """What the next record says of this one."""
        return hashlib.sha256(self.encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A record as it stands in a store, with its hash and its signature (may be empty)."""

    record: Record
    sha256: str
    signature: bytes = b""

    def encode(self) -> bytes:
        """The object's content."""
        return canonical(
            {
                "record": json.loads(self.record.encode()),
                "sha256": self.sha256,
                "signature": base64.b64encode(self.signature).decode(),
            }
        )


@dataclass(frozen=True)
class Head:
    """The newest record as somebody knows it. `month` is the folder of the next one, at least."""

    seq: int
    sha256: str
    month: str


START = Head(0, "", "")


def month_of(at: float) -> str:
    """The folder of a moment."""
    return f"{datetime.fromtimestamp(at, UTC):%Y/%m}"


def key_after(head: Head, at: float) -> str:
    """Where the record after `head` stands; `at` matters to the first of all alone."""
    return f"{FOLDER}{head.month or month_of(at)}/{head.seq + 1:09d}.json"


def head_at(key: str, data: bytes) -> Head:
    """The head when `data` stands at `key`; a damaged record is followed by its bytes' hash."""
    seq, month = seq_of(key) or 0, key.removeprefix(FOLDER).rpartition("/")[0]
    try:
        record = parse_entry(data).record
    except IntegrityError:
        return Head(seq, hashlib.sha256(data).hexdigest(), month)
    return Head(seq, record.digest, max(month, month_of(record.at)))


def seq_of(key: str) -> int | None:
    """The number in a record's key; None when it is none."""
    match = _KEY.fullmatch(key)
    return None if match is None else int(match[2])


def parse_entry(data: bytes) -> Entry:
    """A record with its hash and signature, none of which has been believed yet.

    Raises:
        IntegrityError: it is not one.
    """
    try:
        found = json.loads(data)
        fields = dict(found["record"])
        schema = fields.pop("schema")
        fields["argv"], fields["objects"] = tuple(fields["argv"]), tuple(fields["objects"])
        record = Record(**fields)
        month_of(record.at)
        entry = Entry(record, str(found["sha256"]), base64.b64decode(found["signature"]))
        sound = entry.encode() == data
    except (ValueError, KeyError, TypeError, OverflowError, OSError, binascii.Error) as error:
        raise IntegrityError(f"it is not an audit record: {error}") from error
    if schema != SCHEMA or not sound:
        raise IntegrityError("it is not an audit record of this version")
    return entry


def safe_argv(argv: Iterable[str]) -> tuple[str, ...]:
    """A command line without secrets: those revealed here, and what looks like one."""
    found = []
    for each in argv:
        text = _URL_PASSWORD.sub(r"\1:<secret>@", str(masked(each)))
        text = _SECRET_KEY.sub("<secret>", text)
        found.append(_PASSWORD.sub(r"\1<secret>", text))
    return tuple(found)
