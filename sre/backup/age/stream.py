"""How is the content of an age file encrypted and opened, piece by piece?

STREAM: chunks of 64 KiB, each with ChaCha20-Poly1305 and a nonce that is a counter and a mark on
the last one. Chunks can be neither swapped nor left out; nothing may be cut off or follow. The
library lets go of the interpreter for each chunk: other threads run meanwhile.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sre.backup.age.header import end_of_header, open_header, seal_header

__all__ = ["Opener", "Sealer"]

_CHUNK = 2**16
_TAG = 16
_SEALED = _CHUNK + _TAG


class Sealer:
    """One new file. Used by one thread at a time."""

    def __init__(self, recipient: str) -> None:
        header, key = seal_header([recipient])
        self._ready = bytearray(header)
        self._aead, self._number = ChaCha20Poly1305(key), 0
        self._held = b""

    def update(self, data: bytes) -> bytes:
        """What can be written now that `data` has come, perhaps nothing."""
        view = memoryview(self._held + data)
        out, self._ready = self._ready, bytearray()
        at = 0
        while len(view) - at > _CHUNK:  # the last one is held back: it is marked
            out += self._aead.encrypt(_nonce(self._number), view[at : at + _CHUNK], None)
            self._number += 1
            at += _CHUNK
        self._held = bytes(view[at:])
        return bytes(out)

    def finish(self) -> bytes:
        """The rest, with the mark that nothing follows."""
        last = self._aead.encrypt(_nonce(self._number, last=True), self._held, None)
        return bytes(self._ready) + last


class Opener:
    """One file. What it gives out is genuine, but only `finish` says that nothing is missing."""

    def __init__(self, identity: X25519PrivateKey) -> None:
        self._identity = identity
        self._aead: ChaCha20Poly1305 | None = None
        self._held = bytearray()
        self._number = 0

    def update(self, data: bytes) -> bytes:
        """The plaintext that can be told now, perhaps none.

        Raises:
            WrongKey: it is for somebody else.
            ValueError: it is damaged, or was never an age file.
        """
        self._held += data
        if self._aead is None and not self._begun():
            return b""
        whole = max(0, len(self._held) - 1) // _SEALED  # the last one is held back
        if not whole:
            return b""
        with memoryview(self._held) as view:
            out = [
                self._opened(view[at * _SEALED : (at + 1) * _SEALED], last=False)
                for at in range(whole)
            ]
        del self._held[: whole * _SEALED]
        return b"".join(out)

    def finish(self) -> bytes:
        """The last plaintext. Raises ValueError: cut, damaged, or something follows."""
        if self._aead is None:
            raise ValueError("it ends within its header")
        if len(self._held) < _TAG:
            raise ValueError("its end is missing")
        found = self._opened(self._held, last=True)
        if not found and self._number > 1:
            raise ValueError("its last chunk is empty")
        return found

    def _begun(self) -> bool:
        end = end_of_header(bytes(self._held))
        if end is None:
            return False
        self._aead = ChaCha20Poly1305(open_header(bytes(self._held[:end]), self._identity))
        del self._held[:end]
        return True

    def _opened(self, chunk: bytearray | memoryview, *, last: bool) -> bytes:
        assert self._aead is not None  # noqa: S101  the header comes first
        try:
            plain = self._aead.decrypt(_nonce(self._number, last=last), chunk, None)
        except InvalidTag:
            where = "the end of it is missing or was changed" if last else "it was changed"
            raise ValueError(f"{where} (chunk {self._number})") from None
        self._number += 1
        return plain


def _nonce(number: int, *, last: bool = False) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
