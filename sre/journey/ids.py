"""How is a name made that nobody else has made? As `uuid` does, without its objects."""

from __future__ import annotations

import hashlib
import os
import uuid

__all__ = ["random_name", "unique", "unique_of"]

_SPACE = uuid.NAMESPACE_URL.bytes


def random_name() -> str:
    """32 hexadecimal digits."""
    return os.urandom(16).hex()


def unique() -> str:
    """The text of a random UUID (version 4)."""
    return _text(os.urandom(16), 0x40)


def unique_of(name: str) -> str:
    """The text of the UUID (version 5, of URLs) that a name has everywhere and always."""
    return _text(hashlib.sha1(_SPACE + name.encode(), usedforsecurity=False).digest()[:16], 0x50)


def _text(data: bytes, version: int) -> str:
    digits = bytearray(data)
    digits[6] = digits[6] & 0x0F | version
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
