"""Before which position of the log was an order not there yet?

A scratch copy is looked at: at its end, and where the row is gone by then, at as few moments as see
every row that was removed. The row says which transaction wrote it; one that only changed an order
is told from the one that placed it by the log, and in doubt by looking just before it. Of an id
that was placed several times the one that is there at the end is meant, else the first.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sre.backup.job import Job
from sre.backup.log.lsn import format_lsn
from sre.backup.model import Declared
from sre.backup.recovery.aim import Log, NotHere
from sre.backup.recovery.looking import Looker, Sight
from sre.backup.recovery.records import Commit
from sre.backup.recovery.target import time_text
from sre.backup.recovery.versions import Ledger, Spot, files_of, stabbing
from sre.backup.restoring.chain import Chain
from sre.core.errors import UsageError

__all__ = ["Finder", "Found"]

_KINDS = ("Transaction", "Heap", "Heap2", "Storage")


@dataclass(frozen=True)
class Found:
    """The transaction that placed an order.

    Attributes:
        lsn: where the record of its commit begins: before it the order is not there.
        words: id, transaction, committed, lsn, which (of several of that id): for the result.
    """

    lsn: int
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finder:
    """One search in the log of one backup, with a folder to work in."""

    job: Job
    declared: Declared
    chain: Chain
    log: Log
    box: Path
    timeline: int | None

    def find(self, order: str) -> Found:
        """The commit that placed it.

        Raises:
            NotHere: it was never there between the end of this backup and the end of the log, or
                was there before.
            UsageError: there is no such table or column, or the id is none of its type.
        """
        if not self.log.wal_there:
            raise NotHere(f"no log follows {self.log.route.manifest.id}: {self._none(order)}")
        folder = self.box / "look"
        looker = Looker(self.declared, self.chain, self.log, folder, order)
        try:
            commit, which = self._commit(looker, order)
        finally:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)
        words = {
            "id": order,
            "transaction": str(commit.xid),
            "committed": time_text(commit.at),
            "lsn": format_lsn(commit.lsn),
            "which": which,
        }
        return Found(commit.lsn, words)

    def _commit(self, looker: Looker, order: str) -> tuple[Commit, str]:
        wal = self.log.wal
        sight = looker.look(None)
        known = sight
        if not sight.table:
            known = looker.look(self.log.route.stop, inclusive=True)
            if not known.table:
                raise UsageError(known.problem)
        files = files_of(wal.lines("Transaction", "Storage"), known.files)
        ledger = Ledger.of(wal.lines(*_KINDS), files)
        which = "there at the end of the log"
        if sight.spot is None:
            which = "removed again; where that happened several times, the first"
            sight = self._before_it_went(looker, ledger)
        if sight.spot is None:
            raise NotHere(self._none(order))
        return self._placed(looker, ledger, sight.spot, order), which

    @staticmethod
    def _before_it_went(looker: Looker, ledger: Ledger) -> Sight:
        """At as few moments as see every row that was removed, in order, until it is seen."""
        sight = Sight(table=False)
        for lsn in stabbing(ledger.lives()):
            sight = looker.look(lsn)
            if sight.spot is not None:
                break
        return sight

    def _placed(self, looker: Looker, ledger: Ledger, spot: Spot, order: str) -> Commit:
        """Back from the transaction of a version to that of the first one."""
        while True:
            commit = ledger.commits.get(spot.xid)
            if commit is None:
                raise NotHere(
                    f"order {order!r} was there before the end of the backup "
                    f"{self.log.route.manifest.id}; an earlier backup is needed"
                )
            if ledger.surely_new(spot):
                return commit
            first = ledger.commits.get(ledger.guess(spot) or spot.xid, commit)
            for each in dict.fromkeys((first, commit)):
                before = looker.look(each.lsn)
                if before.spot is None and (
                    each is commit or looker.look(each.lsn, inclusive=True).spot is not None
                ):
                    return each
                if before.spot is not None:
                    break
            if before.spot is None:
                return commit
            spot = before.spot

    def _none(self, order: str) -> str:
        orders = self.declared.orders
        return (
            f"no order {order!r} (column {orders.id!r} of table {orders.table!r}) was committed "
            f"between {format_lsn(self.log.route.stop)} and {format_lsn(self.log.end)}"
        )
