"""Does the doctor's word decide what is done to a store, without asking it again?"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest

from sre.backup.doctor.known import fact_name, place_of_store
from sre.backup.heed import STALE_SECONDS
from sre.backup.job import Job
from sre.backup.pruning.prune import prune
from sre.backup.runner import run_backup
from sre.backup.storage.memory import MemoryStorage
from sre.backup.tier import Keep, Lock, Tier
from sre.core.errors import Refused
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files

WORKS = {"conditional_put": True, "renew": True, "object_lock": True}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    keys = make_keys(tmp_path / "keys")
    tar = make_tar(tmp_path / "db.tar", shop_files(1000))
    tier = Tier(keep=Keep(last=1))
    return make_job(tmp_path, keys, TarDatabase(tar), storage=MemoryStorage(), tier=tier)


def told(job: Job, *, age: float = 0.0, failed: tuple[str, ...] = (), **works: bool) -> None:
    """What the doctor found there."""
    declared = job.declared("orders")
    value: dict[str, Any] = {
        "where": place_of_store(declared.store), "at": job.clock.wall() - age, "exit_code": 0,
        "failed": list(failed), "degraded": [], "works": {**WORKS, **works},
    }  # fmt: skip
    job.facts.publish(fact_name("main"), value)


def with_lock(job: Job, waive: str = "") -> Job:
    declared = job.declared("orders")
    tier = dataclasses.replace(declared.tier, lock=Lock(waive=waive))
    changed = {"orders": dataclasses.replace(declared, tier=tier)}
    return dataclasses.replace(job, backups=dataclasses.replace(job.backups, databases=changed))


def said(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(each.getMessage() for each in caplog.records if each.name == "sre.backup.job")


def test_a_store_that_nobody_examined_works_with_a_hint(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run_backup(job, "orders")
    assert "never examined" in said(caplog)
    assert "sre backup doctor main" in said(caplog)


def test_the_hint_is_given_once_and_to_no_service(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for op in ("archive", "shred", "keys"):
            with job.lock(op, "orders"), job.lease(job.declared("orders"), op):
                pass
        assert said(caplog) == ""
        run_backup(job, "orders")
        run_backup(job, "orders")
    assert said(caplog).count("never examined") == 1


def test_a_good_fresh_word_says_nothing(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    told(job, age=60)
    with caplog.at_level(logging.WARNING):
        run_backup(job, "orders")
    assert said(caplog) == ""


def test_an_old_word_is_named(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    told(job, age=STALE_SECONDS + 3600)
    with caplog.at_level(logging.WARNING):
        run_backup(job, "orders")
    assert "last examined 169 h" in said(caplog)


def test_another_place_of_that_name_was_never_examined(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    told(job, conditional_put=False)
    fact = job.facts.read(fact_name("main"))
    assert fact is not None
    job.facts.publish(fact_name("main"), {**fact.value, "where": "elsewhere"})
    with caplog.at_level(logging.WARNING):
        run_backup(job, "orders")
    assert "never examined" in said(caplog)


@pytest.mark.parametrize("value", [{}, {"where": 1, "at": "x"}, {"works": [], "at": None}])
def test_a_damaged_word_stops_no_backup(
    job: Job, caplog: pytest.LogCaptureFixture, value: dict[str, Any]
) -> None:
    job.facts.publish(fact_name("main"), value)
    with caplog.at_level(logging.WARNING):
        run_backup(job, "orders")
    assert "damaged" in said(caplog)


def test_without_conditions_one_writer_alone(job: Job) -> None:
    told(job, conditional_put=False)
    with pytest.raises(Refused, match="single_writer: true"):
        run_backup(job, "orders")
    store = MemoryStore()
    declared = dataclasses.replace(job.declared("orders"), store=store)
    backups = dataclasses.replace(
        job.backups, databases={"orders": declared}, stores={"main": store}
    )
    alone = dataclasses.replace(job, backups=backups)
    told(alone, conditional_put=False)
    run_backup(alone, "orders")


@dataclasses.dataclass(frozen=True)
class MemoryStore:
    single_writer: bool = True

    def open(self) -> MemoryStorage:
        return MemoryStorage()


def test_a_lock_that_the_store_does_not_keep(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    told(job, object_lock=False)
    with pytest.raises(Refused, match="lock"):
        run_backup(with_lock(job), "orders")
    with pytest.raises(Refused, match="lock"):
        run_backup(with_lock(job, waive=" "), "orders")
    with caplog.at_level(logging.WARNING):
        run_backup(with_lock(job, waive="the bucket moves in May"), "orders")
    assert "the bucket moves in May" in said(caplog)


def test_nothing_is_deleted_where_no_backup_is_safe(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    told(job, failed=("list-after-put",))
    with caplog.at_level(logging.WARNING):
        run_backup(job, "orders")
    assert "list-after-put" in said(caplog)
    with pytest.raises(Refused, match=r"list-after-put.*nothing was deleted"):
        prune(job)
