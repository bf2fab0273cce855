"""What do people and verifications say of a backup, and does a copy of it know?

    hold        carried over; a release is said in each store, as nothing is deleted by a copy
    shredded    carried over: from then on nothing opens the copy, though its keys still stand there
    quarantine  carried over when what is wrong is in the backup; not when only the bytes in the
                first store are damaged: the copy has its own, and they were right when they came

The audit log of the first store goes to `v1/audit-of/<store>/`, beside the one of the second.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from sre.backup.audit.record import COPIES, FOLDER, seq_of
from sre.backup.catalogue import Damaged
from sre.backup.condition import QUARANTINE, SHREDDED
from sre.backup.copying.transfer import Side, transfer_small
from sre.backup.layout import Place
from sre.backup.manifest import Manifest
from sre.backup.objects import Changed
from sre.backup.records import Fault
from sre.backup.signed import opened
from sre.core.errors import Refused

__all__ = ["copy_audit", "copy_hold", "copy_quarantine", "copy_shredded"]


def copy_hold(source: Side, target: Side, place: Place) -> int:
    """Hold the copy too; one that is held there already stays as it is. How many were new."""
    key = place.mark("hold")
    data = _bytes(source, key)
    if data is None or _bytes(target, key) is not None:
        return 0
    with target.named(), contextlib.suppress(Refused):  # somebody else holds it by now
        target.storage.put(key, data)
        return 1
    return 0


def copy_shredded(source: Side, target: Side, place: Place, trusted: tuple[str, ...]) -> int:
    """Nothing opens the copy any more either. How many were new. Raises Damaged."""
    key = place.mark("shredded")
    data = _bytes(source, key)
    if data is None or _told(data, trusted, SHREDDED, place) is None:
        return 0
    if _told(_bytes(target, key), trusted, SHREDDED, place) is not None:
        return 0
    return _replace(target, key, data)


def copy_quarantine(
    source: Side, target: Side, manifest: Manifest, trusted: tuple[str, ...]
) -> int:
    """What is said of a backup's content, or that it was taken back. How many were new."""
    place = manifest.where
    key = place.mark("quarantine")
    data = _bytes(source, key)
    here = _told(data, trusted, QUARANTINE, place)
    if data is None or here is None:
        return 0
    there = _told(_bytes(target, key), trusted, QUARANTINE, place)
    if here.get("lifted") is not None:
        same = there is not None and there.get("at") == here.get("at")
        return _replace(target, key, data) if same and _lasts(there) else 0
    if there is not None and _at(there) >= _at(here):
        return 0  # that store has judged since, or knows it
    return _replace(target, key, data) if _in_content(source, manifest, here) else 0


def copy_audit(source: Side, target: Side) -> tuple[int, list[Fault]]:
    """The first store's record of changes; how many pieces were new, and what does not fit."""
    count, problems, folder = 0, list[Fault](), f"{COPIES}{source.name}/"
    with source.named():
        here = {e.key: e.size for e in source.storage.list(FOLDER) if seq_of(e.key) is not None}
    with target.named():
        there = {e.key.replace(folder, FOLDER, 1): e.size for e in target.storage.list(folder)}
    for key in sorted({*here, *there}):
        name = f"{target.name}: {key.replace(FOLDER, folder, 1)}"
        if key not in here:
            problems.append(Fault(f"{source.name}: {key}", f"it is gone; {name} has it"))
        elif there.get(key, here[key]) != here[key]:
            problems.append(Fault(f"{source.name}: {key}", f"it is another one than {name}"))
        elif key not in there:
            try:
                data = _bytes(source, key)
                if data is not None:
                    transfer_small(target, key.replace(FOLDER, folder, 1), data)
                    count += 1
            except Damaged as error:
                problems.append(error.fault)
    return count, problems


def _bytes(side: Side, key: str) -> bytes | None:
    try:
        return side.get(key)
    except KeyError:
        return None


def _told(
    data: bytes | None, trusted: tuple[str, ...], schema: str, place: Place
) -> Mapping[str, Any] | None:
    """A mark that a trusted key signed for this backup."""
    record = None if data is None else opened(data, trusted, schema)
    return record if record is not None and record.get("id") == place.id else None


def _lasts(record: Mapping[str, Any] | None) -> bool:
    return record is not None and record.get("lifted") is None


def _at(record: Mapping[str, Any]) -> float:
    """When it was last judged; a word without a time is as old as can be."""
    found = [record.get("at"), record.get("lifted")]
    return max((float(each) for each in found if isinstance(each, int | float)), default=0.0)


def _replace(target: Side, key: str, data: bytes) -> int:
    """In one step; a newer word there stays, and the next pass looks again."""
    with target.named():
        try:
            target.storage.swap(key, data, target.storage.cell(key).version)
        except Changed:
            return 0
    return 1


def _in_content(source: Side, manifest: Manifest, record: Mapping[str, Any]) -> bool:
    """Whether some of what is wrong is not just in the bytes that the first store has."""
    problems = record.get("problems")
    named = [each.get("object") for each in problems] if isinstance(problems, list) else []
    return any(isinstance(each, str) and not _spoiled(source, manifest, each) for each in named)


def _spoiled(source: Side, manifest: Manifest, key: str) -> bool:
    """Whether an object of the first store is not what the manifest says, or cannot be judged."""
    volumes = (*manifest.volumes, *([manifest.sidecar] if manifest.sidecar else []))
    known = {each.object: each.sha256 for each in volumes}
    known[manifest.key] = manifest.key_sha256
    if key not in known:
        return key.startswith("v1/")
    with source.named():
        try:
            return _digest(source.storage.stream(key)) != known[key]
        except KeyError:
            return True


def _digest(pieces: Iterable[bytes]) -> str:
    hashed = hashlib.sha256()
    for each in pieces:
        hashed.update(each)
    return hashed.hexdigest()
