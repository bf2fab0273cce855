"""What do tests of keys work with: a store of two backups, which can die at a write of a key?"""

from __future__ import annotations

import dataclasses

from sre.backup.catalogue import Damaged
from sre.backup.job import Job
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.opening import secret_of
from sre.backup.storage.memory import MemoryStorage


class Dying(MemoryStorage):
    """It dies at its n-th write."""

    left: int | None = None

    def _one(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt

    def put(self, key: str, data: bytes) -> None:
        if key.startswith("v1/keys/"):
            self._one()
        super().put(key, data)

    def delete(self, key: str) -> None:
        if key.startswith("v1/keys/"):
            self._one()
        super().delete(key)


def store(job: Job) -> Dying:
    found = job.storages["main"]
    assert isinstance(found, Dying)
    return found


def under(job: Job, keys: Keys) -> Job:
    return dataclasses.replace(job, backups=dataclasses.replace(job.backups, keys=keys))


def manifests(job: Job) -> list[Manifest]:
    found = list(job.catalogue(job.declared("orders")).listed(["orders"]))
    # of two in one second the ids do not say which was first
    return sorted((m for m in found if isinstance(m, Manifest)), key=lambda m: m.finished)


def opens(job: Job, keys: Keys) -> list[bool]:
    found = []
    for manifest in manifests(job):
        try:
            found.append(bool(secret_of(store(job), manifest, keys)))
        except Damaged:
            found.append(False)
    return found
