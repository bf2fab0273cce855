"""What do tests of copies work with: a job with a second store?"""

from __future__ import annotations

import dataclasses

from sre.backup.copying.copy import copy_pass
from sre.backup.copying.records import Passed
from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.model import Tier
from sre.backup.storage.local import LocalStore
from sre.backup.storage.memory import MemoryStorage


def two_stores(job: Job, tier: Tier | None = None) -> Job:
    """The same job with a second store, `offsite`, and a tier that copies there."""
    offsite = LocalStore(job.state / "offsite")
    databases = {
        name: dataclasses.replace(each, tier=tier or Tier(copies=("offsite",)))
        for name, each in job.backups.databases.items()
    }
    stores = {**job.backups.stores, "offsite": offsite}
    backups = dataclasses.replace(job.backups, stores=stores, databases=databases)
    job.storages["offsite"] = MemoryStorage()
    return dataclasses.replace(job, backups=backups)


def memory(job: Job, store: str) -> MemoryStorage:
    storage = job.storages[store]
    assert isinstance(storage, MemoryStorage)
    return storage


def copied(job: Job) -> Passed:
    return copy_pass(job, "orders", "offsite")


def there(job: Job) -> list[str]:
    return [each.id for each in list_backups(job.at("offsite"), "orders")[0]]
