"""Did a tar stream end as its maker ends it, and what does its last file say?

PostgreSQL writes `backup_manifest` as the last member: a stream that was cut, even by a program
that then ends with 0, has no such end. Only headers are looked at; the content passes by.
"""

from __future__ import annotations

__all__ = ["TarTail"]

_BLOCK = 512
_KEEP = 16384


class TarTail:
    """Fed with a tar in pieces of any size; knows its last member and whether it ended."""

    def __init__(self, mark: str = "") -> None:
        self._mark = mark
        self.marked = False
        """Whether a member whose name begins with `mark` has come."""
        self.last_member = ""
        self.members = 0
        self.ended = False
        self.damaged = False
        self.tail = b""
        """The last bytes of the last member's content."""
        self._header = bytearray()
        self._content = 0  # bytes of content still to pass
        self._padding = 0

    def feed(self, data: bytes | memoryview) -> None:
        """The next piece."""
        view = memoryview(data)
        while view and not self.damaged:
            if self._content:
                took = min(self._content, len(view))
                self._keep(view[:took])
                self._content -= took
            elif self._padding:
                took = min(self._padding, len(view))
                self._padding -= took
            else:
                took = min(_BLOCK - len(self._header), len(view))
                self._header += view[:took]
                if len(self._header) == _BLOCK:
                    self._read_header(bytes(self._header))
                    self._header.clear()
            view = view[took:]

    @property
    def whole(self) -> bool:
        """Whether the end-of-archive mark came, and nothing was cut after it."""
        return self.ended and not (self.damaged or self._content or self._padding or self._header)

    def _keep(self, piece: memoryview) -> None:
        if len(piece) >= _KEEP:
            self.tail = bytes(piece[-_KEEP:])
        elif self._content - len(piece) < _KEEP:  # part of it is among the last bytes
            self.tail = (self.tail + bytes(piece))[-_KEEP:]

    def _read_header(self, block: bytes) -> None:
        if not block.strip(b"\0"):
            self.ended = True
            return
        size = _size(block[124:136])
        if self.ended or size is None or not _checksum_holds(block):
            self.damaged = True
            return
        self.last_member = block[:100].split(b"\0")[0].decode("utf-8", "replace")
        self.marked = self.marked or (bool(self._mark) and self.last_member.startswith(self._mark))
        self.members += 1
        self.tail = b""
        # links and folders carry a size of 0 in the tars that PostgreSQL writes
        self._content, self._padding = size, -size % _BLOCK


def _size(field: bytes) -> int | None:
    if field[0] & 0x80:  # base 256, for files above 8 GiB
        return int.from_bytes(field, "big") & ((1 << 88) - 1)
    try:
        return int(field.split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        return None


def _checksum_holds(block: bytes) -> bool:
    try:
        told = int(block[148:156].split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        return False
    return told == sum(block[:148]) + 8 * 32 + sum(block[156:])
