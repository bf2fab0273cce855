"""From which transaction does a row come, if one follows its versions back through the log?

Pure. Each version of a row has a place (block and number in it) in a file; the log says which
change put it there. An update leads to the place of the version before.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sre.backup.recovery.records import Change, Commit, Line, change_of, commit_of, created_in

__all__ = ["Ledger", "Spot", "files_of", "stabbing"]

_ROWS = ("Heap", "Heap2")


@dataclass(frozen=True)
class Spot:
    """Where a version of a row stands, and who put it there.

    Attributes:
        file: `database/file`.
    """

    file: str
    place: tuple[int, int]
    xid: int


@dataclass
class Ledger:
    """What the log says of the files of one table.

    Attributes:
        commits: by transaction and subtransaction.
        came: versions by file and place, in order.
        gone: deletions of versions; `made`: files that it got, and by which transaction.
        ends: commits that removed rows of it, in order; `rewrites`: transactions whose inserts may
            be older rows put elsewhere (they also removed some, or made the file).
    """

    commits: dict[int, Commit] = field(default_factory=dict)
    came: dict[tuple[str, tuple[int, int]], list[Change]] = field(
        default_factory=lambda: defaultdict(list)
    )
    gone: list[Change] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    ends: list[Commit] = field(default_factory=list)
    rewrites: set[int] = field(default_factory=set)

    @staticmethod
    def of(lines: Iterable[Line], files: frozenset[str]) -> Ledger:
        """One pass over the log."""
        found, removed = Ledger(), set[int]()
        for line in lines:
            if line.rmgr in _ROWS and not any(file in line.text for file in files):
                continue  # of another table, as most are
            if (change := change_of(line)) is not None:
                if change.file in files:
                    found._took(change, removed)
            elif (commit := commit_of(line)) is not None:
                found.commits.update(dict.fromkeys(commit.xids, commit))
                if commit.xids & removed or commit.dropped & files:
                    found.ends.append(commit)
                    found.rewrites |= commit.xids
            elif (file := created_in(line)) is not None and file in files:
                found.rewrites.add(line.xid)
                found.made[file] = line.xid
        return found

    def _took(self, change: Change, removed: set[int]) -> None:
        if change.kind == "delete":
            removed.add(change.xid)
            self.gone.append(change)
        if change.new is not None:
            self.came[change.file, change.new].append(change)

    def lives(self) -> Iterator[tuple[int, int]]:
        """(start, end): a row that is gone was there just before each position in between.

        After the start, up to and with the end. Sure, but perhaps shorter than it was: what an
        updated version came from is not followed.
        """
        for gone in self.gone:
            if gone.xid in self.commits:
                yield self._born(gone), self.commits[gone.xid].lsn
        filled: dict[str, list[int]] = defaultdict(list)
        for (file, _), changes in self.came.items():
            filled[file] += [self._committed(each.xid) for each in changes]
        for file, xid in self.made.items():
            filled[file].append(self._committed(xid))
        for commit in self.ends:
            for file in commit.dropped:
                before = (at for at in filled.get(file, ()) if at < commit.lsn)
                yield max(before, default=0), commit.lsn

    def _born(self, gone: Change) -> int:
        """When a version that was deleted was there for sure; 0: before the log."""
        block, place = gone.old or (0, 0)
        starts = list[int]()
        for spot in ((block, place), (block, 0)):  # a row of its own, or one of many in the block
            came = self.came.get((gone.file, spot), [])
            before = bisect.bisect_left(came, gone.lsn, key=lambda each: each.lsn)
            starts += [self._committed(each.xid) for each in came[before - 1 : before] if before]
        if not starts and gone.file in self.made:
            return self._committed(self.made[gone.file])
        return max(starts, default=0)

    def _committed(self, xid: int) -> int:
        commit = self.commits.get(xid)
        return 0 if commit is None else commit.lsn

    def surely_new(self, spot: Spot) -> bool:
        """Whether that version is a new row's first, beyond doubt."""
        change = self._creator(spot.file, spot.place, None)
        return (
            change is not None
            and (change.kind, change.xid) == ("insert", spot.xid)
            and not self._family(spot.xid) & self.rewrites
        )

    def guess(self, spot: Spot) -> int | None:
        """The transaction of the first version, as far as the log tells; None when it does not."""
        place, before = spot.place, None
        while (change := self._creator(spot.file, place, before)) is not None:
            if before is None and change.xid != spot.xid:
                return None
            if change.kind == "insert" or change.old is None:
                return change.xid
            place, before = change.old, change.lsn
        return None

    def _creator(self, file: str, place: tuple[int, int], before: int | None) -> Change | None:
        changes = self.came.get((file, place), [])
        return next((c for c in reversed(changes) if before is None or c.lsn < before), None)

    def _family(self, xid: int) -> frozenset[int]:
        commit = self.commits.get(xid)
        return commit.xids if commit is not None else frozenset({xid})


def stabbing(lives: Iterable[tuple[int, int]]) -> list[int]:
    """The fewest positions, ascending, of which each life (after first, up to second) has one."""
    found: list[int] = []
    for start, end in sorted(set(lives), key=lambda life: life[1]):
        if start < end and (not found or found[-1] <= start):
            found.append(end)
    return found


def files_of(lines: Iterable[Line], known: frozenset[str]) -> frozenset[str]:
    """The files that a table had over time: those `known`, and what they replaced or became.

    Names a few too many (indexes that were rewritten with it), never too few.
    """
    made: dict[int, set[str]] = defaultdict(set)
    swaps: list[tuple[frozenset[str], frozenset[str]]] = []
    for line in lines:
        if (file := created_in(line)) is not None:
            made[line.xid].add(file)
        elif (commit := commit_of(line)) is not None and commit.dropped:
            new = frozenset(each for xid in commit.xids for each in made.get(xid, ()))
            swaps.append((commit.dropped, new))
    files, before = set(known), -1
    while len(files) != before:
        before = len(files)
        for old, new in swaps:
            if old & files or new & files:
                files |= old | new
    return frozenset(files)
