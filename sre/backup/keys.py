"""Whose keys encrypt, open, sign and are believed, and how are new ones made?

Two pairs. age (X25519): a backup host holds public recipients alone and cannot read old backups;
the identity that can is on hosts that verify and restore. Ed25519: anybody who may write to the
bucket can encrypt something to a public recipient, so a manifest counts only when it is signed.
Each backup has an age pair of its own; its secret half is what the recipients can open.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyrage
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sre.backup.model import Keys
from sre.core.errors import IntegrityError, Refused, UsageError
from sre.core.files import sync_folder
from sre.core.secrets import Secret, redactor

__all__ = [
    "Made",
    "is_believed",
    "keys_ready",
    "new_backup_key",
    "new_keys",
    "opens_with",
    "public_of",
    "sign",
    "signed_by_trusted",
    "signing_seed",
    "unwrap",
    "wrap",
]

_SIGNING = "SRE-ED25519-SECRET-"
_PUBLIC = "ed25519:"
_IDENTITY = "AGE-SECRET-KEY-"


@dataclass(frozen=True)
class Made:
    """New keys: the files, and what goes into sre.yaml."""

    folder: Path
    recipient: str
    trusted: str


def new_keys(folder: Path) -> Made:
    """Make both pairs in `folder`, secrets readable by their owner alone.

    Raises:
        Refused: one of the files is there already; a key that is overwritten is lost backups.
    """
    identity, signing = pyrage.x25519.Identity.generate(), Ed25519PrivateKey.generate()
    recipient, trusted = str(identity.to_public()), _public_text(signing.public_key())
    secret = _SIGNING + base64.b64encode(signing.private_bytes_raw()).decode()
    for text in (str(identity), secret):
        redactor.add(text)
    files = {
        "identity": f"# public key: {recipient}\n{identity}\n",
        "identity.pub": f"{recipient}\n",
        "signing": f"{secret}\n",
        "signing.pub": f"{trusted}\n",
    }
    taken = [name for name in files if os.path.lexists(folder / name)]
    if taken:
        raise Refused(f"{folder / taken[0]} exists; keys are never overwritten: name a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_all(folder, files)
    except FileExistsError as error:
        raise Refused(f"{error.filename} exists; keys are never overwritten") from error
    except OSError as error:
        raise UsageError(f"cannot write keys to {folder}: {error.strerror}") from error
    return Made(folder, recipient, trusted)


def new_backup_key() -> tuple[str, str]:
    """(secret, public) of one backup's own age pair; the secret is masked from now on."""
    identity = pyrage.x25519.Identity.generate()
    secret = str(identity)
    redactor.add(secret)
    return secret, str(identity.to_public())


def wrap(secret: str, recipients: Sequence[str]) -> bytes:
    """A backup's secret as an age file that each recipient can open.

    Raises:
        UsageError: no recipients, or one that is not a key.
    """
    if not recipients:
        raise UsageError(
            "keys.recipients is empty: nobody could open the backup; "
            "make keys with: sre backup keys new --out DIR"
        )
    try:
        to = [pyrage.x25519.Recipient.from_str(each) for each in recipients]
    except pyrage.RecipientError as error:
        raise UsageError(f"keys.recipients: {error}; write what age-keygen -y prints") from error
    return bytes(pyrage.encrypt(f"{secret}\n".encode(), to))


def unwrap(wrapped: bytes, identity: Secret | None) -> str:
    """The backup's secret, opened with the long-term identity.

    Raises:
        IntegrityError: no identity here, not one of the recipients, or a damaged file.
    """
    if identity is None:
        raise IntegrityError(
            "keys.identity is not set, so nothing can be decrypted here; set it on hosts that "
            "verify above level 0 and restore"
        )
    lines = [line.strip() for line in identity.reveal().splitlines()]
    secrets = [line for line in lines if line.startswith(_IDENTITY)]
    for line in secrets:
        redactor.add(line)
    try:
        mine = [pyrage.x25519.Identity.from_str(line) for line in secrets]
        secret = pyrage.decrypt(wrapped, mine).decode().strip() if mine else ""
        pyrage.x25519.Identity.from_str(secret)
    except (pyrage.IdentityError, pyrage.DecryptError, UnicodeDecodeError) as error:
        raise IntegrityError(
            f"keys.identity does not open it: wrong key, or a damaged file ({error})"
        ) from error
    if not mine:
        raise IntegrityError("keys.identity holds no line that begins with AGE-SECRET-KEY-")
    redactor.add(secret)
    return str(secret)


