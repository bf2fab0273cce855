"""How is everything removed that an examination of a bucket wrote, and what has to stay a while?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sre.backup.doctor.scene import Scene, code_of, quiet, status_of
from sre.backup.doctor.scene_names import SCRATCH
from sre.core.errors import SreError

__all__ = ["clean", "sweep"]

_WAIT = 12.0
_MANY = 8
_OLD = timedelta(hours=1)


def clean(scene: Scene, seconds: float) -> tuple[str, ...]:
    """Remove the scratch prefix; what could not be, each with the reason. Raises nothing."""
    scene.clean_up(seconds)
    with quiet():
        _release(scene)
    left = _remove(scene, scene.prefix, set())  # most of it, before time runs out
    _abort(scene, scene.prefix)
    left |= _remove(scene, scene.prefix, set(scene.touched))
    wait = _soonest(scene, left)
    if left and wait is not None and wait < min(_WAIT, scene.deadline.left() - 2):
        scene.clock.sleep(wait)
    _abort(scene, scene.prefix)  # again: a check that was stopped may have been on its way
    left = _remove(scene, scene.prefix, set(left), singly=True)
    return tuple(_said(scene, left))


def _said(scene: Scene, left: dict[str, str]) -> Iterator[str]:
    """One line each, or one for all of a reason when there are many."""
    for why in sorted(set(left.values())):
        keys = sorted(key for key in left if left[key] == why)
        if len(keys) > _MANY:
            yield f"up to {len(keys)} objects below {scene.prefix} ({why})"
        else:
            yield from (_say(scene, key, why) for key in keys)


def sweep(scene: Scene) -> None:
    """Remove what an examination left that was killed more than an hour ago."""
    with quiet():
        found = scene.client.list_objects_v2(
            Bucket=scene.bucket, Prefix=scene.root + SCRATCH, Delimiter="/"
        )
        for each in found.get("CommonPrefixes", [])[:20]:
            made = _made(each["Prefix"])
            if made is not None and scene.now() - made > _OLD:
                _abort(scene, each["Prefix"])
                _remove(scene, each["Prefix"], set())


def _made(prefix: str) -> datetime | None:
    try:
        stamp = prefix.rstrip("/").rpartition("/")[2].partition("-")[0]
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _release(scene: Scene) -> None:
    for held in scene.memo.get("held", []):
        with quiet():
            scene.client.put_object_legal_hold(**held, LegalHold={"Status": "OFF"})


def _abort(scene: Scene, prefix: str) -> None:
    uploads = set(scene.uploads) if prefix == scene.prefix else set()
    with quiet():
        answer = scene.client.list_multipart_uploads(Bucket=scene.bucket, Prefix=prefix)
        uploads |= {(each["Key"], each["UploadId"]) for each in answer.get("Uploads", [])}
    for key, upload in uploads:
        if key.startswith(prefix):
            with quiet():
                scene.client.abort_multipart_upload(Bucket=scene.bucket, Key=key, UploadId=upload)


def _remove(scene: Scene, prefix: str, known: set[str], *, singly: bool = False) -> dict[str, str]:
    """Every version of every object; key -> why it is still there, or may be."""
    found: list[tuple[str, dict[str, str]]] = []
    with quiet():
        found = [pair for pair in _listed(scene, prefix) if pair[0].startswith(prefix)]
    silent: dict[str, str] = {}
    for key in sorted(known - {key for key, _ in found}):
        why = _unlisted(scene, key)
        if why is None:
            continue
        if why:
            silent[key] = why
        else:
            found.append((key, {}))
    left = None if singly or not found else _delete_all(scene, found)
    if left is None:
        told = {key: _delete(scene, key, version) for key, version in found}
        left = {key: why for key, why in told.items() if why is not None}
    scene.touched -= {key for key, _ in found if key not in left}
    return silent | left


def _unlisted(scene: Scene, key: str) -> str | None:
    """None when it is not there, empty when it is, else why nobody knows."""
    try:
        scene.client.head_object(Bucket=scene.bucket, Key=key)
    except ClientError as error:
        return None if status_of(error) == 404 else code_of(error)
    except (BotoCoreError, SreError):
        return "no answer"
    return ""


def _delete_all(scene: Scene, found: list[tuple[str, dict[str, str]]]) -> dict[str, str] | None:
    """With one request; None where that does not work."""
    objects = [{"Key": key, **version} for key, version in found[:1000]]
    try:
        answer = scene.client.delete_objects(Bucket=scene.bucket, Delete={"Objects": objects})
    except (ClientError, BotoCoreError, SreError):
        return None
    return {each["Key"]: str(each.get("Code", "")) for each in answer.get("Errors", [])}


def _delete(scene: Scene, key: str, version: dict[str, str]) -> str | None:
    try:
        scene.client.delete_object(Bucket=scene.bucket, Key=key, **version)
    except ClientError as error:
        return code_of(error)
    except (BotoCoreError, SreError) as error:
        return str(error)
    return None


def _listed(scene: Scene, prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        yield from _listed_versions(scene, prefix)
    except (ClientError, BotoCoreError):  # a store without versions
        for name in scene.client.list_objects_v2(Bucket=scene.bucket, Prefix=prefix).get(
            "Contents", []
        ):
            yield name["Key"], {}


def _listed_versions(scene: Scene, prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    marker: dict[str, Any] = {}
    for _ in range(20):
        page = scene.client.list_object_versions(Bucket=scene.bucket, Prefix=prefix, **marker)
        for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            version = each.get("VersionId")
            yield each["Key"], {"VersionId": version} if version not in {None, "null"} else {}
        if not page.get("IsTruncated"):
            return
        marker = {
            "KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"],
        }  # fmt: skip


def _soonest(scene: Scene, left: dict[str, str]) -> float | None:
    """Seconds until everything that is left may go; None when time alone does not do it."""
    until = [scene.locked_until.get(key) for key in left]
    if scene.lock_default:
        until = [each or scene.now() + timedelta(seconds=8) for each in until]
    known = [each for each in until if each is not None]
    if not known or len(known) < len(left):
        return None
    return max(0.0, (max(known) - scene.now()).total_seconds()) + 1.5


def _say(scene: Scene, key: str, why: str) -> str:
    until = scene.locked_until.get(key)
    if until is None:
        return f"{key} ({why})"
    return (
        f"{key} (locked until {until:%Y-%m-%dT%H:%M:%SZ}; an examination an hour later removes it)"
    )
