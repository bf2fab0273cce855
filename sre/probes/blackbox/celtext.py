"""How is a CEL expression read? Its words, one after the other."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

__all__ = ["CelError", "Token", "tokens"]

_WORD = re.compile(
    r"""\s*(?:
      (?P<comment>//[^\n]*)
    | (?P<text>[rR]?(?:
        '''(?:.|\n)*?''' | \"\"\"(?:.|\n)*?\"\"\"
        | '(?:\\.|[^'\\\n])*' | "(?:\\.|[^"\\\n])*"
      ))
    | (?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    | (?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>\|\||&&|==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    )""",
    re.VERBOSE,
)


class CelError(Exception):
    """An expression that cannot be read, or has no value for this body."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word; `value` is what a literal stands for."""

    kind: str
    text: str
    value: str | int | float | None = None


def tokens(source: str) -> list[Token]:
    """All words of an expression, then one of kind `end`.

    Raises:
        CelError: a character that begins no word, or a literal that is none.
    """
    found: list[Token] = []
    at = 0
    while source[at:].strip():
        match = _WORD.match(source, at)
        if match is None:
            raise CelError(f"cannot read {source[at:].strip()[:20]!r}")
        at = match.end()
        kind = str(match.lastgroup)
        if kind != "comment":
            found.append(_token(kind, match[kind]))
    return [*found, Token("end", "the end")]


def _token(kind: str, text: str) -> Token:
    if kind == "text":
        try:
            return Token("literal", text, ast.literal_eval(text))
        except (ValueError, SyntaxError) as error:
            raise CelError(f"{text} is no text") from error
    if kind == "double":
        return Token("literal", text, float(text))
    if kind == "int":
        return Token(
            "literal",
            text,
            int(text.rstrip("uU"), 0) if "x" in text.lower() else int(text.rstrip("uU")),
        )
    return Token(kind, text)
