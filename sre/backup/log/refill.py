"""How does log that vanished from the store get there again, while the server still has it?

The server is asked by a second pg_receivewal, without a slot: what it keeps beyond the slot
(wal_keep_size, files not yet used again) comes back. What it has removed is lost, and said once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from sre.backup.log.coverage import Gap
from sre.backup.log.lsn import begin_of, format_lsn, number_at, number_of
from sre.backup.log.places import Program
from sre.backup.log.spool import Spool
from sre.backup.log.writing import Piece, Writer
from sre.core.clock import Deadline
from sre.core.errors import IntegrityError
from sre.core.process import run

__all__ = ["Refill", "Refilled"]

FOLDER = "again"
_BYTES = 2**29
_SECONDS = 120.0
_REMOVED = "has already been removed"


@dataclass(frozen=True)
class Refilled:
    """What became of one gap.

    Attributes:
        names: segments that are in the store again.
        left: whether more of it may be had.
        problem: why not all of it came; empty when it did.
        removed: whether the server has it no more.
    """

    gap: Gap
    names: tuple[str, ...] = ()
    left: bool = False
    problem: str = ""
    removed: bool = False

    @property
    def words(self) -> Iterator[str]:
        """For people."""
        if self.names:
            yield (
                f"{len(self.names)} segments had gone from the store, from {self.gap.first} on: "
                "the server still had them, they are stored again"
            )
        if self.problem and not self.left:
            why = "lost, the server has removed it too" if self.removed else self.problem
            yield f"the log from {self.gap.first} to {self.gap.last} is not in the store: {why}"


@dataclass
class Refill:
    """One archiver's way to ask again.

    Attributes:
        program: pg_receivewal as the archiver runs it, with the archiver's spool.
        lost: first names of gaps that the server cannot fill.
    """

    program: Program
    spool: Spool
    writer: Writer
    lost: set[str] = field(default_factory=set)

    def fill(self, gaps: Iterable[Gap], flushed: int) -> list[Refilled]:
        """Ask for each gap that is not known to be lost, a bounded part of it at a time.

        `flushed`: how far the server's log goes. Raises Diverged, Transient, Fenced, OSError.
        """
        done = list[Refilled]()
        for gap in gaps:
            if gap.first in self.lost:
                continue
            found = self._one(gap, flushed)
            if found.removed:
                self.lost.add(gap.first)
            done.append(found)
        return done

    def _one(self, gap: Gap, flushed: int) -> Refilled:
        size = self.spool.size
        first, last = number_of(gap.first, size), number_at(gap.end - 1, size)
        until = min(last, first + max(1, _BYTES // size) - 1, number_at(flushed, size) - 1)
        if until < first:
            return Refilled(gap, problem="the server still writes it")
        folder = self.spool.folder / FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            aside = replace(self.spool, folder=folder)
            said = self._received(aside, gap.first, begin_of(until + 1, size))
            names = self._stored(aside)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if len(names) > until - first:
            return Refilled(gap, names, left=until < last)
        return Refilled(gap, names, problem=said, removed=_REMOVED in said)

    def _received(self, aside: Spool, first: str, end: int) -> str:
        """Whole segments from one name to a position; what pg_receivewal said."""
        argv, env = self.program
        argv = tuple(str(aside.folder) if each == str(self.spool.folder) else each for each in argv)
        aside.seed(first)
        # it ends once it is beyond the position: within the last byte, so that the file is whole
        argv = (*argv, "--endpos", format_lsn(end - 1))
        env = {**env, "PGAPPNAME": f"{env['PGAPPNAME'][:57]} again"}
        done = run(argv, Deadline.after(_SECONDS), env=env)
        text = " ".join(done.stderr.split())[-500:]
        return text or f"pg_receivewal ended with exit code {done.returncode}"

    def _stored(self, aside: Spool) -> tuple[str, ...]:
        """Everything whole that came, into the store."""
        names = list[str]()
        for each in aside.files():
            if each.partial or each.name.endswith(".history"):
                continue
            try:
                aside.check(each)
            except IntegrityError:
                break  # it was cut by the end of the time: the next look goes on there
            self.writer.store(Piece(each.name, each.path, aside.size, aside.size))
            names.append(each.name)
        return tuple(names)
