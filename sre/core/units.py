"""How does a user write a duration, a rate, a size, a share, and what number is it?

Each type is a float (or int) in base units that remembers nothing else, so models stay plain:
`Duration` seconds, `Rate` events per second, `Size` bytes, `Share` a fraction of 1.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

__all__ = ["Duration", "Rate", "Share", "Size", "format_duration"]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_PER = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0}


class _Unit:
    """Shared by the unit types: pydantic (at the edge alone) calls `parse` through this hook."""

    expected: ClassVar[str]

    @classmethod
    def parse(cls, text: object) -> Self:
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415  the edge alone pays for pydantic

        return core_schema.no_info_plain_validator_function(
            cls.parse,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )


class Duration(_Unit, float):
    """Seconds, written `250ms 5s 2m 1h 30d` (also compound: `1h30m`)."""

    expected = "a duration such as '250ms', '5s', '2m', '1h' or '30d'"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Raises ValueError when `text` is not a duration."""
        if isinstance(text, cls):
            return text
        if isinstance(text, str) and re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", text):
            parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
            return cls(sum(float(number) * _SECONDS[unit] for number, unit in parts))
        if text == "0" or (text == 0 and not isinstance(text, bool)):
            return cls(0.0)
        raise ValueError(f"expected {cls.expected}, not {text!r}")


class Rate(_Unit, float):
    """Events per second, written `50/s 200/min 60/h`."""

    expected = "a rate such as '50/s', '200/min' or '60/h'"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Raises ValueError when `text` is not a rate."""
        if isinstance(text, cls):
            return text
        if isinstance(text, str):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([a-z]+)", text)
            if match and match[2] in _PER:
                return cls(float(match[1]) / _PER[match[2]])
        raise ValueError(f"expected {cls.expected}, not {text!r}")


class Size(_Unit, int):
    """Bytes, written `16MiB 10kB 512`."""

    expected = "a size such as '16MiB', '10kB' or '512'"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Raises ValueError when `text` is not a size."""
        if isinstance(text, cls):
            return text
        if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
            return cls(text)
        if isinstance(text, str):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text)
            if match and match[2] in _BYTES:
                return cls(round(float(match[1]) * _BYTES[match[2]]))
        raise ValueError(f"expected {cls.expected}, not {text!r}")


class Share(_Unit, float):
    """A fraction of 1, written as a percentage: `99.9%`."""

    expected = "a percentage such as '99.9%'"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Raises ValueError when `text` is not a percentage of at least 0."""
        if isinstance(text, cls):
            return text
        if isinstance(text, str):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
            if match:
                return cls(float(match[1]) / 100)
        raise ValueError(f"expected {cls.expected}, not {text!r}")


def format_duration(seconds: float) -> str:
    """Short text for people: `83 ms`, `1.42 s`, `2 m 05 s`, `3 h 02 m`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} m {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} m"
