"""What does an expression of a module match? RE2, as in blackbox_exporter: in linear time."""

from __future__ import annotations

import codecs
from functools import lru_cache
from typing import Any

from sre.core.errors import MissingExtra

__all__ = ["compiled", "fault", "searchable"]


@lru_cache(maxsize=512)
def compiled(expression: str) -> Any:
    """The compiled expression; `.search(bytes)` takes bytes, read as UTF-8.

    Raises:
        ValueError: RE2 does not take it.
        MissingExtra: google-re2 is not installed.
    """
    try:
        import re2  # type: ignore[import-untyped]  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "expressions of modules need the package 'google-re2': pip install 'sre[network]'"
        ) from error
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        words = error.args[0] if error.args else "no reason given"
        text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
        raise ValueError(f"RE2 does not take {expression!r}: {text}") from error


def fault(expression: str) -> str:
    """What is wrong with an expression, empty when nothing is."""
    try:
        compiled(expression)
    except (ValueError, MissingExtra) as error:
        return str(error)
    return ""


def searchable(text: bytes) -> bytes:
    """The text as Go's expressions see it: each byte that is not of UTF-8 is one character, U+FFFD.

    RE2 itself lets no `.` match such a byte, so `from.*to` would not span a word in Latin-1.
    """
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", _EACH_BYTE).encode()
    return text


_EACH_BYTE = "sre-each-byte"


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101  nothing else is decoded with it
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_EACH_BYTE, _each_byte)
