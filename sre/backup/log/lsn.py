"""Which segment holds a position of the log, and where does one begin?

Pure. Positions (LSN) are whole numbers here, `1/6B3F00A8` in text. A segment's name is timeline,
upper and lower part of its number, eight hexadecimal digits each.
"""

from __future__ import annotations

from sre.core.errors import UsageError

__all__ = ["begin_of", "format_lsn", "name_of", "number_at", "number_of", "parse_lsn"]

_FOUR_GIB = 2**32
_DIGITS = frozenset("0123456789abcdefABCDEF")


def parse_lsn(text: str) -> int:
    """`1/6B3F00A8` as a number. Raises UsageError."""
    high, slash, low = text.strip().partition("/")
    if not slash or not 1 <= len(high) <= 8 or not 1 <= len(low) <= 8:
        raise UsageError(f"{text!r} is not a position of the log; write it like 1/6B3F00A8")
    if not set(high + low) <= _DIGITS:
        raise UsageError(f"{text!r} is not a position of the log; write it like 1/6B3F00A8")
    return int(high, 16) << 32 | int(low, 16)


def format_lsn(lsn: int) -> str:
    """As PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def number_at(lsn: int, size: int) -> int:
    """The number of the segment (of `size` bytes) that holds a position."""
    return lsn // size


def number_of(name: str, size: int) -> int:
    """The number in a segment's name, on whichever timeline."""
    return int(name[8:16], 16) * (_FOUR_GIB // size) + int(name[16:24], 16)


def begin_of(number: int, size: int) -> int:
    """The first position of a segment."""
    return number * size


def name_of(timeline: int, number: int, size: int) -> str:
    """The file name of a segment."""
    high, low = divmod(number, _FOUR_GIB // size)
    return f"{timeline:08X}{high:08X}{low:08X}"
