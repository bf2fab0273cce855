"""What must a block say for it to hold, and did it? (`expect=eq:f`)

    exit:0        ends with this exit code (several: exit:0,3); the default
    eq:TEXT       one line of standard output, trimmed, is this
    re:REGEX      … matches this somewhere; anchor it with ^ and $
    lt:NUMBER     … is a number below this
    range:A..B    … is a number from A to B
    json:EXPR     the output is JSON and the JMESPath is true, or `PATH==VALUE` (!= < <= > >=) holds

All but `exit` need exit code 0 too.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Expect", "Verdict"]

_KINDS = ("exit", "eq", "re", "lt", "range", "json")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne,
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_VALUE = re.compile(r"-?[\w.+-]+|\"[^\"]*\"")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_BRACKETS = re.compile(r"\([^()\[\]{}]*\)|\[[^()\[\]{}]*\]|\{[^()\[\]{}]*\}")
_NUMBER = r"-?\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Verdict:
    """Whether it held, and if not, why."""

    ok: bool
    why: str = ""


@dataclass(frozen=True)
class Expect:
    """A parsed `expect=`."""

    kind: str = "exit"
    text: str = "0"

    @classmethod
    def parse(cls, source: str) -> Expect:
        """Raises ValueError, with the form that was expected."""
        kind, colon, text = source.partition(":")
        if not colon or kind not in _KINDS:
            raise ValueError(f"expected one of {', '.join(f'{each}:…' for each in _KINDS)}")
        _PARSERS[kind](text)
        return cls(kind, text)

    def judge(self, exit_code: int, output: str) -> Verdict:
        """Does what came meet it?"""
        if self.kind == "exit":
            ok = exit_code in _codes(self.text)
            return Verdict(ok, "" if ok else f"exit code {exit_code}, expected {self.text}")
        if exit_code != 0:
            return Verdict(ok=False, why=f"exit code {exit_code}, expected 0")
        if self.kind == "json":
            return _judge_json(self.text, output)
        lines = output.strip().splitlines()
        if len(lines) > 1:
            return Verdict(ok=False, why=f"{len(lines)} lines, expected one ({self})")
        line = lines[0].strip() if lines else ""
        ok = _LINES[self.kind](self.text, line)
        return Verdict(ok, "" if ok else f"{_short(line)}, expected {self}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.text}"


def _codes(text: str) -> set[int]:
    if not re.fullmatch(r"\d{1,3}(,\d{1,3})*", text):
        raise ValueError("expected exit:0, or several as in exit:0,3")
    return {int(each) for each in text.split(",")}


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


def _number(text: str) -> float:
    if not re.fullmatch(_NUMBER, text):
        raise ValueError(f"expected a number, not {text!r}")
    return float(text)


def _range(text: str) -> tuple[float, float]:
    match = re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", text)
    if match is None or float(match[1]) > float(match[2]):
        raise ValueError("expected range:A..B with A not above B")
    return float(match[1]), float(match[2])


def _as_number(line: str) -> float:
    return float(line) if re.fullmatch(_NUMBER, line) else math.nan


def _within(text: str, line: str) -> bool:
    low, high = _range(text)
    return low <= _as_number(line) <= high


_LINES: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda text, line: line == text,
    "re": lambda text, line: _regex(text).search(line) is not None,
    "lt": lambda text, line: _as_number(line) < _number(text),
    "range": _within,
}


def _compiled(path: str) -> Any:
    import jmespath  # noqa: PLC0415  only runbooks that read JSON pay for it

    try:
        return jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"not JMESPath: {' '.join(str(error).split())}") from None


def _comparison(text: str) -> tuple[str, str, Any]:
    """(path, operator, value); the operator is empty when the whole is one JMESPath."""
    flat = _QUOTED.sub(_filler, text)
    while flat != (flat := _BRACKETS.sub(_filler, flat)):
        pass
    signs = list(re.finditer(r"[=!<>]=|[<>]", flat))
    value = text[signs[-1].end() :].strip() if signs else ""
    if not signs or not _VALUE.fullmatch(value):
        return text, "", None
    path, sign = text[: signs[-1].start()].strip(), signs[-1][0]
    try:
        return path, sign, json.loads(value)
    except ValueError:
        return path, sign, value


def _filler(match: re.Match[str]) -> str:
    return "x" * len(match[0])


def _check_json(text: str) -> None:
    _compiled(_comparison(text)[0])


def _judge_json(text: str, output: str) -> Verdict:
    try:
        data = json.loads(output)
    except ValueError:
        return Verdict(ok=False, why=f"its output is not JSON: {_short(output)}")
    path, sign, wanted = _comparison(text)
    found = _found(path, data)
    try:
        ok = _COMPARISONS[sign](found, wanted) if sign else found not in (None, False, "", [], {})
    except TypeError:
        ok = False
    return Verdict(ok, "" if ok else f"{path} is {_short(json.dumps(found))}, expected json:{text}")


def _found(path: str, data: Any) -> Any:
    import jmespath  # noqa: PLC0415

    try:
        return _compiled(path).search(data)
    except jmespath.exceptions.JMESPathError:  # a function was given a type that it does not take
        return None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return "nothing" if not line else f"'{line[:80]}…'" if len(line) > 80 else f"'{line}'"


_PARSERS: dict[str, Callable[[str], object]] = {
    "exit": _codes, "eq": str, "re": _regex, "lt": _number, "range": _range, "json": _check_json,
}  # fmt: skip
