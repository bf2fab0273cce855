"""Which log is in a store, and how does it become files that PostgreSQL replays?

    reader = LogReader(storage, keys, "v1/orders/7301…-15/")
    cover = reader.coverage(timeline, start_lsn)       # .end, .gaps: from names alone, no key
    got = reader.fetch(start_lsn, timeline, None, folder)

Every record is believed only if a trusted key signed it, every byte only if its hash is right.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sre.backup.catalogue import Damaged
from sre.backup.keyring.holding import log_secret
from sre.backup.log.coverage import Coverage, Held, cover
from sre.backup.log.layout import Item, LogPlace, item_of
from sre.backup.log.lsn import begin_of, format_lsn, number_of
from sre.backup.log.segment import Record, open_piece, parse_record
from sre.backup.log.timelines import Switch, Way, newest_after, parse_history, way_to
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.records import Fault
from sre.backup.twice import read_until_sound
from sre.core.errors import CheckFailed, IntegrityError, Refused, Transient, UsageError

__all__ = ["Fetched", "LogReader"]

_AHEAD = 4


@dataclass(frozen=True)
class Fetched:
    """What stands in the folder.

    Attributes:
        names: files, histories first.
        end: the position to which they lead.
        upto: everything committed up to this moment (Unix seconds) is in; None: nobody measured.
        damaged: what ended it early, where that was allowed.
    """

    names: tuple[str, ...]
    timeline: int
    end: int
    bytes: int
    upto: float | None
    damaged: Fault | None = None


class LogReader:
    """The archived log of one server; lists once, when it is first asked.

    Args:
        prefix: `v1/<db>/<system>-<major>/`.
    """

    def __init__(self, storage: Storage, keys: Keys, prefix: str) -> None:
        self.storage, self.keys, self.place = storage, keys, LogPlace(prefix)
        self._secrets: dict[str, str] = {}

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Everything that is committed, by name. Raises Transient."""
        found = (item_of(each.key) for each in self.storage.list(self.place.folder))
        return tuple(sorted(item for item in found if item is not None))

    def segments(self) -> tuple[Item, ...]:
        """The whole segments, by timeline and number."""
        return tuple(each for each in self.items if each.kind == "segment")

    @cached_property
    def size(self) -> int:
        """Bytes of a whole segment of this server, as the records say it.

        Raises UsageError when there is no log, Damaged when a record is not genuine.
        """
        for item in self.items:
            if item.kind != "history":
                return self.record(item.name).size
        raise UsageError(f"there is no log below {self.place.folder} in the store")

    @cached_property
    def histories(self) -> dict[int, tuple[Switch, ...]]:
        """The switches before each timeline that has a history. Raises Damaged."""
        found = {}
        for item in self.items:
            if item.kind == "history":
                try:
                    found[item.timeline] = parse_history(self.open(item.name).decode())
                except (UnicodeDecodeError, IntegrityError) as error:
                    if isinstance(error, Damaged):
                        raise
                    raise Damaged(Fault(self.place.record(item.name), str(error))) from error
        return found

    @cached_property
    def held(self) -> Held:
        """What is there, for arithmetic."""
        if all(each.kind == "history" for each in self.items):
            return Held(2**24)
        return Held.of(self.items, self.size)

    def way(self, timeline: int, lsn: int, target: int | None = None) -> Way:
        """From a position of a timeline to `target`, or to the newest that passes there.

        Raises Refused: the target's timeline left that one before the position, or is not there.
        """
        if target is None:
            return newest_after(timeline, lsn, self.histories)
        way = way_to(target, self.histories)
        if not way.holds(timeline, lsn):
            known = ", ".join(str(each) for each in sorted({timeline, *self.histories}))
            raise Refused(
                f"timeline {target} does not pass {format_lsn(lsn)} of timeline {timeline}; the "
                f"log has the timelines {known}"
            )
        return way

    def coverage(self, timeline: int, lsn: int, target: int | None = None) -> Coverage:
        """How far the log reaches from a position of a timeline without a hole, by names alone.

        Raises as `way` and `size`; Damaged when a history is not genuine.
        """
        return cover(self.held, self.way(timeline, lsn, target), lsn)

    def record(self, name: str) -> Record:
        """The signed record of a piece. Raises Damaged, which names the object."""
        return read_until_sound(lambda: self._record(name))

    def _record(self, name: str) -> Record:
        key = self.place.record(name)
        try:
            data = self.storage.get(key)
        except KeyError:
            raise Damaged(Fault(key, "the record is missing")) from None
        if not self.keys.trusted:
            raise UsageError("keys.trusted is empty: no record of the log could be believed")
        try:
            record = parse_record(data, self.keys.trusted, name)
        except IntegrityError as error:
            raise Damaged(Fault(key, str(error))) from error
        allowed = self.place.object(name).removesuffix(".zst.age")
        if not record.object.startswith(allowed) or not record.key.startswith("v1/keys/log-"):
            raise Damaged(Fault(key, "it names objects of another piece"))
        return record

    def open(self, name: str) -> bytes:
        """A piece's plaintext. Raises Damaged, which names the object."""
        record = self.record(name)
        return self._opened(record, self._bytes(record))

    def fetch(
        self,
        from_lsn: int,
        timeline: int,
        until: int | None,
        folder: Path,
        *,
        target: int | None = None,
        up_to_damage: bool = False,
        progress: Callable[[int], None] = lambda _count: None,
    ) -> Fetched:
        """Write what is needed from a position on, to `until` or as far as it goes, into a folder.

        Files have PostgreSQL's names and sizes; a segment that is there in part is filled up with
        zeros. `progress` gets plaintext bytes. With `up_to_damage` damage ends it as a hole does.

        Raises:
            Damaged: an object is missing, changed, or cannot be opened; named.
            CheckFailed: a hole, or the end of the log, lies before `until`.
            Transient: the store does not answer, or the disk is full.
        """
        found = self.coverage(timeline, from_lsn, target)
        if until is not None and found.end < until:
            raise CheckFailed(_short_of(found, until))
        items = [each for each in found.items if until is None or self._begins(each) < until]
        histories = self._histories(found.way)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in histories:
                (folder / name).write_bytes(self.open(name))
            written, damaged = self._write(items, folder, progress)
        except OSError as error:
            raise Transient(f"cannot write the log to {folder}: {error.strerror}") from error
        end = found.end if until is None else min(found.end, until)
        if damaged is not None:
            if not up_to_damage:
                raise damaged
            end = max(from_lsn, self._begins(items[len(written)]))
        histories += [each.segment for each in items[: len(written)]]
        return _fetched(histories, written, found.way.timeline, end, damaged)

    def _histories(self, way: Way) -> list[str]:
        """The names of the history files on a way that are there."""
        return [f"{each:08X}.history" for each, _ in way.begins() if each in self.histories]

    def _begins(self, item: Item) -> int:
        return begin_of(number_of(item.segment, self.size), self.size)

    def _write(
        self, items: Sequence[Item], folder: Path, progress: Callable[[int], None]
    ) -> tuple[list[Record], Damaged | None]:
        """What was written, and what stopped it."""
        written = list[Record]()
        try:
            with contextlib.closing(self._ahead(items)) as pieces:
                for record, data in pieces:
                    plain = self._opened(record, data)
                    path = folder / record.segment.partition(".partial-")[0]
                    with path.open("wb") as file:
                        file.write(plain)
                        file.truncate(record.size)
                    written.append(record)
                    progress(len(plain))
        except Damaged as error:
            return written, error
        return written, None

    def _ahead(self, items: Sequence[Item]) -> Generator[tuple[Record, bytes], None, None]:
        """Fetched a few at a time, in order: the store's answer is most of the time."""
        with ThreadPoolExecutor(_AHEAD, thread_name_prefix="log") as pool:
            coming = deque(pool.submit(self._fetched, each.name) for each in items[:_AHEAD])
            try:
                for index in range(len(items)):
                    yield coming.popleft().result()
                    if index + _AHEAD < len(items):
                        coming.append(pool.submit(self._fetched, items[index + _AHEAD].name))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _fetched(self, name: str) -> tuple[Record, bytes]:
        record = self.record(name)
        return record, self._bytes(record)

    def _bytes(self, record: Record) -> bytes:
        try:
            return self.storage.get(record.object)
        except KeyError:
            raise Damaged(Fault(record.object, "it is missing, its record is there")) from None

    def _opened(self, record: Record, data: bytes) -> bytes:
        if record.key not in self._secrets:
            stem = record.key.removeprefix("v1/keys/").removesuffix(".age")
            found = log_secret(self.storage, self.keys, stem)
            if isinstance(found, Fault):
                raise Damaged(found)
            self._secrets[record.key] = found
        try:
            try:
                return open_piece(data, record, self._secrets[record.key])
            except IntegrityError:  # once more: it may have been damaged on the way
                return open_piece(self._bytes(record), record, self._secrets[record.key])
        except Damaged:
            raise
        except IntegrityError as error:
            raise Damaged(Fault(record.object, str(error))) from error


def _short_of(found: Coverage, until: int) -> str:
    if found.gaps:
        gap = found.gaps[0]
        where = f"{gap.segments} segments are missing from {gap.first} on"
    else:
        where = "nothing newer is archived"
    return (
        f"the log reaches {format_lsn(found.end)} of timeline {found.way.timeline}, not "
        f"{format_lsn(until)}: {where}; the nearest possible target is {format_lsn(found.end)}"
    )


def _fetched(
    names: Sequence[str],
    written: Sequence[Record],
    timeline: int,
    end: int,
    damaged: Damaged | None,
) -> Fetched:
    upto = next((each.upto for each in reversed(written) if each.upto is not None), None)
    total = sum(each.plain_bytes for each in written)
    return Fetched(
        tuple(names), timeline, end, total, upto, None if damaged is None else damaged.fault
    )
