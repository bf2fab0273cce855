"""How does a backup go, so that a kill at any moment leaves none that is half there?

    expiring mark ─► manifest ─► signature ─► volumes ─► key ─► verifications ─► mark

Without its manifest there is no backup. The mark goes last and says what is left to do: the next
run finishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sre.backup.catalogue import Catalogue
from sre.backup.lease import Lease
from sre.backup.manifest import Manifest
from sre.backup.pruning.marks import expiring, hold_of
from sre.backup.upkeep import Guarded

__all__ = ["erase", "finish"]


def erase(catalogue: Catalogue, manifest: Manifest, others: Iterable[str], lease: Lease) -> str:
    """Delete a backup. Empty when it is gone, else why it was kept after all.

    `others` are keys of its folder, verifications and marks. Raises Fenced, Transient.
    """
    storage, place = catalogue.storage, manifest.where
    lease.confirm()
    data, signature = catalogue.signed_bytes(place)
    if hold_of(storage, place) is not None:
        return "held meanwhile"
    storage.put(place.mark("expiring"), expiring(data, signature))
    try:
        storage.delete(place.manifest)
    except Guarded:
        storage.delete(place.mark("expiring"))
        return "the store refuses: it is locked"
    catalogue.forget(place)
    return finish(catalogue, manifest, others)


def finish(catalogue: Catalogue, manifest: Manifest, others: Iterable[str]) -> str:
    """Delete what is left of a backup whose manifest is gone; as `erase`."""
    place, mark = manifest.where, manifest.where.mark("expiring")
    known = {place.signature, manifest.key, *(volume.object for volume in manifest.volumes)}
    volumes = [volume.object for volume in manifest.volumes]
    strays = sorted(set(others) - known - {place.manifest, mark})
    in_folder = [key for key in strays if key.startswith(place.folder)]
    elsewhere = [key for key in strays if not key.startswith(place.folder)]
    kept = _delete_all(catalogue, [place.signature, *volumes, *in_folder, manifest.key, *elsewhere])
    if kept:
        return f"{kept} of its objects are locked; a later run removes them"
    catalogue.storage.delete(mark)
    catalogue.forget(place)
    return ""


def _delete_all(catalogue: Catalogue, keys: Sequence[str]) -> int:
    kept = 0
    for key in keys:
        try:
            catalogue.storage.delete(key)
        except Guarded:
            kept += 1
    return kept
