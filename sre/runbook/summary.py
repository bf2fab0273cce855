"""What did a run come to, as far as its journal tells? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sre.runbook.plan import fold
from sre.runbook.store import Request

__all__ = ["Row", "Summary", "summary_of"]


@dataclass(frozen=True)
class Row:
    """One block as it ended, or as somebody decided about it."""

    block: str
    outcome: str
    seconds: float = 0.0
    exit_code: int | None = None
    attempts: int = 0
    why: str = ""
    by: str = ""


@dataclass(frozen=True)
class Summary:
    """One run. `result` is `running` until it has finished; a killed one stays so."""

    run: str
    runbook: str
    target: str
    rehearsal: bool
    started: float
    result: str
    reason: str
    exit_code: int | None
    seconds: float
    rows: tuple[Row, ...]

    @property
    def resumable(self) -> bool:
        """Whether `sre runbook resume` has something left to do."""
        return self.result not in {"passed", "rolled_back"}


def summary_of(request: Request, entries: Iterable[Mapping[str, Any]]) -> Summary:
    """The journal of a run as one picture."""
    known = list(entries)
    progress = fold(known)
    end = progress.finished or {}
    last = float(known[-1]["at"]) if known else request.created
    started = progress.started_at if progress.started_at is not None else request.created
    return Summary(
        run=request.run,
        runbook=request.runbook,
        target=request.target,
        rehearsal=request.rehearsal,
        started=started,
        result=str(end.get("result", "running")),
        reason=str(end.get("reason", "")),
        exit_code=end.get("exit_code"),
        seconds=float(end.get("seconds", max(0.0, last - started))),
        rows=tuple(row for entry in known for row in _rows(entry)),
    )


def _rows(entry: Mapping[str, Any]) -> Iterable[Row]:
    event = entry.get("event")
    if event == "end":
        yield Row(
            block=str(entry["block"]),
            outcome=str(entry["outcome"]),
            seconds=float(entry.get("seconds", 0.0)),
            exit_code=entry.get("exit_code"),
            attempts=int(entry.get("attempts", 0)),
            why=str(entry.get("why", "")),
        )
    elif event == "decision" and entry.get("choice") != "yes":
        why, by = str(entry.get("why", "")), str(entry.get("by", ""))
        yield Row(str(entry.get("block", "")), str(entry["choice"]), why=why, by=by)
    elif event == "interrupted":
        yield Row(str(entry.get("block", "")), "interrupted", why=str(entry.get("why", "")))
