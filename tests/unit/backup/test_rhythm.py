"""Are verifications due when the tier says, from every store in turn, and do they say enough?"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.databases.postgres import PostgresDatabase
from sre.backup.facts import last_verified
from sre.backup.job import Job
from sre.backup.model import Keys, Tier, Verify
from sre.backup.pages.servers import check_folder
from sre.backup.runner import run_backup
from sre.backup.storage.local import LocalStore
from sre.backup.storage.memory import MemoryStorage
from sre.backup.verifying.due import Outcome, verify_due, worst
from sre.backup.verifying.findings import Findings
from sre.backup.verifying.judging import parse_sample, weakness
from sre.backup.verifying.rhythm import Turn, due_at, next_store
from sre.backup.verifying.smoke import run_smoke
from sre.backup.verifying.verify import verify
from sre.core.clock import Deadline, FakeClock, SystemClock
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.sql.model import Invariant
from tests.unit.backup.paged import server_manifest
from tests.unit.backup.setting import TarDatabase, make_job, make_keys, make_tar, shop_files

DAY = 86400.0


@given(
    copies=st.lists(st.sampled_from(["b", "c", "d"]), unique=True, min_size=1, max_size=3),
    every=st.floats(60, 40 * DAY),
    count=st.integers(7, 60),
)
def test_one_in_seven_reads_a_copy_and_each_copy_has_its_turn(
    copies: list[str], every: float, count: int
) -> None:
    turns: list[Turn] = []
    for number in range(count):
        now = number * every
        turns.append(Turn(next_store(turns, "a", copies, now), now, passed=True))
    stores = [turn.store for turn in turns]
    for first in range(1, count - 6):
        assert set(stores[first : first + 7]) & set(copies)
    assert set(stores[: 7 * len(copies) + 1]) >= set(copies) or count <= 7 * len(copies)
    assert stores[0] == "a"
    if every < 2 * DAY:
        assert stores.count("a") > count / 2 - 1


@given(st.lists(st.tuples(st.floats(0, 1e9), st.booleans())), st.floats(60, 1e7), st.floats(0, 1e9))
def test_due(moments: list[tuple[float, bool]], every: float, now: float) -> None:
    """Never put off beyond the rhythm, whatever the clocks said; a failed one is due at once."""
    turns = [Turn("a", at, passed) for at, passed in sorted(moments)]
    at = due_at(turns, every, now)
    assert at <= now + every
    if turns and not turns[-1].passed:
        assert at == now


@pytest.mark.parametrize(
    ("invariants", "weak"),
    [
        ([], "no invariants"),
        ([Invariant("orphans", "select 0", equals=0)], "empty database"),
        ([Invariant("few", "select 0", max=10), Invariant("o", "s", equals=0)], "empty database"),
        ([Invariant("orphans", "s", equals=0), Invariant("orders", "s", min=1)], ""),
        ([Invariant("newest", "select max(x)", equals="2026")], ""),
    ],
)
def test_invariants_that_say_nothing_are_called_weak(
    invariants: list[Invariant], weak: str
) -> None:
    assert (weak in weakness(invariants)) if weak else weakness(invariants) == ""


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "a/b", "1/3/4", "-1/3"])
def test_wrong_samples(text: str) -> None:
    with pytest.raises(UsageError, match="N/M"):
        parse_sample(text)


@given(st.integers(1, 12))
def test_samples_cover_every_volume_once(of: int) -> None:
    template = tuple(range(40))
    parts = [template[part - 1 :: of] for part in range(1, of + 1)]
    assert sorted(each for part in parts for each in part) == list(template)


def test_the_worst_decides() -> None:
    def outcome(code: int) -> Outcome:
        return Outcome("x", problems=(("", code),))

    assert worst([]) == 0
    assert worst([outcome(3), outcome(4)]) == 4
    assert worst([outcome(4), outcome(1), outcome(3)]) == 1
    assert worst([outcome(1), outcome(7)]) == 7


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def job(keys: Keys, tmp_path: Path) -> Job:
    """A database of a tar, a tier that verifies daily at level 1, and a store for copies."""
    tier = Tier(copies=("offsite",), verify=Verify(1, Duration(DAY)))
    tar = make_tar(tmp_path / "db.tar", shop_files())
    made = make_job(tmp_path, keys, TarDatabase(tar), storage=MemoryStorage(), tier=tier)
    stores = {**made.backups.stores, "offsite": LocalStore(tmp_path / "offsite")}
    made.storages["offsite"] = MemoryStorage()
    return dataclasses.replace(
        made, backups=dataclasses.replace(made.backups, stores=stores), clock=FakeClock(2e9)
    )


def test_due_once_a_day_and_sometimes_from_the_copy(job: Job) -> None:
    from sre.backup.copying.copy import copy_pass

    [first] = verify_due(job)
    assert worst([first]) == 1  # nothing to verify is no good news
    run_backup(job, "orders")
    [one] = verify_due(job)
    assert one.found is not None
    assert (one.found.passed, one.found.store, one.codes) == (True, "main", (0,))
    [again] = verify_due(job)
    assert again.found is None
    assert again.next_at is not None
    assert isinstance(job.clock, FakeClock)
    job.clock.advance(DAY)
    [empty] = verify_due(job)
    assert empty.problems[0][0] == "offsite holds no copy: sre backup copy orders"
    assert empty.found is not None
    assert (empty.found.store, worst([empty])) == ("main", 3)
    copy_pass(job, "orders", "offsite")
    job.clock.advance(DAY)
    [copied] = verify_due(job)
    assert copied.found is not None
    assert (copied.found.store, copied.found.passed, worst([copied])) == ("offsite", True, 0)
    turns = last_verified(job, "orders")["turns"]
    assert [turn["store"] for turn in turns] == ["main", "main", "offsite"]


def test_a_verification_of_another_host_counts(job: Job, tmp_path: Path) -> None:
    run_backup(job, "orders")
    other = dataclasses.replace(job, state=tmp_path / "other-host")
    assert verify(other, "orders", 1).passed
    [found] = verify_due(job)
    assert found.next_at is not None


def test_a_store_that_is_away_does_not_end_it(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from sre.backup.copying.copy import copy_pass

    run_backup(job, "orders")
    copy_pass(job, "orders", "offsite")

    def away(prefix: str) -> None:
        raise Transient("the store cannot be reached")

    monkeypatch.setattr(job.storages["main"], "list", away)
    [found] = verify_due(job)
    assert found.found is not None
    assert (found.found.store, found.found.passed) == ("offsite", True)
    assert worst([found]) == 4


def test_a_failed_one_is_due_again(job: Job) -> None:
    manifest = run_backup(job, "orders")
    storage = job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    key = manifest.volumes[0].object
    good = storage.objects[key]
    storage.objects[key] = good[:-1] + bytes([good[-1] ^ 1])
    [bad] = verify_due(job)
    assert worst([bad]) == 7
    storage.objects[key] = good
    assert isinstance(job.clock, FakeClock)
    job.clock.advance(1)
    [mended] = verify_due(job)
    assert mended.found is not None
    assert mended.found.passed


def test_a_dry_run_says_what_is_due(job: Job) -> None:
    run_backup(job, "orders")
    [found] = verify_due(job, dry_run=True)
    assert found.problems == (("is due, from main", 0),)
    assert last_verified(job, "orders") == {}


def test_a_sample_counts_as_level_0_and_finds_damage_in_its_part(job: Job) -> None:
    manifest = run_backup(job, "orders")
    assert len(manifest.volumes) >= 3
    found = verify(job, "orders", 1, sample=parse_sample("1/3"))
    assert (found.level, found.passed) == (0, True)
    assert "counts as level 0" in found.notes[0]
    storage = job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    key = manifest.volumes[1].object
    good = storage.objects[key]
    storage.objects[key] = good[:-1] + bytes([good[-1] ^ 1])
    assert verify(job, "orders", 1, sample=parse_sample("1/3")).passed
    bad = verify(job, "orders", 1, sample=parse_sample("2/3"))
    assert (bad.level, bad.exit_code, bad.faults[0].object) == (1, 7, key)


def test_level_4_without_a_smoke_counts_as_level_3(job: Job) -> None:
    run_backup(job, "orders")
    found = verify(job, "orders", 4)
    assert found.level == 3
    assert "databases.orders.smoke is not set" in found.notes[0]


def test_a_bad_download_is_tried_again_at_level_2(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = run_backup(job, "orders")
    storage = job.storages["main"]
    stream, times = storage.stream, iter([True])

    def flips(key: str) -> object:
        pieces = list(stream(key))
        if key == manifest.volumes[1].object and next(times, False):
            pieces[-1] = pieces[-1][:-1] + bytes([pieces[-1][-1] ^ 1])
        return iter(pieces)

    monkeypatch.setattr(storage, "stream", flips)
    found = verify(job, "orders", 2)
    assert found.passed, found
    assert any("a first download was bad" in each for each in found.notes)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import os; assert os.environ['SRE_DSN'] == os.environ['PGHOST']", None),
        ("import sys; sys.exit('no orders page')", "exit code 1: no orders page"),
    ],
)
def test_the_application_decides_at_level_4(code: str, problem: str | None, tmp_path: Path) -> None:
    findings = Findings(SystemClock())
    code = code.replace("os.environ['PGHOST']", "'host=/s dbname=a'")
    run_smoke((sys.executable, "-c", code), "host=/s dbname=a", tmp_path, findings)
    assert [each.problem for each in findings.failures] == (
        [] if problem is None else [f"it ended with {problem}"]
    )


def test_a_smoke_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    findings = Findings(SystemClock())
    run_smoke((str(tmp_path / "none"),), "", tmp_path, findings)
    assert "does not start" in findings.failures[0].problem


def test_files_without_their_manifest_do_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANY_DSN", "host=/nowhere")
    (tmp_path / "PG_VERSION").write_text("99\n")  # no such programs: our own check
    database = PostgresDatabase(Secret.from_env("ANY_DSN"))
    assert database.check_files(tmp_path, Deadline.after(5)) == ("backup_manifest is missing",)
    (tmp_path / "backup_manifest").write_bytes(b'{"Files": []}')
    (problem,) = database.check_files(tmp_path, Deadline.after(5))
    assert problem == "backup_manifest: its own checksum does not hold"
    (tmp_path / "backup_manifest").write_bytes(server_manifest({"base/1": b"one"}))
    found = database.check_files(tmp_path, Deadline.after(5))
    assert found == ("base/1: it is missing", "PG_VERSION: the server did not send it")
    with pytest.raises(CheckFailed, match="in time"):
        database.check_files(tmp_path, Deadline.after(0))


def test_many_problems_are_cut_and_the_log_is_left_alone(tmp_path: Path) -> None:
    for name in ("pg_wal/1", "sre_wal/1", "base/pg_wal", "ünï/a b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "backup_manifest").write_bytes(server_manifest({}))
    assert check_folder(str(tmp_path)) == (
        "base/pg_wal: the server did not send it", "ünï/a b: the server did not send it",
    )  # fmt: skip
    (tmp_path / "backup_manifest").write_bytes(
        server_manifest({f"base/{number}": b"" for number in range(99)})
    )
    assert len(check_folder(str(tmp_path))) == 20
