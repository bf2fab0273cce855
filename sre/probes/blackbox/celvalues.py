"""What do the operators and functions of CEL make of values? (pure; the part that JSON needs)"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sre.core.errors import MissingExtra
from sre.probes.blackbox.celtext import CelError
from sre.probes.blackbox.regexp import compiled

__all__ = ["FUNCTIONS", "METHODS", "OPERATORS", "equal", "item", "negated", "truth"]


def truth(value: Any) -> bool:
    """A condition's value. Raises CelError when it is no boolean."""
    if not isinstance(value, bool):
        raise CelError(f"expected true or false, not {_kind(value)}")
    return value


def equal(a: Any, b: Any) -> bool:
    """Equality over all types; numbers are compared by their value, true is no number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return bool(a == b)


def item(container: Any, key: Any) -> Any:
    """`container[key]` and `container.key`. Raises CelError when it is not there."""
    if isinstance(container, dict):
        if key not in container:
            raise CelError(f"no such key: {key}")
        return container[key]
    if isinstance(container, list) and _is_number(key) and int(key) == key:
        if not 0 <= key < len(container):
            raise CelError(f"index out of bounds: {key:g}")
        return container[int(key)]
    raise CelError(f"no such key in {_kind(container)}: {key}")


def negated(value: Any) -> Any:
    """`-value`."""
    if not _is_number(value):
        raise CelError(f"cannot negate {_kind(value)}")
    return -value


def _kind(value: Any) -> str:
    names = {dict: "a map", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def decide(a: Any, b: Any) -> bool:
        if (_is_number(a) and _is_number(b)) or (isinstance(a, str | bool) and type(a) is type(b)):
            return compare(a, b)
        raise CelError(f"cannot order {_kind(a)} and {_kind(b)}")

    return decide


def _calculated(calculate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def decide(a: Any, b: Any) -> Any:
        if not (_is_number(a) and type(a) is type(b)):
            raise CelError(f"no such overload for {_kind(a)} and {_kind(b)}; convert with double()")
        try:
            return calculate(a, b)
        except (ZeroDivisionError, OverflowError) as error:
            raise CelError(str(error)) from error

    return decide


def _add(a: Any, b: Any) -> Any:
    if isinstance(a, str) and isinstance(b, str):
        return a + b
    if isinstance(a, list) and isinstance(b, list):
        return a + b
    return _calculated(lambda x, y: x + y)(a, b)


def _divide(a: Any, b: Any) -> Any:
    if isinstance(a, float):
        return a / b if b else math.copysign(math.inf, a) if a else math.nan
    return int(a / b) if abs(a) < 2**53 and abs(b) < 2**53 else a // b


def _contains(a: Any, b: Any) -> bool:
    if isinstance(b, dict):
        return a in b
    if isinstance(b, list):
        return any(equal(a, each) for each in b)
    raise CelError(f"'in' needs a list or a map, not {_kind(b)}")


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": equal,
    "!=": lambda a, b: not equal(a, b),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
    "in": _contains,
    "+": _add,
    "-": _calculated(lambda a, b: a - b),
    "*": _calculated(lambda a, b: a * b),
    "/": _calculated(_divide),
    "%": _calculated(lambda a, b: int(math.fmod(a, b))),
}


def _size(value: Any) -> int:
    if isinstance(value, str | list | dict):
        return len(value)
    raise CelError(f"size() of {_kind(value)}")


def _number(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def made(value: Any) -> Any:
        try:
            return convert(float(value) if isinstance(value, str) else value)
        except (TypeError, ValueError, OverflowError) as error:
            raise CelError(f"{_kind(value)} is not convertible to a number") from error

    return made


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list) or value is None:
        raise CelError(f"string() of {_kind(value)}")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _texts(decide: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def made(a: Any, b: Any) -> bool:
        if isinstance(a, str) and isinstance(b, str):
            return decide(a, b)
        raise CelError(f"no such overload for {_kind(a)} and {_kind(b)}")

    return made


def _matches(text: str, expression: str) -> bool:
    try:
        return compiled(expression).search(text.encode("utf-8", "replace")) is not None
    except (ValueError, MissingExtra) as error:
        raise CelError(str(error)) from error


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "size": _size,
    "int": _number(int),
    "uint": _number(int),
    "double": _number(float),
    "string": _string,
    "dyn": lambda value: value,
}
METHODS: dict[str, Callable[[Any, Any], Any]] = {
    "startsWith": _texts(str.startswith),
    "endsWith": _texts(str.endswith),
    "contains": _texts(lambda a, b: b in a),
    "matches": _texts(_matches),
}
