"""Do the policies of copies, of changes of keys and of examinations allow just their calls?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from sre.backup.audit.doing import audited
from sre.backup.condition import quarantine
from sre.backup.copying.copy import copy_pass
from sre.backup.doctor.examine import examine
from sre.backup.doctor.scene import Scene
from sre.backup.doctor.scene_names import SCRATCH
from sre.backup.job import Job
from sre.backup.keyring.rewrap import rewrap
from sre.backup.keyring.shred import shred
from sre.backup.keyring.survey import openers
from sre.backup.keys import new_backup_key
from sre.backup.model import Keys
from sre.backup.pruning.marks import hold
from sre.backup.records import Fault
from sre.backup.runner import run_backup
from sre.backup.storage.s3 import S3Store
from sre.backup.storage.s3_client import S3Storage
from sre.backup.verifying.verify import verify
from tests.servers.s3 import S3Server
from tests.unit.backup.regions import two_stores
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files
from tests.unit.backup.test_roles import MORE, NEEDS, RARE, Call, policy, refused, spied, watch


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture(scope="module")
def more(
    s3_server: S3Server, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, set[Call]]:
    """What copies, keys and examinations ask for: of good, quarantined and shredded backups."""
    folder = tmp_path_factory.mktemp("more")
    tar = TarDatabase(make_tar(folder / "t", shop_files()))
    found: dict[str, set[Call]] = {role: set() for role in MORE}
    base = two_stores(make_job(folder, keys, tar, store=s3_server.store()))
    stores = {**base.backups.stores, "offsite": s3_server.store()}
    base = dataclasses.replace(
        base, storages={}, backups=dataclasses.replace(base.backups, stores=stores)
    )
    one, two = run_backup(base, "orders"), run_backup(base, "orders")
    assert verify(base, one.id, 1).passed
    hold(base, two.id, "why")
    quarantine(S3Storage(s3_of(base)), keys, two.where, [Fault("base/1", "bad")], at=1.0, level=2)
    for _ in range(2):
        copy_pass(spied(base, found["copier-source"], found["copier"]), "orders", "offsite")
    both = dataclasses.replace(keys, recipients=(*keys.recipients, new_backup_key()[1]))
    holder = spied(base, found["keys"])
    holder = dataclasses.replace(holder, backups=dataclasses.replace(holder.backups, keys=both))
    rewrap(holder, ["orders"], revoke=True)
    openers(holder, [])
    shred(holder, [one.id], reason="x", where="here")
    copy_pass(spied(base, found["copier-source"], found["copier"]), "orders", "offsite")
    examined(base, found["doctor"])
    return found


def s3_of(job: Job) -> S3Store:
    store = job.declared("orders").store
    assert isinstance(store, S3Store)
    return store


def examined(job: Job, calls: set[Call]) -> None:
    begin = Scene.__init__

    def begun(scene: Scene, *args: Any, **more: Any) -> None:
        begin(scene, *args, **more)
        watch(scene.client, scene.prefix.rpartition(SCRATCH)[0], calls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scene, "__init__", begun)
        with audited(spied(job, calls), "main", "doctor", "main"):
            examine(job, "main", seconds=60.0, progress=lambda _name: None)


@pytest.mark.parametrize("role", MORE)
def test_the_other_roles_may_do_their_work_and_nothing_else(
    more: Mapping[str, set[Call]], role: str
) -> None:
    assert refused(role, more[role]) == set()
    used = {NEEDS[name] for name, _ in more[role]} | RARE.get(role, set())
    granted = {right for each in policy(role) for right in each["Action"]}
    assert granted - used == set()
