"""How does a worker of the shop talk to its database?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString, TypeVar

from psycopg import Connection, rows
from psycopg_pool import ConnectionPool

__all__ = ["Database", "Session"]

T = TypeVar("T")

_SLOW_SECONDS = 0.3


class Session:
    """One connection for the time of one request; every statement of the shop passes here."""

    def __init__(self, connection: Connection[Any], slow: Callable[[], bool]) -> None:
        self._connection = connection
        self._slow = slow

    def all(
        self, kind: type[T], sql: LiteralString, params: Mapping[str, Any] | None = None
    ) -> list[T]:
        """All rows, each as a `kind` (column names are its field names)."""
        self._delay()
        with self._connection.cursor(row_factory=rows.class_row(kind)) as cursor:
            return cursor.execute(sql, params).fetchall()

    def one(
        self, kind: type[T], sql: LiteralString, params: Mapping[str, Any] | None = None
    ) -> T | None:
        """The first row, or None."""
        self._delay()
        with self._connection.cursor(row_factory=rows.class_row(kind)) as cursor:
            return cursor.execute(sql, params).fetchone()

    def value(self, sql: LiteralString, params: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        self._delay()
        with self._connection.cursor(row_factory=rows.tuple_row) as cursor:
            row = cursor.execute(sql, params).fetchone()
            return row[0] if row else None

    def run(self, sql: LiteralString, params: Mapping[str, Any] | None = None) -> int:
        """Execute a change; how many rows it touched."""
        self._delay()
        with self._connection.cursor() as cursor:
            return cursor.execute(sql, params).rowcount

    def _delay(self) -> None:
        if self._slow():
            self._connection.execute("select pg_sleep(%s)", (_SLOW_SECONDS,))


class Database:
    """One worker's pool of connections.

    Args:
        slow: asked before each statement; True makes the database slow.
        size: connections at most; one for each thread of the worker.
    """

    def __init__(self, dsn: str, slow: Callable[[], bool], size: int = 8) -> None:
        self._slow = slow
        self._pool = ConnectionPool(
            dsn,
            min_size=1,
            max_size=size,
            timeout=10,
            # After a restart of the server every idle connection of every worker is dead. Found
            # out before a request has it, it is no customer's error.
            check=ConnectionPool.check_connection,
            kwargs={"autocommit": True, "application_name": "demo-shop"},
            name="shop",
            open=True,
        )

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Each statement for itself: a page needs no transaction's extra round trips."""
        with self._connection() as connection:
            yield Session(connection, self._slow)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """All or nothing."""
        with self._connection() as connection, connection.transaction():
            yield Session(connection, self._slow)

    @contextmanager
    def _connection(self) -> Iterator[Connection[Any]]:
        with self._pool.connection() as connection:
            yield connection

    def close(self) -> None:
        """Give all connections back."""
        self._pool.close()
