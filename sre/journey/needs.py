"""What must be there for a journey to run: which variables of the environment, which secrets?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from sre.core.errors import UsageError
from sre.core.secrets import Secret
from sre.journey.model import DataFile, Journey
from sre.journey.template import Template

__all__ = ["missing", "references"]


def references(part: Any) -> Iterator[Secret]:
    """The references in `part` of a journey, but for steps under a condition (`when`)."""
    if isinstance(part, Template):
        yield from part.references
    elif isinstance(part, Mapping):
        yield from references(tuple(part.values()))
    elif isinstance(part, tuple | list):
        for each in part:
            yield from references(each)
    elif is_dataclass(part) and not isinstance(part, DataFile) and not getattr(part, "when", ()):
        for each in fields(part):
            yield from references(getattr(part, each.name))


def missing(journeys: Iterable[Journey]) -> list[str]:
    """What these journeys cannot read here, in words, each once.

    A `${cmd:…}` is not asked: it may be slow, or want a finger on a key.
    """
    asked = {
        found.reference: found
        for journey in journeys
        for found in references(journey)
        if not found.reference.startswith("${cmd:")
    }
    return [said for found in asked.values() if (said := _trouble(found))]


def _trouble(found: Secret) -> str:
    try:
        found.reveal_unmasked()
    except UsageError as error:
        return str(error)
    return ""
