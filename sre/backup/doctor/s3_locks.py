"""Does a bucket keep old versions, and does object lock keep what it should?

What is locked here is locked for seconds; whoever cleans up waits for it, or says until when.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from sre.backup.doctor.model import Check, Outcome, absent, broken, holds, skipped, unknown
from sre.backup.doctor.scene import Scene, code_of, refusal

__all__ = ["LOCKS", "lock_settings"]

_SECONDS = 6.0


def lock_settings(scene: Scene) -> tuple[bool, dict[str, Any]]:
    """Whether the bucket has object lock, and what it locks by itself. Raises ClientError."""
    try:
        answer = scene.client.get_object_lock_configuration(Bucket=scene.bucket)
    except ClientError as error:
        if code_of(error) in {"AccessDenied", "403"}:
            raise
        return False, {}
    found = answer.get("ObjectLockConfiguration") or {}
    default = (found.get("Rule") or {}).get("DefaultRetention") or {}
    return found.get("ObjectLockEnabled") == "Enabled", dict(default)


def versioning(scene: Scene) -> Outcome:
    status = scene.client.get_bucket_versioning(Bucket=scene.bucket).get("Status")
    if status != "Enabled":
        return absent(f"it is {status or 'off'}")
    first = scene.put("versions/it", b"first").get("VersionId")
    scene.put("versions/it", b"second")
    if not first or first == "null":
        return broken("it says Enabled, and a put has no version")
    if scene.get("versions/it", VersionId=first) != b"first":
        return broken("the older version has other bytes")
    return holds("an older version can be read")


def object_lock(scene: Scene) -> Outcome:
    enabled, default = lock_settings(scene)
    scene.memo["lock"] = enabled
    if not enabled:
        return absent("not enabled; it is, when a bucket is made with it")
    if default:
        days = default.get("Days") or f"{default.get('Years')} years"
        return holds(f"enabled; the bucket locks by itself: {default.get('Mode')}, {days}")
    return holds("enabled")


def governance(scene: Scene) -> Outcome:
    return _retention(scene, "GOVERNANCE")


def compliance(scene: Scene) -> Outcome:
    return _retention(scene, "COMPLIANCE")


def _retention(scene: Scene, mode: str) -> Outcome:
    if not scene.memo.get("lock"):
        return skipped("the bucket has no object lock")
    name, until = f"locked/{mode.lower()}", _soon(scene)
    version = scene.put(name, b"locked", ObjectLockMode=mode, ObjectLockRetainUntilDate=until).get(
        "VersionId"
    )
    if not version:
        return broken("a put with a retention has no version")
    scene.locked_until[scene.key(name)] = until
    return _kept(scene, {**scene.at(name), "VersionId": version}, mode, until)


def _kept(scene: Scene, version: dict[str, str], mode: str, until: datetime) -> Outcome:
    sooner = {"Mode": mode, "RetainUntilDate": until - timedelta(seconds=_SECONDS - 2)}
    force = {"BypassGovernanceRetention": True} if mode == "COMPLIANCE" else {}
    tries: dict[str, Callable[[], Any]] = {
        "delete of the version": lambda: scene.client.delete_object(**version, **force),
        "a shorter retention": lambda: scene.client.put_object_retention(
            **version, Retention=sooner, **force
        ),
    }
    for what, call in tries.items():
        code = refusal(call)
        if scene.now() >= until - timedelta(seconds=1):
            return unknown("the answers came too slowly to tell")
        if code is None:
            return broken(f"{what} was taken")
    if scene.get(version["Key"][len(scene.prefix) :], VersionId=version["VersionId"]) != b"locked":
        return broken("the delete was refused, and the bytes are others")
    return holds("delete and shortening refused")


def _soon(scene: Scene) -> datetime:
    slow = 12 * float(scene.memo.get("latency", 0.0))
    return (scene.now() + timedelta(seconds=_SECONDS + slow)).replace(microsecond=0)


def lock_multipart(scene: Scene) -> Outcome:
    if not scene.memo.get("lock"):
        return skipped("the bucket has no object lock")
    name, until = "locked/parts", _soon(scene)
    upload = scene.begin(name, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    scene.complete(upload, [scene.part(upload, 1, b"locked")])
    scene.locked_until[scene.key(name)] = until
    head = scene.head(name) or {}
    if head.get("ObjectLockMode") != "GOVERNANCE":
        return broken("an upload in parts that was to be locked is not")
    version = {**scene.at(name), "VersionId": head["VersionId"]}
    code = refusal(scene.client.delete_object, **version)
    if scene.now() >= until - timedelta(seconds=1):
        return unknown("the answers came too slowly to tell")
    return holds(f"delete refused: {code}") if code else broken("delete of the version was taken")


def legal_hold(scene: Scene) -> Outcome:
    if not scene.memo.get("lock"):
        return skipped("the bucket has no object lock")
    name = "locked/held"
    version = scene.put(name, b"held", ObjectLockLegalHoldStatus="ON").get("VersionId")
    at = {**scene.at(name), "VersionId": version}
    scene.memo.setdefault("held", []).append(at)
    code = refusal(scene.client.delete_object, **at)
    if code is None:
        return broken("delete of a held version was taken")
    release = scene.client.put_object_legal_hold
    kept = refusal(release, **at, LegalHold={"Status": "OFF"})
    if kept is not None:
        return unknown(f"it holds, and these credentials cannot take it off: {kept}")
    return holds(f"delete refused: {code}")


_LOCK = "tiers with lock"

LOCKS = (
    Check("versioning", "an older version is kept", "overwritten and deleted objects", "note",
          versioning),
    Check("object-lock", "objects can be locked", _LOCK, "feature", object_lock, wanted_by="lock",
          group="lock"),
    Check("lock-governance", "GOVERNANCE keeps a version", _LOCK, "feature", governance,
          wanted_by="lock", group="lock"),
    Check("lock-compliance", "COMPLIANCE keeps a version, also from those who may bypass", _LOCK,
          "feature", compliance, wanted_by="lock", group="lock"),
    Check("lock-multipart", "an upload in parts can be locked", _LOCK, "feature", lock_multipart,
          wanted_by="lock", group="lock"),
    Check("legal-hold", "a hold keeps a version until it is taken off", "holds", "note", legal_hold,
          group="lock"),
)  # fmt: skip
