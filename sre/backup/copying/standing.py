"""What of one store does another one lack, and in which order does it get there? (pure)"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sre.backup.keyring.names import family, original
from sre.backup.manifest import Manifest
from sre.backup.records import Fault

__all__ = [
    "Wanted",
    "lacking",
    "lag_of",
    "later_keys",
    "objects_of",
    "parents_first",
    "spoiled",
]


@dataclass(frozen=True)
class Wanted:
    """An object that a signed manifest describes.

    Attributes:
        bytes, sha256: as the manifest says; nothing else is written elsewhere.
    """

    key: str
    bytes: int
    sha256: str


def objects_of(manifest: Manifest, source: Collection[str]) -> tuple[Wanted, ...]:
    """What a manifest vouches for, in the order of copying: volumes, sidecar, then the key.

    Without the key as it was first written, when `source` has later forms of it alone.
    """
    volumes = (*manifest.volumes, *([manifest.sidecar] if manifest.sidecar else []))
    found = [Wanted(each.object, each.bytes, each.sha256) for each in volumes]
    if manifest.key not in source and any(later_keys(manifest.id, source, ())):
        return tuple(found)
    return (*found, Wanted(manifest.key, manifest.key_bytes, manifest.key_sha256))


def later_keys(stem: str, source: Collection[str], target: Collection[str]) -> tuple[str, ...]:
    """Later forms of a key, and their records, that the target lacks."""
    return tuple(
        key
        for key in sorted(source)
        if key.startswith(family(stem)) and key != original(stem) and key not in target
    )


def lacking(objects: Iterable[Wanted], present: Mapping[str, int]) -> tuple[Wanted, ...]:
    """What is not there at all; `present`: key -> bytes."""
    return tuple(each for each in objects if each.key not in present)


def spoiled(objects: Iterable[Wanted], present: Mapping[str, int]) -> tuple[Fault, ...]:
    """What is there with another size: it cannot be overwritten, somebody must look."""
    return tuple(
        Fault(each.key, f"it has {present[each.key]} bytes, the manifest says {each.bytes}")
        for each in objects
        if present.get(each.key, each.bytes) != each.bytes
    )


def parents_first(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Older ones first, but nothing before what it builds on, whatever the clocks said."""
    known = {each.id: each for each in manifests}
    done: dict[str, Manifest] = {}
    for each in sorted(known.values(), key=lambda m: (m.finished, m.id)):
        path: list[Manifest] = []
        at: Manifest | None = each
        while at is not None and at.id not in done and at not in path:
            path.append(at)
            at = known.get(at.parent or "")
        for link in reversed(path):
            done[link.id] = link
    return tuple(done.values())


def lag_of(uncopied: Sequence[float], now: float) -> float:
    """Seconds since the oldest thing that is still in one store alone; 0 when there is none."""
    return max(0.0, now - min(uncopied)) if uncopied else 0.0
