"""How does a round of verifications look, to people and to programs? (pure)"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sre.backup.layout import stamp
from sre.backup.render import verification_as_json, verification_as_text
from sre.backup.verifying.due import Outcome

__all__ = ["due_as_json", "due_as_text"]


def due_as_json(outcomes: Sequence[Outcome]) -> str:
    """`sre.verifications/1`: each entry holds a `sre.verification/1`, or why there is none."""
    content = {"schema": "sre.verifications/1", "databases": [_entry(each) for each in outcomes]}
    return json.dumps(content, indent=2)


def due_as_text(outcomes: Sequence[Outcome]) -> str:
    """Database by database."""
    return "\n".join(line for each in outcomes for line in _lines(each)) or "no databases"


def _entry(each: Outcome) -> dict[str, Any]:
    found = None if each.found is None else json.loads(verification_as_json(each.found))
    return {
        "db": each.db,
        "verification": found,
        "due": None if each.next_at is None else stamp(each.next_at),
        "problems": [{"problem": text, "exit_code": code} for text, code in each.problems],
    }


def _lines(each: Outcome) -> Iterator[str]:
    if each.next_at is not None:
        yield f"{each.db}: not due before {stamp(each.next_at)}"
    for text, _code in each.problems:
        yield f"{each.db}: {text}"
    if each.found is not None:
        yield verification_as_text(each.found)
