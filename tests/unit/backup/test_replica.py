"""Is a standby copied instead of its primary while it is near, and only then?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.backup.databases.pgreplica import Replica, Standing, judge
from sre.backup.job import Job
from sre.backup.listing import list_backups, show_backup
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.render import backup_as_text
from sre.backup.runner import run_backup
from sre.backup.verifying.verify import verify
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, UsageError
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.sql.model import Invariant
from tests.servers.net import wait_until
from tests.servers.postgresql import PgPair, running_postgres, running_standby
from tests.unit.backup.setting import make_job, make_keys, postgres


@pytest.fixture(scope="module")
def pair() -> Iterator[PgPair]:
    with running_postgres("15") as primary, running_standby(primary) as standby:
        rows = "select g id, md5(g::text) t from generate_series(1, 20000) g"
        primary.sql(f"create table goods as {rows}")
        yield PgPair(primary, standby)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


def job_of(keys: Keys, folder: Path, dsn: str, programs: Path, **more: Any) -> Job:
    rows = Invariant("rows", "select count(*) from goods", min=20000)
    database = dataclasses.replace(postgres(dsn, programs), **more)
    return make_job(folder, keys, database, invariants=(rows,))


def beside(pair: PgPair, keys: Keys, folder: Path, **more: Any) -> Job:
    """The primary, with its standby to be copied."""
    replica = Replica(Secret.literal(pair.standby.dsn()), **more)
    return job_of(keys, folder, pair.primary.dsn(), pair.primary.programs, replica=replica)


def where(manifest: Manifest) -> str:
    return str(manifest.dump["copied_from"])


@pytest.mark.postgres
def test_a_near_standby_is_copied_and_a_chain_goes_on_whoever_is_copied(
    pair: PgPair, keys: Keys, tmp_path: Path
) -> None:
    job = beside(pair, keys, tmp_path)
    full = run_backup(job, "orders")
    assert where(full) == "replica"
    label = pair.standby.sql("select 1 from pg_stat_replication")
    assert label == []
    assert full.consistent <= full.finished
    pair.primary.sql("update goods set t = 'near' where id < 40")
    by_replica = run_backup(job, "orders", "incremental")
    assert (where(by_replica), by_replica.parent) == ("replica", full.id)
    alone = job_of(keys, tmp_path, pair.primary.dsn(), pair.primary.programs)
    pair.primary.sql("update goods set t = 'far' where id > 19900")
    by_primary = run_backup(alone, "orders", "incremental")
    assert ("copied_from" in by_primary.dump, by_primary.parent) == (False, by_replica.id)
    assert by_primary.stored_bytes < full.stored_bytes / 2
    for each in (full, by_replica, by_primary):
        found = verify(job, each.id, 3)
        assert found.passed, (each.id, found.faults, found.failures)


@pytest.mark.postgres
def test_a_standby_that_is_far_behind_or_away_is_not_copied_and_the_manifest_says_so(
    pair: PgPair, keys: Keys, tmp_path: Path
) -> None:
    job = beside(pair, keys, tmp_path, max_lag=Duration(0.2))
    pair.standby.sql("select pg_wal_replay_pause()")
    try:
        pair.primary.sql("update goods set t = 'unseen' where id = 7")
        made = run_backup(job, "orders")
    finally:
        pair.standby.sql("select pg_wal_replay_resume()")
    assert where(made) == "primary"
    assert "s behind, more than 0.2 s" in made.dump["not_from_replica"]
    assert "copied from: primary, because the replica: it is" in " ".join(
        backup_as_text(*show_backup(job, made.id)).split()
    )
    gone = dataclasses.replace(pair.standby, port=1)
    made = run_backup(beside(PgPair(pair.primary, gone), keys, tmp_path), "orders")
    assert where(made) == "primary"
    assert "does not answer" in made.dump["not_from_replica"]
    assert pair.standby.password not in made.encode().decode()


@pytest.mark.postgres
def test_a_standby_alone_is_copied_and_what_it_lacks_is_not_promised(
    pair: PgPair, keys: Keys, tmp_path: Path
) -> None:
    """Replay rests before a commit: the copy does not have it, so its moment lies before that."""
    caught_up = "select pg_last_wal_replay_lsn() >= '{}'::pg_lsn"
    ((position,),) = pair.primary.sql("select pg_current_wal_lsn()::text")
    wait_until(lambda: pair.standby.sql(caught_up.format(position))[0][0], 20, "replay")
    pair.standby.sql("select pg_wal_replay_pause()")
    try:
        pair.primary.sql("create table if not exists late (id int)")
        pair.primary.sql("insert into late values (1)")
        ((committed,),) = pair.primary.sql("select extract(epoch from clock_timestamp())::float8")
        job = job_of(keys, tmp_path, pair.standby.dsn(), pair.standby.programs)
        made = run_backup(job, "orders")
    finally:
        pair.standby.sql("select pg_wal_replay_resume()")
    assert where(made) == "standby"
    assert made.consistent <= committed
    assert made.dump["lag_seconds"] >= 0
    assert verify(job, made.id, 3).passed


@pytest.mark.long
@pytest.mark.postgres
def test_another_system_is_never_copied(pair: PgPair, keys: Keys, tmp_path: Path) -> None:
    with running_postgres("15") as other:
        replica = Replica(Secret.literal(other.dsn()))
        job = job_of(keys, tmp_path, pair.primary.dsn(), pair.primary.programs, replica=replica)
        made = run_backup(job, "orders")
        assert where(made) == "primary"
        assert "no standby" in made.dump["not_from_replica"]
        with running_standby(other) as stranger:
            replica = Replica(Secret.literal(stranger.dsn()))
            database = dataclasses.replace(job.declared("orders").database, replica=replica)
            about = database.identify(Deadline.after(30)).about
            assert "another system" in about["not_from_replica"]
    swapped = job_of(
        keys, tmp_path, pair.standby.dsn(), pair.standby.programs,
        replica=Replica(Secret.literal(pair.primary.dsn())),
    )  # fmt: skip
    with pytest.raises(UsageError, match="name the primary there"):
        run_backup(swapped, "orders")


@pytest.mark.postgres
def test_a_standby_that_is_promoted_during_the_copy_gives_no_backup(
    keys: Keys, tmp_path: Path
) -> None:
    with running_postgres("15") as primary, running_standby(primary) as standby:
        primary.sql("create table goods as select g id from generate_series(1, 3000000) g")
        ((position,),) = primary.sql("select pg_current_wal_lsn()::text")
        replayed = f"select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn"
        wait_until(lambda: standby.sql(replayed)[0][0], 20, "replay")
        job = job_of(keys, tmp_path, standby.dsn(), standby.programs)
        promoted = []

        def promote(count: int) -> None:
            if count and not promoted:
                promoted.append(standby.sql("select pg_promote()"))

        with pytest.raises(CheckFailed, match=r"promoted during online backup.*run it again"):
            run_backup(job, "orders", progress=lambda _source: promote)
        assert promoted
        assert list_backups(job) == ([], [])


NEAR = Standing(recovering=True, system_id="7", timeline=3, behind=2.0)


@pytest.mark.parametrize(
    ("standing", "reached", "said"),
    [
        (NEAR, True, ""),
        (NEAR, False, ""),
        (dataclasses.replace(NEAR, behind=5.1), False, "5 s behind, more than 5 s"),
        (dataclasses.replace(NEAR, behind=999.0), True, ""),
        (dataclasses.replace(NEAR, timeline=2), True, "timeline 2, the primary on 3"),
        (dataclasses.replace(NEAR, system_id="8"), True, "another system"),
        (dataclasses.replace(NEAR, recovering=False), True, "no standby"),
    ],
)
def test_who_may_be_copied(standing: Standing, reached: bool, said: str) -> None:
    found = judge(standing, "7", 3, 5.0, reached=reached)
    assert said in found
    assert bool(said) == bool(found)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 0"):
        Replica(Secret.literal("host=x"), max_lag=Duration(0.0))
