"""How is JSON read that somebody else may have written to hurt us?

Anybody who may write to the bucket chooses these bytes. Twice the same key, NaN, numbers too long
to be one, nesting without end: each is refused as the one error that readers expect. (pure)
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["strict_json"]

_DIGITS = 40


def strict_json(data: bytes | str) -> dict[str, Any]:
    """A JSON object in which every key stands once and every number is one.

    Raises:
        ValueError: it is none; the message is short whatever stands there.
    """
    try:
        found = json.loads(
            data, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_number
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  one error for readers
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _number(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("a number is too long")
    return int(digits)
