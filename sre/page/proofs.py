"""When was it last proven that a backup restores and a runbook works? (pure, from facts)

Facts are read generically: what is there is shown, what is expected and missing is "none yet".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sre.core.facts import Fact
from sre.page.model import Proof

__all__ = ["TOPICS", "proofs_of"]

Topic = Literal["backup", "runbook"]
TOPICS: tuple[Topic, ...] = ("backup", "runbook")

_LEVELS = {
    0: "listed and signed",
    1: "read and checked",
    2: "unpacked and checked",
    3: "restored and checked",
    4: "restored and compared",
}
_GOOD = {"ok", "passed", "good", "done", "success"}


def proofs_of(
    facts: Iterable[Fact], databases: Sequence[str], runbooks: Sequence[str]
) -> tuple[Proof, ...]:
    """One line for each database and runbook that is expected or has a fact."""
    expected: dict[Topic, Sequence[str]] = {"backup": databases, "runbook": runbooks}
    found = {_split(fact.name): fact for fact in facts}
    lines: list[Proof] = []
    for topic in TOPICS:
        named = [name for of, name in found if of == topic]
        for name in dict.fromkeys((*expected[topic], *sorted(named))):
            fact = found.get((topic, name))
            lines.append(Proof(topic, name) if fact is None else _proof(topic, name, fact))
    return tuple(lines)


def _split(name: str) -> tuple[str, str]:
    """`backup.orders` and `backup/orders` are the same."""
    for topic in TOPICS:
        if name.startswith((f"{topic}.", f"{topic}/")):
            return topic, name[len(topic) + 1 :]
    return "", name


def _proof(topic: Topic, name: str, fact: Fact) -> Proof:
    value = fact.value
    result = str(value.get("result", value.get("outcome", "ok"))).lower()
    good = result in _GOOD and value.get("passed", True) is not False
    level = value.get("level")
    words = _LEVELS.get(level, "verified") if type(level) is int else "verified"
    if topic == "runbook":
        words = "rehearsed" if good else result
    seconds = value.get("rto_seconds", value.get("seconds"))
    return Proof(
        topic=topic,
        name=name,
        good=good,
        words=words if good or topic == "runbook" else "failed",
        at=_moment(value.get("verified", value.get("at")), fact.at),
        seconds=_number(seconds),
        id=str(value.get("id", ""))[:80],
    )


def _moment(value: Any, otherwise: float) -> float:
    """Seconds since the epoch, of a number or an ISO time."""
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return otherwise
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    number = _number(value)
    return otherwise if number is None else number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
