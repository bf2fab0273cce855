"""How is a request signed without reading its body once more?

A body that is written travels with its SHA-256 as a header, and the signature is over the same
SHA-256: the client would compute it anew. The header is signed too.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from botocore import auth

__all__ = ["sign_with_known_digests"]

_NAME = "sre-s3v4"
_USUAL = "s3v4"
_CHECKSUM = "x-amz-checksum-sha256"
_CALLS = ("PutObject", "UploadPart")


class KnownDigest(auth.S3SigV4Auth):  # type: ignore[misc]  # without types
    """The usual signature of S3."""

    def payload(self, request: Any) -> str:
        """The digest that the request says; the usual way where it says none."""
        try:
            known = base64.b64decode(request.headers.get(_CHECKSUM) or "", validate=True)
        except binascii.Error:
            known = b""
        return known.hex() if len(known) == 32 else str(super().payload(request))


def sign_with_known_digests(client: Any) -> None:
    """Have a client do so; where its library does not offer to choose, nothing changes."""
    known = getattr(auth, "AUTH_TYPE_MAPS", None)
    if isinstance(known, dict):
        known[_NAME] = KnownDigest
        for call in _CALLS:
            client.meta.events.register_first(f"choose-signer.s3.{call}", _choose)


def _choose(
    signature_version: Any = None, context: dict[str, Any] | None = None, **_: Any
) -> str | None:
    asked = (context or {}).get("auth_type")
    usual = signature_version == _USUAL or (signature_version == "v4" and asked == "v4")
    return _NAME if usual else None
