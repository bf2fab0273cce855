"""What does pg_waldump say about a record of the log?

Pure: lines of versions 13 to 18 (16 put colons into the descriptions).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sre.backup.log.lsn import parse_lsn

__all__ = ["Change", "Commit", "Line", "RestorePoint", "change_of", "commit_of", "created_in",
           "parse_line", "restore_point_of", "time_of"]  # fmt: skip

_LINE = re.compile(
    r"rmgr: (\w+)\s+len \(rec/tot\):\s*\d+/\s*\d+, tx:\s*(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), "
    r"prev [0-9A-F]+/[0-9A-F]+, desc: (.*)"
)
_TIME = r"(\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC"
_COMMIT = re.compile(rf"(COMMIT|COMMIT_PREPARED)(?: (\d+):?)? {_TIME}(.*)")
_MOMENT = re.compile(rf"(?:COMMIT|ABORT|COMMIT_PREPARED|ABORT_PREPARED)\b.*?{_TIME}")
_LIST = r";? {}: ([^;]*)"
_NEW_FILE = re.compile(r"CREATE (base|pg_tblspc)/(\S+)")
_BLOCK = re.compile(r"blkref #(\d): rel (\d+/\d+/\d+)(?: fork \w+)? blk (\d+)")
_WORD = re.compile(r"(INSERT|UPDATE|HOT_UPDATE|DELETE|MULTI_INSERT)(?:\+INIT)?\b")
_OFF = re.compile(r"\boff:? (\d+)")
_OLD_OFF = re.compile(r"\bold_off: (\d+)|^\S+ off (\d+)")
_NEW_OFF = re.compile(r"\bnew_off: (\d+)|new off (\d+)")


@dataclass(frozen=True)
class Line:
    """One record: its kind, transaction and position, and what is in it."""

    rmgr: str
    xid: int
    lsn: int
    text: str


@dataclass(frozen=True)
class Commit:
    """A transaction that committed, with its subtransactions.

    Attributes:
        lsn: where the record of the commit begins.
        at: Unix seconds.
        dropped: files of tables that ended with it: `database/file`.
    """

    xid: int
    lsn: int
    at: float
    subs: frozenset[int] = frozenset()
    dropped: frozenset[str] = field(default=frozenset())

    @property
    def xids(self) -> frozenset[int]:
        """All of them."""
        return self.subs | {self.xid}


@dataclass(frozen=True)
class Change:
    """A row version that came or went.

    Attributes:
        kind: insert, update, delete or multi (rows whose places in the block are not told: 0).
        file: `database/file` of the table.
        old, new: (block, place) of the version that went, and that came.
    """

    kind: str
    xid: int
    lsn: int
    file: str
    old: tuple[int, int] | None = None
    new: tuple[int, int] | None = None


@dataclass(frozen=True)
class RestorePoint:
    """A name for a position."""

    name: str
    lsn: int


def parse_line(text: str) -> Line | None:
    """A record; None for anything else that is printed."""
    match = _LINE.fullmatch(text.rstrip("\n"))
    if match is None:
        return None
    return Line(match[1], int(match[2]), parse_lsn(match[3]), match[4])


def time_of(line: Line) -> float | None:
    """When a transaction ended, Unix seconds; None of any other record."""
    match = _MOMENT.match(line.text) if line.rmgr == "Transaction" else None
    return _seconds(match[1]) if match else None


def commit_of(line: Line) -> Commit | None:
    """A commit, a prepared one's too."""
    match = _COMMIT.match(line.text) if line.rmgr == "Transaction" else None
    if match is None:
        return None
    subs = re.search(_LIST.format("subxacts"), match[4])
    rels = re.search(_LIST.format("rels"), match[4])
    return Commit(
        int(match[2] or line.xid),
        line.lsn,
        _seconds(match[3]),
        frozenset(map(int, subs[1].split())) if subs else frozenset(),
        frozenset(_files(rels[1].split())) if rels else frozenset(),
    )


def created_in(line: Line) -> str | None:
    """`database/file` of a table's new file."""
    match = _NEW_FILE.match(line.text) if line.rmgr == "Storage" else None
    return next(_files([f"{match[1]}/{match[2]}"]), None) if match else None


def restore_point_of(line: Line) -> RestorePoint | None:
    """A restore point."""
    if line.rmgr != "XLOG" or not line.text.startswith("RESTORE_POINT "):
        return None
    return RestorePoint(line.text.removeprefix("RESTORE_POINT "), line.lsn)


def change_of(line: Line) -> Change | None:
    """A change of a table's rows."""
    match = _WORD.match(line.text) if line.rmgr in ("Heap", "Heap2") else None
    blocks = {int(n): (rel, int(blk)) for n, rel, blk in _BLOCK.findall(line.text)}
    if match is None or 0 not in blocks:
        return None
    rel, block = blocks[0]
    kind = {"INSERT": "insert", "DELETE": "delete", "MULTI_INSERT": "multi"}.get(match[1], "update")
    old = new = None
    if kind == "update":
        old = (blocks.get(1, blocks[0])[1], _number(_OLD_OFF, line.text))
        new = (block, _number(_NEW_OFF, line.text))
    elif kind == "insert":
        new = (block, _number(_OFF, line.text))
    elif kind == "multi":
        new = (block, 0)
    elif kind == "delete":
        old = (block, _number(_OFF, line.text))
    return Change(kind, line.xid, line.lsn, rel.partition("/")[2], old, new)


def _number(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    return int(next(each for each in match.groups() if each)) if match else 0


def _files(paths: Iterable[str]) -> Iterator[str]:
    """`base/5/16384` and `pg_tblspc/7/PG_15_2/5/16384` as `5/16384`."""
    for path in paths:
        parts = path.split("/")
        if len(parts) >= 3:
            yield "/".join(parts[-2:])


def _seconds(text: str) -> float:
    whole, _, part = text.partition(".")
    moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{part or 0}")
