"""Which entries of a dump belong to the tables that somebody wants back?

`pg_restore --table` brings no index, no key and no sequence. So entries are chosen one by one: by
the oids that the dump's table of contents shows, and by exact names where it shows none.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sre.backup.logical.quoting import ident
from sre.core.errors import UsageError

__all__ = ["Chosen", "Names", "choose", "find_table", "with_parts"]

_LINE = re.compile(r"(\d+); (\d+) (\d+) (.*)")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_CLASS, _CONSTRAINT, _TRIGGER = 1259, 2606, 2620
Table = Mapping[str, Any]
Names = frozenset[tuple[str, str]]
"""Schema and name of relations or functions."""


@dataclass(frozen=True)
class Chosen:
    """Lines of the table of contents, in its order, and what does not come back and why."""

    lines: tuple[str, ...]
    left_out: tuple[str, ...]


def find_table(tables: Sequence[Table], wanted: str) -> Table:
    """The table that a text means: `orders`, `sales.orders`, `"Odd.Name"`, `sales."Odd Name"`.

    Exact names come first; then an unquoted name is folded as SQL does. (pure)

    Raises:
        UsageError: there is none, or there are several.
    """
    exact = [
        each for each in tables
        if wanted in (each["name"], f"{each['schema']}.{each['name']}")
    ]  # fmt: skip
    found = exact or [each for each in tables if _means(wanted, each)]
    if len(found) == 1:
        return found[0]
    names = sorted(f"{each['schema']}.{each['name']}" for each in found or tables)
    if found:
        raise UsageError(f"table {wanted!r} is there more than once: {', '.join(names)}")
    bare = [each["name"] for each in tables]
    close = difflib.get_close_matches(wanted, [*names, *bare], n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names[:20])}"
    raise UsageError(f"the backup holds no table {wanted!r}; {hint}")


def _means(wanted: str, table: Table) -> bool:
    parts, at = list[str](), 0
    while match := _PART.match(wanted, at):
        quoted = match[1] is not None
        parts.append(match[1].replace('""', '"') if quoted else match[2].strip().lower())
        at = match.end()
        if wanted[at : at + 1] != ".":
            break
        at += 1
    if at != len(wanted):
        return False
    return parts in ([table["name"]], [table["schema"], table["name"]])


def with_parts(tables: Sequence[Table], wanted: Iterable[Table]) -> list[Table]:
    """The tables and all their partitions, in the order of `tables`. (pure)"""
    oids = {each["oid"] for each in wanted}
    while more := {each["oid"] for each in tables if each["parent"] in oids} - oids:
        oids |= more
    return [each for each in tables if each["oid"] in oids]


def choose(
    contents: Sequence[str],
    wanted: Sequence[Table],
    owners: Iterable[str],
    relations: Names,
    functions: Names,
) -> Chosen:
    """What of `pg_restore --list` restores these tables, given what the target has. (pure)

    A foreign key comes back when its other table is there or comes as well, a trigger when its
    function is there, a sequence that the table merely uses when it is missing.
    """
    ours = {(each["schema"], each["name"]) for each in wanted}
    oids, names, left_out = _own(wanted), _names(wanted), list[str]()
    for table, each in _each(wanted, "foreign"):
        if (each["schema"], each["table"]) in relations | ours:
            oids.add((_CONSTRAINT, each["oid"]))
        else:
            left_out.append(_without("foreign key", each, table, f"{each['table']} is not there"))
    for table, each in _each(wanted, "triggers"):
        if (each["schema"], each["function"]) in functions:
            oids.add((_TRIGGER, each["oid"]))
        else:
            left_out.append(_without("trigger", each, table, "its function is not there"))
    for _, each in _each(wanted, "sequences"):
        if each["owned"] or (each["schema"], each["name"]) not in relations:
            oids.add((_CLASS, each["oid"]))
            names |= _sequence_names(each)
    suffixes = {f" {_flat(owner)}" for owner in owners} | {" "}
    lines = [line for line in contents if _belongs(line, oids, names, suffixes)]
    return Chosen(tuple(lines), tuple(left_out))


def _each(wanted: Sequence[Table], what: str) -> list[tuple[Table, Mapping[str, Any]]]:
    return [(table, each) for table in wanted for each in table[what]]


def _without(what: str, item: Mapping[str, Any], table: Table, why: str) -> str:
    return f"{what} {item['name']} of {table['schema']}.{table['name']}: {why}"


def _own(wanted: Sequence[Table]) -> set[tuple[int, int]]:
    """By oid: the tables, their data and row security (catalogue 0), and what hangs on them."""
    oids = {(catalogue, each["oid"]) for each in wanted for catalogue in (_CLASS, 0)}
    return oids | {(entry[0], entry[1]) for each in wanted for entry in each["entries"]}


def _names(wanted: Sequence[Table]) -> set[str]:
    """By name: comments, rights, and how partitions hang together."""
    names, children = set[str](), {each["oid"] for each in wanted}
    for each in wanted:
        schema = _flat(each["schema"])
        for name in (_flat(each["name"]), _flat(ident(each["name"]))):
            names |= {f"{kind} {schema} TABLE {name}" for kind in ("COMMENT", "ACL")}
            names |= {f"COMMENT {schema} {what} {name}" for what in ("VIEW", "MATERIALIZED VIEW")}
            names |= {f"{kind} {schema} COLUMN {name}." for kind in ("COMMENT", "ACL")}
        if each["parent"] in children:
            names.add(f"TABLE ATTACH {schema} {_flat(each['name'])}")
            names |= {f"INDEX ATTACH {schema} {_flat(e[2])}" for e in each["entries"] if e[2]}
    return names


def _sequence_names(sequence: Mapping[str, Any]) -> set[str]:
    schema, name = _flat(sequence["schema"]), _flat(sequence["name"])
    kinds = ("SEQUENCE OWNED BY", "SEQUENCE SET")
    quoted = _flat(ident(sequence["name"]))
    rights = {
        f"{kind} {schema} SEQUENCE {n}" for kind in ("ACL", "COMMENT") for n in (name, quoted)
    }
    return {f"{kind} {schema} {name}" for kind in kinds} | rights


def _belongs(line: str, oids: set[tuple[int, int]], names: set[str], suffixes: set[str]) -> bool:
    match = _LINE.match(line)
    if match is None:
        return False
    if (int(match[2]), int(match[3])) in oids:
        return True
    rest = match[4]
    for name in names:
        if rest.startswith(name) and (name.endswith(".") or rest[len(name) :] in suffixes):
            return True
    return False


def _flat(text: str) -> str:
    """As `pg_restore --list` prints a name: on one line."""
    return text.replace("\n", " ").replace("\r", " ")
