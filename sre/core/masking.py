"""How is structured data masked without breaking its shape?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sre.core.secrets import redactor

__all__ = ["masked"]


def masked(value: Any) -> Any:
    """JSON-ready data with every known secret masked; numbers stay numbers, the rest is text."""
    if isinstance(value, str):
        return redactor.mask(value)
    if isinstance(value, Mapping):
        return {redactor.mask(str(key)): masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else masked(str(value))
