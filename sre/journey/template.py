"""What text does `${…}` stand for, and which names does a template need?

Grammar (all of it; there is no other arithmetic):

    ${name}  ${name?}  ${name:urlencode}      a variable; `?`: left out until it is known
    ${uuid}  ${run_id}  ${user}  ${user:/n}  ${user:%n}
    ${int:a..b}  ${choice:a,b,c}              drawn from the run's seed, both ends included
    ${env:NAME}  ${file:PATH}  ${cmd:[…]}     references; the last two in secret fields alone
    $${                                       a literal ${

A template expands once: text that came from a page is never read as a template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

from sre.core.secrets import Secret
from sre.journey.ids import unique
from sre.journey.values import as_text

__all__ = ["BUILTINS", "MissingVariable", "RunId", "Scope", "Template", "TemplateError", "as_text"]

BUILTINS = frozenset({"uuid", "run_id", "user", "int", "choice", "env", "file", "cmd"})

_MISSING = object()
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class TemplateError(ValueError):
    """The template's text is wrong. The message says what to write instead."""


class MissingVariable(LookupError):
    """A variable has no value at this point of the run."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"variable {name!r} has no value here")


@dataclass(slots=True)
class Scope:
    """The names of one run. `values` grows as steps extract."""

    values: dict[str, Any] = field(repr=False)
    rng: Random
    run_id: str = ""
    user: int = 0
    seen_secrets: list[str] = field(default_factory=list, repr=False)
    steady: dict[int, tuple[str, tuple[str, str]]] = field(default_factory=dict, repr=False)
    mask: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class _Variable:
    name: str
    optional: bool = False
    encode: bool = False

    def value(self, scope: Scope) -> Any:
        found = scope.values.get(self.name, _MISSING)
        if found is _MISSING:
            if self.optional:
                return ""
            raise MissingVariable(self.name)
        return quote(as_text(found), safe="") if self.encode else found


@dataclass(frozen=True, slots=True)
class _Uuid:
    def value(self, _scope: Scope) -> Any:
        return unique()


@dataclass(frozen=True, slots=True)
class RunId:
    def value(self, scope: Scope) -> Any:
        return scope.run_id


@dataclass(frozen=True, slots=True)
class _User:
    operator: str = ""
    operand: int = 1

    def value(self, scope: Scope) -> Any:
        if self.operator == "/":
            return scope.user // self.operand
        return scope.user % self.operand if self.operator == "%" else scope.user


@dataclass(frozen=True, slots=True)
class _Int:
    low: int
    high: int

    def value(self, scope: Scope) -> Any:
        return scope.rng.randint(self.low, self.high)


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[str, ...]

    def value(self, scope: Scope) -> Any:
        return scope.rng.choice(self.options)


@dataclass(frozen=True, slots=True)
class _Reference:
    """`${env:…}` in a journey: read when the run needs it, so that a check needs no secret."""

    secret: Secret
    masked: bool = False

    def value(self, scope: Scope) -> Any:
        found = self.secret.reveal() if self.masked else self.secret.reveal_unmasked()
        if self.masked:
            scope.seen_secrets.append(found)
        return found


_Part = _Variable | _Uuid | RunId | _User | _Int | _Choice | _Reference


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text. `names` are the variables it needs, `optional` those it can do without."""

    text: str
    parts: tuple[str | _Part, ...]
    names: frozenset[str]
    optional: frozenset[str]
    whole: str | None = None  # the text, where nothing in it refers to anything

    @classmethod
    def parse(
        cls, text: str, *, reference: Callable[[str], Secret | None] | None = None
    ) -> Template:
        """Parse `text`.

        Args:
            reference: turns `file:…` and `cmd:…` into a Secret; None where they are not allowed.

        Raises:
            TemplateError: not a template; the message says what and what to write instead.
        """
        parts = tuple(_split(text, reference))
        variables = [part for part in parts if isinstance(part, _Variable)]
        whole = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None
        return cls(
            text,
            parts,
            frozenset(part.name for part in variables if not part.optional),
            frozenset(part.name for part in variables if part.optional),
            whole,
        )

    @property
    def references(self) -> tuple[Secret, ...]:
        """What it reads from outside."""
        return tuple(part.secret for part in self.parts if isinstance(part, _Reference))

    @property
    def constant(self) -> bool:
        """No reference in it: the same text each time."""
        return all(isinstance(part, str) for part in self.parts)

    def render(self, scope: Scope, escape: Callable[[str], str] | None = None) -> str:
        """The text; `escape` is applied to what the references stand for.

        Raises:
            MissingVariable: a variable has no value and is not marked `?`.
            UsageError: an environment variable or a secret cannot be read.
        """
        if self.whole is not None:
            return self.whole
        out: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            found = part.value(scope)
            text = found if type(found) is str else as_text(found)
            out.append(escape(text) if escape else text)
        return "".join(out)

    def typed(self, scope: Scope) -> Any:
        """Like `render`, but a template that is exactly one reference keeps its value's type."""
        if len(self.parts) == 1 and not isinstance(self.parts[0], str):
            return self.parts[0].value(scope)
        return self.render(scope)

    def left_out(self, values: Mapping[str, Any]) -> bool:
        """A `${x?}` in it is unknown: the header or field is left out."""
        return bool(self.optional) and any(name not in values for name in self.optional)


