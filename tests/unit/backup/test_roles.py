"""Does each example policy allow exactly the calls that its role's command makes?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from sre.backup.condition import lift, quarantine
from sre.backup.job import Job
from sre.backup.listing import just_made
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.pruning.prune import prune
from sre.backup.records import Fault
from sre.backup.runner import run_backup
from sre.backup.storage.s3 import S3Store
from sre.backup.storage.s3_client import S3Storage
from sre.backup.verifying.verify import verify
from sre.core.secrets import Secret
from tests.servers.s3 import S3Server
from tests.unit.backup.paged import PagedDatabase, state
from tests.unit.backup.setting import ROOT, TarDatabase, make_job, make_keys, make_tar, shop_files

MORE = ("copier-source", "copier", "keys", "doctor")
ROLES = ("writer", "verifier", "pruner", "admin", *MORE)
BUCKET, PREFIX = "shop-backups", "prod"

NEEDS = {
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}
"""A call -> the right that AWS asks for it."""

RARE = {
    "writer": {"s3:AbortMultipartUpload"},
    "pruner": {
        "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:GetObjectRetention",
        "s3:GetObjectLegalHold", "s3:DeleteObject", "s3:DeleteObjectVersion",
        "s3:ListBucketVersions", "s3:GetBucketVersioning",
    },
    "copier": {"s3:AbortMultipartUpload"},
    "keys": {
        "s3:GetObjectRetention", "s3:GetObjectLegalHold", "s3:DeleteObjectVersion",
        "s3:ListBucketVersions",
    },
    "doctor": {
        "s3:DeleteObjectVersion", "s3:PutObjectRetention", "s3:GetObjectRetention",
        "s3:ListMultipartUploadParts",
    },
}  # fmt: skip
"""Rights of calls that a day does not see when nothing is old, half done, versioned or locked."""

Call = tuple[str, str]


def policy(role: str) -> list[dict[str, Any]]:
    found = json.loads((ROOT / "deploy" / "s3" / f"{role}.json").read_text())
    assert found["Version"] == "2012-10-17"
    statements: list[dict[str, Any]] = found["Statement"]
    return statements


def allows(role: str, right: str, key: str) -> bool:
    """As AWS reads it: no key means the bucket itself."""
    arn = f"arn:aws:s3:::{BUCKET}" + (f"/{PREFIX}/{key}" if key else "")
    return any(
        right in each["Action"] and any(fnmatchcase(arn, one) for one in each["Resource"])
        for each in policy(role)
    )


def watch(client: Any, prefix: str, calls: set[Call]) -> None:
    """Every call is noted with its keys below the prefix."""

    def note(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        several = params.get("Delete", {}).get("Objects", [])
        for key in [each["Key"] for each in several] or [str(params.get("Key", ""))]:
            calls.add((model.name, key.removeprefix(prefix)))

    client.meta.events.register("before-parameter-build.s3", note)


def spied(job: Job, calls: set[Call], offsite: set[Call] | None = None) -> Job:
    """The same job; every call to its bucket is noted, and to that of its copies."""
    opened: dict[str, Storage] = {}
    for name, noted in (("main", calls), ("offsite", offsite)):
        if noted is not None:
            storage = S3Storage(job.backups.stores[name])  # type: ignore[arg-type]
            watch(storage.client, storage.prefix, noted)
            opened[name] = storage
    return dataclasses.replace(job, storages=opened)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture(scope="module")
def calls(
    s3_server: S3Server, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, set[Call]]:
    """What each role's command asks of a real server."""
    folder = tmp_path_factory.mktemp("roles")
    tar = TarDatabase(make_tar(folder / "t", shop_files()))
    store = s3_server.store()
    found: dict[str, set[Call]] = {"writer": set(), "verifier": set(), "pruner": set()}

    def job(role: str) -> Job:
        return spied(make_job(folder / role, keys, tar, store=store), found[role])

    for _ in range(2):
        made = run_backup(job("writer"), "orders")
        just_made(job("writer"), made)  # what the command prints
    assert verify(job("verifier"), made.id, 1).passed
    prune(job("pruner"), ["orders"])
    return found


