"""Does a bucket put the parts of a large object together, those and no others?"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from sre.backup.doctor.model import Check, Outcome, absent, broken, holds
from sre.backup.doctor.s3_sums import sha256
from sre.backup.doctor.scene import Scene, quiet, refusal

__all__ = ["PARTS", "brief_upload"]

_MIB = 2**20
_PART = 5 * _MIB
_FAKE = '"00000000000000000000000000000000"'


@contextlib.contextmanager
def brief_upload(scene: Scene, name: str, **more: Any) -> Iterator[dict[str, str]]:
    """An upload that is aborted if it still is one afterwards."""
    upload = scene.begin(name, **more)
    try:
        yield upload
    finally:
        with quiet():
            scene.client.abort_multipart_upload(**upload)


def part_order(scene: Scene) -> Outcome:
    upload, parts, _ = _two_parts(scene)
    code = refusal(scene.complete, upload, parts[::-1])
    if code is not None:
        return holds(f"refused: {code}")
    scene.memo.pop("parts", None)
    return broken("parts named in the wrong order were taken")


def multipart(scene: Scene) -> Outcome:
    upload, parts, data = _two_parts(scene)
    name = upload["Key"][len(scene.prefix) :]
    scene.complete(upload, parts)
    head = scene.head(name)
    if head is None:
        return broken("Complete answered 200 and there is no object")
    if head["ContentLength"] != len(data):
        return broken(f"Complete answered 200; {head['ContentLength']} bytes of {len(data)} there")
    seam = scene.get(name, Range=f"bytes={_PART - 50}-{_PART + 49}")
    if seam != data[_PART - 50 : _PART + 50]:
        return broken("the bytes around the seam are others")
    found = scene.get(name)
    if hashlib.sha256(found).digest() != hashlib.sha256(data).digest():
        return broken("other bytes came back than were sent")
    return holds("2 parts of 5 MiB, every byte")


def _two_parts(scene: Scene) -> tuple[dict[str, str], list[dict[str, Any]], bytes]:
    """An upload with two parts, shared by the checks of one group."""
    made: tuple[dict[str, str], list[dict[str, Any]], bytes] | None = scene.memo.get("parts")
    if made is None:
        data = os.urandom(2 * _PART)
        upload = scene.begin(f"parts/big-{len(scene.uploads)}")
        halves = (data[:_PART], data[_PART:])
        parts = [scene.part(upload, number, half) for number, half in enumerate(halves, start=1)]
        made = scene.memo["parts"] = (upload, parts, data)
    return made


def part_missing(scene: Scene) -> Outcome:
    """The first part was never sent."""
    with brief_upload(scene, "parts/missing") as upload:
        last = scene.part(upload, 2, b"the last part")
        code = refusal(scene.complete, upload, [{"PartNumber": 1, "ETag": _FAKE}, last])
    if code is None:
        return broken("Complete took a part that was never sent")
    if scene.head("parts/missing") is not None:
        return broken(f"refused ({code}), and the object is there")
    return holds(f"refused: {code}")


def part_small(scene: Scene) -> Outcome:
    with brief_upload(scene, "parts/small") as upload:
        parts = [scene.part(upload, number, b"small") for number in (1, 2)]
        code = refusal(scene.complete, upload, parts)
    return holds(f"refused: {code}") if code else absent("parts of 5 bytes are taken")


def part_sums(scene: Scene) -> Outcome:
    """The checksum of a part is asked for again when the parts are put together."""
    data = os.urandom(3000)
    with brief_upload(scene, "parts/sums", ChecksumAlgorithm="SHA256") as upload:
        part = scene.part(upload, 1, data, ChecksumSHA256=sha256(data))
        wrong = [{**part, "ChecksumSHA256": sha256(b"other")}]
        code = refusal(scene.complete, upload, wrong)
        if code is None:
            return absent("Complete takes any")
        scene.complete(upload, [{**part, "ChecksumSHA256": sha256(data)}])
    return holds(f"refused: {code}") if scene.get("parts/sums") == data else broken("other bytes")


def unfinished(scene: Scene) -> Outcome:
    with brief_upload(scene, "unfinished/it") as upload:
        scene.part(upload, 1, b"half of it")
        if scene.head("unfinished/it") is not None or scene.names("unfinished/"):
            return broken("an upload that is not complete is an object already")
    return holds()


def list_uploads(scene: Scene) -> Outcome:
    with brief_upload(scene, "uploads/it") as upload:
        answer = scene.client.list_multipart_uploads(
            Bucket=scene.bucket, Prefix=scene.prefix + "uploads/"
        )
        found = {each["UploadId"] for each in answer.get("Uploads", [])}
    return holds() if upload["UploadId"] in found else broken("a begun upload is not listed")


def abort(scene: Scene) -> Outcome:
    upload = scene.begin("aborted/it")
    part = scene.part(upload, 1, b"never wanted")
    scene.client.abort_multipart_upload(**upload)
    code = refusal(scene.complete, upload, [part])
    if code is None or scene.head("aborted/it") is not None:
        return broken("an aborted upload could be completed")
    return holds(f"gone: {code}")


_LARGE = "volumes of a backup"

PARTS = (
    Check("part-missing", "a part that was never sent is missed", _LARGE, "data", part_missing),
    Check("part-order", "parts in the wrong order are refused", _LARGE, "note", part_order,
          bytes=2 * _PART, group="parts"),
    Check("multipart", "an object of several parts arrives whole", _LARGE, "data", multipart,
          bytes=2 * _PART, group="parts"),
    Check("part-too-small", "parts under 5 MiB are refused", "nothing of ours", "note", part_small),
    Check("part-sums", "Complete checks the SHA-256 of each part", _LARGE, "note", part_sums),
    Check("unfinished-invisible", "half an upload is not an object", "commit of a backup", "data",
          unfinished),
    Check("list-uploads", "begun uploads can be listed", "removing what crashed runs left",
          "feature", list_uploads),
    Check("abort", "an upload can be taken back", "removing what crashed runs left", "feature",
          abort),
)  # fmt: skip
