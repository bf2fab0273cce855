"""Does the doctor find out what a bucket really does, name each lie, and leave nothing behind?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sre.backup.doctor.examine import examine
from sre.backup.doctor.judge import capability, exit_code
from sre.backup.doctor.known import (
    capabilities,
    lock_or_refuse,
    many_writers_or_refuse,
)
from sre.backup.doctor.model import Report
from sre.backup.doctor.s3_patient import S3Patient
from sre.backup.doctor.table_s3 import S3_CHECKS
from sre.backup.job import Job
from sre.backup.model import Backups
from sre.backup.storage.s3 import S3Store
from sre.core.errors import Refused, Transient, UsageError
from sre.core.secrets import Secret
from tests.servers.faultproxy import FaultProxy
from tests.servers.lyings3 import LIES, LyingS3, lying_s3
from tests.servers.s3 import S3Server

LOCKED = "doctor-locked"


def job_of(store: S3Store, state: Path) -> Job:
    return Job(Backups({"main": store}), state=state)


def found(report: Report) -> dict[str, str]:
    return {each.name: each.state for each in report.results}


def leftovers(server: S3Server, bucket: str) -> list[str]:
    """Every version, marker and begun upload of a scratch place in a bucket."""
    client = server.client()
    page = client.list_object_versions(Bucket=bucket)
    each = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads") or []
    return [one["Key"] for one in (*each, *uploads) if "doctor-scratch" in one["Key"]]


@pytest.fixture(scope="module")
def liar(s3_server: S3Server) -> Iterator[tuple[LyingS3, S3Server]]:
    with lying_s3(s3_server) as both:
        yield both


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Only these checks: the rest has a test of its own."""

    def only(*names: str) -> None:
        keep = {"latency", "throughput", "honest-status", *names}
        checks = tuple(each for each in S3_CHECKS if each.name in keep)
        monkeypatch.setattr("sre.backup.doctor.s3_patient.S3_CHECKS", checks)

    return only


def test_a_good_server_has_everything_but_what_its_bucket_was_not_made_with(
    s3_server: S3Server, tmp_path: Path
) -> None:
    store = s3_server.store()
    server_objects = store.open()
    server_objects.put("v1/real", b"untouched")
    job = job_of(store, tmp_path)
    report = examine(job, "main")
    states = found(report)
    off = {name for name, state in states.items() if state != "holds"}
    assert off <= {
        "versioning", "object-lock", "lock-governance", "lock-compliance", "lock-multipart",
        "legal-hold", "transport", "foreign-prefix", "long-names",
    }  # fmt: skip
    assert exit_code(report) == 0
    assert report.left == ()
    assert leftovers(s3_server, store.bucket) == []
    assert [each.key for each in server_objects.list("")] == ["v1/real"]
    known = capabilities(job.facts, "main", store)
    assert known.known
    works = (known.conditional_put, known.renew, known.sha256, known.multipart, known.server_date)
    assert all(works)
    assert not known.object_lock
    many_writers_or_refuse(known, "main")
    with pytest.raises(Refused, match="wants a lock"):
        lock_or_refuse(known, "main", "gold")
    lock_or_refuse(known, "main", "gold", waived=True)
    elsewhere = replace(store, prefix="another")
    assert not capabilities(job.facts, "main", elsewhere).known


@pytest.fixture
def locked_bucket(s3_server: S3Server) -> str:
    client = s3_server.client()
    try:
        client.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
    except client.exceptions.BucketAlreadyOwnedByYou:
        pass
    return LOCKED


def test_locks_are_tried_and_waited_for(
    s3_server: S3Server, tmp_path: Path, locked_bucket: str, few: Any
) -> None:
    few("versioning", "object-lock", "lock-governance", "lock-compliance", "lock-multipart",
        "legal-hold", "put-get")  # fmt: skip
    store = s3_server.store(locked_bucket)
    job = job_of(store, tmp_path)
    report = examine(job, "main")
    assert set(found(report).values()) == {"holds"}
    known = capabilities(job.facts, "main", store)
    assert all((known.object_lock, known.legal_hold, known.versioning))
    assert report.left == ()
    assert leftovers(s3_server, locked_bucket) == []


