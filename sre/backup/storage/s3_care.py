"""How does a bucket let go of objects: versions, locks, half uploads, its clock?

A plain DELETE in a bucket with versions removes nothing: it puts a marker on top, even of a locked
object. So versions are removed one by one, and a lock is seen as the refusal that it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from sre.backup.storage.s3_errors import code_of
from sre.backup.upkeep import Guarded, LockState, ObjectLock, Pending
from sre.core.errors import Refused, Transient

if TYPE_CHECKING:
    from sre.backup.storage.s3_upkeep import S3Upkeep

__all__ = [
    "abandon",
    "extend",
    "lock_fields",
    "lock_state",
    "must_be_locked",
    "must_lock",
    "remove",
    "seconds_of",
    "server_time",
    "unfinished",
]

_NO_VERSIONS = {"NotImplemented", "MethodNotAllowed", "405", "501"}
_NO_LOCKS = {"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "404"}
_REFUSED = {"AccessDenied", "ObjectLocked", "InvalidRequest", "403"}
_WANTED = (
    "the tier asks for object lock, and the bucket has none: make a bucket with object lock "
    "(it cannot be added by us), or take lock: out of the tier"
)


def seconds_of(moment: datetime | None) -> float | None:
    """Unix seconds."""
    return None if moment is None else moment.timestamp()


def server_time(storage: S3Upkeep) -> float | None:
    """The Date of an answer, be it a refusal; None where the server sends none."""
    try:
        answer = storage.client.head_bucket(Bucket=storage.bucket)
    except ClientError as error:
        if code_of(error) not in _REFUSED:
            raise
        answer = error.response  # rights to a prefix alone
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    try:
        return None if said is None else parsedate_to_datetime(said).timestamp()
    except ValueError:
        return None


def remove(storage: S3Upkeep, key: str) -> None:
    """Every version of an object, what is on top last. Raises Guarded."""
    if not _has_versions(storage):
        storage.client.delete_object(**storage.at(key))
        return
    found = sorted(_versions(storage, key), key=lambda each: bool(each.get("IsLatest")))
    for each in found:
        try:
            storage.client.delete_object(**storage.at(key), VersionId=each["VersionId"])
        except ClientError as error:
            if code_of(error) not in _REFUSED or not _is_guarded(storage, key, error):
                raise
            raise Guarded(f"{key} is under object lock or legal hold") from error


def unfinished(storage: S3Upkeep, prefix: str) -> list[Pending]:
    """Multipart uploads that have begun and not ended, with the bytes that they hold."""
    found: dict[str, Pending] = {}
    marker: dict[str, str] = {}
    while True:
        page = storage.client.list_multipart_uploads(
            Bucket=storage.bucket, Prefix=storage.prefix + prefix, **marker
        )
        for each in page.get("Uploads", []):
            key, upload = each["Key"], each["UploadId"]
            size, began = _held(storage, key, upload), seconds_of(each.get("Initiated"))
            if size is not None and key.startswith(storage.prefix + prefix):
                short = key[len(storage.prefix) :]
                found[upload] = Pending(short, upload, began or 0.0, size)
        if not page.get("IsTruncated"):
            return list(found.values())
        after = {"KeyMarker": page.get("NextKeyMarker") or ""}
        if page.get("NextUploadIdMarker"):
            after["UploadIdMarker"] = page["NextUploadIdMarker"]
        if not after["KeyMarker"] or after == marker:
            raise Transient("the store's list of unfinished uploads breaks off; run it again")
        marker = after


def abandon(storage: S3Upkeep, upload: Pending) -> None:
    """Abort it; one that is gone is success."""
    try:
        storage.client.abort_multipart_upload(**storage.at(upload.key), UploadId=upload.id)
    except ClientError as error:
        if code_of(error) not in {"NoSuchUpload", "404"}:
            raise


def must_lock(storage: S3Upkeep) -> None:
    """Whether the bucket locks objects. Raises Refused."""
    try:
        answer = storage.client.get_object_lock_configuration(Bucket=storage.bucket)
    except ClientError as error:
        if code_of(error) in {*_NO_LOCKS, *_NO_VERSIONS}:
            raise Refused(_WANTED) from error
        raise
    if answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
        raise Refused(_WANTED)


def extend(storage: S3Upkeep, key: str, lock: ObjectLock) -> None:
    """Lock until later. Raises Refused without locks."""
    try:
        storage.client.put_object_retention(
            **storage.at(key),
            Retention={"Mode": lock.mode, "RetainUntilDate": _date(lock.until)},
        )
    except ClientError as error:
        if code_of(error) in {"InvalidRequest", *_NO_LOCKS, *_NO_VERSIONS} - {"404"}:
            raise Refused(f"the store cannot lock {key}: {code_of(error)}") from error
        raise


def lock_fields(lock: ObjectLock | None) -> dict[str, Any]:
    """What a request that writes says about the lock."""
    if lock is None:
        return {}
    return {"ObjectLockMode": lock.mode, "ObjectLockRetainUntilDate": _date(lock.until)}


def lock_state(found: dict[str, Any]) -> LockState:
    """What an answer to HEAD says about the lock."""
    return LockState(
        until=seconds_of(found.get("ObjectLockRetainUntilDate")),
        mode=found.get("ObjectLockMode"),
        legal_hold=found.get("ObjectLockLegalHoldStatus") == "ON",
    )


def must_be_locked(key: str, wanted: ObjectLock | None, found: LockState) -> None:
    """A 200 is not believed: the lock must be on what was stored. Raises Refused."""
    if wanted is not None and (found.until is None or found.until < wanted.until - 1):
        raise Refused(
            f"the store took {key} and shows no lock on it until the day the tier asks for; "
            "check the bucket's object lock and the right s3:GetObjectRetention"
        )


def _date(at: float) -> datetime:
    return datetime.fromtimestamp(int(at) + 1, UTC)  # whole seconds, never sooner


def _has_versions(storage: S3Upkeep) -> bool:
    if storage.versioned is None:
        try:
            answer = storage.client.get_bucket_versioning(Bucket=storage.bucket)
            storage.versioned = answer.get("Status") in {"Enabled", "Suspended"}
        except ClientError as error:
            if code_of(error) not in _NO_VERSIONS:
                raise
            storage.versioned = False
    return storage.versioned


def _versions(storage: S3Upkeep, key: str) -> Iterator[dict[str, Any]]:
    wanted = storage.prefix + key
    pages = storage.client.get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=storage.bucket, Prefix=wanted):
        for each in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            if each["Key"] == wanted:
                yield each


def _is_guarded(storage: S3Upkeep, key: str, error: ClientError) -> bool:
    """Whether a refusal is a lock's, and not that our credentials may not remove."""
    said = str(error.response.get("Error", {}).get("Message", "")).lower()
    if any(word in said for word in ("lock", "worm", "retention", "legal hold")):
        return True
    now = server_time(storage)
    return now is not None and storage.lock_of(key).protects(now)


def _held(storage: S3Upkeep, key: str, upload: str) -> int | None:
    """The bytes of its parts; None when it has ended meanwhile."""
    pages = storage.client.get_paginator("list_parts")
    try:
        found = pages.paginate(Bucket=storage.bucket, Key=key, UploadId=upload)
        return sum(int(part["Size"]) for page in found for part in page.get("Parts", []))
    except ClientError as error:
        if code_of(error) in {"NoSuchUpload", "404"}:
            return None
        raise
