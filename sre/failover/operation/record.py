"""What is written down of an operation, and what does it say when it is read again?

STATE/failover/CLUSTER/OPERATION.jsonl: one line for each event, on disk before the next thing
happens. Each carries the SHA-256 of the one before: what was changed or taken out shows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sre.core.clock import Clock
from sre.core.errors import IntegrityError, Transient
from sre.core.files import state_folder
from sre.core.journal import Journal
from sre.core.masking import masked
from sre.failover.engine import Decision, Loss, Reason

__all__ = ["Progress", "Record", "records_of"]

FINAL = frozenset({"ok", "rolled_back", "abandoned"})
_SEAL = "chain"
_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[a-z]+-[0-9a-f]{6}")


@dataclass(frozen=True)
class Progress:
    """How far an operation has come.

    Attributes:
        ended: step id -> what it noted.
        begun: ids in the order of their begin, ended or not.
        undone: ids whose undoing has ended.
        failed: step id -> why; gone once it ended after all.
        undoing: why it is being taken back; empty: it is not.
        seconds: phase -> seconds, of all runs together.
        outcome: the last one written; empty: it was killed, or still runs.
    """

    decision: Decision
    by: str = ""
    started: float = 0.0
    ended: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    begun: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    undoing: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    outcome: str = ""
    reasons: tuple[Reason, ...] = ()
    finished: float = 0.0

    @property
    def unfinished(self) -> bool:
        """Whether somebody has to go on with it."""
        return self.outcome not in FINAL


class Record:
    """The file of one operation."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._journal = Journal(path, clock)
        self._last = ""

    @classmethod
    def new(cls, decision: Decision, by: str, clock: Clock) -> Record:
        """Begin the file of an operation; `decided` is in it on return. Raises Transient."""
        stamp = datetime.fromtimestamp(clock.wall(), UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"{stamp}-{decision.action}-{secrets.token_hex(3)}.jsonl"
        record = cls(_folder(decision.cluster) / name, clock)
        try:
            record.add("decided", decision=asdict(decision), by=by)
        except Transient:
            with contextlib.suppress(OSError):
                record.path.unlink()  # empty; `records_of` passes over one that stays
            raise
        return record

    @property
    def id(self) -> str:
        """Which operation it is."""
        return self.path.stem

    def add(self, event: str, *, durable: bool = True, **more: Any) -> None:
        """Write an event; on disk on return, or at the latest with the next. Raises Transient."""
        entry = masked({"event": event, "time": self._clock.wall(), **more})
        entry = json.loads(json.dumps(entry, default=str))
        sealed = {**entry, _SEAL: _seal(self._last, entry)}
        self._journal.append(sealed, durable=durable)
        self._last = sealed[_SEAL]

    def read(self) -> Progress:
        """What it says; further events continue its chain.

        Raises:
            IntegrityError: a line was changed or taken out, or the first is not there.
        """
        entries = self._journal.read().entries  # a torn last line was never acted upon
        last = ""
        for number, entry in enumerate(entries, start=1):
            plain = {key: value for key, value in entry.items() if key not in (_SEAL, "at")}
            if entry.get(_SEAL) != _seal(last, plain):
                raise self._changed(f"line {number} is not what was written")
            last = str(entry[_SEAL])
        self._last = last
        if not entries or entries[0].get("event") != "decided":
            raise self._changed("its beginning is missing")
        return _progress(entries)

    def _changed(self, what: str) -> IntegrityError:
        out = "find out who changed it, then move it to another folder"
        return IntegrityError(f"{self.path}: {what}; {out}")


def records_of(cluster: str, clock: Clock) -> Iterator[Record]:
    """Every operation on a cluster, newest first."""
    folder = _folder(cluster)
    paths = folder.glob("*.jsonl") if folder.is_dir() else ()
    for path in sorted(paths, key=lambda each: each.name, reverse=True):
        if _NAME.fullmatch(path.stem) and _began(path):
            yield Record(path, clock)


def _began(path: Path) -> bool:
    """Whether its first line is whole: without, the disk was full or the machine died just then,
    and nothing was touched. One that cannot be read is not passed over."""
    try:
        with path.open("rb") as file:
            return file.readline().endswith(b"\n")
    except OSError:
        return True


def _folder(cluster: str) -> Path:
    return state_folder() / "failover" / cluster


def _seal(last: str, entry: Mapping[str, Any]) -> str:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{last}\n{text}".encode()).hexdigest()


class _Reading:
    """Takes in one event after the other."""

    def __init__(self) -> None:
        self.ended: dict[str, Mapping[str, Any]] = {}
        self.begun: list[str] = []
        self.undone: list[str] = []
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.late: dict[str, Any] = {}

    def take(self, entry: Mapping[str, Any]) -> None:
        """One event; those that newer versions may write are passed over."""
        if "phase" in entry:
            phase = entry["phase"]
            self.seconds[phase] = self.seconds.get(phase, 0.0) + entry["seconds"]
        handle = getattr(self, f"_{entry['event']}", None)
        if handle is not None:
            handle(str(entry.get("step", "")), entry)

    def _begin(self, step: str, _entry: Mapping[str, Any]) -> None:
        if step not in self.begun:
            self.begun.append(step)

    def _end(self, step: str, entry: Mapping[str, Any]) -> None:
        self.ended[step] = entry["noted"]
        self.failed.pop(step, None)

    def _failed(self, step: str, entry: Mapping[str, Any]) -> None:
        self.failed[step] = entry["why"]

    def _undone(self, step: str, _entry: Mapping[str, Any]) -> None:
        self.undone.append(step)

    def _undoing(self, _step: str, entry: Mapping[str, Any]) -> None:
        self.late["undoing"] = entry["why"]

    def _outcome(self, _step: str, entry: Mapping[str, Any]) -> None:
        self.late |= {"outcome": entry["outcome"], "finished": entry["time"]}
        self.late["reasons"] = _reasons(entry["reasons"])

    def _resumed(self, _step: str, _entry: Mapping[str, Any]) -> None:
        self.late["outcome"] = ""


def _progress(entries: Sequence[Mapping[str, Any]]) -> Progress:
    first, reading = entries[0], _Reading()
    for entry in entries[1:]:
        reading.take(entry)
    return Progress(
        decision=_decision(first["decision"]),
        by=first.get("by", ""),
        started=first["time"],
        ended=reading.ended,
        begun=tuple(reading.begun),
        undone=tuple(reading.undone),
        failed=reading.failed,
        seconds=reading.seconds,
        **reading.late,
    )


def _reasons(found: Sequence[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(Reason(**each) for each in found)


def _decision(found: Mapping[str, Any]) -> Decision:
    reasons = {key: _reasons(found[key]) for key in ("blockers", "passed", "warnings")}
    loss = Loss(**found["loss"]) if found["loss"] is not None else None
    return Decision(**{**found, **reasons, "loss": loss})
