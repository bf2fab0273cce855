"""How does a plan of retention look, to people and to programs? (pure)"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sre.backup.layout import stamp
from sre.backup.pruning.epochs import EpochPlan
from sre.backup.pruning.logs import LogPlan
from sre.backup.pruning.marks import Hold
from sre.backup.pruning.prune import Planned
from sre.backup.render import size_text
from sre.core.console import table

__all__ = ["hold_as_json", "plan_as_json", "plan_as_text"]

_WORDS = {"keep": "keep", "delete": "DELETE", "retained": "retained"}


def plan_as_json(plans: Sequence[Planned], *, dry_run: bool) -> str:
    """`sre.prune/1`."""
    content = {"schema": "sre.prune/1", "dry_run": dry_run, "databases": [_of(p) for p in plans]}
    return json.dumps(content, indent=2)


def plan_as_text(plans: Sequence[Planned], *, dry_run: bool) -> str:
    """A table for each database, and what was or would be done."""
    return "\n\n".join("\n".join(_lines(each, dry_run=dry_run)) for each in plans) or "no databases"


def hold_as_json(held: Hold | None, *, release: bool, backup: str) -> str:
    """`sre.hold/1`."""
    content: dict[str, Any] = {"schema": "sre.hold/1", "id": backup}
    content |= {"held": held is not None and not release}
    content |= {} if held is None else {"reason": held.reason, "at": held.at, "by": held.by}
    return json.dumps(content, indent=2)


def _of(planned: Planned) -> dict[str, Any]:
    plan, done = planned.plan, planned.done
    return {
        "db": planned.name,
        "blocked": [asdict(each) for each in plan.blocked],
        "needs_confirmation": len(plan.those("delete")) if plan.large else None,
        "backups": [
            {
                "id": each.backup.id,
                "kind": each.backup.kind,
                "action": each.action,
                "committed": stamp(each.backup.committed),
                "stored_bytes": each.backup.stored_bytes,
                "reasons": [asdict(reason) for reason in each.reasons],
            }
            for each in plan.decisions
        ],
        "orphans": [
            {
                "what": each.what,
                "name": each.name,
                "bytes": each.bytes,
                "action": "delete" if each.delete else "spare",
                "reasons": [asdict(each.reason)],
            }
            for each in planned.found.orphans
        ],
        "interrupted": [each.id for each in planned.found.rests],
        "problems": [asdict(each) for each in planned.found.faults],
        "logs": [asdict(each) for each in planned.logs],
        "log_keys": None if planned.keys is None else asdict(planned.keys),
        "done": None if done is None else asdict(done),
    }


def _lines(planned: Planned, *, dry_run: bool) -> Iterator[str]:
    plan = planned.plan
    rows = [
        (
            each.backup.id,
            _WORDS[each.action],
            stamp(each.backup.committed),
            size_text(each.backup.stored_bytes),
            "; ".join(reason.text for reason in each.reasons),
        )
        for each in plan.decisions
    ]
    yield f"{planned.name}: " + ("no backups" if not rows else f"{len(rows)} backups")
    if rows:
        columns = ("BACKUP", "ACTION", "COMMITTED", "STORED", "WHY")
        yield table(columns, rows, right=("STORED",)).rstrip("\n")
    for orphan in planned.found.orphans:
        action = "delete" if orphan.delete else "spare"
        size = size_text(orphan.bytes)
        yield f"  orphan {orphan.what} {orphan.name} ({size}): {action}: {orphan.reason.text}"
    for rest in planned.found.rests:
        yield f"  interrupted deletion of {rest.id}: to be finished"
    for fault in planned.found.faults:
        yield f"  left alone: {fault.object}: {fault.problem}"
    for log in planned.logs:
        yield from _log_lines(log)
    if planned.keys is not None:
        yield from _key_lines(planned.keys)
    for reason in plan.blocked:
        yield f"  NOTHING IS DELETED: {reason.text}"
    yield from _ending(planned, dry_run=dry_run)


def _log_lines(log: LogPlan) -> Iterator[str]:
    size = size_text(sum(each.bytes for each in log.spent))
    yield f"  log of {log.place}: {log.kept} pieces kept, {len(log.spent)} to go ({size})" + (
        f", {log.spared} too young" if log.spared else ""
    )
    if log.blocked:
        yield f"    nothing of it goes: {log.blocked}"
    for why in dict.fromkeys(each.reason for each in log.spent):
        those = [each.name for each in log.spent if each.reason == why]
        names = those[0] if len(those) == 1 else f"{those[0]} … {those[-1]}"
        yield f"    {names} ({len(those)}): {why}"
    if log.deleted or log.locked:
        yield f"    deleted {log.deleted}; {log.locked} kept by locks"


def _key_lines(keys: EpochPlan) -> Iterator[str]:
    """Nothing where there is nothing to say."""
    if keys.blocked:
        yield f"  keys of the log: none of them goes: {keys.blocked}"
    if keys.spent:
        names = " ".join(each.name for each in keys.spent)
        yield f"  keys of the log: {keys.kept} kept, {len(keys.spent)} to go ({names})"
    if keys.deleted or keys.locked:
        yield f"    deleted {keys.deleted}; {keys.locked} kept by locks"


def _ending(planned: Planned, *, dry_run: bool) -> Iterator[str]:
    plan, done = planned.plan, planned.done
    gone = plan.those("delete")
    if done is not None:
        yield (
            f"  deleted {len(done.deleted)} backups and {done.orphans} orphans, "
            f"{size_text(done.freed_bytes)}; {len(plan.those('retained'))} retained by locks"
        )
        yield from (f"  kept after all: {id_}: {why}" for id_, why in done.kept)
        yield from (f"  finished: {id_}" for id_ in done.finished)
        yield from (f"  lock extended: {id_}" for id_ in done.extended)
    elif dry_run and gone and not plan.blocked:
        size = size_text(sum(each.stored_bytes for each in gone))
        confirm = f" --confirm-count {len(gone)}" if plan.large else ""
        more = " (more than 30 %)" if plan.large else ""
        yield f"  would delete {len(gone)} backups, {size}{more}: "
        yield f"  sre backup prune {planned.name} --yes{confirm}"