@pytest.fixture(scope="module")
def builds(s3_server: S3Server, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> set[Call]:
    """What the writer asks for when a backup builds on others, one of them once quarantined."""
    folder = tmp_path_factory.mktemp("builds")
    store, found = s3_server.store(), set[Call]()
    bare = dataclasses.replace(keys, identity=None)
    storage = S3Storage(store)
    for number, kind in enumerate(("full", "differential", "incremental")):
        state(folder, number)
        database = PagedDatabase(folder / "db.tar")
        job = spied(make_job(folder / "writer", bare, database, store=store), found)
        made = run_backup(job, "orders", kind)
        assert made.kind == kind
        damage = [Fault(made.volumes[0].object, "changed")]
        assert quarantine(storage, keys, made.where, damage, at=1.0, level=1)
        assert lift(storage, keys, made.where, at=2.0, level=1)
    return found


def test_a_writer_may_build_on_what_is_there(builds: set[Call]) -> None:
    assert refused("writer", builds) == set()
    assert ("GetObject", "sidecar.zst.age") in {(n, key.rpartition("/")[2]) for n, key in builds}


def refused(role: str, calls: set[Call]) -> set[Call]:
    """A HEAD of a volume by the writer is the exception: refused, the size comes from a list."""
    return {
        (name, key)
        for name, key in calls
        if not allows(role, NEEDS[name], key)
        and not (role == "writer" and name == "HeadObject" and key.endswith(".age"))
    }


@pytest.mark.parametrize("role", ["writer", "verifier", "pruner"])
def test_every_call_is_allowed(calls: Mapping[str, set[Call]], role: str) -> None:
    assert refused(role, calls[role]) == set()


@pytest.mark.parametrize("role", ["writer", "verifier", "pruner"])
def test_nothing_is_allowed_that_is_not_used(calls: Mapping[str, set[Call]], role: str) -> None:
    used = {NEEDS[name] for name, _ in calls[role]} | RARE.get(role, set())
    granted = {right for each in policy(role) for right in each["Action"]}
    assert granted - used == set()


def test_a_writer_reads_records_of_the_log_and_none_of_it() -> None:
    """`sre backup archive` looks at its start how far it came."""
    segment = "v1/orders/7-16/log/00000001/00000001000000000000001F"
    for end, may in ((".json", True), (".zst.age", False)):
        assert allows("writer", "s3:GetObject", segment + end) is may
        assert allows("writer", "s3:PutObject", segment + end)


VOLUME = "v1/orders/7-16/backups/20261122T000000Z-full-aaaaaaaa/v000000.zst.age"


@pytest.mark.parametrize(
    ("role", "right", "key"),
    [
        ("writer", "s3:GetObject", VOLUME),
        ("writer", "s3:DeleteObject", VOLUME),
        ("writer", "s3:PutObject", VOLUME.replace("orders", "users")),
        ("writer", "s3:PutObject", "v1/attest/x/y.json"),
        ("writer", "s3:PutObject", "v1/marks/x/hold.json"),
        ("writer", "s3:GetObject", "v1/keys/x.age"),
        ("verifier", "s3:PutObject", VOLUME),
        ("verifier", "s3:DeleteObject", VOLUME),
        ("pruner", "s3:PutObject", VOLUME),
        ("pruner", "s3:PutObject", "v1/attest/x/y.json"),
        ("pruner", "s3:DeleteObject", "v1/audit/2026/11/000000001.json"),
        ("pruner", "s3:PutBucketObjectLockConfiguration", ""),
        ("copier-source", "s3:PutObject", VOLUME),
        ("copier-source", "s3:DeleteObject", VOLUME),
        ("copier", "s3:DeleteObject", VOLUME),
        ("copier", "s3:PutObject", "v1/marks/x/expiring.json"),
        ("copier", "s3:PutObject", VOLUME.replace("orders", "users")),
        ("keys", "s3:GetObject", VOLUME),
        ("keys", "s3:DeleteObject", VOLUME),
        ("keys", "s3:DeleteObject", "v1/audit/2026/11/000000001.json"),
        ("doctor", "s3:GetObject", VOLUME),
        ("doctor", "s3:DeleteObject", VOLUME),
        ("doctor", "s3:PutObject", VOLUME),
        ("doctor", "s3:DeleteObject", "v1/audit/2026/11/000000001.json"),
        ("admin", "s3:GetObject", VOLUME),
        ("admin", "s3:DeleteObject", VOLUME),
        ("admin", "s3:PutObject", VOLUME),
    ],
)
def test_what_a_role_must_not(role: str, right: str, key: str) -> None:
    assert not allows(role, right, key)


def test_nobody_may_pass_over_a_lock_or_everything() -> None:
    granted = {right for role in ROLES for each in policy(role) for right in each["Action"]}
    assert not any("*" in right or "Bypass" in right for right in granted)
    assert all(each["Effect"] == "Allow" for role in ROLES for each in policy(role))


def test_a_writer_without_the_right_to_read_volumes_backs_up(
    s3_server: S3Server, keys: Keys, tmp_path: Path
) -> None:
    """The real server refuses it the volumes, and the backup is made all the same."""
    store = s3_server.store("roles", prefix="prod")
    s3_server.client().create_bucket(Bucket="roles")
    access, secret = s3_server.writer
    as_writer: S3Store = dataclasses.replace(
        store, access_key=Secret.literal(access), secret_key=Secret.literal(secret)
    )
    tar = TarDatabase(make_tar(tmp_path / "t", shop_files()))
    made = run_backup(make_job(tmp_path / "w", keys, tar, store=as_writer), "orders")
    client = S3Storage(as_writer).client
    volume = f"prod/{made.volumes[0].object}"
    with pytest.raises(client.exceptions.ClientError, match=r"AccessDenied|403"):
        client.get_object(Bucket="roles", Key=volume)
    with pytest.raises(client.exceptions.ClientError, match=r"AccessDenied|403"):
        client.put_object(Bucket="roles", Key="prod/v1/users/x", Body=b"")
    assert verify(make_job(tmp_path / "v", keys, tar, store=store), "orders", 1).passed
    client.delete_object(Bucket="roles", Key=volume)  # a limit of this server, as documented
