"""How is a module shown to people: what is set, with every secret as `<secret>`?"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sre.core.secrets import MASK, Secret, redactor
from sre.core.units import Duration
from sre.probes.blackbox.modules import Module

__all__ = ["NAMES_A_SECRET", "as_yaml", "module_data", "modules_yaml"]

NAMES_A_SECRET = re.compile(
    r"auth|cookie|token|secret|pass(wor)?d|api[-_]?key|credential|signature|session|assertion",
    re.IGNORECASE,
)
"""Names of headers, parameters and the like whose values are nobody's business."""

_SAYS_A_SECRET = re.compile(r"auth|login|pass|token|secret|api[-_]?key", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


def modules_yaml(modules: Mapping[str, Module]) -> str:
    """All modules as blackbox_exporter's /config shows them."""
    return as_yaml({"modules": {name: module_data(one) for name, one in sorted(modules.items())}})


def module_data(module: Module) -> dict[str, Any]:
    """What one module sets beyond the defaults, masked."""
    found = _shown("", module)
    assert isinstance(found, dict)  # noqa: S101  a dataclass is shown as a mapping
    return found


def _shown(name: str, value: Any) -> Any:
    """Data for people; `name` is the key that it stands under."""
    if isinstance(value, Secret):
        return MASK
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((one.name, getattr(value, one.name)) for one in _set_fields(value))
        return {key: _shown(key, each) for key, each in pairs}
    if isinstance(value, Mapping):
        if name in ("unix", "websocket"):
            return dict.fromkeys(value, "<not supported>")
        return {
            key: MASK if NAMES_A_SECRET.search(key) else _shown(key, each)
            for key, each in value.items()
        }
    if isinstance(value, tuple | list):
        return [_shown(name, each) for each in value]
    if isinstance(value, Duration):
        return f"{value:g}s"
    if isinstance(value, str):
        return _text(name, value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _text(name: str, text: str) -> str:
    if name in ("body", "send") and _SAYS_A_SECRET.search(text):
        return MASK
    if name in ("proxy_url", "token_url"):
        parts = urlsplit(text)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
    return redactor.mask(text)


def _set_fields(value: Any) -> Iterator[dataclasses.Field[Any]]:
    for one in dataclasses.fields(value):
        default = one.default
        if one.default_factory is not dataclasses.MISSING:
            default = one.default_factory()
        if getattr(value, one.name) != default:
            yield one


def as_yaml(data: Any, indent: int = 0) -> str:
    """Mappings, lists and scalars as YAML in block style, text that could be misread quoted."""
    return "".join(f"{line}\n" for line in _lines(data, " " * indent))


def _lines(data: Any, pad: str) -> Iterator[str]:
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _below(f"{pad}{scalar(key)}:", value, f"{pad}  ")
    elif isinstance(data, Sequence) and not isinstance(data, str) and data:
        for value in data:
            inner = list(_lines(value, f"{pad}  ")) if isinstance(value, Mapping) and value else []
            if inner:
                yield f"{pad}- {inner[0].lstrip()}"
                yield from inner[1:]
            else:
                yield from _below(f"{pad}-", value, f"{pad}  ")
    else:
        yield f"{pad}{scalar(data)}"


def _below(head: str, value: Any, pad: str) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        yield head
        yield from _lines(value, pad)
    else:
        yield f"{head} {scalar(value)}"


def scalar(value: Any) -> str:
    """One value as it stands in a line."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(list(value) if isinstance(value, tuple) else value)