CAUGHT = {
    "ignores-if-none-match": ("create-once", "create-race", "create-once-multipart"),
    "ignores-if-match": ("renew", "renew-race", "conditional-delete"),
    "racy-create": ("create-race",),
    "ignores-sha256": ("sha256-put", "sha256-part"),
    "ignores-md5": ("md5-put", "md5-part"),
    "error-in-200": ("honest-status",),
    "stale-list": ("list-after-write",),
    "cut-pages": ("list-pages",),
    "stale-read": ("overwrite",),
    "whole-range": ("range",),
    "late-date": ("server-date",),
    "no-date": ("server-date",),
    "lets-anybody-in": ("anonymous",),
    "lets-any-secret-in": ("wrong-secret", "wrong-key"),
    "keeps-deleted": ("delete",),
    "flips-a-bit": ("put-get",),
    "forgets-a-part": ("multipart",),
    "loses-puts": ("read-after-write",),
}
UNSAFE = {
    "error-in-200", "stale-list", "cut-pages", "whole-range", "late-date", "no-date",
    "lets-anybody-in", "lets-any-secret-in", "flips-a-bit", "forgets-a-part", "loses-puts",
}  # fmt: skip


@pytest.mark.parametrize("lie", CAUGHT)
def test_each_lie_is_found_by_name(
    liar: tuple[LyingS3, S3Server], s3_server: S3Server, tmp_path: Path, few: Any, lie: str
) -> None:
    proxy, server = liar
    few(*CAUGHT[lie], *(["part-sums"] if lie == "error-in-200" else []))
    proxy.lies, proxy.kept = {lie}, {}
    store = server.store()
    try:
        report = examine(job_of(store, tmp_path), "main", seconds=30)
    finally:
        proxy.lies = set()
    states = found(report)
    bad = {name for name, state in states.items() if state in {"absent", "broken"}}
    assert bad == set(CAUGHT[lie])
    assert exit_code(report) == (1 if lie in UNSAFE else 0 if lie == "ignores-md5" else 3)
    assert report.left == ()
    assert not [key for key in leftovers(s3_server, "backups") if store.prefix in key]


def test_every_lie_has_a_test() -> None:
    others = {"deletes-locked", "slow", "denies-put", "denies-delete", "busy"}
    assert set(LIES) == {*CAUGHT, *others}


def test_credentials_that_may_not_write(liar: tuple[LyingS3, S3Server], tmp_path: Path) -> None:
    proxy, server = liar
    proxy.lies = {"denies-put"}
    try:
        with pytest.raises(Refused, match="may not write to bucket 'backups'"):
            examine(job_of(server.store(), tmp_path), "main")
    finally:
        proxy.lies = set()


def test_credentials_that_may_not_delete(
    liar: tuple[LyingS3, S3Server], tmp_path: Path, few: Any
) -> None:
    """As a backup host should have: it works, and what cannot be removed is named."""
    proxy, server = liar
    few("delete", "put-get")
    proxy.lies = {"denies-delete"}
    store = server.store()
    job = job_of(store, tmp_path)
    try:
        report = examine(job, "main", seconds=20)
    finally:
        proxy.lies = set()
    assert found(report)["delete"] == "denied"
    assert exit_code(report) == 3
    assert report.left
    assert all(f"{store.prefix}/doctor-scratch/" in each for each in report.left)
    assert all("AccessDenied" in each for each in report.left)
    assert not capabilities(job.facts, "main", store).delete


def test_a_store_that_is_busy(liar: tuple[LyingS3, S3Server], tmp_path: Path) -> None:
    proxy, server = liar
    proxy.lies = {"busy"}
    try:
        with pytest.raises(Transient, match="SlowDown"):
            examine(job_of(server.store(), tmp_path), "main", seconds=10)
    finally:
        proxy.lies = set()


def test_a_store_that_falls_silent_in_the_middle(s3_server: S3Server, tmp_path: Path) -> None:
    with FaultProxy(s3_server.port) as proxy:
        store = s3_server.store(endpoint=proxy.url)

        def progress(name: str) -> None:
            if name == "throughput":
                proxy.drop()

        began = time.monotonic()
        report = examine(job_of(store, tmp_path), "main", seconds=8, progress=progress)
    assert time.monotonic() - began < 9
    assert found(report)["throughput"] == "holds"
    assert found(report)["put-get"] == "unknown"
    assert exit_code(report) == 4
    assert report.left


def test_locks_that_keep_nothing(
    liar: tuple[LyingS3, S3Server], tmp_path: Path, locked_bucket: str, few: Any
) -> None:
    proxy, server = liar
    few("object-lock", "lock-governance", "lock-compliance", "lock-multipart", "legal-hold")
    proxy.lies = {"deletes-locked"}
    try:
        report = examine(job_of(server.store(locked_bucket), tmp_path), "main", seconds=20)
    finally:
        proxy.lies = set()
    broken = {name for name, state in found(report).items() if state == "broken"}
    assert broken == {"lock-governance", "lock-compliance", "lock-multipart", "legal-hold"}
    assert capability(report.results, "object_lock") is False


