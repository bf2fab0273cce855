"""How does one numbered write reach PostgreSQL, and when is it truly committed?

libpq is driven step by step: that tells what was sent from what was not, keeps deadlines below the
two seconds that libpq itself can do, and does not hang on a server that is frozen. A write counts
when the server is ready for the next one and warned of nothing: a commit whose wait for a standby
was cancelled is answered with success and a warning.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.secrets import redactor
from sre.sql.ledger.model import NotWritten, Row, Unclear

__all__ = ["PostgresqlLedger"]

_PAGE = 20_000
_CANCEL_SECONDS = 0.3
_FATAL = ("FATAL", "PANIC")
_UNCLEAR_CODES = ("08", "57P", "58", "40003", "XX")
"""A connection that ends or a server that breaks down may have committed before it said so."""
_NEVER_CODES = ("28", "3D000", "42501", "42703", "0A000")
_MISSING = "42P01"
_EXISTS = ("42P07", "23505", "42710")
_OK = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class PostgresqlLedger:
    """A table in PostgreSQL; also through PgBouncer, whatever its pool mode."""

    name = "postgresql"

    def __init__(self, dsn: str, *, table: str, wait: int = 0) -> None:
        if wait:
            raise UsageError(
                "wait is for Redis; PostgreSQL waits for synchronous_standby_names by itself"
            )
        try:
            self._hosts = [make_conninfo("", **each).encode() for each in _each_host(dsn)]
        except psycopg.Error as error:
            said = redactor.mask(str(error).strip().replace("\n", " "))
            raise UsageError(f"the dsn cannot be read: {said}") from None
        self._table = ".".join(f'"{part}"' for part in table.split("."))

    def connect(self, deadline: Deadline) -> PgLink:
        """The first of the hosts that lets us in, each with its part of the time."""
        for number, conninfo in enumerate(self._hosts):
            left = len(self._hosts) - number
            try:
                return PgLink(conninfo, deadline.within(deadline.left() / left), self._table)
            except NotWritten:
                if left == 1:
                    raise
        raise NotWritten("no_host")

    def prepare(self, deadline: Deadline) -> None:
        """Make the table where it is missing; one that is there must have the four columns."""
        with contextlib.closing(self.connect(deadline)) as link:
            look = f"select run, writer, number, sent from {self._table} limit 0"  # noqa: S608
            try:
                link.run(look, deadline)
            except NotWritten as error:
                if error.word != _MISSING:
                    raise
            else:
                return
            try:
                link.run(_CREATE.format(table=self._table), deadline)
            except NotWritten as error:
                if error.word not in _EXISTS:
                    raise
            link.run(look, deadline)

    def read(self, run: str, deadline: Deadline) -> Iterator[tuple[int, int]]:
        """In one snapshot, page by page."""
        with contextlib.closing(self.connect(deadline)) as link:
            link.run("begin isolation level repeatable read", deadline)
            if link.run("select pg_is_in_recovery()", deadline)[0][0] != "f":
                raise NotWritten("standby", "a standby answered, and writes do not go there")
            query = f"select writer, number from {self._table} where run = $1"  # noqa: S608
            link.run(f"declare sre_ledger_read no scroll cursor for {query}", deadline, run)
            fetch = f"fetch forward {_PAGE} from sre_ledger_read"
            while rows := link.run(fetch, deadline):
                yield from ((int(writer), int(number)) for writer, number in rows)
            link.run("commit", deadline)

    def remove(self, run: str, deadline: Deadline) -> None:
        """Delete the rows of a run."""
        with contextlib.closing(self.connect(deadline)) as link:
            link.run(f"delete from {self._table} where run = $1", deadline, run)  # noqa: S608


_CREATE = (
    "create table {table} (id bigint generated always as identity primary key, run text not null, "
    "writer integer not null, number bigint not null, sent double precision not null)"
)


class PgLink:
    """One connection. Raises NotWritten when it cannot be made by the deadline."""

    def __init__(self, conninfo: bytes, deadline: Deadline, table: str) -> None:
        self._insert = f"insert into {table} (run, writer, number, sent) values ($1, $2, $3, $4)"  # noqa: S608
        self._warned, self._over = "", False
        self._connection: Any = pq.PGconn.connect_start(conninfo)
        try:
            self._log_in(deadline)
        except BaseException:
            self.close()
            raise
        self._connection.notice_handler = self._notice

    def _log_in(self, deadline: Deadline) -> None:
        connection = self._connection
        step = pq.PollingStatus.WRITING
        while step != pq.PollingStatus.OK:
            if step == pq.PollingStatus.FAILED or connection.status == pq.ConnStatus.BAD:
                raise _not_connected(connection.error_message)
            mask = select.POLLOUT if step == pq.PollingStatus.WRITING else select.POLLIN
            if not _ready(connection.socket, mask, deadline.left()):
                raise NotWritten("connect_timeout", "no answer to the login in time")
            step = connection.connect_poll()

    def alive(self) -> bool:
        """A server that hung up, or that said it ends, is seen without sending anything."""
        connection = self._connection
        try:
            while _ready(connection.socket, select.POLLIN, 0):
                connection.consume_input()
                connection.is_busy()  # reads what came, by that calls the notice handler
        except psycopg.Error:
            return False
        return not self._over and connection.status == pq.ConnStatus.OK

    def write(self, row: Row, deadline: Deadline) -> None:
        """One INSERT that is a transaction by itself."""
        values = (row.run, str(row.writer), str(row.number), repr(row.sent))
        self._warned = ""
        self.run(self._insert, deadline, *values)
        if self._warned:
            raise Unclear(f"warning_{self._warned}", "committed, and the server warned of it")

    def run(self, sql: str, deadline: Deadline, *values: str) -> list[tuple[str, ...]]:
        """One statement to its very end. Raises NotWritten, Unclear."""
        connection = self._connection
        try:
            connection.send_query_params(sql.encode(), [each.encode() for each in values])
            results = list(self._results(deadline))
        except psycopg.Error as error:
            said = redactor.mask(str(error).strip().split("\n")[0])
            raise Unclear("connection_lost", said) from None
        bad = next((each for each in results if each.status not in _OK), None)
        if bad is not None:
            raise _refused(bad)
        if not results:
            raise Unclear("no_answer")
        last = results[-1]
        return [
            tuple((last.get_value(row, at) or b"").decode() for at in range(last.nfields))
            for row in range(last.ntuples)
        ]

    def _results(self, deadline: Deadline) -> Iterator[Any]:
        """Until the server is ready for another statement: only then it has committed."""
        connection = self._connection
        while True:
            while connection.is_busy():
                if not _ready(connection.socket, select.POLLIN, deadline.left()):
                    self._cancel()
                    raise Unclear("timeout", "no answer in time")
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                return
            yield result

    def _cancel(self) -> None:
        """Else a commit that waits for a standby would keep its backend, and soon all of them."""
        with contextlib.suppress(psycopg.Error):  # among them: this libpq cannot do it
            cancel, end = self._connection.cancel_conn(), Deadline.after(_CANCEL_SECONDS)
            cancel.start()
            step = pq.PollingStatus.WRITING
            while step in (pq.PollingStatus.WRITING, pq.PollingStatus.READING):
                mask = select.POLLOUT if step == pq.PollingStatus.WRITING else select.POLLIN
                if not _ready(cancel.socket, mask, end.left()):
                    break
                step = cancel.poll()
            cancel.finish()

    def close(self) -> None:
        """Hang up. A connection whose statement still runs is closed all the same."""
        with contextlib.suppress(psycopg.Error):
            self._connection.notice_handler = None
            self._connection.finish()

    def _notice(self, result: Any) -> None:
        severity = _field(result, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        if severity == "WARNING":
            self._warned = _field(result, pq.DiagnosticField.SQLSTATE) or "unknown"
        self._over = self._over or severity in _FATAL


def _refused(result: Any) -> NotWritten | Unclear:
    code = _field(result, pq.DiagnosticField.SQLSTATE)
    severity = _field(result, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
    said = redactor.mask(_field(result, pq.DiagnosticField.MESSAGE_PRIMARY))
    if not code:
        return Unclear("connection_lost", said)
    if severity in _FATAL or code.startswith(_UNCLEAR_CODES):
        return Unclear(code, said)
    return NotWritten(code, said, never=code.startswith(_NEVER_CODES))


def _not_connected(message: bytes | None) -> NotWritten:
    """libpq tells by words alone why nobody let us in."""
    said = (message or b"").decode("utf-8", "replace").strip()
    never = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password")
    for words, name in (
        ("refused", "connect_refused"),
        ("starting up", "starting_up"),
        ("shutting down", "shutting_down"),
        ("recovery", "in_recovery"),
        ("read-only", "read_only"),
        ("too many", "too_many_clients"),
        ("closed the connection", "connect_closed"),
        ("translate host name", "dns"),
        *((words, "auth") for words in never),
    ):
        if words in said:
            told = redactor.mask(" ".join(said.split()))
            return NotWritten(name, told, never=name == "auth")
    return NotWritten("connect", redactor.mask(" ".join(said.split())))


def _each_host(dsn: str) -> list[dict[str, Any]]:
    """One set of parameters for each of several hosts: one that is frozen must not eat all time."""
    known: dict[str, Any] = conninfo_to_dict(dsn)
    known.setdefault("application_name", "sre-ledger")
    known.setdefault("gssencmode", "disable")
    hosts = str(known.get("host") or "").split(",")
    addresses = str(known.get("hostaddr") or "").split(",")
    ports = str(known.get("port") or "").split(",")
    count = max(len(hosts), len(addresses))
    if count == 1:
        return [known]
    lists = {"host": hosts, "hostaddr": addresses, "port": ports}
    parts = []
    for at in range(count):
        own = {key: many[at if len(many) == count else 0] for key, many in lists.items()}
        parts.append({**known, **{key: value or None for key, value in own.items()}})
    return parts


def _field(result: Any, which: pq.DiagnosticField) -> str:
    return (result.error_field(which) or b"").decode("utf-8", "replace")


def _ready(descriptor: int, mask: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, mask)
    return bool(poll.poll(max(0.0, seconds) * 1000))
