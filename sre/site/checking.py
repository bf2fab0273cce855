"""Is the restored database good, and how much of what was acknowledged is not in it? (effects)"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from psycopg import conninfo

from sre.core.errors import CheckFailed
from sre.failover.clusters.pg.conninfo import words_of
from sre.site.source import Source
from sre.sql.invariants import evaluate
from sre.sql.session import Session

__all__ = ["Loss", "invariants_hold", "loss_of"]

Loss = Mapping[str, Any]


def invariants_hold(source: Source, dsn: str) -> Mapping[str, Any]:
    """Every invariant of the database, on the server at `dsn`.

    Raises:
        CheckFailed: one does not hold; nobody should be let in.
        Transient: it cannot be asked.
    """
    declared = source.declared
    own = getattr(declared.database, "dsn", None)
    name = words_of(own.reveal()).get("dbname") if own is not None else None
    where = conninfo.make_conninfo(dsn, dbname=name) if name else dsn
    with Session(where) as session:
        found = evaluate(declared.invariants, session)
    bad = [f"{each.name}: {each.problem}" for each in found if not each.passed]
    if bad:
        raise CheckFailed(
            f"{'; '.join(bad)}; traffic stays closed: look at the database, or abandon this and "
            "rebuild with --at before the damage"
        )
    return {each.name: each.value for each in found}


def loss_of(restored: Mapping[str, Any], facts: Mapping[str, Any]) -> Loss:
    """What is known of how much is missing; all of it JSON. (pure)

    `newest_commit` is the last transaction in it (Unix seconds); `rpo_seconds` from there to the
    last moment at which the lost site was seen at work, None when nobody here had looked.
    """
    newest = _seconds(str(restored.get("newest") or "")) or restored.get("consistent")
    had = facts["remembered"].get("at")
    upto = facts["source"].get("archived_upto")
    known = [float(each) for each in (had, upto) if each]
    last = max(known, default=None)
    rpo = None if last is None or newest is None else max(0.0, round(last - float(newest), 3))
    return {
        "backup": restored.get("id"),
        "newest_commit": newest,
        "last_seen_at_work": had,
        "archived_upto": upto,
        "rpo_seconds": rpo,
        "reached_lsn": restored.get("lsn"),
        "had_lsn": facts["remembered"].get("lsn"),
        "short": bool(restored.get("short")),
    }


def _seconds(text: str) -> float | None:
    """A moment as the server writes it in UTC: `2026-11-22 10:00:00.123456`."""
    try:
        return (
            datetime.fromisoformat(text.split("+", maxsplit=1)[0]).replace(tzinfo=UTC).timestamp()
        )
    except ValueError:
        return None
