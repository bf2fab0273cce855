"""Does a bucket refuse bytes that are not those that were sent?"""

from __future__ import annotations

import base64
import hashlib
import os

from sre.backup.doctor.model import Check, Outcome, absent, broken, holds
from sre.backup.doctor.scene import Scene, refusal

__all__ = ["SUMS"]


def sha256(data: bytes) -> str:
    """As the header wants it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def md5(data: bytes) -> str:
    """As the header wants it."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _on_put(scene: Scene, name: str, field: str, wrong: str, right: str, data: bytes) -> Outcome:
    code = refusal(scene.put, f"{name}-bad", data, **{field: wrong})
    if code is None:
        return broken("a put with a wrong checksum was taken")
    if scene.head(f"{name}-bad") is not None:
        return broken(f"a wrong checksum is refused ({code}), and the object is there")
    code_of_right = refusal(scene.put, f"{name}-good", data, **{field: right})
    if code_of_right is not None:
        return absent(f"a right checksum is refused too: {code_of_right}")
    return holds(f"a wrong one is refused: {code}")


def sha256_put(scene: Scene) -> Outcome:
    data = os.urandom(2000)
    return _on_put(scene, "sums/sha", "ChecksumSHA256", sha256(b"other"), sha256(data), data)


def md5_put(scene: Scene) -> Outcome:
    data = os.urandom(2000)
    return _on_put(scene, "sums/md5", "ContentMD5", md5(b"other"), md5(data), data)


def _on_part(scene: Scene, name: str, field: str, wrong: str, right: str, data: bytes) -> Outcome:
    more = {"ChecksumAlgorithm": "SHA256"} if field == "ChecksumSHA256" else {}
    upload = scene.begin(name, **more)
    code = refusal(scene.part, upload, 1, data, **{field: wrong})
    if code is None:
        return broken("a part with a wrong checksum was taken")
    code_of_right = refusal(scene.part, upload, 1, data, **{field: right})
    if code_of_right is not None:
        return absent(f"a right checksum is refused too: {code_of_right}")
    return holds(f"a wrong one is refused: {code}")


def sha256_part(scene: Scene) -> Outcome:
    data = os.urandom(2000)
    wrong, right = sha256(b"other"), sha256(data)
    return _on_part(scene, "sums/sha-part", "ChecksumSHA256", wrong, right, data)


def md5_part(scene: Scene) -> Outcome:
    data = os.urandom(2000)
    return _on_part(scene, "sums/md5-part", "ContentMD5", md5(b"other"), md5(data), data)


def sha256_kept(scene: Scene) -> Outcome:
    data = os.urandom(2000)
    scene.put("sums/kept", data, ChecksumSHA256=sha256(data))
    head = scene.head("sums/kept", ChecksumMode="ENABLED")
    told = (head or {}).get("ChecksumSHA256")
    if told is None:
        return absent("HEAD does not tell it")
    return holds("HEAD tells it") if told == sha256(data) else broken(f"HEAD tells {told}")


_CARE = "damage on the way is noticed at once"

SUMS = (
    Check("sha256-put", "a put with a wrong SHA-256 is refused", _CARE, "feature", sha256_put),
    Check("sha256-part", "a part with a wrong SHA-256 is refused", _CARE, "feature", sha256_part),
    Check(
        "md5-put", "a put with a wrong MD5 is refused", "stores without SHA-256", "note", md5_put
    ),
    Check(
        "md5-part", "a part with a wrong MD5 is refused", "stores without SHA-256", "note", md5_part
    ),
    Check("sha256-kept", "the SHA-256 is stored and told", "cheap copies", "note", sha256_kept),
)
