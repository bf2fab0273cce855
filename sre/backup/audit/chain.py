"""Is an audit log whole: no gap, nothing altered, reordered, cut off or forged? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sre.backup.audit.record import (
    FOLDER,
    START,
    Entry,
    Head,
    head_at,
    key_after,
    parse_entry,
    seq_of,
)
from sre.backup.keys import signed_by_trusted
from sre.backup.records import Fault
from sre.core.errors import IntegrityError

__all__ = ["Checked", "Known", "check_chain"]


@dataclass(frozen=True)
class Known:
    """What somebody else remembers of a record: a fact, a local copy, a signed manifest."""

    where: str
    seq: int
    sha256: str


@dataclass(frozen=True)
class Checked:
    """What was found. `unsigned` counts records of hosts that have no key to sign with."""

    records: int
    unsigned: int
    faults: tuple[Fault, ...]


def check_chain(
    objects: Mapping[str, bytes], known: Sequence[Known], trusted: Sequence[str]
) -> Checked:
    """Judge everything that stands below `v1/audit/`; every fault names its record."""
    faults = [Fault(key, "it is no audit record") for key in objects if seq_of(key) is None]
    places = sorted((seq, key) for key in objects if (seq := seq_of(key)) is not None)
    faults += _gaps([seq for seq, _ in places])
    unsigned, before, digests = 0, START, dict[int, str]()
    for seq, key in places:
        data = objects[key]
        if seq in digests:
            faults.append(Fault(key, f"record {seq} stands in two places: the log was forked"))
            continue
        digests[seq] = head_at(key, data).sha256
        try:
            entry = parse_entry(data)
        except IntegrityError as error:
            faults.append(Fault(key, f"altered: {error}"))
        else:
            unsigned += not entry.signature
            faults += _of(key, seq, entry, before, trusted)
        before = head_at(key, data)
    return Checked(len(digests), unsigned, tuple(faults + _remembered(digests, known)))


def _gaps(numbers: Sequence[int]) -> list[Fault]:
    faults, last = [], 0
    for seq in numbers:
        if seq > last + 1:
            span = (
                f"record {last + 1} is"
                if seq == last + 2
                else f"records {last + 1} to {seq - 1} are"
            )
            faults.append(Fault(FOLDER, f"gap: {span} missing"))
        last = seq
    return faults


def _of(key: str, seq: int, entry: Entry, before: Head, trusted: Sequence[str]) -> Iterable[Fault]:
    """One record against itself, its place and its predecessor."""
    record = entry.record
    if record.digest != entry.sha256:
        yield Fault(key, "altered: its content does not have the hash that it was written with")
    if record.seq != seq:
        yield Fault(key, f"reordered: it is record {record.seq}, and stands as {seq}")
    elif before.seq == seq - 1 and record.prev != before.sha256:
        yield Fault(
            key, f"it follows another record {seq - 1} than the one that is there: that one was "
            "altered or replaced, or this one was reordered",
        )  # fmt: skip
    if before.seq == seq - 1 and before is not START and key != key_after(before, record.at):
        yield Fault(key, "reordered: it does not stand in the folder where it was written")
    if not record.signer and not entry.signature:
        return
    if trusted and not signed_by_trusted(record.encode(), entry.signature, trusted):
        yield Fault(key, "forged signature: no key in keys.trusted made it over this record")


def _remembered(digests: Mapping[int, str], known: Sequence[Known]) -> list[Fault]:
    """Records that somebody knows and that are not there any more, or not the same."""
    last, faults = max(digests, default=0), []
    beyond = max((each for each in known if each.seq > last), key=lambda k: k.seq, default=None)
    if beyond is not None:
        problem = f"truncated: it ends with record {last}, but {beyond.where} knows {beyond.seq}"
        faults.append(Fault(FOLDER, problem))
    for each in known:
        if each.seq in digests and digests[each.seq] != each.sha256:
            problem = f"altered: record {each.seq} is not the one that {each.where} knows"
            faults.append(Fault(FOLDER, problem))
    return faults
