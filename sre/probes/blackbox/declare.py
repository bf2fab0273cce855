"""Which modules are declared, in sre.yaml or in a blackbox.yml, and what is wrong with them?

In sre.yaml a secret is a reference, as everywhere. A blackbox.yml may hold literal ones: they are
taken out of the tree before anything else sees them (`externalised`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sre.core.config import Node, Problems, decode, read_tree, resolve
from sre.core.secrets import Secret, redactor
from sre.core.yamltree import Entry
from sre.probes.blackbox import clientoptions, modules
from sre.probes.blackbox.checks import REFUSED, check
from sre.probes.blackbox.modules import Module
from sre.probes.blackbox.show import NAMES_A_SECRET

__all__ = [
    "declare_modules",
    "externalised",
    "load_blackbox",
    "modules_of",
    "normal",
    "unsupported",
]

T = TypeVar("T")

_NUMBERS = frozenset(("valid_status_codes", "payload_size", "ttl"))
_SECRETS = frozenset((
    "password", "credentials", "bearer_token", "client_secret", "secrets", "proxy_connect_header",
))  # fmt: skip
_YES = {"yes": True, "on": True, "y": True, "no": False, "off": False, "n": False}
_SCHEMES = ("basic", "bearer", "digest", "negotiate", "session", "sessionid")
_TALK = "query_response"
_OWN = re.compile(r"\$\{(?!env:)")
_LONG_ENOUGH = 6  # a shorter text would be masked all over the place
_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def declare_modules(node: Node | None, problems: Problems) -> dict[str, Module]:
    """The section `modules:` of sre.yaml, unresolved; every problem at its line."""
    if node is None:
        return {}
    found: dict[str, Module] = {}
    for name, raw in _named(node, problems):
        item = resolve(_protected(raw))
        module = _module(name, item, problems)
        if module is not None:
            found[name] = module
            _hide(module)
            _hide_referenced(item)
    return found


def load_blackbox(path: Path) -> dict[str, Module]:
    """The modules of a blackbox.yml.

    Raises:
        ConfigError: everything that is wrong with it.
        UsageError: it cannot be read.
    """
    problems = Problems()
    root = read_tree(path, beside=problems.found, merges=True)
    found, _ = modules_of(root, problems)
    problems.raise_if_any()
    return found


def modules_of(root: Node, problems: Problems) -> tuple[dict[str, Module], dict[str, Node]]:
    """The modules of a blackbox.yml, and each as it stands in the file."""
    for key, entry in root.entries.items():
        if key != "modules":
            problems.add(entry.key, key, f"unknown key {key!r}; a blackbox.yml has 'modules' alone")
    node = root.get("modules")
    if node is None:
        problems.add(root, "modules", "the section is missing; add modules: {NAME: …}")
        return {}, {}
    found: dict[str, Module] = {}
    nodes = dict(_named(node, problems))
    for name, raw in nodes.items():
        secrets: dict[str, str] = {}
        module = _module(name, externalised(raw, name, secrets), problems)
        if module is not None:
            found[name] = _filled(module, secrets)
            _hide(found[name])
    return found, nodes


def unsupported(node: Node) -> Iterator[tuple[Node, str]]:
    """(place, what is not supported) of one module."""
    prober = node.get("prober")
    if prober is not None and prober.text in REFUSED:
        yield prober, f"prober {prober.text!r} is not supported; /probe answers 400"


def externalised(node: Node, module: str, taken: dict[str, str], *, headers: bool = False) -> Node:
    """A module whose literal secrets became `${env:NAME}`.

    Args:
        taken: the values by name; added to.
        headers: whether headers whose names promise a secret are taken out too.
    """

    def walk(at: Node, path: tuple[str, ...]) -> Node:
        if at.kind == "scalar":
            hidden = _is_secret(path) or (headers and _is_secret_header(path))
            return _reference(at, module, path, taken) if hidden and at.text else at
        if at.kind == "sequence":
            return replace(at, elements=tuple(walk(each, path) for each in at.elements))
        entries = {
            key: Entry(entry.key, walk(entry.value, (*path, key)))
            for key, entry in at.entries.items()
        }
        return replace(at, entries=entries)

    return walk(node, ())


def _is_secret(path: tuple[str, ...]) -> bool:
    return bool(_SECRETS.intersection(path)) or path[-2:] == ("tls_config", "key")


def _is_secret_header(path: tuple[str, ...]) -> bool:
    listed = len(path) > 1 and path[-2] in ("headers", "endpoint_params")
    return listed and NAMES_A_SECRET.search(path[-1]) is not None


def _reference(at: Node, module: str, path: tuple[str, ...], taken: dict[str, str]) -> Node:
    words = "_".join((module, *path[1:]))
    base = "BLACKBOX_" + re.sub(r"[^A-Z0-9]+", "_", words.upper()).strip("_")
    name, count = base, 1
    while taken.get(name, at.text) != at.text:
        count += 1
        name = f"{base}_{count}"
    taken[name] = at.text
    text = f"${{env:{name}}}"
    return replace(at, scalar=text, text=text, reference=text, fault="")


def _filled(value: T, secrets: Mapping[str, str]) -> T:
    """The same model with the values behind its references."""
    made: Any = value
    if isinstance(value, Secret):
        match = _REFERENCE.fullmatch(value.reference)
        if match and match[1] in secrets:
            made = Secret.literal(secrets[match[1]])
            _mask(secrets[match[1]])
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: _filled(getattr(value, f.name), secrets) for f in dataclasses.fields(value)
        }
        made = replace(value, **fields)
    elif isinstance(value, dict):
        made = {key: _filled(each, secrets) for key, each in value.items()}
    elif isinstance(value, tuple):
        made = tuple(_filled(each, secrets) for each in value)
    return made  # type: ignore[no-any-return]


def _hide(module: Module) -> None:
    """Have the values of headers that promise a secret masked, wherever they turn up."""
    for name, value in module.http.headers.items():
        if NAMES_A_SECRET.search(name):
            for part in (value, *re.split(r"[\s;,]+|(?<=\w)=(?=\S)", value)):
                if part.lower() not in _SCHEMES:
                    _mask(part)


def _hide_referenced(item: Node) -> None:
    talk = item.at("tcp", _TALK)
    for scalar in talk.scalars() if talk is not None else ():
        if scalar.reference and not scalar.fault:
            _mask(str(scalar.scalar))


def _mask(text: str) -> None:
    if len(text) >= _LONG_ENOUGH:
        redactor.add(text)


def _named(node: Node, problems: Problems) -> Iterator[tuple[str, Node]]:
    if node.kind != "mapping":
        if node.text:
            problems.add(node, "modules", "expected a mapping (NAME: {prober: …})")
        return
    for name, entry in node.entries.items():
        if entry.value.kind != "mapping":
            problems.add(entry.value, f"modules.{name}", "expected a mapping with the key 'prober'")
        else:
            yield name, entry.value


def _module(name: str, raw: Node, problems: Problems) -> Module | None:
    where = f"modules.{name}"
    node = normal(raw)
    check(node, where, problems)
    return decode(Module, node, where=where, problems=problems)


def normal(node: Node, key: str = "") -> Node:
    """The tree as blackbox_exporter's YAML reader takes it: by what the key wants.

    A number where text is wanted is text, `yes` where a switch is wanted is true, and a key
    without a value is as if it were not there.
    """
    if node.kind == "mapping":
        entries = {
            name: Entry(entry.key, normal(entry.value, name))
            for name, entry in node.entries.items()
            if entry.value.kind != "scalar" or entry.value.scalar is not None
        }
        return replace(node, entries=entries)
    if node.kind == "sequence":
        return replace(node, elements=tuple(normal(each, key) for each in node.elements))
    if key in _switches():
        return replace(node, scalar=_YES.get(node.text.lower(), node.scalar))
    if key in _NUMBERS or node.reference or isinstance(node.scalar, str):
        return node
    return replace(node, scalar=node.text)


@cache
def _switches() -> frozenset[str]:
    """The keys that take true or false."""
    classes = [getattr(home, name) for home in (modules, clientoptions) for name in home.__all__]
    return frozenset(
        field.name
        for each in classes
        if dataclasses.is_dataclass(each)
        for field in dataclasses.fields(each)
        if str(field.type).startswith("bool")
    )


def _protected(node: Node, key: str = "") -> Node:
    """`${1}` of a query_response is blackbox_exporter's own; `${env:NAME}` is ours there too."""
    if node.kind == "sequence":
        return replace(node, elements=tuple(_protected(each, key) for each in node.elements))
    if node.kind == "mapping":
        entries = {
            name: Entry(entry.key, _protected(entry.value, key or name * (name == _TALK)))
            for name, entry in node.entries.items()
        }
        return replace(node, entries=entries)
    if key != _TALK or not isinstance(node.scalar, str):
        return node
    return replace(node, scalar=_OWN.sub("$${", node.scalar))
