"""What do tests of retention work with: a store with many small backups, which can die or lie?"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sre.backup.attest import attest
from sre.backup.job import Job
from sre.backup.keys import sign
from sre.backup.layout import Place, new_id
from sre.backup.listing import list_backups
from sre.backup.manifest import Manifest, Volume
from sre.backup.model import Keys
from sre.backup.pruning.prune import Planned
from sre.backup.records import Fault, Verification
from sre.backup.storage.memory import MemoryStorage
from sre.backup.tier import Keep, Tier, Verify
from sre.core.clock import FakeClock
from tests.unit.backup.setting import TarDatabase, make_job

DAY = 86400.0
START = 1_800_000_000.0
KEEP = Keep(daily=2, min_verified_fulls=1)


class Store(MemoryStorage):
    """It can die at its n-th deletion, before or after it, or lie in lists."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.left: int | None = None
        self.after = False
        self.hidden = ""
        self.deletes = 0

    def put(self, key: str, data: bytes) -> None:
        if self.left is not None and "expiring" in key:
            self._count(lambda: super(Store, self).put(key, data))
        else:
            super().put(key, data)

    def delete(self, key: str) -> None:
        self._count(lambda: super(Store, self).delete(key))

    def _count(self, act: Any) -> None:
        self.deletes += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                if self.after:
                    act()
                raise KeyboardInterrupt
        act()

    def list(self, prefix: str) -> Iterator[Any]:
        for each in super().list(prefix):
            if self.hidden and self.hidden in each.key:
                continue
            yield each


@dataclasses.dataclass
class Shop:
    """A store with backups whose bytes do not matter."""

    job: Job
    store: Store
    clock: FakeClock

    def add(self, day: float, *, level: int | None = 3, size: int = 100, **more: Any) -> Manifest:
        """A committed backup of that day, verified unless told."""
        at = START + day * DAY
        kind = more.get("kind", "full")
        place = Place("orders", "7-16", new_id(at, kind, os.urandom(8)))
        volumes = tuple(Volume(place.volume(n), 4, "", 4, "") for n in range(3))
        manifest = Manifest(
            id=place.id, db="orders", engine="postgres", version="16.4", place="7-16", kind=kind,
            parent=more.get("parent"), tier="gold", started=at - 60, finished=at, consistent=at,
            source_bytes=size, stored_bytes=size, key=place.key, key_bytes=4, key_sha256="",
            recipients=(), volumes=volumes, dump={}, argv=(),
            tool="test",
        )  # fmt: skip
        before, self.clock._now = self.clock._now, at
        data = manifest.encode()
        for volume in manifest.volumes:
            self.store.put(volume.object, b"data")
        self.store.put(place.key, b"key!")
        self.store.put(place.folder + "map.age", b"a map")
        self.store.put(place.signature, sign(data, self.job.backups.keys.signing))
        self.store.put(place.manifest, data)
        if level is not None:
            self.verify(manifest, level)
        self.clock._now = max(before, at)
        return manifest

    def verify(self, manifest: Manifest, level: int = 3, *, passed: bool = True) -> None:
        faults = () if passed else (Fault("x", "bad"),)
        at = self.clock.wall() + 1
        found = Verification(manifest.id, "orders", level, at, faults=faults)
        assert attest(self.store, self.job.backups.keys, found)

    def ids(self) -> list[str]:
        backups, faults = list_backups(self.job)
        assert faults == []
        return [each.id for each in backups]

    def whole(self) -> None:
        """No manifest without all of its objects."""
        for db in ("orders",):
            for found in self.job.catalogue(self.job.declared(db)).listed([db]):
                assert isinstance(found, Manifest)
                for key in (*(v.object for v in found.volumes), found.key, found.where.signature):
                    assert self.store.head(key) is not None, key


def make_shop(tmp_path: Path, keys: Keys, keep: Keep | None = KEEP) -> Shop:
    clock = FakeClock(START)
    store = Store(clock)
    tier = Tier(keep=keep, verify=Verify(level=3))
    job = make_job(tmp_path, keys, TarDatabase(tmp_path / "none"), storage=store, tier=tier)
    return Shop(dataclasses.replace(job, clock=clock, lease_ttl=1e9), store, clock)


def only(plans: list[Planned]) -> Planned:
    [planned] = plans
    return planned
