"""What do a class's keys mean, and how does a table of them look?

What a key means stands in its class's docstring under `Attributes:`, else in meanings.yaml.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
import types
import typing
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import yaml

from sre.core.secrets import Secret
from sre.core.units import Duration, Rate, Share, Size
from sre.journey.expect import Expectation
from sre.journey.extract import Extractor
from sre.journey.model import Journey, Step

__all__ = ["Wrong", "duration", "meanings", "option_table", "options", "table"]

_FILE = Path(__file__).with_name("meanings.yaml")
MEANINGS: dict[str, str] = yaml.safe_load(_FILE.read_text("utf-8"))
"""What keys mean where no docstring says so."""

_TWINS: dict[str, type[Any]] = {
    "StepSpec": Step, "DefaultsSpec": Step, "JourneySpec": Journey, "ExpectSpec": Expectation,
    "ExtractSpec": Extractor,
}  # fmt: skip
"""What a shape becomes: its defaults, and its docstring, hold where the shape itself is silent."""

_WORDS: dict[Any, str] = {
    Secret: "secret (a reference)", Path: "path", Duration: "duration",
    Rate: "rate", Size: "size", Share: "percentage", str: "text",
    int: "whole number", float: "number", bool: "`true` or `false`", Any: "any value",
}  # fmt: skip


class Wrong(Exception):  # noqa: N818  what is wrong with the documents, for their writer
    """A document cannot be generated as it stands."""


# --- what a class says about its keys ---


def meanings(cls: type[Any]) -> dict[str, tuple[str, ...]]:
    """Meaning -> the keys that it is about, in the order of the class."""
    told = _parsed(_attributes(cls))
    place = f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"  # two kinds may have a Limits
    added = _parsed(MEANINGS.get(place, MEANINGS.get(cls.__name__, "")))
    keys = _keys(cls)
    for key in added:
        if key in told or key not in keys:
            why = "is explained in its docstring too" if key in told else "does not exist"
            raise Wrong(f"meanings.yaml: {cls.__name__}.{key} {why}; take it out")
    twin = _parsed(_attributes(_TWINS[cls.__name__])) if cls.__name__ in _TWINS else {}
    found = {**twin, **told, **added}
    groups: dict[str, list[str]] = {}
    for key in keys:
        said = found.get(key, found.get(key.removesuffix("_")))
        if said is None:
            raise Wrong(f"{cls.__name__}.{key}: say in its docstring's Attributes what it means")
        groups.setdefault(said, []).append(key)
    return {text: tuple(names) for text, names in groups.items()}


def _keys(cls: type[Any]) -> list[str]:
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls) if field.init]
    return [member.value for member in cls if member.value]


def _attributes(cls: type[Any]) -> str:
    return inspect.getdoc(cls).partition("Attributes:\n")[2]  # type: ignore[union-attr]


def _parsed(text: str) -> dict[str, str]:
    """`a, b: words` with continuation lines further in -> key to words."""
    found: dict[str, str] = {}
    for line in _flush(text):
        names, colon, words = line.partition(": ")
        if colon:
            found |= dict.fromkeys(names.split(", "), " ".join(words.split()))
    return found


def _flush(text: str) -> list[str]:
    """The lines dedented, each with its continuation lines."""
    lines: list[str] = []
    for line in textwrap.dedent(text.strip("\n")).splitlines():
        if line.startswith(" ") and lines:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return lines


# --- how it is written ---


def options(argument: str) -> str:
    """The keys of one dataclass, `MODULE:CLASS`, as a table."""
    module, _, name = argument.partition(":")
    return option_table(getattr(import_module(module), name))


def option_table(cls: type[Any]) -> str:
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    rows: dict[tuple[str, str, str], list[str]] = {}
    for text, keys in meanings(cls).items():
        for key in keys:
            row = (_written(hints[key]), _default(cls, fields[key], hints[key]), text)
            rows.setdefault(row, []).append(f"`{key.removesuffix('_')}`")
    return table(
        ("key", "written as", "default", "meaning"),
        [(", ".join(keys), *row) for row, keys in rows.items()],
    )


def _written(hint: Any) -> str:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin in (types.UnionType, typing.Union):
        kinds = dict.fromkeys(_written(each) for each in inside if each is not types.NoneType)
        return " or ".join(kinds)
    if origin in (list, tuple):
        return "list" if inside[0] is Any else f"list of {_several(_written(inside[0]))}"
    if origin is dict:
        return "mapping"
    return _WORDS.get(hint, "mapping")


def _several(words: str) -> str:
    return words.replace(" or ", ", ") if "`" in words else re.sub(r"\b(?= or |$)", "s", words)


def _default(cls: type[Any], field: dataclasses.Field[Any], hint: Any) -> str:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if value is dataclasses.MISSING:
        return "required"
    twin = _TWINS.get(cls.__name__)
    if value is None and twin is not None:
        value = {f.name: f.default for f in dataclasses.fields(twin)}.get(field.name)
        value = None if value is dataclasses.MISSING else value
    return _shown(value, [hint, *typing.get_args(hint)])


def _shown(value: Any, hints: list[Any]) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (int, float)):
        for unit, show in ((Duration, duration), (Size, _size)):
            if unit in hints:
                return f"`{show(value)}`"
    if isinstance(value, (list, tuple)) and value:
        return f"`[{', '.join(str(item) for item in value)}]`"
    return f"`{value}`" if isinstance(value, (str, int, float)) and value != "" else ""


def duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def _size(count: int) -> str:
    return f"{count // 2**20}MiB" if count % 2**20 == 0 else str(count)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = [[cell.replace("|", "\\|") or " " for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