def test_neither_checksum_is_unsafe(
    liar: tuple[LyingS3, S3Server], tmp_path: Path, few: Any
) -> None:
    proxy, server = liar
    few("sha256-put", "md5-put")
    proxy.lies = {"ignores-sha256", "ignores-md5"}
    try:
        assert exit_code(examine(job_of(server.store(), tmp_path), "main")) == 1
    finally:
        proxy.lies = set()


@pytest.mark.alone
def test_a_slow_store_ends_in_time(
    liar: tuple[LyingS3, S3Server], s3_server: S3Server, tmp_path: Path
) -> None:
    """Nearly a second for each answer: what found no time is unknown, never good."""
    proxy, server = liar
    proxy.lies = {"slow"}
    store = server.store()
    began = time.monotonic()
    try:
        report = examine(job_of(store, tmp_path), "main", seconds=9)
    finally:
        proxy.lies = set()
    assert time.monotonic() - began < 10.5
    assert found(report)["put-get"] == "holds"
    assert "unknown" in found(report).values()
    assert exit_code(report) == 4


def test_a_thin_line_ends_in_time(s3_server: S3Server, tmp_path: Path, few: Any) -> None:
    few("put-get", "multipart", "part-order")
    with FaultProxy(s3_server.port) as proxy:
        proxy.bandwidth(100_000, direction="up")
        store = s3_server.store(endpoint=proxy.url)
        began = time.monotonic()
        report = examine(job_of(store, tmp_path), "main", seconds=8)
    assert time.monotonic() - began < 9.5
    assert found(report)["put-get"] == "holds"
    assert found(report)["multipart"] == "unknown"
    assert exit_code(report) == 4


def test_nobody_there(s3_server: S3Server, tmp_path: Path) -> None:
    with FaultProxy(s3_server.port) as proxy:
        proxy.reset()
        job = job_of(s3_server.store(endpoint=proxy.url), tmp_path)
        with pytest.raises(Transient, match="cannot be reached"):
            examine(job, "main", seconds=10)
    assert job.facts.names() == ()


def test_wrong_credentials_and_no_bucket(s3_server: S3Server, tmp_path: Path) -> None:
    wrong = s3_server.store(secret_key=Secret.literal("no"))
    with pytest.raises(Refused, match="may not list bucket 'backups'"):
        examine(job_of(wrong, tmp_path), "main")
    with pytest.raises(UsageError, match="there is no bucket 'never-made'"):
        examine(job_of(s3_server.store("never-made"), tmp_path), "main")
    with pytest.raises(UsageError, match="no store 'other'; known: main"):
        examine(job_of(wrong, tmp_path), "other")


def test_interrupted_it_leaves_nothing(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of it."""
    reached = threading.Event()

    def progress(name: str) -> None:
        if name == "cleaning up":
            return
        if name not in {"latency", "throughput"}:
            reached.set()
            raise KeyboardInterrupt

    store = s3_server.store()
    with pytest.raises(KeyboardInterrupt):
        examine(job_of(store, tmp_path), "main", progress=progress)
    assert reached.is_set()
    mine = [key for key in leftovers(s3_server, store.bucket) if store.prefix in key]
    assert mine == []


def test_what_a_killed_one_left_is_removed_later(
    s3_server: S3Server, tmp_path: Path, few: Any
) -> None:
    few("put-get")
    store = s3_server.store()
    place = f"{store.prefix}/doctor-scratch"
    client = s3_server.client()
    old, young = f"{place}/20200101T000000Z-aa/x", f"{place}/29990101T000000Z-bb/x"
    for key in (old, young, f"{place}/by-hand/x"):
        client.put_object(Bucket=store.bucket, Key=key, Body=b"left")
    examine(job_of(store, tmp_path), "main")
    mine = {key for key in leftovers(s3_server, store.bucket) if store.prefix in key}
    assert mine == {young, f"{place}/by-hand/x"}


def test_a_feature_that_gave_no_answer_keeps_the_earlier_one(
    s3_server: S3Server, tmp_path: Path, few: Any
) -> None:
    store = s3_server.store()
    job = job_of(store, tmp_path)
    few("delete")
    examine(job, "main")
    few("put-get")
    examine(job, "main")
    assert capabilities(job.facts, "main", store).delete
    assert not capabilities(job.facts, "main", store).renew


def test_names_are_unique_and_each_says_what_it_is_for() -> None:
    names = [each.name for each in S3_CHECKS]
    assert len(names) == len(set(names)) >= 35
    assert all(each.proves and each.matters for each in S3_CHECKS)
    assert S3Patient.__doc__
