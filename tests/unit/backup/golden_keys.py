"""Which keys opened the golden repositories? Made from a word, so that no key stands in a file."""

from __future__ import annotations

import base64
import hashlib

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sre.backup.model import Keys
from sre.core.secrets import Secret

__all__ = ["golden_identity", "golden_keys"]

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def golden_identity(word: str) -> str:
    """An age identity: bech32 (BIP 173) of 32 bytes."""
    raw = hashlib.sha256(f"golden {word}".encode()).digest()
    bits = "".join(f"{byte:08b}" for byte in raw)
    bits += "0" * (-len(bits) % 5)
    data = [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    name = "age-secret-key-"
    spread = [ord(each) >> 5 for each in name] + [0] + [ord(each) & 31 for each in name]
    check = _polymod([*spread, *data, 0, 0, 0, 0, 0, 0]) ^ 1
    data += [(check >> 5 * (5 - at)) & 31 for at in range(6)]
    return (name + "1" + "".join(_LETTERS[each] for each in data)).upper()


def _polymod(values: list[int]) -> int:
    made = 1
    for value in values:
        top = made >> 25
        made = (made & 0x1FFFFFF) << 5 ^ value
        for at, each in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            made ^= each if (top >> at) & 1 else 0
    return made


def golden_keys(*words: str) -> Keys:
    """The keys that belong to a word; recipients of every further word too."""
    identities = [golden_identity(word) for word in words]
    recipients = [str(pyrage.x25519.Identity.from_str(each).to_public()) for each in identities]
    seed = hashlib.sha256(b"golden signature").digest()
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return Keys(
        tuple(recipients),
        Secret.literal("SRE-ED25519-SECRET-" + base64.b64encode(seed).decode()),
        ("ed25519:" + base64.b64encode(public).decode(),),
        Secret.literal(identities[0]),
    )
