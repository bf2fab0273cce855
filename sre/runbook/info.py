"""What does a fence's info string say: language, role, attributes?

    ```bash run id=drain timeout=10s danger=reversible idempotent=yes

A value that holds spaces stands in quotes: `expect="re:^a b$"`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sre.core.units import Duration
from sre.runbook.condition import Condition
from sre.runbook.expect import Expect
from sre.runbook.model import ROLES

__all__ = ["ATTRIBUTES", "Info", "read_info"]

_WORD = re.compile(r"""([^\s=]+)=("[^"]*"|'[^']*'|\S*)|(\S+)""")
_TOO_LONG = 86400.0


@dataclass(frozen=True)
class Info:
    """An info string, read. `role` is empty for a plain example.

    `faults` are pairs of rule and message.
    """

    language: str = ""
    role: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    faults: tuple[tuple[str, str], ...] = ()


def _duration(text: str) -> float:
    seconds = float(Duration.parse(text))
    if not 0 < seconds <= _TOO_LONG:
        raise ValueError("expected more than 0 and at most 24h")
    return seconds


def _yes_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(f"expected yes or no, not {text!r}")
    return text == "yes"


def _danger(text: str) -> str:
    if text not in {"none", "reversible", "destructive"}:
        raise ValueError(f"expected none, reversible or destructive, not {text!r}")
    return text


def _retries(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise ValueError(f"expected a whole number from 0 to 999, not {text!r}")
    return int(text)


def _id(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", text):
        raise ValueError(f"expected lower-case letters, digits and '-', not {text!r}")
    return text


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", text):
        raise ValueError(f"expected the name of a variable, without '$', not {text!r}")
    return text


def _approve(_text: str) -> str:
    raise ValueError("a second person's approval is not supported yet; use confirm=VARIABLE")


_ALL = frozenset(ROLES)
_EXECUTED = _ALL - {"manual"}

ATTRIBUTES: dict[str, tuple[Callable[[str], Any], frozenset[str]]] = {
    "id": (_id, _ALL),
    "when": (Condition.parse, _ALL),
    "target": (_variable, _ALL),
    "timeout": (_duration, _EXECUTED),
    "secret": (_yes_no, _EXECUTED),
    "expect": (Expect.parse, _EXECUTED),
    "every": (_duration, _EXECUTED),
    "retries": (_retries, _EXECUTED),
    "capture": (_variable, frozenset({"run", "check", "info"})),
    "danger": (_danger, frozenset({"run"})),
    "confirm": (_variable, frozenset({"run"})),
    "approve": (_approve, frozenset({"run", "manual"})),
    "pnr": (_yes_no, frozenset({"run"})),
    "idempotent": (_yes_no, frozenset({"run", "rollback"})),
}
"""Each attribute: how its value is read, and which roles take it."""


def read_info(text: str) -> Info:
    """Read an info string; what is wrong with it becomes a fault, nothing is raised."""
    words = [(m[1] or "", m[2] or "", m[3] or "") for m in _WORD.finditer(text)]
    if len(words) < 2 or not words[0][2] or not words[1][2]:
        return Info(language=words[0][2] if words else "")
    language, role = words[0][2], words[1][2]
    if role not in ROLES:
        return Info(language, "", {}, (("role", _unknown("role", role, ROLES)),))
    attributes: dict[str, Any] = {}
    faults = list(_read(role, words[2:], attributes))
    return Info(language, role, attributes, tuple(faults))


def _read(
    role: str, words: list[tuple[str, str, str]], attributes: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    for name, value, bare in words:
        if bare:
            yield "attribute", f"{bare!r} is not an attribute; write name=value"
        elif name not in ATTRIBUTES:
            yield "attribute", _unknown("attribute", name, ATTRIBUTES)
        elif name in attributes:
            yield "attribute", f"{name}= stands twice; remove one"
        elif role not in ATTRIBUTES[name][1]:
            yield "attribute", f"a {role} block takes no {name}=; remove it"
        else:
            try:
                attributes[name] = ATTRIBUTES[name][0](_unquoted(value))
            except ValueError as error:
                yield "attribute", f"{name}={value}: {error}"


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] in "'\"" and value[-1] == value[0] else value


def _unknown(what: str, name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    return f"unknown {what} {name!r}; {hint}"
