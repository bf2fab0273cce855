"""Which age identity belongs to a signing key, so that its holder can compare backups?

Derived (HKDF-SHA256, a label of its own), so that there is nothing more to keep or to lose. It
opens maps of hashes alone: no backup is ever encrypted to it.
"""

from __future__ import annotations

import pyrage
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sre.backup.age.bech32 import encode
from sre.backup.keys import signing_seed
from sre.core.secrets import Secret, redactor

__all__ = ["opener", "recipient"]

_LABEL = b"sre backup sidecar, X25519, 1"
_PREFIX = "age-secret-key-"


def opener(signing: Secret | None) -> str:
    """The secret identity, as age writes it. Raises UsageError without a signing key."""
    seed = signing_seed(signing)
    raw = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_LABEL).derive(seed)
    secret = encode(raw, _PREFIX).upper()
    redactor.add(secret)
    return secret


def recipient(signing: Secret | None) -> str:
    """The public half, to which sidecars are encrypted. Raises as `opener`."""
    return str(pyrage.x25519.Identity.from_str(opener(signing)).to_public())
