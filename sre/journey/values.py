"""How does a value look inside a text that is sent, and inside a message for people?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

__all__ = ["as_text", "quoted"]

_LOOKED_AT = 20_000  # far more than is shown, so that no secret begins there and is cut
_SHOWN = 80


def as_text(value: Any) -> str:
    """How a value looks inside a text: JSON's spelling for booleans and numbers."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # orjson ends at 64 bits
    if isinstance(value, (list, tuple)) and not any(isinstance(v, (list, dict)) for v in value):
        return ",".join(as_text(item) for item in value)
    return orjson.dumps(value).decode()


def quoted(value: Any, mask: Callable[[str], str]) -> str:
    """For messages: masked first and cut then, so that no part of a secret is left at the cut."""
    if isinstance(value, str):
        value = mask(value[:_LOOKED_AT])
    text = mask(json.dumps(value, ensure_ascii=False, default=str)[:_LOOKED_AT])
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
