"""Is an answer worth packing, and may it be? (pure)"""

from __future__ import annotations

import zlib

__all__ = ["coded"]

_SMALL = 1024


def coded(body: bytes, accepted: str) -> tuple[bytes, str]:
    """The body and its coding, for an `Accept-Encoding` header: gzip at its fastest, or nothing."""
    if len(body) < _SMALL or not _takes_gzip(accepted):
        return body, ""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush(), "gzip"


def _takes_gzip(accepted: str) -> bool:
    asked = {}
    for each in accepted.lower().split(","):
        coding, _, quality = each.partition(";")
        refused = quality.strip().removeprefix("q=").strip("0.") == "" and "q=0" in quality
        asked[coding.strip()] = not refused
    return asked.get("gzip", asked.get("*", False))
