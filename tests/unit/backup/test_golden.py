"""Do repositories of every format that was ever released still open, and newer ones not half?"""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path

import pytest

from sre.backup.job import Job
from sre.backup.keyring.survey import try_keys
from sre.backup.keys import sign
from sre.backup.layout import REPO
from sre.backup.listing import list_backups
from sre.backup.manifest import canonical
from sre.backup.pruning.marks import believed_rest
from sre.backup.pruning.prune import prune
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.tier import Keep, Tier
from sre.backup.verifying.verify import verify
from sre.core.errors import IntegrityError, UsageError
from tests.unit.backup.golden_keys import golden_keys
from tests.unit.backup.golden_make import FILES, OLDEST
from tests.unit.backup.setting import TarDatabase, make_job, make_tar

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.tar"))


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Job:
    with tarfile.open(request.param) as tar:
        tar.extractall(tmp_path / "store", filter="data")
    database = TarDatabase(make_tar(tmp_path / "db.tar", FILES))
    return make_job(tmp_path, golden_keys("first"), database, tier=Tier(keep=Keep(last=1)))


def test_a_golden_repository_is_listed_verified_restored(job: Job, tmp_path: Path) -> None:
    backups, faults = list_backups(job)
    assert faults == []
    assert len(backups) == 4
    assert sum(each.shredded is not None for each in backups) == 1
    assert sum(each.held for each in backups) == 1
    whole = [each.id for each in backups if each.shredded is None]
    for number, id_ in enumerate(whole):
        assert verify(job, id_, 1).passed
        restore_to(job, id_, tmp_path / f"out{number}")
        for name, data in FILES.items():
            assert (tmp_path / f"out{number}" / name).read_bytes() == data


def test_later_keys_of_a_golden_repository_open(job: Job) -> None:
    assert len(try_keys(job, golden_keys("first")).opened) == 3
    assert len(try_keys(job, golden_keys("second")).opened) == 1


def test_the_oldest_manifest_can_be_deleted_and_finished(job: Job) -> None:
    """What is signed is what stands there, not what this version would write."""
    catalogue = job.catalogue(job.declared("orders"))
    oldest = next(
        each for each in catalogue.usable("orders")
        if not set(OLDEST) & json.loads(catalogue.signed_bytes(each.where)[0]).keys()
    )  # fmt: skip
    catalogue.storage.delete(oldest.where.mark("hold"))
    killed = _Killed()
    try:
        object.__setattr__(catalogue.storage, "delete", killed.delete)  # after the mark was put
        with pytest.raises(KeyboardInterrupt):
            prune(job, confirmed=2)
    finally:
        object.__delattr__(catalogue.storage, "delete")
    marks = [each.key for each in catalogue.storage.list("v1/marks/") if "expiring" in each.key]
    assert marks
    for key in marks:
        assert believed_rest(catalogue, key.split("/")[2]) is not None


class _Killed:
    def delete(self, key: str) -> None:
        raise KeyboardInterrupt


def signed_anew(job: Job, **changes: object) -> str:
    """Change a manifest as a newer version of sre might write it; its key."""
    catalogue = job.catalogue(job.declared("orders"))
    place = catalogue.newest_good("orders").manifest.where
    found = json.loads(catalogue.signed_bytes(place)[0])
    for key in (place.manifest, place.signature):
        catalogue.storage.delete(key)
    data = canonical({**found, **changes})
    catalogue.storage.put(place.signature, sign(data, job.backups.keys.signing))
    catalogue.storage.put(place.manifest, data)
    return place.id


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"schema": "sre.manifest/2", "tool": "sre 9.9.0"},
            r"sre\.manifest/2.*sre 9\.9\.0.*upgrade",
        ),
        ({"merkle_root": "aa", "tool": "sre 9.9.0"}, r"'merkle_root'.*sre 9\.9\.0.*upgrade sre"),
        ({"schema": "evil"}, "not a manifest of sre"),
        ({"schema": None}, "not a manifest of sre"),
        ({"volumes": []}, "names objects of another backup"),
        ({"volumes": [{"object": 1}]}, "not a manifest"),
        ({"volumes": 7}, "not a manifest"),
        ({"db": "other"}, "put here"),
    ],
)
def test_a_newer_or_odd_manifest_is_refused_in_words(
    job: Job, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    id_ = signed_anew(job, **changes)
    faults = list_backups(job)[1]
    assert len(faults) == 1
    with pytest.raises(IntegrityError, match=said):
        restore_to(job, id_, tmp_path / "out")
    assert verify(job, id_, 0).exit_code == 7
    assert not (tmp_path / "out").exists()


def test_a_newer_repository_is_not_written_to(job: Job) -> None:
    storage = job.storage(job.declared("orders"))
    storage.delete(REPO)
    storage.put(REPO, canonical({"schema": "sre.repo/2"}))
    with pytest.raises(UsageError, match=r"sre\.repo/2"):
        run_backup(job, "orders")
    assert len(list_backups(job)[0]) == 4


def test_old_and_new_backups_live_together(job: Job, tmp_path: Path) -> None:
    made = run_backup(job, "orders")
    assert len(list_backups(job)[0]) == 5
    again = dataclasses.replace(job, state=tmp_path / "other")
    assert again.catalogue(again.declared("orders")).newest_good("orders").manifest.id == made.id
