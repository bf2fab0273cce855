"""How does one piece of log get into the store, once, whoever else brings it too?

    hash ─► record there? same bytes: done, others: stop ─► object ─► asked back ─► signed record

The record's put decides: of two archivers with the same bytes both succeed; with others the later
one stops for good, because two servers write the same timeline.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sre.backup.fence import guarding
from sre.backup.log.epoch import Epoch, epoch_now
from sre.backup.log.layout import LogPlace
from sre.backup.log.segment import Record, Sealed, encode_record, parse_record, seal_piece
from sre.backup.model import Keys, Lock
from sre.backup.objects import Storage
from sre.backup.pruning.locking import writing
from sre.backup.twice import read_until_sound
from sre.core.clock import Clock
from sre.core.errors import IntegrityError, Refused, Transient

__all__ = ["Diverged", "Piece", "Writer"]

_CHUNK = 2**20


class Diverged(IntegrityError):
    """The store has other bytes under a segment's name."""


@dataclass(frozen=True)
class Piece:
    """What is to be stored: the first `length` bytes of a file, under a name.

    Attributes:
        size: of a whole segment at this server.
        upto: see `Record.upto`.
    """

    name: str
    path: Path
    length: int
    size: int
    upto: float | None = None

    def chunks(self) -> Iterator[bytes]:
        """Its bytes. Raises Transient when the file is shorter than it was."""
        left = self.length
        with self.path.open("rb") as file:
            while left > 0:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise Transient(f"{self.path} became shorter while it was read")
                left -= len(chunk)
                yield chunk


@dataclass
class Writer:
    """Puts pieces of one server's log into a store."""

    storage: Storage
    keys: Keys
    place: LogPlace
    clock: Clock
    note: Path
    """Where the epoch's public key is kept."""
    lock: Lock | None = None
    check: Callable[[], None] = lambda: None
    """Raises when we may not write any more (the lease)."""
    epoch: Epoch | None = None

    def store(self, piece: Piece) -> Record:
        """Durable on return. Idempotent.

        Raises:
            Diverged: other bytes stand there under this name; nothing was written.
            Transient: the store does not answer.
        """
        held = self._held(piece)
        if held is not None:
            return held
        now = self.clock.wall()
        storage = writing(self.storage, self.lock, now)
        self.epoch = epoch_now(storage, self.keys, self.note, now, self.epoch)
        sealed = seal_piece(piece.chunks(), self.epoch.recipient)
        with guarding(self.check):
            key = self._upload(storage, piece.name, sealed)
            record = self._record(piece, key, sealed, now)
            try:
                storage.put(self.place.record(piece.name), encode_record(record, self.keys.signing))
            except Refused:
                held = self._held(piece)  # raises Diverged
                if held is None:
                    raise
                return held
        return record

    def _upload(self, storage: Storage, name: str, sealed: Sealed) -> str:
        """Under its plain name, unless a try that never ended stands there."""
        key = self.place.object(name)
        if storage.head(key) is not None:
            key = self.place.object(name, secrets.token_hex(4))
        data = sealed.data
        pieces = (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))
        try:
            storage.upload(key, pieces)
        except Refused:  # somebody was faster
            key = self.place.object(name, secrets.token_hex(4))
            storage.upload(key, (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)))
        found = storage.head(key)
        if found is None or found.size != len(data):
            raise Transient(f"the store does not have {key} as it was sent; it is sent again")
        return key

    def _record(self, piece: Piece, key: str, sealed: Sealed, now: float) -> Record:
        assert self.epoch is not None  # noqa: S101  made before anything was sealed
        return Record(
            segment=piece.name,
            timeline=int(piece.name[:8], 16),
            object=key,
            size=piece.size,
            bytes=len(sealed.data),
            sha256=sealed.sha256,
            plain_bytes=sealed.plain_bytes,
            plain_sha256=sealed.plain_sha256,
            key=self.epoch.key,
            at=now,
            upto=piece.upto,
        )

    def _held(self, piece: Piece) -> Record | None:
        """The record that is there already, if its bytes are ours."""
        key = self.place.record(piece.name)
        if self.storage.head(key) is None:
            return None
        try:
            record = read_until_sound(lambda: self._record_at(key, piece.name))
        except KeyError:
            return None
        except Diverged:
            raise
        except IntegrityError as error:
            raise Diverged(f"{key}: {error}; look who writes there") from error
        digest = hashlib.sha256()
        for chunk in piece.chunks():
            digest.update(chunk)
        if (record.plain_bytes, record.plain_sha256) != (piece.length, digest.hexdigest()):
            raise Diverged(
                f"{key}: the store has other bytes under this name than {piece.path}: two servers "
                "write this timeline (an old primary that came back?); nothing was overwritten, "
                "stop one of them, then take a full backup of the right one"
            )
        return record

    def _record_at(self, key: str, name: str) -> Record:
        data = self.storage.get(key)
        if not self.keys.trusted:  # a host that believes nobody: it is compared, not trusted
            return _unchecked(data, key)
        return parse_record(data, self.keys.trusted, name)


def _unchecked(data: bytes, key: str) -> Record:
    try:
        found = json.loads(data)
        names = {each.name for each in dataclasses.fields(Record)}
        return Record(**{name: value for name, value in found.items() if name in names})
    except (ValueError, TypeError, AttributeError) as error:
        raise Diverged(f"{key}: it is no record of a segment") from error
