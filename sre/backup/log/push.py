"""How does one segment come from PostgreSQL's own archive_command?

Returns only once it is durable; whatever else happens is an error, and PostgreSQL keeps the segment
and comes again.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from sre.backup.job import Job
from sre.backup.keys import keys_ready
from sre.backup.log.layout import log_place, parse_name
from sre.backup.log.places import epoch_note, server_of
from sre.backup.log.spool import Spool, Spooled
from sre.backup.log.writing import Piece, Writer
from sre.core.errors import Refused, UsageError

__all__ = ["push_segment"]

_HEAD = 40
_LABEL = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")
_VERSIONS = {0xD10D: "14", 0xD110: "15", 0xD113: "16", 0xD116: "17", 0xD118: "18"}


def push_segment(job: Job, db: str, path: Path) -> str:
    """Store what `archive_command` names; what became of it, in words. Needs no connection.

    Raises:
        Diverged: the store has other bytes under this name.
        IntegrityError: the file is not that segment.
        Transient, UsageError: store, keys; nothing was stored.
    """
    declared = job.declared(db)
    server_of(declared)
    keys_ready(job.backups.keys)
    name = path.name
    if _LABEL.fullmatch(name):
        return f"nothing of {name}: a label, which no restore needs"
    partial = name.endswith(".partial")
    item = parse_name(name.removesuffix(".partial"))
    if item is None or item.kind == "partial":
        raise UsageError(f"{name} is not a segment's name; give what PostgreSQL puts for %p")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; archive_command runs in the data directory")
    system, major, size = _told(path)
    spool = Spool(path.parent, size, system)
    if item.kind == "segment":
        spool.check(Spooled(item.name, partial=partial, path=path))
    place = log_place(db, f"{system}-{major}")
    lock, note = declared.tier.lock, epoch_note(job.state, declared)
    writer = Writer(job.storage(declared), job.backups.keys, place, job.clock, note, lock)
    length = path.stat().st_size
    stored = f"{item.name}.partial-{length:08x}" if partial else item.name
    writer.store(Piece(stored, path, length, size))
    return stored


def _told(path: Path) -> tuple[int, str, int]:
    """(system identifier, major version, bytes of a segment) by the header of a segment."""
    source = path
    if path.name.endswith(".history"):
        beside = [each for each in path.parent.iterdir() if re.fullmatch("[0-9A-F]{24}", each.name)]
        if not beside:
            raise Refused(f"no segment stands beside {path}, so its server cannot be told")
        source = max(beside)
    with source.open("rb") as file:
        head = file.read(_HEAD)
    if len(head) < _HEAD:
        raise UsageError(f"{source} is no segment: it has no header")
    magic, system, size = struct.unpack_from("<H22xQI", head)
    major = _VERSIONS.get(magic)
    if major is None:
        raise UsageError(f"{source} is of a PostgreSQL that is not known here ({magic:04X})")
    return system, major, size
