"""What may a host spoil whose keys.signing is not among keys.trusted? Nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sre.backup.attest import attest
from sre.backup.audit.chain import check_chain
from sre.backup.audit.log import Action, AuditLog
from sre.backup.catalogue import Catalogue
from sre.backup.condition import quarantine
from sre.backup.keys import is_believed, new_keys
from sre.backup.model import Keys
from sre.backup.records import Fault, Verification
from sre.backup.settling import settle
from sre.backup.storage.memory import MemoryStorage
from sre.core.clock import FakeClock
from sre.core.secrets import Secret
from tests.unit.backup.prunable import Shop, make_shop
from tests.unit.backup.setting import make_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture(scope="module")
def unbelieved(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("other") / "k"
    new_keys(folder)
    found = dataclasses.replace(keys, signing=Secret.from_file(folder / "signing"))
    assert is_believed(keys)
    assert not is_believed(found)
    return found


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> Shop:
    return make_shop(tmp_path, keys)


def test_it_does_not_replace_a_quarantine(shop: Shop, unbelieved: Keys) -> None:
    """Its own mark would count for nothing, and the genuine one be gone."""
    one = shop.add(0)
    catalogue = Catalogue(shop.store, unbelieved.trusted)
    damaged = Fault(one.volumes[0].object, "changed")
    assert quarantine(shop.store, shop.job.backups.keys, one.where, [damaged], at=1.0, level=1)
    for faults in ((), (damaged,)):
        found = Verification(one.id, "orders", 3, 9.0, faults=faults)
        assert settle(catalogue, unbelieved, one.where, found) == ()
        assert not attest(shop.store, unbelieved, found)
        assert catalogue.usable("orders") == ()


def test_it_forges_no_audit_record(tmp_path: Path, keys: Keys, unbelieved: Keys) -> None:
    """A wrong key in its sre.yaml must not make the log look forged for ever."""
    storage = MemoryStorage()
    for number, each in enumerate((keys, unbelieved, keys)):
        action = Action(1_000_000.0, ("sre", "backup"), "run", (), "ok", number)
        assert AuditLog(storage, each, "main-1", tmp_path, FakeClock()).add(action)
    checked = check_chain(storage.objects, [], keys.trusted)
    assert (checked.records, checked.unsigned, checked.faults) == (3, 1, ())
