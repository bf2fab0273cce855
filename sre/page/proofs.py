"""When was it last proven that a backup restores, a runbook works, a drill passes? (pure, facts)

Facts are read generically: what is there is shown, what is expected and missing is "none yet".
They are `backup/DB/verified` {last, passed: {LEVEL: record}}, `backup/DB/run` {attempt, success},
`runbook.ID` {last_run, last_rehearsal}; or, of any topic, `TOPIC.NAME` that is itself a record
{id, at, level, passed, result, seconds, rto_seconds}. What has another shape is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from sre.core.facts import Fact
from sre.page.model import Proof

__all__ = ["TOPICS", "proofs_of"]

Topic = Literal["backup", "runbook", "drill"]
Record = Mapping[str, Any]
TOPICS: tuple[Topic, ...] = ("backup", "runbook", "drill")

_LEVELS = {
    0: "signature checked",
    1: "read and checked",
    2: "unpacked and checked",
    3: "restored and checked",
    4: "restored and compared",
}
_GOOD = {"ok", "passed", "good", "done", "success", "succeeded", "finished"}


def proofs_of(
    facts: Iterable[Fact], databases: Sequence[str], runbooks: Sequence[str]
) -> tuple[Proof, ...]:
    """One line for each database and runbook that is expected or has a fact."""
    found: dict[tuple[Topic, str], Proof] = {
        **{("backup", name): Proof("backup", name) for name in databases},
        **{("runbook", name): Proof("runbook", name) for name in runbooks},
    }
    for fact in sorted(facts, key=lambda each: each.name):
        for topic in TOPICS:
            if fact.name.startswith((f"{topic}.", f"{topic}/")):
                name, _, part = fact.name[len(topic) + 1 :].partition("/")
                proof = found.get((topic, name), Proof(topic, name))
                found[topic, name] = _with(proof, part, fact)
    return tuple(sorted(found.values(), key=lambda proof: TOPICS.index(proof.topic)))


def _with(proof: Proof, part: str, fact: Fact) -> Proof:
    value = fact.value
    if part == "run":
        return _tried(proof, _record(value.get("attempt")), _record(value.get("success")))
    if "last_run" in value or "last_rehearsal" in value:
        proof = _proven(proof, _record(value.get("last_rehearsal")))
        last = _record(value.get("last_run"))
        if not last or last == value.get("last_rehearsal"):
            return proof
        at = _moment(last.get("at"))
        return replace(proof, ran=at) if _good(last) else replace(proof, failed=at)
    if "last" in value:
        return _proven(proof, _deepest(_record(value["last"]), _record(value.get("passed"))))
    return _proven(proof, {"at": fact.at, **value})


def _deepest(last: Record, passed: Record) -> Record:
    """The last verification when it failed, otherwise the deepest one that passed."""
    if not last or not _good(last):
        return last
    levels = {int(key): _record(one) for key, one in passed.items() if str(key).isdigit()}
    return levels[max(levels)] if levels else last


def _proven(proof: Proof, record: Record) -> Proof:
    if not record:
        return proof
    good, level = _good(record), record.get("level")
    deep = _LEVELS.get(level, "verified") if type(level) is int else "verified"
    result = str(record.get("result", record.get("verdict")) or "failed")
    words = {
        ("backup", True): deep,
        ("backup", False): "verification failed",
        ("runbook", True): "rehearsed",
        ("runbook", False): f"rehearsal: {result}",
        ("drill", True): "passed",
        ("drill", False): result,
    }[proof.topic, good]
    return replace(
        proof,
        good=good,
        words=words[:80],
        at=_moment(record.get("at", record.get("verified"))),
        seconds=_number(record.get("rto_seconds", record.get("seconds"))),
        id=str(record.get("id", record.get("run")) or "")[:80],
    )


def _tried(proof: Proof, attempt: Record, success: Record) -> Proof:
    bad = attempt.get("exit_code", 0) != 0
    return replace(
        proof,
        ran=_moment(success.get("at")),
        failed=_moment(attempt.get("at")) if bad else None,
    )


def _good(record: Record) -> bool:
    told = (record.get(key) for key in ("result", "verdict", "outcome"))
    result = str(next((word for word in told if word is not None), "ok")).lower()
    return result in _GOOD and record.get("passed", True) is True


def _record(value: Any) -> Record:
    return value if isinstance(value, Mapping) else {}


def _moment(value: Any) -> float | None:
    """Seconds since the epoch, of a number or an ISO time."""
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    return _number(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
