"""Does a copy know what is said of its backup, and keep the first store's record of changes?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.backup.audit.look import verify_audit
from sre.backup.condition import condition_of, lift, quarantine
from sre.backup.copying.records import exit_code
from sre.backup.job import Job
from sre.backup.keyring.shred import shred
from sre.backup.listing import list_backups
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.pruning.marks import hold, hold_of, release
from sre.backup.records import Backup, Fault
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.core.errors import IntegrityError
from tests.unit.backup.regions import copied, memory, two_stores
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def job(keys: Keys, tmp_path: Path) -> Job:
    tar = make_tar(tmp_path / "t", shop_files(2**16))
    return two_stores(make_job(tmp_path, keys, TarDatabase(tar), storage=MemoryStorage()))


@pytest.fixture
def made(job: Job) -> Manifest:
    """A backup that is in both stores."""
    found = run_backup(job, "orders")
    copied(job)
    return found


def there(job: Job) -> Backup:
    [found] = list_backups(job.at("offsite"), "orders")[0]
    return found


def test_a_hold_comes_along_and_a_release_is_for_each_store(job: Job, made: Manifest) -> None:
    hold(job, made.id, "court \N{SNOWMAN} order")
    assert copied(job).marks == 1
    assert there(job).held
    held = hold_of(memory(job, "offsite"), made.where)
    assert held is not None
    assert held.reason == "court \N{SNOWMAN} order"
    release(job, made.id)
    assert copied(job).marks == 0
    assert there(job).held
    assert release(job.at("offsite"), made.id) is not None
    assert not there(job).held


def test_a_shredded_backup_opens_in_no_store(job: Job, made: Manifest, tmp_path: Path) -> None:
    shred(job, [made.id], reason="erase", where="here")
    restore_to(job.at("offsite"), made.id, tmp_path / "before")
    found = copied(job)
    assert (found.marks, found.still_open, exit_code([found])) == (1, (made.id,), 3)
    assert there(job).shredded is not None
    with pytest.raises(IntegrityError, match="shredded"):
        restore_to(job.at("offsite"), made.id, tmp_path / "after")
    assert shred(job, [made.id], reason="erase").elsewhere == {}
    assert copied(job).still_open == ()


def test_a_backup_that_was_shredded_there_alone_does_not_come_back(
    job: Job, made: Manifest
) -> None:
    shred(job.at("offsite"), [made.id], reason="erase", where="here")
    found = copied(job)
    assert [each.state for each in found.backups] == ["shredded"]
    assert not [each for each in memory(job, "offsite").objects if "/keys/" in each]


def condition(job: Job, made: Manifest, store: str) -> bool:
    return condition_of(memory(job, store), job.backups.keys.trusted, made.where) is not None


def test_what_is_wrong_in_the_backup_is_wrong_in_its_copy(
    job: Job, made: Manifest, keys: Keys
) -> None:
    main, away = memory(job, "main"), memory(job, "offsite")
    fault = Fault("base/5/16384", "a page has a bad checksum")
    assert quarantine(main, keys, made.where, [fault], at=10.0, level=2)
    assert copied(job).marks == 1
    assert condition(job, made, "offsite")
    assert copied(job).marks == 0
    assert lift(away, keys, made.where, at=20.0, level=2)
    assert copied(job).marks == 0
    assert not condition(job, made, "offsite"), "that store has judged since"
    assert quarantine(main, keys, made.where, [fault], at=30.0, level=2)
    assert copied(job).marks == 1
    assert lift(main, keys, made.where, at=40.0, level=2)
    assert copied(job).marks == 1
    assert not condition(job, made, "offsite")


@pytest.mark.parametrize("damage", ["changed", "missing", "manifest"])
def test_damaged_bytes_of_one_store_are_no_word_on_the_other(
    job: Job, made: Manifest, keys: Keys, damage: str
) -> None:
    main, key = memory(job, "main"), made.volumes[0].object
    if damage == "changed":
        main.objects[key] = b"x" * len(main.objects[key])
    elif damage == "missing":
        del main.objects[key]
    else:
        key = made.where.manifest
    quarantine(main, keys, made.where, [Fault(key, "bad")], at=10.0, level=1)
    assert copied(job).marks == 0
    assert not condition(job, made, "offsite")


def test_a_forged_mark_stays_where_it_is(job: Job, made: Manifest, tmp_path: Path) -> None:
    forger = make_keys(tmp_path / "forger")
    main = memory(job, "main")
    quarantine(main, forger, made.where, [Fault("base/1", "bad")], at=10.0, level=2)
    main.objects[made.where.mark("shredded")] = main.objects[made.where.mark("quarantine")]
    assert copied(job).marks == 0


def test_the_record_of_changes_is_kept_in_the_second_store(job: Job, made: Manifest) -> None:
    hold(job, made.id, "why")
    assert copied(job).audit == 1
    assert copied(job).audit == 0
    away = verify_audit(job, "offsite")
    assert away.checked.faults == ()
    main = memory(job, "main")
    records = sorted(key for key in main.objects if key.startswith("v1/audit/"))
    assert len(records) == 2
    taken = dict(main.objects)
    del main.objects[records[-1]]
    [fault] = copied(job).faults
    assert fault.object == f"main: {records[-1]}"
    assert "it is gone" in fault.problem
    main.objects.update(taken)
    main.objects[records[0]] += b" "
    [fault] = copied(job).faults
    assert "it is another one" in fault.problem


def test_a_copied_record_that_was_changed_is_found(job: Job, made: Manifest) -> None:
    away = memory(job, "offsite")
    [key] = [each for each in away.objects if each.startswith("v1/audit-of/main/")]
    away.objects[key] = away.objects[key].replace(b'"run"', b'"ran"', 1)
    faults = verify_audit(job, "offsite").checked.faults
    assert [each.object for each in faults if "altered" in each.problem] == [key]
