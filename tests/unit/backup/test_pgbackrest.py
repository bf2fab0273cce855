"""Are backups that pgBackRest keeps known, proven and restored like all others?"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.databases.pgbackrest import PgBackRestDatabase
from sre.backup.databases.pgbackrest_repo import segment_after, told
from sre.backup.job import Job
from sre.backup.listing import list_backups, show_backup
from sre.backup.logical.restore import Into, restore_into
from sre.backup.model import Keys
from sre.backup.render import backup_as_text
from sre.backup.restoring.restore import restore_to
from sre.backup.runner import run_backup
from sre.backup.verifying.scratch import scratch
from sre.backup.verifying.verify import verify
from sre.core.clock import Deadline
from sre.core.errors import IntegrityError, SreError, UsageError
from sre.core.secrets import Secret
from sre.sql.model import Invariant
from tests.servers.pgbackrest import BackRest, pgbackrest
from tests.unit.backup.setting import make_job, make_keys

ROWS = "select count(*) from goods"


@pytest.fixture(scope="module")
def shop() -> Iterator[BackRest]:
    with pgbackrest() as made:
        made.server.sql(
            "create table goods as select g id, md5(g::text) t from generate_series(1, 9000) g"
        )
        place = made.server.folder / "fast"
        place.mkdir()
        owner = made.server.data.stat()
        os.chown(place, owner.st_uid, owner.st_gid)
        made.server.sql(f"create tablespace fast location '{place}'")
        made.server.sql("create table far tablespace fast as select 7 id")
        yield made


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


def job_of(shop: BackRest, keys: Keys, folder: Path) -> Job:
    database = PgBackRestDatabase(
        "shop", shop.config, user=shop.user, dsn=Secret.literal(shop.server.dsn()),
        bin_dir=shop.server.programs,
    )  # fmt: skip
    enough = Invariant("enough", ROWS, min=9000)
    job = make_job(folder, keys, database, invariants=(enough,))
    declared = dataclasses.replace(job.declared("orders"), kind="pgbackrest")
    return dataclasses.replace(
        job, backups=dataclasses.replace(job.backups, databases={"orders": declared})
    )


@pytest.mark.postgres
def test_a_chain_of_theirs_is_listed_verified_and_restored(
    shop: BackRest, keys: Keys, tmp_path: Path
) -> None:
    job = job_of(shop, keys, tmp_path)
    full = run_backup(job, "orders")
    shop.server.sql("insert into goods select g, 'new' from generate_series(9001, 9100) g")
    incr = run_backup(job, "orders", "incremental")
    assert [(each.engine, each.kind, each.parent) for each in (full, incr)] == [
        ("pgbackrest", "full", None), ("pgbackrest", "incremental", None),
    ]  # fmt: skip
    assert incr.dump["type"] == "incr"
    assert incr.dump["prior"] == full.dump["label"]
    assert incr.source_bytes > 2**20 > incr.stored_bytes
    assert full.dump["label"] in shop.run("info")
    shown = backup_as_text(*show_backup(job, incr.id))
    assert f"as {incr.dump['label']} of stanza shop" in shown
    backups, faults = list_backups(job)
    assert ([each.id for each in backups], faults) == ([full.id, incr.id], [])
    for level in (0, 1, 3):
        found = verify(job, incr.id, level)
        assert found.passed, (found.faults, found.failures)
    assert found.rto_seconds is not None
    assert found.invariants[0].passed
    with scratch() as work:
        done = restore_to(job, "orders", work / "data")
        folder = Path(done.folder)
        assert not any(each.is_symlink() for each in folder.rglob("*"))
        assert "archive_mode = 'off'" in (folder / "postgresql.auto.conf").read_text()
        assert "pgbackrest" not in (folder / "postgresql.auto.conf").read_text()
        with (
            job.declared("orders").database.serve(folder, work, Deadline.after(60)) as dsn,
            psycopg.connect(dsn) as connection,
        ):
            assert connection.execute(ROWS.encode()).fetchone() == (9100,)
            assert connection.execute("select id from far").fetchone() == (7,)
    shop.server.sql("create database beside")
    beside = Secret.literal(shop.server.dsn(database="beside"))
    restore_into(job, Into(full.id, beside, ("goods",)))
    with psycopg.connect(beside.reveal()) as connection:
        assert connection.execute(ROWS.encode()).fetchone() == (9000,)
    owners = {path.stat().st_uid for path in shop.repo.rglob("*")}
    assert owners == {shop.repo.stat().st_uid}  # nothing of root's, which would stop the archive
    assert shop.server.password not in str(list(tmp_path.rglob("*.json"))) + str(incr.argv)


@pytest.mark.postgres
def test_damage_in_their_repository_is_found_and_said(
    shop: BackRest, keys: Keys, tmp_path: Path
) -> None:
    job = job_of(shop, keys, tmp_path)
    made = run_backup(job, "orders")
    place = shop.repo / "backup" / "shop" / made.dump["label"]
    victim = max(place.rglob("*.zst"), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.chmod(victim.stat().st_mode | stat.S_IWUSR)
    victim.write_bytes(data)
    assert verify(job, made.id, 0).passed  # it is there
    for level in (1, 3):
        found = verify(job, made.id, level)
        assert found.exit_code == 7, (level, found)
    with pytest.raises(SreError):
        restore_to(job, made.id, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.postgres
def test_what_expired_there_is_listed_as_gone_and_nothing_there_is_ever_deleted(
    shop: BackRest, keys: Keys, tmp_path: Path
) -> None:
    job = job_of(shop, keys, tmp_path)
    first, last = run_backup(job, "orders"), run_backup(job, "orders")
    shop.run("expire", f"--set={first.dump['label']}")
    backups, faults = list_backups(job)
    assert [each.id for each in backups] == [last.id]
    assert len(faults) == 1
    assert first.dump["label"] in faults[0].problem
    assert "expired there" in faults[0].problem
    assert verify(job, first.id, 0).exit_code == 7
    assert verify(job, last.id, 0).passed


@pytest.mark.postgres
def test_a_failed_backup_of_theirs_commits_nothing(
    shop: BackRest, keys: Keys, tmp_path: Path
) -> None:
    job = job_of(shop, keys, tmp_path)
    kind = dataclasses.replace(job.declared("orders").database, stanza="other")
    with pytest.raises(UsageError, match="stanza-create"):
        kind.identify(Deadline.after(30))
    before = list_backups(job)
    shop.server.sql("alter system set archive_command = '/bin/false'")
    shop.server.sql("select pg_reload_conf()")
    try:
        with shop.config.open("a") as file:
            file.write("archive-timeout=2\n")
        with pytest.raises(SreError, match="pgbackrest backup ended with exit code"):
            run_backup(job, "orders")
    finally:
        shop.server.sql("alter system reset archive_command")
        shop.server.sql("select pg_reload_conf()")
    assert list_backups(job) == before


@given(st.integers(0, 2**31), st.sampled_from([2**20, 2**24, 2**26, 2**30]))
def test_segments_follow_each_other_as_the_server_names_them(number: int, size: int) -> None:
    each = 2**32 // size

    def name(at: int) -> str:
        return f"0000000A{at // each:08X}{at % each:08X}"

    assert segment_after(name(number), size) == name(number + 1)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema": "sre.pgbackrest/2"}', b"null"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        told(data)
