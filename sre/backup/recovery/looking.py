"""Was a row there at a position of the log, and which version of it?"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from sre.backup.catalogue import Damaged
from sre.backup.databases.pgrecover import Replayed
from sre.backup.log.lsn import format_lsn
from sre.backup.model import Declared
from sre.backup.recovery.aim import Log
from sre.backup.recovery.engine import Replays
from sre.backup.recovery.settings import LOG_FOLDER
from sre.backup.recovery.versions import Spot
from sre.backup.restoring.chain import Chain, extract_chain
from sre.backup.verifying.scratch import scratch
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, UsageError
from sre.sql.session import Session

__all__ = ["Looker", "Sight"]

_SECONDS = 7 * 86400.0
_LOOK_SECONDS = 3600.0
_TABLE = """select format('%I.%I', n.nspname, c.relname), format_type(a.atttypid, a.atttypmod),
    quote_ident(a.attname), c.oid::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attname = :id and a.attnum > 0
    where c.relname = :table and c.relkind in ('r', 'p') and not c.relispartition
    and case when :schema = '' then pg_table_is_visible(c.oid) else n.nspname = :schema end"""
_FILES = """select (select oid from pg_database where datname = current_database()) || '/' ||
    pg_relation_filenode(relid) from (select relid from pg_partition_tree(cast(:oid as oid))
    union select cast(:oid as oid)) as parts where pg_relation_filenode(relid) is not null"""


@dataclass(frozen=True)
class Sight:
    """What was seen.

    Attributes:
        table: whether the table was there at all; `problem` says why not.
        files: those of the table, `database/file`.
        spot: the row's version; None when the row was not there.
    """

    table: bool
    files: frozenset[str] = frozenset()
    spot: Spot | None = None
    problem: str = ""


@dataclass
class Looker:
    """A scratch copy that goes forward through the log; going back means unpacking it again."""

    declared: Declared
    chain: Chain
    log: Log
    folder: Path
    order: str
    _at: int | None = field(default=None, init=False)

    def look(self, lsn: int | None, *, inclusive: bool = False) -> Sight:
        """Just before the record at a position (or just after it), or at the end of the log.

        Raises UsageError: the id is none of the column's type, the column is missing.
        """
        if self._at is None or lsn is None or lsn < self._at:
            self._unpack()
        cover, settings = self.log.route.cover, dict[str, str]()
        assert cover is not None  # noqa: S101  there is a log
        settings["recovery_target_timeline"] = str(cover.way.timeline)
        if lsn is not None:
            settings["recovery_target_lsn"] = format_lsn(lsn)
            settings["recovery_target_inclusive"] = "on" if inclusive else "off"
        database = self.declared.database
        assert isinstance(database, Replays)  # noqa: S101  checked before anything was fetched
        deadline = Deadline.after(_SECONDS)
        with (
            scratch() as work,
            database.replay(self.folder, work, deadline, settings, paused=True) as done,
        ):
            sight = self._seen(done)
        self._at = lsn if done.paused else None
        return sight

    def _unpack(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(mode=0o700)
        for fault in extract_chain(self.chain, self.folder, None, lambda _count: None):
            raise Damaged(fault)
        log = self.folder / LOG_FOLDER
        log.mkdir(mode=0o700)
        for each in self.log.folder.iterdir():
            os.link(each, log / each.name)

    def _seen(self, done: Replayed) -> Sight:
        with Session(done.dsn, statement_seconds=_LOOK_SECONDS) as session:
            return self._asked(session)

    def _asked(self, session: Session) -> Sight:
        orders = self.declared.orders
        asked = {"table": orders.table, "schema": orders.schema or "", "id": orders.id}
        found = session.rows(_TABLE, asked)
        if not found:
            return Sight(table=False, problem=(
                f"there is no table {orders.table!r} in the database; say which one holds orders: "
                f"databases.{self.declared.name}.orders: {{table: …, id: …}}"
            ))  # fmt: skip
        table, kind, column, oid = found[0]
        if column is None:
            raise UsageError(
                f"the table {table} has no column {orders.id!r}; say databases."
                f"{self.declared.name}.orders: {{table: …, id: …}}"
            )
        files = frozenset(str(each) for (each,) in session.rows(_FILES, {"oid": oid}))
        self._must_be(session, kind)
        columns = "xmin::text, ctid::text, pg_relation_filenode(tableoid)::text"
        where = f"{column} = cast(:order as {kind}) order by ctid limit 1"
        sql = f"select {columns} from {table} where {where}"  # noqa: S608  quoted by the server
        rows = session.rows(sql, {"order": self.order})
        database = next(iter(files)).partition("/")[0] if files else ""
        spots = (_spot(database, *row) for row in rows)
        return Sight(table=True, files=files, spot=next(spots, None))

    def _must_be(self, session: Session, kind: str) -> None:
        try:
            session.value(f"select cast(:order as {kind}) is null", {"order": self.order})
        except CheckFailed as error:
            raise UsageError(f"{self.order!r} is no id of an order: {error}") from None


def _spot(database: str, xmin: str, ctid: str, file: str) -> Spot:
    block, place = ctid.strip("()").split(",")
    return Spot(f"{database}/{file}", (int(block), int(place)), int(xmin))
