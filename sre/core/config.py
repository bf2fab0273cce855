"""How does a piece of sre.yaml become a typed, checked, frozen dataclass, with every problem named?

The only place that knows pydantic: models are plain frozen dataclasses with
`__pydantic_config__: ClassVar = STRICT`. A field whose name is a Python keyword takes a trailing
underscore (`from_`), its key in the file does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar, cast

from sre.core.errors import ConfigError, Problem, UsageError
from sre.core.explain import Reference, explain, to_data, unused_faults
from sre.core.kinds import Kinds
from sre.core.references import resolve, secret_from_reference
from sre.core.secrets import Secret
from sre.core.yamlread import read_tree
from sre.core.yamltree import Entry, Node, Position, join_path

__all__ = [
    "STRICT",
    "Entry",
    "Kinded",
    "Node",
    "Position",
    "Problems",
    "decode",
    "decode_kind",
    "items_of",
    "join_path",
    "json_schema",
    "keys_of",
    "read_tree",
    "resolve",
    "secret_from_reference",
]

STRICT = {"extra": "forbid"}
"""Goes into each model: `__pydantic_config__: ClassVar = STRICT`. Unknown keys are errors."""

T = TypeVar("T")
C = TypeVar("C")


class Problems:
    """Collects everything wrong with a configuration, so that a user sees it all at once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, at: Position, path: str, message: str) -> None:
        """Something that must be mended. `at` is a node or a key's position."""
        self.found.append(Problem(at.file, at.line, at.col, path, message))

    def warn(self, at: Position, path: str, message: str) -> None:
        """Something that looks wrong but does not stop anything."""
        self.warnings.append(Problem(at.file, at.line, at.col, path, message))

    def __len__(self) -> int:
        return len(self.found)

    def raise_if_any(self) -> None:
        """Raises ConfigError with everything that was added."""
        if self.found:
            raise ConfigError(self.found)


@dataclass(frozen=True)
class Kinded(Generic[T, C]):
    """What `decode_kind` found: the kind's name, its object, and the fields common to all kinds."""

    kind: str
    own: T
    common: C


