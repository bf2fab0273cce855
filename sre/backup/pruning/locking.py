"""What does a tier's object lock mean for writing a backup, and for what it builds on?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sre.backup.layout import stamp
from sre.backup.manifest import Manifest
from sre.backup.objects import Storage
from sre.backup.tier import Lock
from sre.backup.upkeep import LockState, ObjectLock
from sre.core.errors import Refused

__all__ = ["describe", "extend_parents", "locked", "objects_of", "writing"]

_DAY = 86400.0


def writing(storage: Storage, lock: Lock | None, now: float) -> Storage:
    """Where a backup is written: with the tier's lock on everything, if it asks for one.

    Raises Refused when the store has no object lock, unless the tier waives it.
    """
    if lock is None:
        return storage
    at = storage.time()
    wanted = ObjectLock(lock.mode, (now if at is None else at) + lock.days * _DAY)
    try:
        return storage.locking(wanted)
    except Refused:
        if lock.waive.strip():
            return storage
        raise


def objects_of(manifest: Manifest) -> tuple[str, ...]:
    """Everything that a restore needs, the manifest last."""
    place = manifest.where
    volumes = (volume.object for volume in manifest.volumes)
    return (*volumes, manifest.key, place.signature, place.manifest)


def locked(storage: Storage, manifest: Manifest, now: float) -> LockState | None:
    """The longest lock on any object of a backup; None when nothing protects it."""
    found = [storage.lock_of(key) for key in objects_of(manifest)]
    held = [each for each in found if each.protects(now)]
    return max(held, key=lambda each: (each.legal_hold, each.until or 0.0), default=None)


def describe(state: LockState) -> str:
    """In words."""
    if state.legal_hold:
        return "under legal hold"
    return f"locked ({state.mode or 'object lock'}) until {stamp(state.until or 0.0)}"


def extend_parents(
    storage: Storage, child: Manifest, parents: Iterable[Manifest], until: float | None = None
) -> Iterator[str]:
    """Lock everything that a backup builds on as long as the backup itself; ids of those extended.

    The manifest goes last: its lock stands for all. `until` for a child that is not stored yet.
    """
    state = storage.lock_of(child.where.manifest)
    wanted = state.until if until is None else until
    if wanted is None:
        return
    for parent in parents:
        before = storage.lock_of(parent.where.manifest)
        if before.until is not None and before.until >= wanted - 1:
            continue
        mode = "COMPLIANCE" if "COMPLIANCE" in {before.mode, state.mode} else "GOVERNANCE"
        for key in objects_of(parent):
            found = storage.lock_of(key)
            if found.until is None or found.until < wanted - 1:
                storage.extend_lock(key, ObjectLock(mode, wanted))  # type: ignore[arg-type]
        yield parent.id
