"""How does one numbered write reach MySQL or MariaDB, and when is it truly committed?"""

from __future__ import annotations

import contextlib
import select
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
from pymysql.cursors import SSCursor

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.secrets import redactor
from sre.sql.ledger.model import NotWritten, Row, Unclear
from sre.sql.mysqldoor import connect

__all__ = ["MysqlLedger"]

_PORT = 3306
_LEAST_SECONDS = 0.001
_CLIENT_CODES = range(2000, 2100)
_UNCLEAR_CODES = frozenset(
    {1053, 1077, 1078, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1180, 1317, 1927, 3168, 4031}
)
"""Shutdown, network errors, errors in COMMIT, killed: the row may be there."""
_NEVER_CODES = frozenset({1044, 1045, 1049, 1054, 1142, 1698, 2026, 2061})
_NO_SUCH_TABLE = 1146
_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")


class MysqlLedger:
    """A table in MySQL or MariaDB; a write is one INSERT with autocommit.

    `mysql://USER:PASSWORD@HOST:3306/DATABASE?ssl-mode=verify_identity&ssl-ca=…&unix_socket=…`
    """

    name = "mysql"

    def __init__(self, dsn: str, *, table: str, wait: int = 0) -> None:
        if wait:
            raise UsageError("wait is for Redis; MySQL and MariaDB wait by semi-sync replication")
        self._options = _options_of(dsn)
        self._table = ".".join(f"`{part}`" for part in table.split("."))

    def connect(self, deadline: Deadline) -> MyLink:
        """A connection with autocommit."""
        seconds = max(_LEAST_SECONDS, deadline.left())
        try:
            made = connect(
                connect_timeout=seconds,
                read_timeout=seconds,
                write_timeout=seconds,
                **self._options,
            )
        except pymysql.err.Error as error:
            raise _not_connected(error) from None
        except Exception as error:  # noqa: BLE001  an odd greeting breaks the driver anywhere
            raise NotWritten("connect", redactor.mask(str(error))) from None
        return MyLink(made, self._table)

    def prepare(self, deadline: Deadline) -> None:
        """Make the table where it is missing; one that is there must have the four columns."""
        look = f"select run, writer, number, sent from {self._table} limit 0"  # noqa: S608
        with contextlib.closing(self.connect(deadline)) as link:
            try:
                link.run(look, deadline)
            except NotWritten as error:
                if error.word != str(_NO_SUCH_TABLE):
                    raise
                link.run(_CREATE.format(table=self._table), deadline, warns=True)
                link.run(look, deadline)

    def read(self, run: str, deadline: Deadline) -> Iterator[tuple[int, int]]:
        """One statement in a transaction that may write: a splitting proxy sends that right."""
        with contextlib.closing(self.connect(deadline)) as link:
            link.run("start transaction", deadline)
            if str(link.run("select @@global.read_only", deadline)[0][0]) not in ("0", "OFF"):
                raise NotWritten("read_only", "a read-only server answered; writes do not go there")
            query = f"select writer, number from {self._table} where run = %s"  # noqa: S608
            yield from link.stream(query, deadline, run)

    def remove(self, run: str, deadline: Deadline) -> None:
        """Delete the rows of a run."""
        with contextlib.closing(self.connect(deadline)) as link:
            link.run(f"delete from {self._table} where run = %s", deadline, run)  # noqa: S608


_CREATE = (
    "create table if not exists {table} (id bigint not null auto_increment primary key, run "
    "varchar(64) not null, writer int not null, number bigint not null, sent double not null) "
    "engine = innodb"
)


