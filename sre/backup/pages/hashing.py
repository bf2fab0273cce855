"""Which eight bytes stand for a page?

GMAC: AES-GCM's tag over the page, nothing encrypted, cut to eight bytes. For a secret key and one
nonce it is a universal hash: whoever does not see the tags, and they travel only encrypted, cannot
choose two pages that get the same one. For any two different pages, chosen before the key, that
happens with at most 513 in 2^64, about once in 2^55. It costs half of what BLAKE3 does, of which a
page is too little. Maps of before have a keyed BLAKE3 and a longer key: what builds on them too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["HASH", "PAGE", "Pages", "hash_name", "new_key", "pages_of"]

PAGE = 8192
HASH = 8
_NONCE = bytes(12)
_NAMES = {16: "gmac-64", 32: "blake3-64"}

Pages = Callable[[memoryview], bytes]
"""The hashes of whole pages, one after another."""


def new_key() -> bytes:
    """A secret one, for a full backup and all that builds on it."""
    return secrets.token_bytes(16)


def hash_name(key: bytes) -> str:
    """What a key is for, told by its length; "" for nothing."""
    return _NAMES.get(len(key), "")


def pages_of(key: bytes) -> Pages:
    """The function that belongs to a key. Raises KeyError for none."""
    return {"gmac-64": _gmac, "blake3-64": _blake3}[hash_name(key)](key)


def _gmac(key: bytes) -> Pages:
    tag = AESGCM(key).encrypt

    def hashes(pages: memoryview) -> bytes:
        ends = range(PAGE, len(pages) + 1, PAGE)
        return b"".join([tag(_NONCE, b"", pages[end - PAGE : end])[:HASH] for end in ends])

    return hashes


def _blake3(key: bytes) -> Pages:
    def hashes(pages: memoryview) -> bytes:
        ends = range(PAGE, len(pages) + 1, PAGE)
        return b"".join([blake3(pages[end - PAGE : end], key=key).digest(HASH) for end in ends])

    return hashes
