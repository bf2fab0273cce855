"""Which value has each declared variable in this run, and is it one that it may have?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sre.core.config import secret_from_reference
from sre.core.errors import UsageError
from sre.core.secrets import Redactor, Secret
from sre.runbook.model import Front, Runbook, Variable

__all__ = [
    "Values", "captured_by", "complaint", "exports", "leaked", "secret_of", "text_of", "values_for",
    "worth_masking",
]  # fmt: skip

_TELLING = 8
_TYPES = {
    "text": (r"[^\0\n]*", "one line of text"),
    "name": (r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", "a name of letters, digits, '.', '_' and '-'"),
    "integer": (r"-?[0-9]{1,18}", "a whole number"),
    "number": (r"-?[0-9]{1,18}(\.[0-9]+)?", "a number"),
    "url": (r"https?://[^\s/@]+(/\S*)?", "an http or https address without credentials"),
    "path": (r"[^\0\n]+", "a path"),
}


@dataclass(frozen=True)
class Values:
    """What the variables stand for. Secrets stay references until a block runs."""

    plain: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)

    def with_captured(self, captured: Mapping[str, str]) -> Values:
        """The same with what blocks have captured."""
        return Values({**self.plain, **captured}, self.secrets)


def text_of(default: object) -> str:
    """A default as the shell sees it."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def complaint(variable: Variable, value: str) -> str:
    """Why `value` may not be taken, empty when it may."""
    pattern, expected = _TYPES[variable.type]
    if not re.fullmatch(pattern, value):
        return f"expected {expected}, not {value!r}"
    if variable.choices and value not in variable.choices:
        return f"expected one of {', '.join(variable.choices)}, not {value!r}"
    if variable.pattern is not None and not re.fullmatch(variable.pattern, value):
        return f"{value!r} does not match {variable.pattern!r}"
    return ""


def secret_of(name: str, text: str | None, folder: Path) -> Secret:
    """The secret that a reference names, by default the environment variable of that name.

    Raises:
        ValueError: not exactly one `${env:NAME}` or `${file:PATH}`.
    """
    reference = text or f"${{env:{name}}}"
    secret = None if reference.startswith("${cmd:") else secret_from_reference(reference, folder)
    if secret is None:
        raise ValueError("a secret is given by reference: '${env:NAME}' or '${file:PATH}'")
    return secret


def captured_by(runbook: Runbook) -> frozenset[str]:
    """The variables that blocks give a value to."""
    return frozenset(block.capture for block in runbook.blocks() if block.capture)


def values_for(
    front: Front, given: Mapping[str, str], captured: frozenset[str], folder: Path
) -> Values:
    """The values to run with. File references of secrets are relative to `folder`.

    Raises:
        UsageError: everything that is missing, unknown or not allowed, a line for each.
    """
    problems = [
        f"--var {name}: there is no such variable; known: {', '.join(front.vars) or 'none'}"
        for name in given
        if name not in front.vars
    ]
    plain: dict[str, str] = {}
    secrets: dict[str, Secret] = {}
    for name, variable in front.vars.items():
        try:
            if variable.secret:
                secrets[name] = secret_of(name, given.get(name, variable.value), folder)
            else:
                plain.update(_plain(name, variable, given, captured))
        except ValueError as error:
            problems.append(f"--var {name}: {error}")
    if problems:
        raise UsageError("\n".join(problems))
    return Values(plain, secrets)


def _plain(
    name: str, variable: Variable, given: Mapping[str, str], captured: frozenset[str]
) -> Iterator[tuple[str, str]]:
    if name in given:
        value = given[name]
    elif variable.default is not None:
        value = text_of(variable.default)
    elif name in captured:
        return
    else:
        about = f" ({variable.about})" if variable.about else ""
        raise ValueError(f"a value is needed{about}; give --var {name}=…")
    if why := complaint(variable, value):
        raise ValueError(why)
    yield name, value


def leaked(values: Values) -> str | None:
    """The name of a plain variable that holds the value of a secret one; reveals the secrets."""
    own, revealed = Redactor(), {secret.reveal() for secret in values.secrets.values()} - {""}
    for value in revealed:
        if len(value) >= _TELLING:  # a short one stands in other words by chance
            own.add(value)
    return next((n for n, v in values.plain.items() if v in revealed or own.mask(v) != v), None)


def worth_masking(value: str) -> bool:
    """Whether a value of sre.yaml's environment may be a secret: not a word, not a plain URL."""
    return len(value) >= _TELLING and not re.fullmatch(r"https?://[^\s@?]*", value)


def exports(front: Front, given: Mapping[str, str]) -> str:
    """Lines for `eval`: values shell-quoted; secrets and unset variables by name alone."""
    lines = []
    for name, variable in front.vars.items():
        if variable.secret:
            reference = variable.value or f"${{env:{name}}}"
            lines.append(f"# {name} is secret ({reference}); set it yourself")
        elif name in given or variable.default is not None:
            value = given.get(name, text_of(variable.default))
            lines.append(f"export {name}={shlex.quote(value)}")
        else:
            lines.append(f"# {name} has no value yet; export it, or give --var {name}=…")
    return "\n".join(lines)
