"""How do keys and what was done to them look, to people and to programs? (pure)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sre.backup.keyring.bundle import Bundle
from sre.backup.keyring.rewrap import Rewrapped
from sre.backup.keyring.shred import Doomed, Shredded
from sre.backup.keyring.survey import Openers, Tried
from sre.backup.records import Fault
from sre.core.console import table

__all__ = [
    "bundle_as_json",
    "bundle_as_text",
    "doomed_as_json",
    "doomed_as_text",
    "openers_as_json",
    "openers_as_text",
    "rewrapped_as_json",
    "rewrapped_as_text",
    "shredded_as_json",
    "shredded_as_text",
    "tried_as_json",
    "tried_as_text",
]

_STATES = {
    "done": "wrapped again",
    "would": "would be wrapped again",
    "same": "was right already",
    "failed": "NOT wrapped again",
}


def openers_as_json(found: Sequence[Openers]) -> str:
    """`sre.keys-list/1`."""
    return _document(
        "sre.keys-list/1",
        databases=[
            {
                "db": each.db, "store": each.store, "keys": each.total, "unknown": each.unknown,
                "recipients": dict(each.counts), "open_all": each.least,
                "declared": list(each.declared), "outdated": list(each.outdated),
                "shredded": list(each.shredded), "problems": _faults(each.faults),
            }
            for each in found
        ],
    )  # fmt: skip


def openers_as_text(found: Sequence[Openers]) -> str:
    """A table of recipients, then what should be looked at."""
    rows, notes = list[tuple[str, ...]](), list[str]()
    for each in found:
        known = each.total - each.unknown
        for recipient, count in sorted(each.counts.items()):
            declared = "declared" if recipient in each.declared else "not in sre.yaml"
            rows.append((each.db, each.store, recipient, f"{count} of {known}", declared))
        notes += _notes(each)
    columns = ("DATABASE", "STORE", "RECIPIENT", "OPENS", "NOW")
    text = table(columns, rows, right=("OPENS",)).rstrip("\n") if rows else "no keys"
    return "\n".join([text, *notes])


def _notes(each: Openers) -> list[str]:
    where, notes = f"{each.db} in {each.store}", list[str]()
    if each.total > each.unknown and len(each.counts) == 1:
        notes.append(f"  warning: one recipient alone opens {where}: once it is lost, nothing does")
    if each.outdated:
        notes.append(
            f"  {where}: {len(each.outdated)} keys are not for exactly the recipients of sre.yaml; "
            "change that with: sre backup keys rewrap"
        )
    if each.unknown:
        notes.append(f"  {where}: {each.unknown} keys of the log do not say for whom they are")
    if each.shredded:
        notes.append(f"  {where}: shredded: {', '.join(each.shredded)}")
    return [*notes, *(f"  problem: {fault.object}: {fault.problem}" for fault in each.faults)]


def tried_as_json(found: Tried) -> str:
    """`sre.keys-check/1`."""
    return _document(
        "sre.keys-check/1",
        identity=list(found.identity),
        opened=list(found.opened),
        problems=_faults(found.closed),
    )


def tried_as_text(found: Tried) -> str:
    """How many open; each that does not."""
    who = ", ".join(found.identity) or "no identity"
    lines = [f"{who} opens {len(found.opened)} of {len(found.opened) + len(found.closed)} keys"]
    return "\n".join([*lines, *(f"  closed: {e.object}: {e.problem}" for e in found.closed)])


def rewrapped_as_json(
    done: Sequence[Rewrapped], faults: Sequence[Fault], notes: Sequence[str]
) -> str:
    """`sre.keys-rewrap/1`."""
    keys = [{**asdict(each), "kept": each.kept} for each in done]
    return _document("sre.keys-rewrap/1", keys=keys, problems=_faults(faults), notes=list(notes))


def rewrapped_as_text(
    done: Sequence[Rewrapped], faults: Sequence[Fault], notes: Sequence[str]
) -> str:
    """A line for each that changed or did not; the unchanged are counted."""
    lines = []
    for each in done:
        if each.state == "same":
            continue
        gone = f"; {len(each.deleted)} older forms are gone" if each.deleted else ""
        why = f": {each.why}" if each.why else ""
        lines.append(f"{each.store}: {each.stem} {_STATES[each.state]}{gone}{why}")
    same = sum(each.state == "same" for each in done)
    if same or not done:
        lines.append(f"{same} keys were for these recipients already")
    lines += [f"  not counted: {each.object}: {each.problem}" for each in faults]
    return "\n".join([*lines, *(f"  note: {each}" for each in notes)])


def doomed_as_json(plans: Sequence[Doomed]) -> str:
    """`sre.dry-run/1`."""
    would = [{"store": each.store, "db": each.declared.name, "ids": list(each.ids)}
             for each in plans]  # fmt: skip
    return _document("sre.dry-run/1", would="shred", backups=would)


def doomed_as_text(plans: Sequence[Doomed]) -> str:
    """What would be lost, and what of it was the newest."""
    lines = [f"would shred {id_} of {each.declared.name} in {each.store}"
             for each in plans for id_ in each.ids]  # fmt: skip
    return "\n".join([*lines, "their keys are destroyed: nothing brings them back"])


def shredded_as_json(done: Shredded) -> str:
    """`sre.keys-shred/1`."""
    return _document(
        "sre.keys-shred/1",
        shredded={store: list(ids) for store, ids in done.done.items()},
        elsewhere={store: list(ids) for store, ids in done.elsewhere.items()},
        keys=done.keys,
    )


def shredded_as_text(done: Shredded) -> str:
    """What is gone, and where it is not."""
    lines = [f"{id_} in {store} is shredded" for store, ids in done.done.items() for id_ in ids]
    lines += [
        f"  STILL OPENS, or may: {', '.join(ids)} in {store}; shred it there too: --everywhere"
        for store, ids in done.elsewhere.items()
    ]
    return "\n".join(lines)


def bundle_as_json(made: Bundle) -> str:
    """`sre.keys-export/1`."""
    return _document(
        "sre.keys-export/1",
        id=made.id,
        file=str(made.file),
        backups=list(made.backups),
        recipients=list(made.recipients),
    )


def bundle_as_text(made: Bundle) -> str:
    """Where it is, and what it needs besides."""
    return (
        f"{made.file} holds the wrapped keys of {', '.join(made.backups)}\n"
        f"the secret key of one of these opens them: {', '.join(made.recipients)}"
    )


def _faults(faults: Sequence[Fault]) -> list[dict[str, str]]:
    return [{"object": each.object, "problem": each.problem} for each in faults]


def _document(schema: str, **content: Any) -> str:
    return json.dumps({"schema": schema, **content}, indent=2)
