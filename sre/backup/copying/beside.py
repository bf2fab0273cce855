"""How do the archived log and the verifications of a database get to another store?

Each piece of log has a signed record that says what its bytes are: the bytes go first, the record
last. Verifications are copied when a trusted key signed them; anything else is left where it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from sre.backup.catalogue import Damaged
from sre.backup.copying.standing import Wanted
from sre.backup.copying.transfer import Side, transfer, transfer_small
from sre.backup.keys import signed_by_trusted
from sre.backup.layout import database_of
from sre.backup.log.layout import item_of
from sre.backup.log.segment import Record, parse_record
from sre.backup.objects import ObjectInfo
from sre.backup.records import Fault
from sre.backup.twice import read_alike, read_until_sound
from sre.core.errors import IntegrityError

__all__ = ["LogCopied", "copy_attestations", "copy_log", "log_waiting"]

Progress = Callable[[int], None]


@dataclass
class LogCopied:
    """What became of the log."""

    objects: int = 0
    bytes: int = 0
    problems: list[Fault] = field(default_factory=list)


def log_waiting(
    db: str, source: Mapping[str, ObjectInfo], target: Collection[str]
) -> Iterator[ObjectInfo]:
    """Records of pieces of log that the target has not, in the order of the log. (pure)

    Records are all that is asked for: a piece without one is not there yet.
    """
    for key in sorted(source):
        if key.startswith(database_of(db)) and item_of(key) is not None and key not in target:
            yield source[key]


def copy_log(
    source: Side,
    target: Side,
    records: Collection[ObjectInfo],
    trusted: tuple[str, ...],
    progress: Progress,
) -> LogCopied:
    """Copy these pieces; a damaged one is named and the others still go. Raises Transient."""
    done, keys = LogCopied(), set[str]()
    for each in records:
        try:
            done.bytes += _piece(source, target, each.key, trusted, keys, progress)
            done.objects += 1
        except Damaged as error:
            if not _gone(source, each.key):
                done.problems.append(error.fault)
    return done


def _piece(
    source: Side,
    target: Side,
    key: str,
    trusted: tuple[str, ...],
    keys: set[str],
    progress: Progress,
) -> int:
    data, record = read_until_sound(lambda: _read(source, key, trusted))
    if record.key not in keys:
        _epoch_key(source, target, record.key)
        keys.add(record.key)
    wanted = Wanted(record.object, record.bytes, record.sha256)
    count = transfer(source, target, wanted, progress)
    transfer_small(target, key, data)
    return count + len(data)


def _read(source: Side, key: str, trusted: tuple[str, ...]) -> tuple[bytes, Record]:
    try:
        data = source.get(key)
    except KeyError:
        raise source.fault(key, "the object is missing") from None
    return data, _believed(source, key, data, trusted)


def _believed(source: Side, key: str, data: bytes, trusted: tuple[str, ...]) -> Record:
    item = item_of(key)
    assert item is not None  # noqa: S101  `log_waiting` asked
    try:
        record = parse_record(data, trusted, item.name)
    except IntegrityError as error:
        raise source.fault(key, str(error)) from error
    if not record.object.startswith(key.removesuffix(".json")) or not record.key.startswith(
        "v1/keys/log-"
    ):
        raise source.fault(key, "it names objects of another piece")
    return record


def _epoch_key(source: Side, target: Side, key: str) -> None:
    """Small, and wrapped for the recipients: who changes it makes the log unreadable, no more."""
    family = f"{key.removesuffix('.age')}."
    with target.named():
        there = {each.key for each in target.storage.list(family)}
    with source.named():
        here = {each.key for each in source.storage.list(family)}
    if not here | there:
        raise source.fault(key, "the key of an epoch of the log is missing")
    for each in sorted(here - there):  # one that was wrapped again: its record after it
        with contextlib.suppress(KeyError):
            transfer_small(target, each, read_alike(partial(source.get, each)))


def _gone(source: Side, key: str) -> bool:
    """Superseded or retired by now: no damage."""
    with source.named():
        return source.storage.head(key) is None


def copy_attestations(
    source: Side, target: Side, backup: str, trusted: tuple[str, ...]
) -> tuple[int, list[Fault]]:
    """Copy the believed verifications of one backup; how many were new, and what is wrong."""
    about, count, problems = f"v1/attest/{backup}/", 0, list[Fault]()
    with source.named():
        here = {each.key for each in source.storage.list(about)}
    with target.named():
        there = {each.key for each in target.storage.list(about)}
    for key in sorted(here - there):
        if not key.endswith(".json") or f"{key}.sig" not in here:
            continue
        try:
            data, signature = source.get(key), source.get(f"{key}.sig")
        except KeyError:
            continue
        if not signed_by_trusted(data, signature, trusted):
            continue
        try:
            transfer_small(target, f"{key}.sig", signature)
            transfer_small(target, key, data)
            count += 1
        except Damaged as error:
            problems.append(error.fault)
    return count, problems
