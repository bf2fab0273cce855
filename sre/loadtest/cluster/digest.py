"""Do two hosts mean the same load test? (pure)

Each part of the compiled plan gets a fingerprint, the same in every process and on every machine.
Secrets count by reference, not by value: each host has its own, and nothing can be guessed from a
fingerprint. What is a host's own (its allow-list, its share) is left out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import orjson

from sre.core.secrets import Secret
from sre.loadtest.crew.wire import WorkerPlan

__all__ = ["differing", "digests_of"]

_OWN = frozenset({"worker", "max_in_flight", "report", "log_level", "targets", "journeys"})

_PLAIN: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda value: [type(value).__name__, value.name]),
    (bool | None, lambda value: value),
    (float, float),
    (str, str),
    (int, lambda value: ["int", str(value)]),  # JSON's end at 64 bits
    (bytes, lambda value: ["bytes", value.hex()]),
    (Secret, lambda value: ["secret", value.reference]),
    (re.Pattern, lambda value: ["pattern", _plain(value.pattern), value.flags]),
)


def digests_of(plan: WorkerPlan) -> dict[str, str]:
    """Part of the plan, as people call it -> SHA-256."""
    parts: dict[str, object] = {"journeys": tuple(plan.journeys)}  # their order
    parts |= {f"journey {name!r}": journey for name, journey in plan.journeys.items()}
    for field in dataclasses.fields(plan):
        if field.name not in _OWN:
            parts[field.name] = getattr(plan, field.name)
    return {name: _digest(value) for name, value in parts.items()}


def differing(ours: Mapping[str, str], theirs: Mapping[str, object]) -> list[str]:
    """The parts in which they differ, by name; empty when there is none."""
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def _digest(value: object) -> str:
    return hashlib.sha256(orjson.dumps(_plain(value))).hexdigest()


def _plain(value: Any) -> Any:
    """`value` as JSON that is the same for equal values; types count too."""
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return plain(value)
    return _plain_whole(value)


def _plain_whole(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ["mapping", [[_plain(key), _plain(item)] for key, item in value.items()]]
    if isinstance(value, set | frozenset):
        return ["set", sorted((_plain(item) for item in value), key=orjson.dumps)]
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.init]
    elif hasattr(value, "__dict__"):
        names = sorted(vars(value))
    else:
        raise TypeError(f"{type(value).__name__} has no fingerprint")
    return [type(value).__name__, {name: _plain(getattr(value, name)) for name in names}]
