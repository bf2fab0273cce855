"""Does the archived log come along to a second store, and in which order do backups?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.copying.copy import plan_copy
from sre.backup.copying.records import exit_code
from sre.backup.copying.standing import lag_of, parents_first
from sre.backup.job import Job
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.verifying.verify import verify
from tests.unit.backup.regions import copied, memory, two_stores
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(scope="module")
def taken(
    keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Manifest, dict[str, bytes]]:
    """A good, verified backup and the store as it was then."""
    folder = tmp_path_factory.mktemp("taken")
    storage = MemoryStorage()
    tar = make_tar(folder / "db.tar", shop_files())
    job = make_job(folder, keys, TarDatabase(tar), storage=storage)
    manifest = run_backup(job, "orders")
    assert verify(job, "orders", 1).passed
    return manifest, dict(storage.objects)


@pytest.fixture
def job(taken: tuple[Manifest, dict[str, bytes]], keys: Keys, tmp_path: Path) -> Job:
    storage = MemoryStorage()
    storage.objects = dict(taken[1])
    return two_stores(make_job(tmp_path, keys, TarDatabase(tmp_path / "none"), storage=storage))


def made(template: Manifest, number: int, parent: int | None, finished: float) -> Manifest:
    kind = "full" if parent is None else "incremental"
    return dataclasses.replace(
        template,
        id=f"b{number}",
        kind=kind,
        parent=None if parent is None else f"b{parent}",
        finished=finished,
    )


@given(
    parents=st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=12),
    times=st.lists(st.floats(0, 1e9), min_size=12, max_size=12),
)
def test_nothing_is_copied_before_what_it_builds_on(
    parents: list[int | None], times: list[float]
) -> None:
    """Whatever the clocks said, with parents that are not there, and with cycles."""
    backups = [made(_TEMPLATE, n, parent, times[n]) for n, parent in enumerate(parents)]
    ordered = [each.id for each in parents_first(backups)]
    assert sorted(ordered) == sorted(each.id for each in backups)
    above = {each.id: each.parent for each in backups}
    for each in backups:
        chain, at = [each.id], each.parent
        while at in above and at not in chain:
            chain.append(at)
            at = above[at]
        if at not in chain and len(chain) > 1:  # no cycle
            assert ordered.index(chain[1]) < ordered.index(each.id)


_TEMPLATE = Manifest(
    "b", "orders", "postgres", "16", "1-16", "full", None, "", 0, 0, 0, 1, 1, "k", 1, "", (), (),
    {}, (), "t",
)  # fmt: skip


@given(st.lists(st.floats(0, 1e9)), st.floats(0, 1e9))
def test_lag_is_the_age_of_the_oldest(moments: list[float], now: float) -> None:
    lag = lag_of(moments, now)
    assert lag >= 0
    assert lag >= max((now - each for each in moments), default=0.0)


def archived(job: Job, keys: Keys, names: list[str]) -> dict[str, bytes]:
    """Pieces of log in the first store, sealed and signed as the archiver does it."""
    import pyrage

    from sre.backup.log.layout import key_of_epoch, log_place
    from sre.backup.log.segment import Record, encode_record, seal_piece

    storage, place = memory(job, "main"), log_place("orders", "7000000000000000001-16")
    secret = pyrage.x25519.Identity.generate()
    key = key_of_epoch("20261122-abc")
    storage.put(key, str(secret).encode())
    for name in names:
        sealed = seal_piece([name.encode() * 50], str(secret.to_public()))
        record = Record(
            name, int(name[:8], 16), place.object(name), 16 * 2**20, len(sealed.data),
            sealed.sha256, sealed.plain_bytes, sealed.plain_sha256, key, 1.0,
        )  # fmt: skip
        storage.put(record.object, sealed.data)
        storage.put(place.record(name), encode_record(record, keys.signing))
    return {place.record(name): storage.objects[place.object(name)] for name in names}


SEGMENTS = ["000000010000000000000003", "000000010000000000000004", "00000002.history"]


def test_the_log_comes_along_with_its_key(job: Job, keys: Keys) -> None:
    archived(job, keys, SEGMENTS)
    before = plan_copy(job, "orders", "offsite")
    assert before.log_objects == 3
    found = copied(job)
    assert (found.log_objects, found.missing_objects, found.faults) == (3, 0, ())
    here, away = memory(job, "main").objects, memory(job, "offsite").objects
    log = [key for key in here if "/log/" in key or key.startswith("v1/keys/log-")]
    assert len(log) == 7
    assert all(away[key] == here[key] for key in log)
    assert copied(job).log_objects == 0


@pytest.mark.parametrize("what", ["bytes", "record", "key"])
def test_damaged_log_is_named_and_the_rest_goes_on(job: Job, keys: Keys, what: str) -> None:
    records = list(archived(job, keys, SEGMENTS))
    here = memory(job, "main").objects
    piece = records[0].removesuffix(".json") + ".zst.age"
    damaged = {"bytes": piece, "record": records[0], "key": "v1/keys/log-20261122-abc.age"}[what]
    if what == "key":
        del here[damaged]
    else:
        here[damaged] = here[damaged][:-2] + b"?" + here[damaged][-1:]
    found = copied(job)
    assert exit_code([found]) == 7
    assert found.faults[0].object == f"main: {damaged}"
    assert records[0] not in memory(job, "offsite").objects
    assert found.log_objects == (0 if what == "key" else 2)
    assert found.missing_objects > 0
    assert [each.state for each in found.backups] == ["copied"]
