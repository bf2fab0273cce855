"""What does an expression of a module match? RE2, as in blackbox_exporter: in linear time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sre.core.errors import MissingExtra

__all__ = ["compiled", "fault"]


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
