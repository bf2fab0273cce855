"""How does a configuration file, with the files it includes, become one tree?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sre.core.errors import ConfigError, Problem, UsageError
from sre.core.yamltext import compose
from sre.core.yamltree import Entry, Node, Position, join_path, mapping_of

__all__ = ["Node", "Position", "read_text", "read_tree"]

_READING = re.compile(r"(?<!\$)\$\{(file|cmd):")


def read_tree(
    path: Path | str, *, beside: list[Problem] | None = None, merges: bool = False
) -> Node:
    """The tree of the file at `path` with all its `include:` files merged in.

    Every node keeps the file that it stands in, named as `path` was given.

    Args:
        beside: takes what is wrong but leaves a tree to go on with, such as a duplicate key.
        merges: whether `<<` merges mappings, as in files that are another program's; those
            include nothing.

    Raises:
        UsageError: the file cannot be read.
        ConfigError: everything that is wrong with the YAML of one file.
    """
    path = Path(path)
    if merges:
        return _load(path, beside, merges=True)
    return _with_includes(_load(path, beside), path, (path.resolve(),), beside)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises UsageError with a cure."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; create it or name another") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory; name the file in it") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        col = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        problem = Problem(str(path), line, col, "", "not UTF-8 text; save the file as UTF-8")
        raise ConfigError([problem]) from None


def _load(path: Path, beside: list[Problem] | None, *, merges: bool = False) -> Node:
    root = compose(read_text(path), str(path), beside=beside, merges=merges)
    if root is None:
        cure = "" if merges else "; begin with 'version: 1'"
        raise ConfigError([Problem(str(path), 1, 1, "", f"the file is empty{cure}")])
    if root.kind != "mapping":
        message = f"expected a mapping at the top, not a {root.kind}; write 'key: value' lines"
        raise ConfigError([Problem(root.file, root.line, root.col, "", message)])
    return root


def _with_includes(
    root: Node, path: Path, chain: tuple[Path, ...], beside: list[Problem] | None
) -> Node:
    if "include" not in root.entries:
        return root
    merged = dict(root.without("include").entries)
    problems: list[Problem] = []
    for item in _included_names(root):
        try:
            part = _include(item, path, chain, beside)
        except ConfigError as error:
            problems.extend(error.problems)
        except UsageError as error:
            problems.append(Problem(item.file, item.line, item.col, "include", str(error)))
        else:
            problems.extend(_merge(merged, part))
    if problems:
        raise ConfigError(problems)
    return mapping_of(root, merged)


def _included_names(root: Node) -> Iterable[Node]:
    include = root.entries["include"].value
    names = include.elements
    if include.kind != "sequence" or not all(isinstance(name.scalar, str) for name in names):
        message = "expected a list of file names; write include: [journeys.yaml]"
        raise ConfigError([Problem(include.file, include.line, include.col, "include", message)])
    return names


def _include(item: Node, path: Path, chain: tuple[Path, ...], beside: list[Problem] | None) -> Node:
    target = path.parent / item.text
    if target.resolve() in chain:
        raise UsageError(f"{target} includes itself; remove one of the two includes")
    part = _load(target, beside)
    foreign = list(_foreign(part))
    if foreign:
        raise ConfigError(foreign)
    return _with_includes(part, target, (*chain, target.resolve()), beside)


def _foreign(node: Node, path: str = "") -> Iterable[Problem]:
    """References that read files or run programs: sre.yaml itself alone may hold them."""
    if isinstance(node.scalar, str) and (found := _READING.search(node.scalar)):
        message = (
            f"'${{{found[1]}:…}}' may not stand in an included file; move it into sre.yaml itself, "
            "or write '${env:NAME}'"
        )
        yield Problem(node.file, node.line, node.col, path, message)
    for key, entry in node.entries.items():
        yield from _foreign(entry.value, join_path(path, key))
    for index, element in enumerate(node.elements):
        yield from _foreign(element, join_path(path, index))


def _merge(merged: dict[str, Entry], part: Node) -> Iterable[Problem]:
    """Top-level mappings merge one level deep, lists join, anything else stands once."""
    for key, entry in part.entries.items():
        mine = merged.get(key)
        if mine is None:
            merged[key] = entry
        elif mine.value.kind == entry.value.kind == "mapping":
            yield from _twice(key, mine.value, entry.value)
            both = {**entry.value.entries, **mine.value.entries}
            merged[key] = Entry(mine.key, mapping_of(mine.value, both))
        elif mine.value.kind == entry.value.kind == "sequence":
            merged[key] = Entry(mine.key, _joined(mine.value, entry.value))
        else:
            yield _duplicate(key, entry.key, mine.key)


def _twice(section: str, mine: Node, other: Node) -> Iterable[Problem]:
    for key in other.entries:
        if key in mine.entries:
            yield _duplicate(f"{section}.{key}", other.entries[key].key, mine.entries[key].key)


def _duplicate(path: str, here: Position, first: Position) -> Problem:
    message = f"already stands in {first.file}:{first.line}; remove one of them"
    return Problem(here.file, here.line, here.col, path, message)


def _joined(mine: Node, other: Node) -> Node:
    return Node(
        mine.file, mine.line, mine.col, "sequence",
        elements=mine.elements + other.elements, size=mine.size + other.size,
    )  # fmt: skip
