"""Is an answer worth packing, and may it be? (pure)"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

__all__ = ["coded"]

_SMALL = 1024


def coded(blocks: Sequence[bytes], accepted: str) -> tuple[Sequence[bytes], str]:
    """A body in blocks and its coding, for an `Accept-Encoding` header: gzip at its fastest."""
    if sum(map(len, blocks)) < _SMALL or not _takes_gzip(accepted):
        return blocks, ""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return [*map(packer.compress, blocks), packer.flush()], "gzip"


def _takes_gzip(accepted: str) -> bool:
    asked = {}
    for each in accepted.lower().split(","):
        coding, _, quality = each.partition(";")
        refused = quality.strip().removeprefix("q=").strip("0.") == "" and "q=0" in quality
        asked[coding.strip()] = not refused
    return asked.get("gzip", asked.get("*", False))
