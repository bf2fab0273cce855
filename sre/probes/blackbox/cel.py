"""Is a JSON body as a CEL expression wants it? (`fail_if_body_json_matches_cel` and its sibling)

The part of the Common Expression Language that bodies need: literals, fields, indexes, operators,
`has`, `size`, `startsWith`, `endsWith`, `contains`, `matches`, conversions, and the macros `all`,
`exists`, `exists_one`, `filter`, `map`. Times and other types are refused where the file is read.
Numbers of a body are doubles, as in blackbox_exporter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sre.probes.blackbox.celtext import CelError, Token, tokens
from sre.probes.blackbox.celvalues import FUNCTIONS, METHODS, OPERATORS, item, negated, truth

__all__ = ["CelError", "decide", "program"]

Scope = dict[str, Any]
Value = Callable[[Scope], Any]

_LEVELS = (("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
_WORDS = {"true": True, "false": False, "null": None}
_MACROS = ("all", "exists", "exists_one", "filter", "map")
_DEEPEST = 40
_STEPS = 200_000


def decide(expression: str, body: bytes) -> bool:
    """Whether the expression holds for a body.

    Raises:
        CelError: the body is no JSON object, or the expression has no boolean value for it.
    """
    try:
        data = json.loads(body, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise CelError("the body is no JSON") from error
    if not isinstance(data, dict):
        raise CelError("the body is no JSON object")
    return truth(program(expression)({"body": data, " steps": [_STEPS]}))


@lru_cache(maxsize=256)
def program(expression: str) -> Value:
    """The expression, ready to be asked.

    Raises:
        CelError: it cannot be read, or uses what is not supported.
    """
    reader = _Reader(tokens(expression))
    made = reader.choice(0)
    reader.expect("the end")
    return made


class _Reader:
    """Recursive descent; each part becomes a function of the scope."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens, self._at = found, 0
        self._names = ["body"]

    def choice(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise CelError("nested too deeply")
        condition = self._either(depth)
        if not self._take("?"):
            return condition
        good = self.choice(depth + 1)
        self.expect(":")
        bad = self.choice(depth + 1)
        return lambda scope: good(scope) if truth(condition(scope)) else bad(scope)

    def expect(self, text: str) -> None:
        if not self._take(text):
            raise CelError(f"expected {text!r} before {self._tokens[self._at].text!r}")

    def _take(self, *texts: str) -> str:
        token = self._tokens[self._at]
        if token.text not in texts or token.kind == "literal":
            return ""
        self._at += 1
        return token.text

    def _either(self, depth: int) -> Value:
        parts = [self._both(depth)]
        while self._take("||"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else _logic(parts, decisive=True)

    def _both(self, depth: int) -> Value:
        parts = [self._binary(0, depth)]
        while self._take("&&"):
            parts.append(self._binary(0, depth))
        return parts[0] if len(parts) == 1 else _logic(parts, decisive=False)

    def _binary(self, level: int, depth: int) -> Value:
        if level == len(_LEVELS):
            return self._unary(depth)
        left = self._binary(level + 1, depth)
        while operator := self._take(*_LEVELS[level]):
            left = _operated(OPERATORS[operator], left, self._binary(level + 1, depth))
        return left

    def _unary(self, depth: int) -> Value:
        sign = self._take("!", "-")
        if not sign:
            return self._member(depth)
        if depth > _DEEPEST:
            raise CelError("nested too deeply")
        inner = self._unary(depth + 1)
        if sign == "!":
            return lambda scope: not truth(inner(scope))
        return lambda scope: negated(inner(scope))

    def _member(self, depth: int) -> Value:
        value = self._primary(depth)
        while mark := self._take(".", "["):
            if mark == "[":
                key = self.choice(depth + 1)
                self.expect("]")
                value = _operated(item, value, key)
                continue
            name = self._name()
            value = self._called(value, name, depth) if self._take("(") else _field(value, name)
        return value

    def _name(self) -> str:
        token = self._tokens[self._at]
        if token.kind != "name":
            raise CelError(f"expected a name, not {token.text!r}")
        self._at += 1
        return token.text

    def _called(self, value: Value, name: str, depth: int) -> Value:
        if name in _MACROS:
            return self._macro(value, name, depth)
        if name == "size" and self._take(")"):
            return lambda scope: FUNCTIONS["size"](value(scope))
        if name not in METHODS:
            raise CelError(f"the method {name}() is not supported; known: {', '.join(METHODS)}")
        argument = self.choice(depth + 1)
        self.expect(")")
        return _operated(METHODS[name], value, argument)

    def _macro(self, value: Value, name: str, depth: int) -> Value:
        variable = self._name()
        self.expect(",")
        self._names.append(variable)
        inner = self.choice(depth + 1)
        self._names.pop()
        self.expect(")")
        return _comprehension(name, value, variable, inner)

    def _primary(self, depth: int) -> Value:
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "literal":
            return lambda _scope: token.value
        if token.text == "(":
            inner = self.choice(depth + 1)
            self.expect(")")
            return inner
        if token.text == "[":
            parts = self._list("]", depth)
            return lambda scope: [part(scope) for part in parts]
        if token.kind != "name":
            raise CelError(f"expected a value, not {token.text!r}")
        return self._named(token.text, depth)

    def _named(self, name: str, depth: int) -> Value:
        if name in _WORDS:
            return lambda _scope: _WORDS[name]
        if not self._take("("):
            if name not in self._names:
                raise CelError(f"undeclared name {name!r}; the body is called 'body'")
            return lambda scope: scope[name]
        if name == "has":
            inner = self.choice(depth + 1)
            self.expect(")")
            return _is_there(inner)
        if name not in FUNCTIONS:
            raise CelError(f"the function {name}() is not supported; known: {', '.join(FUNCTIONS)}")
        parts = self._list(")", depth)
        if len(parts) != 1:
            raise CelError(f"{name}() takes one argument")
        return lambda scope: FUNCTIONS[name](parts[0](scope))

    def _list(self, end: str, depth: int) -> list[Value]:
        parts: list[Value] = []
        while not self._take(end):
            parts.append(self.choice(depth + 1))
            if not self._take(","):
                self.expect(end)
                break
        return parts


def _field(value: Value, name: str) -> Value:
    return lambda scope: item(value(scope), name)


def _operated(operate: Callable[[Any, Any], Any], a: Value, b: Value) -> Value:
    return lambda scope: operate(a(scope), b(scope))


def _logic(parts: list[Value], *, decisive: bool) -> Value:
    """`&&` and `||`: one decisive part decides, whatever the others' errors."""

    def decided(scope: Scope) -> bool:
        trouble: CelError | None = None
        for part in parts:
            try:
                if truth(part(scope)) is decisive:
                    return decisive
            except CelError as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return not decisive

    return decided


def _is_there(inner: Value) -> Value:
    def decided(scope: Scope) -> bool:
        try:
            inner(scope)
        except CelError as error:
            if str(error).startswith("no such key: "):
                return False
            raise
        return True

    return decided


def _comprehension(name: str, value: Value, variable: str, inner: Value) -> Value:
    def made(scope: Scope) -> Any:
        over = value(scope)
        if not isinstance(over, list | dict):
            raise CelError(f"{name}() needs a list or a map")
        scope[" steps"][0] -= len(over)
        if scope[" steps"][0] < 0:
            raise CelError("the expression takes too long")
        each = [(one, {**scope, variable: one}) for one in over]
        if name == "map":
            return [inner(within) for _, within in each]
        if name == "filter":
            return [one for one, within in each if truth(inner(within))]
        if name == "exists_one":
            return sum(truth(inner(within)) for _, within in each) == 1
        asks: list[Value] = [lambda _scope, w=within: inner(w) for _, within in each]  # type: ignore[misc]
        return _logic(asks, decisive=name == "exists")(scope)

    return made
