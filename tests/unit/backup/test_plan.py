"""Does a plan fail when what was measured misses the tier, and say so when nothing was measured?"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.attest import attest
from sre.backup.job import Job
from sre.backup.model import Keys, Tier
from sre.backup.records import Verification
from sre.backup.runner import run_backup
from sre.backup.scheduling.plan import plan_backups, worst
from sre.backup.scheduling.promises import Measured, judge, scaled
from sre.backup.scheduling.render import plans_as_json, plans_as_text
from sre.backup.storage.memory import MemoryStorage
from sre.core.clock import FakeClock
from sre.core.errors import Transient
from sre.core.units import Duration
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files

TIER = Tier(rpo=Duration(3600.0), rto=Duration(900.0), full="daily")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def job(keys: Keys, tmp_path: Path) -> Job:
    tar = make_tar(tmp_path / "db.tar", shop_files())
    made = make_job(tmp_path, keys, TarDatabase(tar), storage=MemoryStorage(), tier=TIER)
    return dataclasses.replace(made, clock=FakeClock(2e9))


def measure(job: Job, rto: float, *, passed: bool = True) -> None:
    """A signed verification at level 3, as another host may have stored it."""
    found = job.find("orders")
    record = Verification(found.place.id, "orders", 3, job.clock.wall(), rto_seconds=rto)
    if not passed:
        record = dataclasses.replace(record, failures=(), rto_seconds=None)
    assert attest(found.catalogue.storage, job.backups.keys, record)


def states(job: Job) -> dict[str, str]:
    [plan] = plan_backups(job)
    return {each.what: each.state for each in plan.promises}


def test_nothing_measured_is_no_success(job: Job) -> None:
    assert states(job) == {"rto": "unproven", "rpo": "unproven"}
    assert worst(plan_backups(job)) == 3


def test_kept_then_missed(job: Job) -> None:
    run_backup(job, "orders")
    measure(job, 60.0)
    assert states(job) == {"rto": "kept", "rpo": "kept"}
    assert worst(plan_backups(job)) == 0
    assert isinstance(job.clock, FakeClock)
    job.clock.advance(3601)
    [plan] = plan_backups(job)
    assert (worst([plan]), "RPO missed" in plans_as_text([plan])) == (1, True)
    measure(job, 901.0)
    assert states(job)["rto"] == "missed"


def test_a_plan_says_what_comes_next_and_how_much(job: Job) -> None:
    manifest = run_backup(job, "orders")
    [plan] = plan_backups(job)
    assert 0 < plan.next["full"] - job.clock.wall() <= 86400
    assert plan.stored_bytes == manifest.stored_bytes
    assert plan.added_bytes == manifest.stored_bytes * 30
    said = json.loads(plans_as_json([plan]))
    assert (said["schema"], said["databases"][0]["db"]) == ("sre.backup-plan/1", "orders")


def test_a_store_that_is_away(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(prefix: str) -> None:
        raise Transient("the store cannot be reached")

    monkeypatch.setattr(job.storages["main"], "list", away)
    assert worst(plan_backups(job)) == 4


@given(
    rto=st.floats(0.1, 1e5), before=st.integers(1, 10**12), now=st.integers(0, 10**12),
    target=st.floats(1, 1e5),
)  # fmt: skip
def test_a_larger_backup_takes_longer(rto: float, before: int, now: int, target: float) -> None:
    """Scaled up, never down; kept exactly when it is not longer than promised."""
    found = Measured(rto=rto, rto_bytes=before, bytes=now)
    took = scaled(found)
    assert took is not None
    assert took >= rto
    [promise] = judge(Tier(rto=Duration(target)), found, 0.0)
    assert (promise.state == "kept") == (took <= target)
