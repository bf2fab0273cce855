"""Who can open an age file, and with which key is its content encrypted?

age-encryption.org/v1
-> X25519 <share>         one stanza for each recipient: the file key, encrypted to him
<body>
--- <MAC>                 of all before it, with the file key
"""

from __future__ import annotations

import binascii
import hmac
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sre.backup.age.bech32 import decode

__all__ = [
    "LIMIT",
    "Stanza",
    "WrongKey",
    "end_of_header",
    "identity_of",
    "open_header",
    "seal_header",
]

LIMIT = 2**16
"""Bytes of a header at most: thousands of recipients. A longer one is not read."""

_VERSION = b"age-encryption.org/v1\n"
_INFO = b"age-encryption.org/v1/X25519"
_LAST = re.compile(rb"^---", re.MULTILINE)
_END = re.compile(rb"--- ([A-Za-z0-9+/]{43})")
_WORDS = re.compile(rb"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_COLUMNS = 64
_KEY, _WRAPPED = 16, 32
_ZERO_NONCE = bytes(12)


class WrongKey(ValueError):
    """The file is not damaged as far as one can see, but it is for somebody else."""


@dataclass(frozen=True)
class Stanza:
    """One way to the file key."""

    words: tuple[str, ...]
    body: bytes


def identity_of(secret: str) -> X25519PrivateKey:
    """The key behind an AGE-SECRET-KEY-1… line. Raises ValueError, which does not repeat it."""
    return X25519PrivateKey.from_private_bytes(decode(secret, "age-secret-key-"))


def seal_header(recipients: Sequence[str]) -> tuple[bytes, bytes]:
    """A new file for age1… keys: its header, the nonce included, and its payload key.

    Raises:
        ValueError: one of them is not a key.
    """
    file_key = os.urandom(_KEY)
    lines = [_VERSION]
    for text in recipients:
        public = X25519PublicKey.from_public_bytes(decode(text, "age"))
        mine = X25519PrivateKey.generate()
        share = _raw(mine.public_key())
        wrap = _derive(mine.exchange(public), share + _raw(public), _INFO)
        body = ChaCha20Poly1305(wrap).encrypt(_ZERO_NONCE, file_key, None)
        lines += [b"-> X25519 ", _base64(share), b"\n", _base64(body), b"\n"]
    text_above = b"".join(lines) + b"---"
    nonce = os.urandom(_KEY)
    header = text_above + b" " + _base64(_mac(file_key, text_above)) + b"\n" + nonce
    return header, _derive(file_key, nonce, b"payload")


def end_of_header(data: bytes) -> int | None:
    """Bytes of the header and the nonce at the start of `data`; None while more is needed.

    Raises:
        ValueError: it is not the start of an age file.
    """
    if not data.startswith(_VERSION[: len(data)]):
        raise ValueError("it is not an age file of version 1")
    last = _LAST.search(data)
    line_end = data.find(b"\n", last.start()) if last else -1
    end = line_end + 1 + _KEY
    if line_end >= 0 and len(data) >= end:
        return end
    if len(data) > LIMIT:
        raise ValueError("its header has no end")
    return None


def open_header(header: bytes, identity: X25519PrivateKey) -> bytes:
    """The payload key of a file whose header and nonce are given.

    Raises:
        WrongKey: none of its stanzas is for this identity.
        ValueError: it breaks the format's rules, or its MAC is wrong.
    """
    text, nonce = header[:-_KEY], header[-_KEY:]
    *lines, last = text.split(b"\n")[:-1]
    end = _END.fullmatch(last)
    if end is None:
        raise ValueError("the last line of its header is not one")
    stanzas = _stanzas(lines[1:])
    if not stanzas:
        raise ValueError("its header names no recipient")
    if any(each.words[0] == "scrypt" for each in stanzas):
        raise WrongKey("it is encrypted with a passphrase, not to a key")
    file_key = _file_key(stanzas, identity)
    above = text[: -len(last) - 1] + b"---"
    if not hmac.compare_digest(_mac(file_key, above), _strict(end[1])):
        raise ValueError("the MAC of its header is wrong")
    return _derive(file_key, nonce, b"payload")


def _stanzas(lines: list[bytes]) -> list[Stanza]:
    found, at = list[Stanza](), 0
    while at < len(lines):
        first = lines[at]
        if not first.startswith(b"-> ") or not _WORDS.fullmatch(first[3:]):
            raise ValueError("its header has a line that begins no stanza")
        body, at = bytearray(), at + 1
        while True:
            if at >= len(lines) or len(lines[at]) > _COLUMNS:
                raise ValueError("a stanza of its header has no end")
            line, at = lines[at], at + 1
            body += _strict(line)
            if len(line) < _COLUMNS:
                break
        found.append(Stanza(tuple(first[3:].decode("ascii").split(" ")), bytes(body)))
    return found


def _file_key(stanzas: list[Stanza], identity: X25519PrivateKey) -> bytes:
    mine = _raw(identity.public_key())
    for stanza in [each for each in stanzas if each.words[0] == "X25519"]:
        share = _strict(stanza.words[1].encode()) if len(stanza.words) == 2 else b""
        if len(share) != 32 or len(stanza.body) != _WRAPPED:
            raise ValueError("an X25519 stanza of its header is not one")
        shared = identity.exchange(X25519PublicKey.from_public_bytes(share))  # refuses all zeros
        try:
            wrap = _derive(shared, share + mine, _INFO)
            return ChaCha20Poly1305(wrap).decrypt(_ZERO_NONCE, stanza.body, None)
        except InvalidTag:
            continue
    raise WrongKey("it is encrypted to another key")


def _mac(file_key: bytes, text: bytes) -> bytes:
    return hmac.digest(_derive(file_key, b"", b"header"), text, "sha256")


def _derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(secret)


def _raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _base64(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")


def _strict(text: bytes) -> bytes:
    """Base64 as the format wants it: no padding, and only one way to write the same bytes."""
    try:
        found = b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        found = b""
    if _base64(found) != text:
        raise ValueError("its header has base64 that is not canonical")
    return found
