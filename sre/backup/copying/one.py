"""How does one backup get to another store, so that it is there whole or not at all?

Volumes and sidecar, the key, what else belongs to it, the signature, and the manifest last: as a
run does it. What an interrupted copy left is read back and used.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sre.backup.copying.standing import Wanted
from sre.backup.copying.transfer import Side, transfer, transfer_small
from sre.backup.keys import signed_by_trusted
from sre.backup.layout import Place
from sre.backup.manifest import Manifest, parse_manifest
from sre.core.errors import IntegrityError

__all__ = ["Signed", "copy_backup", "copy_keys", "is_gone", "signed_manifest"]

_AT_ONCE = 4

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Signed:
    """A manifest that is believed, with the bytes that were signed."""

    manifest: Manifest
    data: bytes
    signature: bytes


def signed_manifest(source: Side, place: Place, trusted: tuple[str, ...]) -> Signed:
    """Read from the store, never from an index. Raises Damaged."""
    parts = []
    for key in (place.manifest, place.signature):
        try:
            parts.append(source.get(key))
        except KeyError:
            raise source.fault(key, "the object is missing") from None
    data, signature = parts
    if not signed_by_trusted(data, signature, trusted):
        raise source.fault(place.manifest, "it is not signed by a key in keys.trusted, or changed")
    try:
        return Signed(parse_manifest(data, place), data, signature)
    except IntegrityError as error:
        raise source.fault(place.manifest, str(error)) from error


def copy_backup(
    source: Side,
    target: Side,
    signed: Signed,
    objects: Sequence[Wanted],
    keys: Sequence[str],
    progress: Progress,
) -> int:
    """Copy these objects of it, commit it there; how many bytes were new.

    `objects` are all of the manifest, or what is missing of a copy that was committed before;
    `keys` are the later wrapped forms of its key.

    Raises:
        Damaged: an object is missing or changed: nothing is committed.
        Transient, UsageError, Refused: a store does not answer or refuses; run it again.
    """
    place = signed.manifest.where
    count = _all(source, target, objects, progress)
    count += copy_keys(source, target, keys)
    transfer_small(target, place.signature, signed.signature)
    transfer_small(target, place.manifest, signed.data)
    return count + len(signed.signature) + len(signed.data)


def copy_keys(source: Side, target: Side, keys: Sequence[str]) -> int:
    """Keys that were wrapped again, each before the record by which it counts; new bytes."""
    count = 0
    for key in sorted(keys):
        try:
            data = source.get(key)
        except KeyError:
            continue
        transfer_small(target, key, data)
        count += len(data)
    return count


def _all(source: Side, target: Side, objects: Sequence[Wanted], progress: Progress) -> int:
    """Volumes several at a time; the key (the last one) once they are all there."""
    if not objects:
        return 0
    *volumes, last = objects
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs = [
            pool.submit(contextvars.copy_context().run, transfer, source, target, each, progress)
            for each in volumes
        ]
        try:
            count = sum(job.result() for job in jobs)
        except BaseException:
            for job in jobs:
                job.cancel()
            raise
    return count + transfer(source, target, last, progress)


def is_gone(source: Side, place: Place) -> bool:
    """Whether retention took the backup away while it was copied."""
    with source.named():
        return source.storage.head(place.manifest) is None
