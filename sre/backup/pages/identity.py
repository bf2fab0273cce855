"""Which age identity belongs to a signing key, so that its holder can compare backups?

Derived (HKDF-SHA256, a label of its own), so that there is nothing more to keep or to lose. It
opens maps of hashes alone: no backup is ever encrypted to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyrage
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sre.backup.keys import signing_seed
from sre.core.secrets import Secret, redactor

__all__ = ["opener", "recipient"]

_LABEL = b"sre backup sidecar, X25519, 1"
_HUMAN = "age-secret-key-"
_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_STEPS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def opener(signing: Secret | None) -> str:
    """The secret identity, as age writes it. Raises UsageError without a signing key."""
    seed = signing_seed(signing)
    raw = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_LABEL).derive(seed)
    secret = _bech32(raw).upper()
    redactor.add(secret)
    return secret


def recipient(signing: Secret | None) -> str:
    """The public half, to which sidecars are encrypted. Raises as `opener`."""
    return str(pyrage.x25519.Identity.from_str(opener(signing)).to_public())


def _bech32(data: bytes) -> str:
    """BIP 173, as age uses it for its keys."""
    number, bits = int.from_bytes(data, "big"), len(data) * 8
    spare = -bits % 5
    count = (bits + spare) // 5
    words = [(number << spare) >> (5 * (count - 1 - at)) & 31 for at in range(count)]
    head = [ord(each) >> 5 for each in _HUMAN] + [0] + [ord(each) & 31 for each in _HUMAN]
    check = _checksum([*head, *words, *[0] * 6]) ^ 1
    tail = [check >> (5 * (5 - at)) & 31 for at in range(6)]
    return f"{_HUMAN}1" + "".join(_LETTERS[word] for word in (*words, *tail))


def _checksum(words: Sequence[int]) -> int:
    found = 1
    for word in words:
        top = found >> 25
        found = (found & 0x1FFFFFF) << 5 ^ word
        for bit, step in enumerate(_STEPS):
            found ^= step if top >> bit & 1 else 0
    return found
