"""Which variables and which `sre` commands does a piece of bash name? (read, never run)"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

__all__ = ["ALWAYS_SET", "assigned", "expansions", "fill", "outside_quotes", "sre_calls"]

ALWAYS_SET = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "PWD", "OLDPWD", "RANDOM",
        "SECONDS", "HOSTNAME", "UID", "EUID", "PPID", "BASHPID", "IFS", "PIPESTATUS", "REPLY",
        "LINENO", "SRE_REHEARSAL", "SRE_RUNBOOK_RUN",
    }
)  # fmt: skip
"""What a block may use without declaring it."""

_EXPANSION = re.compile(r"\$(?:\{[#!]?([A-Za-z_][A-Za-z0-9_]*)([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_HEREDOC = re.compile(r"<<-?\s*(['\"])(\w+)\1[^\n]*\n.*?^\s*\2$", re.DOTALL | re.MULTILINE)
_SET = re.compile(
    r"(?:^|[\s;&|(])(?:(?:local|declare|export|readonly)\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)\+?="
    r"|\bfor\s+([A-Za-z_]\w*)\s+in\b"
    r"|\b(?:read|mapfile|readarray)\s+(?:-\w+\s+)*((?:[A-Za-z_]\w*[ \t]*)+)",
    re.MULTILINE,
)
_SRE = re.compile(
    r"(?:^|[|;&(]|\b(?:if|then|else|do|while|until|exec|time)\s|!)\s*(?:\w+=\S*\s+)*"
    r"sre((?:[ \t]+[a-z][a-z-]*)*)(?=\s|$|[;&|)])",
    re.MULTILINE,
)


def outside_quotes(text: str) -> str:
    """`text` with comments and what stands in single quotes blanked out, lines kept."""
    text = _HEREDOC.sub(_blank, text)
    out: list[str] = []
    stack: list[str] = []
    index = 0
    while index < len(text):
        kept, step = _next(text, index, stack)
        out.append(kept)
        index += step
    return "".join(out)


def _next(text: str, index: int, stack: list[str]) -> tuple[str, int]:
    """What stays of the text at `index`, and how far it reaches. `stack`: open `"` and `$(`."""
    letter, quoted = text[index], bool(stack) and stack[-1] == '"'
    if letter == "\\":
        return "  ", 2
    if text.startswith("$(", index):
        stack.append("(")
        return "$(", 2
    if letter == '"':
        stack.pop() if quoted else stack.append('"')
    elif not quoted:
        return _unquoted(text, index, stack)
    return letter, 1


def _unquoted(text: str, index: int, stack: list[str]) -> tuple[str, int]:
    letter = text[index]
    if letter == "'":
        end = text.find("'", index + 1)
        end = len(text) if end < 0 else end + 1
        return _spaces(text[index:end]), end - index
    if letter == "#" and (index == 0 or text[index - 1] in " \t\n;&|("):
        end = text.find("\n", index)
        end = len(text) if end < 0 else end
        return " " * (end - index), end - index
    if letter == "(":
        stack.append("(")
    elif letter == ")" and stack:
        stack.pop()
    return letter, 1


def _blank(match: re.Match[str]) -> str:
    return _spaces(match[0])


def _spaces(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def expansions(text: str) -> Iterator[tuple[str, int, str]]:
    """Each `$NAME` that bash would expand: name, line from 0, and the line before it.

    `${NAME:-default}` needs no value and is left out.
    """
    bare = outside_quotes(text)
    for match in _EXPANSION.finditer(bare):
        if not re.match(r":?[-+=?]", match[2] or ""):
            before = bare[bare.rfind("\n", 0, match.start()) + 1 : match.start()]
            yield match[1] or match[3], bare.count("\n", 0, match.start()), before


def assigned(text: str) -> set[str]:
    """The variables that `text` itself gives a value."""
    found: set[str] = set()
    for match in _SET.finditer(outside_quotes(text)):
        found.update(name for group in match.groups() if group for name in group.split())
    return found


def sre_calls(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each call of `sre`: its line from 0, and the plain words that follow."""
    bare = outside_quotes(re.sub(r"\\\n", "  ", text))
    for match in _SRE.finditer(bare):
        yield bare.count("\n", 0, match.start(1)), tuple(match[1].split())


def fill(text: str, value_of: Callable[[str], str | None]) -> str:
    """`text` with each plain `$NAME` replaced by its value, where `value_of` knows one."""
    bare = outside_quotes(text)
    parts, last = [], 0
    for match in _EXPANSION.finditer(bare):
        value = None if match[2] else value_of(match[1] or match[3])
        if value is not None:
            parts += [text[last : match.start()], value]
            last = match.end()
    return "".join([*parts, text[last:]])
