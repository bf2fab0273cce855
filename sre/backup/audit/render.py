"""How does an audit log look, for people and for programs?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from sre.backup.audit.look import Looked
from sre.backup.audit.record import Entry
from sre.backup.layout import stamp

__all__ = ["looked_as_json", "looked_as_text", "records_as_json", "records_as_text"]

Found = Mapping[str, Sequence[tuple[str, Entry]]]


def records_as_text(found: Found) -> str:
    """One line a record, oldest first."""
    lines = []
    for store, entries in found.items():
        for _, entry in entries:
            each = entry.record
            about = " ".join(each.objects)
            fence = "" if each.fence is None else f" [lease {each.fence}]"
            lines.append(
                f"{store} {each.seq:>6}  {stamp(each.at)}  {each.who}@{each.host}  "
                f"{each.action} {about}{fence}: {each.result}"
            )
    return "\n".join(lines) or "no records"


def records_as_json(found: Found) -> str:
    """`sre.audit/1`."""
    records = [
        {"store": store, "object": key, **dataclasses.asdict(entry.record), "sha256": entry.sha256}
        for store, entries in found.items()
        for key, entry in entries
    ]
    return json.dumps({"schema": "sre.audit/1", "records": records}, indent=2)


def looked_as_text(found: Sequence[Looked]) -> str:
    """A line for each store, then what is wrong."""
    lines = []
    for each in found:
        state = "is NOT whole" if each.checked.faults else "is whole"
        lines.append(f"audit log of {each.store} {state}: {each.checked.records} records")
        lines += [f"  {fault.object}: {fault.problem}" for fault in each.checked.faults]
        lines += [f"  note: {note}" for note in each.notes]
    return "\n".join(lines) or "no stores"


def looked_as_json(found: Sequence[Looked]) -> str:
    """`sre.audit-verification/1`."""
    stores = [
        {
            "store": each.store,
            "passed": not each.checked.faults,
            "records": each.checked.records,
            "unsigned": each.checked.unsigned,
            "problems": [dataclasses.asdict(fault) for fault in each.checked.faults],
            "notes": each.notes,
        }
        for each in found
    ]
    passed = all(each["passed"] for each in stores)
    content = {"schema": "sre.audit-verification/1", "passed": passed, "stores": stores}
    return json.dumps(content, indent=2)
