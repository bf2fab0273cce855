"""Which files pass by in a tar, and how is one of them sent in another form?

Only what PostgreSQL's tars hold: ustar headers, no extensions. Anything else is refused, not
guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sre.core.errors import IntegrityError

__all__ = ["BLOCK", "Event", "Member", "Splitter", "delta_header", "padding"]

BLOCK = 512
_NAME, _PREFIX, _GROUP = slice(0, 100), slice(345, 500), slice(297, 329)
_MODE, _SIZE, _SUM = slice(100, 108), slice(124, 136), slice(148, 156)
_OURS = b"sre.pages"
_LARGEST = 1 << 62


@dataclass(frozen=True)
class Member:
    """One entry of a tar.

    Attributes:
        kind: its type flag: "0" a file, "5" a folder, others as POSIX says.
        delta: it holds changed pages and was made by `delta_header`.
        header: the 512 bytes that said so.
    """

    name: str
    kind: str
    size: int
    mode: int
    delta: bool
    header: bytes


class Event(NamedTuple):
    """A member begins (`member`), a piece of its content (`data`), it ends (both None)."""

    member: Member | None = None
    data: memoryview | None = None


_END = Event()


class Splitter:
    """Fed with a tar in pieces of any size.

    Raises:
        IntegrityError: from `feed`: a header is damaged, or something follows the end.
    """

    def __init__(self) -> None:
        self.ended = False
        """Whether the end-of-archive mark has come."""
        self._header = bytearray()
        self._content = 0
        self._padding = 0
        self._open = False

    def feed(self, piece: bytes | memoryview) -> Iterator[Event]:
        """What begins, passes and ends in the next piece."""
        view = memoryview(piece)
        while view:
            if self._content:
                took = min(self._content, len(view))
                yield Event(data=view[:took])
                self._content -= took
            elif self._padding:
                took = min(self._padding, len(view))
                self._padding -= took
            else:
                took = min(BLOCK - len(self._header), len(view))
                self._header += view[:took]
                if len(self._header) == BLOCK:
                    yield from self._begin(bytes(self._header))
                    self._header.clear()
            view = view[took:]
            if self._open and not self._content:
                self._open = False
                yield _END

    @property
    def whole(self) -> bool:
        """Whether it ended as a tar does, with nothing cut."""
        return self.ended and not (self._content or self._padding or self._header)

    def _begin(self, block: bytes) -> Iterator[Event]:
        if not block.strip(b"\0"):
            self.ended = True
            return
        if self.ended:
            raise IntegrityError("something follows the end of the tar")
        member = parse_header(block)
        self._open, self._content, self._padding = True, member.size, -member.size % BLOCK
        yield Event(member=member)


def parse_header(block: bytes) -> Member:
    """What a header says. Raises IntegrityError when it does not hold."""
    told = _octal(block[_SUM])
    if told != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise IntegrityError("a header of the tar is damaged")
    prefix, name = (_text(block[each]) for each in (_PREFIX, _NAME))
    return Member(
        name=(f"{prefix}/{name}" if prefix else name).removeprefix("./"),
        kind="0" if block[156] == 0 else chr(block[156]),
        size=_octal(block[_SIZE]),
        mode=_octal(block[_MODE]),
        delta=block[_GROUP].rstrip(b"\0") == _OURS,
        header=block,
    )


def delta_header(member: Member, name: str, size: int) -> bytes:
    """A header for the changed pages of a file: its own one with another name and size."""
    block = bytearray(member.header)
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) >= 100:
        raise IntegrityError(f"the name {name!r} is too long for a tar")
    block[_NAME] = raw.ljust(100, b"\0")
    block[_PREFIX] = bytes(155)
    block[_GROUP] = _OURS.ljust(32, b"\0")
    block[_SIZE] = b"%011o\0" % size
    block[_SUM] = b" " * 8
    block[_SUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def padding(size: int) -> bytes:
    """What fills the last block of a member of `size` bytes."""
    return bytes(-size % BLOCK)


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _octal(field: bytes) -> int:
    try:
        if field[0] & 0x80:  # base 256, for files above 8 GiB
            found = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        else:
            found = int(field.split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        raise IntegrityError("a header of the tar is damaged") from None
    if not 0 <= found < _LARGEST:
        raise IntegrityError("a header of the tar is damaged")
    return found