def _split(text: str, reference: Callable[[str], Secret | None] | None) -> list[str | _Part]:
    parts: list[str | _Part] = []
    literal, at = "", 0
    while (start := text.find("${", at)) >= 0:
        if start > 0 and text[start - 1] == "$" and start - 1 >= at:
            literal += text[at : start - 1] + "${"
            at = start + 2
            continue
        literal += text[at:start]
        body, at = _body(text, start)
        if literal:
            parts.append(literal)
            literal = ""
        parts.append(_part(body, reference))
    literal += text[at:]
    if literal or not parts:
        parts.append(literal)
    return parts


def _body(text: str, start: int) -> tuple[str, int]:
    closing = "]}" if text.startswith("${cmd:", start) else "}"
    end = text.find(closing, start)
    if end < 0:
        cure = "write '$${' for a literal '${'"
        raise TemplateError(f"'${{' without '{closing}' in {text!r}; {cure}")
    return text[start + 2 : end + len(closing) - 1], end + len(closing)


def _part(body: str, reference: Callable[[str], Secret | None] | None) -> _Part:
    head, colon, rest = body.partition(":")
    if colon and head in _WITH_ARGUMENT:
        return _WITH_ARGUMENT[head](rest)
    if colon and head in ("env", "file", "cmd"):
        return _reference(head, rest, body, reference)
    if body == "uuid":
        return _Uuid()
    if body == "run_id":
        return RunId()
    if body == "user":
        return _User()
    return _variable(body)


def _variable(body: str) -> _Variable:
    match = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)(\?)?(?::([a-z]+))?", body)
    if not match or match[1] in BUILTINS:
        raise TemplateError(
            f"'${{{body}}}' is not a reference; write ${{name}}, ${{name?}}, ${{name:urlencode}}, "
            "${uuid}, ${run_id}, ${user}, ${int:1..3}, ${choice:a,b} or ${env:NAME}"
        )
    if match[3] not in (None, "urlencode"):
        raise TemplateError(f"unknown filter {match[3]!r} in '${{{body}}}'; known: urlencode")
    return _Variable(match[1], bool(match[2]), match[3] == "urlencode")


def _integers(argument: str) -> _Part:
    match = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", argument.strip())
    if not match or int(match[1]) > int(match[2]):
        raise TemplateError(f"'${{int:{argument}}}': write two whole numbers, as in ${{int:1..3}}")
    return _Int(int(match[1]), int(match[2]))


def _choices(argument: str) -> _Part:
    options = tuple(option.strip() for option in argument.split(","))
    if not all(options):
        raise TemplateError(f"'${{choice:{argument}}}': write ${{choice:mug,shirt}}")
    return _Choice(options)


def _user(argument: str) -> _Part:
    match = re.fullmatch(r"([/%])(\d+)", argument.strip())
    if not match or int(match[2]) == 0:
        raise TemplateError(f"'${{user:{argument}}}': write ${{user:/100}} or ${{user:%100}}")
    return _User(match[1], int(match[2]))


_WITH_ARGUMENT: dict[str, Callable[[str], _Part]]
_WITH_ARGUMENT = {"int": _integers, "choice": _choices, "user": _user}


def _reference(
    head: str, rest: str, body: str, reference: Callable[[str], Secret | None] | None
) -> _Part:
    secret = reference(f"${{{body}}}") if reference else None
    if secret is not None:
        return _Reference(secret, masked=True)
    if head != "env":
        raise TemplateError(
            f"'${{{head}:…}}' may stand in secret fields alone; "
            "mark the variable or header {secret: true, value: …}"
        )
    if not _NAME.fullmatch(rest):
        raise TemplateError(f"'${{{body}}}': write ${{env:NAME}}")
    return _Reference(Secret.from_env(rest))