def opens_with(identity: Secret | None) -> tuple[str, ...]:
    """The public halves of the identities of this host; empty when there is none to be read."""
    if identity is None:
        return ()
    lines = [line.strip() for line in identity.reveal().splitlines()]
    found: list[str] = []
    for line in lines:
        if line.startswith(_IDENTITY):
            redactor.add(line)
            with contextlib.suppress(pyrage.IdentityError):
                found.append(str(pyrage.x25519.Identity.from_str(line).to_public()))
    return tuple(found)


def sign(data: bytes, signing: Secret | None) -> bytes:
    """64 bytes that `openssl pkeyutl -verify -rawin` understands.

    Raises:
        UsageError: no key, or not one of ours.
    """
    return _signing_key(signing).sign(data)


def signing_seed(signing: Secret | None) -> bytes:
    """The 32 secret bytes, for what is derived from them. Raises as `sign` does."""
    return _signing_key(signing).private_bytes_raw()


def public_of(signing: Secret | None) -> str:
    """The line for `keys.trusted` that belongs to a signing key. Raises as `sign` does."""
    return _public_text(_signing_key(signing).public_key())


def signed_by_trusted(data: bytes, signature: bytes, trusted: Iterable[str]) -> bool:
    """Whether one of the trusted keys made the signature."""
    for text in trusted:
        try:
            _public_key(text).verify(signature, data)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


@functools.lru_cache(maxsize=64)
def _public_key(text: str) -> Ed25519PublicKey:
    raw = base64.b64decode(text.removeprefix(_PUBLIC), validate=True)
    return Ed25519PublicKey.from_public_bytes(raw)


def _signing_key(signing: Secret | None) -> Ed25519PrivateKey:
    if signing is None:
        raise UsageError(
            "keys.signing is not set, and an unsigned backup is believed by nobody; "
            "make keys with: sre backup keys new --out DIR"
        )
    text = signing.reveal().strip()
    try:
        raw = base64.b64decode(text.removeprefix(_SIGNING), validate=True)
    except binascii.Error:
        raw = b""
    if not text.startswith(_SIGNING) or len(raw) != 32:
        raise UsageError(
            "keys.signing is not a signing key; it is one line, made by sre backup keys new"
        )
    return Ed25519PrivateKey.from_private_bytes(raw)


def _public_text(key: Ed25519PublicKey) -> str:
    return _PUBLIC + base64.b64encode(key.public_bytes_raw()).decode()


def _write_all(folder: Path, files: Mapping[str, str]) -> None:
    """All of the files, or none: half a pair of keys looks like one that can be used."""
    with contextlib.ExitStack() as undo:
        for name, text in files.items():
            path = folder / name
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            undo.callback(path.unlink)
            with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123  a descriptor
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(folder)
        undo.pop_all()


def keys_ready(keys: Keys) -> None:
    """Whether a backup could be encrypted and signed, before any work. Raises UsageError."""
    wrap("", keys.recipients)
    public = public_of(keys.signing)
    if not is_believed(keys):
        raise UsageError(
            "keys.trusted does not name the key that keys.signing is, so no host would believe "
            f"this backup; add {public}"
        )


def is_believed(keys: Keys) -> bool:
    """Whether hosts with the same `keys.trusted` believe what this one signs. Raises UsageError."""
    return keys.signing is not None and (
        not keys.trusted or public_of(keys.signing) in keys.trusted
    )