class MyLink:
    """One connection."""

    def __init__(self, connection: Any, table: str) -> None:
        self._connection = connection
        self._insert = f"insert into {table} (run, writer, number, sent) values (%s, %s, %s, %s)"  # noqa: S608

    def alive(self) -> bool:
        """Nothing may come from an idle server but its goodbye."""
        raw = self._connection._sock
        return raw is not None and not select.select([raw], [], [], 0)[0]

    def write(self, row: Row, deadline: Deadline) -> None:
        """One INSERT, committed by itself."""
        self.run(self._insert, deadline, row.run, row.writer, row.number, row.sent)

    def run(
        self, sql: str, deadline: Deadline, *values: object, warns: bool = False
    ) -> list[tuple[Any, ...]]:
        """One statement. Raises NotWritten, Unclear (also for a warning, unless `warns`)."""
        self._bound(deadline)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, values)
                warned = getattr(cursor._result, "warning_count", 0)
                rows = list(cursor.fetchall())
        except Exception as error:  # noqa: BLE001  a torn packet breaks the driver anywhere
            raise _failed(error) from None
        if warned and not warns and not rows:
            raise Unclear("warning", "committed, and the server warned of it")
        return rows

    def stream(self, sql: str, deadline: Deadline, *values: object) -> Iterator[tuple[int, int]]:
        """Rows as they come. Raises NotWritten, Unclear."""
        self._bound(deadline)
        try:
            with self._connection.cursor(SSCursor) as cursor:
                cursor.execute(sql, values)
                for writer, number in cursor.fetchall_unbuffered():
                    yield int(writer), int(number)
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001  as above
            raise _failed(error) from None

    def _bound(self, deadline: Deadline) -> None:
        left = max(_LEAST_SECONDS, deadline.left())
        self._connection._read_timeout = self._connection._write_timeout = left

    def close(self) -> None:
        """Hang up without a goodbye: the server may be frozen."""
        with contextlib.suppress(Exception):
            self._connection._force_close()


def _failed(error: Exception) -> NotWritten | Unclear:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    said = redactor.mask(str(error.args[1] if len(error.args) > 1 else error))
    if isinstance(error, OSError | EOFError) or not isinstance(error, pymysql.err.Error):
        return Unclear("connection_lost", said)
    if code in _CLIENT_CODES or not code:
        return Unclear("timeout" if "timed out" in said else "connection_lost", said)
    if code in _UNCLEAR_CODES:
        return Unclear(str(code), said)
    return NotWritten(str(code), said, never=code in _NEVER_CODES)


def _not_connected(error: pymysql.err.Error) -> NotWritten:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    said = redactor.mask(str(error.args[1] if len(error.args) > 1 else error))
    if "timed out" in said:
        return NotWritten("connect_timeout", said)
    if "refused" in said:
        return NotWritten("connect_refused", said)
    if code in _CLIENT_CODES and code not in _NEVER_CODES:
        return NotWritten("connect_closed" if code == 2013 else "connect", said)
    return NotWritten(f"connect_{code}", said, never=code in _NEVER_CODES)


def _options_of(dsn: str) -> dict[str, Any]:
    """The driver's own options. Raises UsageError; the message holds nothing of the dsn."""
    try:
        url = urlsplit(dsn)
        query = parse_qs(url.query, strict_parsing=bool(url.query))
        asked = {key.replace("_", "-"): values[-1] for key, values in query.items()}
        mode = asked.pop("ssl-mode", "preferred").lower()
        options: dict[str, Any] = {
            "host": url.hostname or "localhost",
            "port": url.port or _PORT,
            "user": unquote(url.username or ""),
            "password": unquote(url.password or ""),
            "database": unquote(url.path.lstrip("/")),
            "unix_socket": asked.pop("unix-socket", None),
            "charset": asked.pop("charset", "utf8mb4"),
        }
        authorities = asked.pop("ssl-ca", None)
    except ValueError:
        raise UsageError(_HOW) from None
    if asked or mode not in _MODES or not options["database"]:
        raise UsageError(_HOW)
    return {**options, "autocommit": True, "program_name": "sre-ledger", **_tls(mode, authorities)}


_HOW = (
    "the dsn cannot be read; write mysql://USER:PASSWORD@HOST:3306/DATABASE, special characters "
    "percent-encoded, options: ssl-mode, ssl-ca, unix_socket"
)


def _tls(mode: str, authorities: str | None) -> dict[str, Any]:
    if mode == "disabled":
        return {"ssl_disabled": True}
    if mode == "preferred":
        return {}
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise UsageError(f"ssl-ca of the dsn cannot be read: {error.strerror}") from None
    context.check_hostname = mode == "verify_identity"
    if mode == "required":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}
