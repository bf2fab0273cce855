"""How do names and values stand in SQL that we write?"""

from __future__ import annotations

__all__ = ["ident", "literal", "qualified", "setting"]

_LISTS = {
    "local_preload_libraries", "search_path", "session_preload_libraries",
    "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories",
}  # fmt: skip


def ident(name: str) -> str:
    """A name, always quoted."""
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """A name in its schema, both quoted."""
    return f"{ident(schema)}.{ident(name)}"


def literal(text: str) -> str:
    """A text, whatever `standard_conforming_strings` says."""
    quoted = text.replace("'", "''")
    return f"E'{quoted.replace(chr(92), chr(92) * 2)}'" if "\\" in quoted else f"'{quoted}'"


def setting(entry: str) -> str:
    """`name=value` of a catalogue, as `SET` wants it: lists are kept quoted there."""
    name, _, value = entry.partition("=")
    if name.lower() in _LISTS:
        items = ", ".join(literal(each) for each in _items(value)) or "''"
        return f"{ident(name)} TO {items}"
    return f"{ident(name)} TO {literal(value)}"


def _items(text: str) -> list[str]:
    """The names of a list such as `"$user", public`. (pure)"""
    found, current, quoted, at = list[str](), "", False, 0
    while at < len(text):
        char = text[at]
        if char == '"' and quoted and text[at + 1 : at + 2] == '"':
            current, at = current + '"', at + 1
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            found, current = [*found, current], ""
        elif quoted or not char.isspace():
            current += char
        at += 1
    return [*found, current] if current or found else []
