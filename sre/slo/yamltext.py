"""How is generated data written as YAML that people like to read? (a writer for text, lists, maps)

Texts are written so that every YAML reader sees text: plain only where nothing else is possible,
several lines as a block, all else in double quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["to_yaml"]

_PLAIN = re.compile(
    r"(?!\.[0-9])[A-Za-z_/.][A-Za-z0-9_:/.~-]*(?<!:)|\d+(?:\.\d+)?[smhd]|\.\./[\w./-]+"
)
_HIDDEN = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", ".nan", ".inf"}


def to_yaml(data: Mapping[str, Any] | Sequence[Any]) -> str:
    """Mappings, sequences, texts and numbers as YAML, ended by a line break."""
    return "\n".join(_lines(data, "")) + "\n"


def _lines(data: Any, indent: str) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _entry(f"{indent}{_scalar(key)}:", value, indent)
    else:
        for value in data:
            first, *rest = list(_lines(value, f"{indent}  ")) if _nested(value) else [_text(value)]
            yield f"{indent}- {first.removeprefix(f'{indent}  ')}"
            yield from rest


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if _nested(value):
        yield head
        yield from _lines(value, indent if isinstance(value, Sequence) else f"{indent}  ")
    elif isinstance(value, str) and _fits_block(value):
        yield f"{head} |-"
        yield from (f"{indent}  {line}" for line in value.split("\n"))
    else:
        yield f"{head} {_text(value)}"


def _fits_block(text: str) -> bool:
    lines = text.split("\n")
    return len(lines) > 1 and text.strip() == text and all(line.isprintable() for line in lines)


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str) and bool(value)


def _text(value: Any) -> str:
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return _HIDDEN.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False)
    )