def decode(
    cls: type[T], node: Node, *, where: str, problems: Problems, also: Sequence[str] = ()
) -> T | None:
    """`node` as a `cls` (a dataclass, or any type that pydantic understands).

    All problems go to `problems`, each at its exact key or value with its path below `where`;
    the result is then None. Resolve the node first. `also` names keys for suggestions that
    another decoder takes.
    """
    from pydantic import ValidationError  # noqa: PLC0415  the edge alone pays for pydantic

    before = len(problems)
    data = to_data(node)
    try:
        value = _validator(cast("Any", cls)).validate_python(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        for at, path, message in explain(details, data, node, where=where, also=also):
            problems.add(at, path, message)
        value = None
    for at, path, message in unused_faults(data, node, where):
        problems.add(at, path, message)
    return None if len(problems) > before else cast("T", value)


def decode_kind(
    kinds: Kinds[T],
    node: Node,
    *,
    where: str,
    problems: Problems,
    common: type[C],
    default: str = "",
) -> Kinded[T, C] | None:
    """A mapping with a `kind:` key as an object of that kind plus the fields in `common`.

    A key goes to each of the two that declares it; one that neither knows is a problem.
    """
    cls = _kind_class(kinds, node, where, problems, default)
    if cls is None:
        return None
    name, own_cls = cls
    own_keys, common_keys = keys_of(own_cls), keys_of(common)
    shared = {"kind", *common_keys} - set(own_keys)
    also = ["kind", *common_keys]
    own = decode(own_cls, node.without(*shared), where=where, problems=problems, also=also)
    rest = decode(common, node.only(*common_keys), where=where, problems=problems)
    return None if own is None or rest is None else Kinded(name, own, rest)


def keys_of(cls: type[Any]) -> tuple[str, ...]:
    """The keys that a dataclass takes in the file."""
    return tuple(_key(field.name) for field in dataclasses.fields(cls) if field.init)


def json_schema(cls: type[Any]) -> dict[str, Any]:
    """The JSON Schema of `cls`, for editors."""
    from pydantic import TypeAdapter  # noqa: PLC0415
    from pydantic.json_schema import GenerateJsonSchema  # noqa: PLC0415

    schema = _rewritten(TypeAdapter(cls).core_schema, {"dataclass-field": _alias})
    return GenerateJsonSchema(by_alias=True).generate(schema, mode="validation")


def _kind_class(
    kinds: Kinds[T], node: Node, where: str, problems: Problems, default: str
) -> tuple[str, type[T]] | None:
    known = ", ".join(kinds.names())
    if node.kind != "mapping":
        problems.add(node, where, f"expected a mapping with the key 'kind' (one of {known})")
        return None
    kind = node.get("kind")
    name = default if kind is None else kind.scalar
    if not name:
        problems.add(node, where, f"required key 'kind' is missing; add one of {known}")
        return None
    if not isinstance(name, str):
        problems.add(node.get("kind") or node, join_path(where, "kind"), f"expected one of {known}")
        return None
    try:
        return name, kinds.load(name)
    except UsageError as error:
        problems.add(kind or node, join_path(where, "kind"), str(error))
        return None


def _key(name: str) -> str:
    return name.removesuffix("_")


@cache
def _validator(cls: Any) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415
    from pydantic_core import SchemaValidator  # noqa: PLC0415

    rules = {
        "dataclass": _noting_its_keys,
        "dataclass-field": _alias,
        "int": _refusing_booleans,
        "float": _refusing_booleans,
        "bool": _only_true_and_false,
        "any": _unwrapped,
        "function-plain": _from_references,
    }
    return SchemaValidator(_rewritten(TypeAdapter(cls).core_schema, rules))


def _rewritten(schema: Any, rules: dict[str, Any]) -> Any:
    """A core schema with each node of a type in `rules` replaced, innermost first.

    pydantic's lax mode is right for us (text to numbers, lists to tuples) save for booleans, and
    its strict mode refuses mappings for dataclasses; so the few leaves that differ are swapped.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(_rewritten(each, rules) for each in schema)
    if not isinstance(schema, dict):
        return schema
    leave = {"metadata", "serialization", "default", "expected", "members", "config"}
    new = {
        key: value if key in leave else _rewritten(value, rules) for key, value in schema.items()
    }
    rule = rules.get(str(new.get("type")))
    return rule(new) if rule else new


def _before(function: Any, schema: dict[str, Any]) -> dict[str, Any]:
    outer = {
        "type": "function-before",
        "function": {"type": "no-info", "function": function},
        "schema": schema,
    }
    if "ref" in schema:
        outer["ref"] = schema.pop("ref")
    return outer


def _noting_its_keys(schema: dict[str, Any]) -> dict[str, Any]:
    keys = keys_of(schema["cls"])

    def note(value: Any) -> Any:
        if hasattr(value, "known_keys"):
            value.known_keys.update(dict.fromkeys(keys))
        return value

    return _before(note, schema)


def _alias(schema: dict[str, Any]) -> dict[str, Any]:
    if schema["name"].endswith("_"):
        return {**schema, "validation_alias": _key(schema["name"])}
    return schema


def _refusing_booleans(schema: dict[str, Any]) -> dict[str, Any]:
    def refuse(value: Any) -> Any:
        return [] if isinstance(value, bool) else value  # a list fails as "not a number"

    return _before(refuse, schema)


def _only_true_and_false(schema: dict[str, Any]) -> dict[str, Any]:
    def only(value: Any) -> Any:
        meaning = {"true": True, "false": False}
        if isinstance(value, Reference):
            return meaning.get(str(value), [])
        return value if isinstance(value, bool) else []

    return _before(only, schema)


def _unwrapped(schema: dict[str, Any]) -> dict[str, Any]:
    def unwrap(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: unwrap(each) for key, each in value.items()}
        if isinstance(value, list):
            return [unwrap(each) for each in value]
        return str(value) if isinstance(value, Reference) else value

    return _before(unwrap, schema)


def _from_references(schema: dict[str, Any]) -> dict[str, Any]:
    """A `Secret` takes the reference itself, every other validator the text it stands for."""
    parse = schema["function"]["function"]
    if getattr(parse, "__self__", None) is not Secret:
        return schema
    return {**schema, "function": {"type": "no-info", "function": Reference.as_secret}}


def items_of(root: Node, section: str, problems: Problems) -> Iterator[tuple[str, Node]]:
    """The entries of a section that maps names to what they mean; none where it is missing."""
    node = root.get(section)
    if node is None or (node.kind == "scalar" and not node.text):
        return
    if node.kind != "mapping":
        problems.add(node, section, "expected a mapping (NAME: …)")
        return
    for name, entry in node.entries.items():
        yield name, entry.value
