"""How is a SQLite file asked a question that cannot change it, hang, or smuggle in another?

Opened read-only, an authorizer that lets nothing but reading pass (no ATTACH, no PRAGMA, no VACUUM
INTO), one statement, bind parameters alone, and a limit of time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from sre.core.clock import Clock, SystemClock
from sre.core.errors import CheckFailed, UsageError
from sre.sql.session import STATEMENT_SECONDS, bind, one_value

__all__ = ["SqliteSession"]

_BUSY_SECONDS = 10.0
_STEPS = 10_000
_READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_EMPTY: Mapping[str, object] = {}


class SqliteSession:
    """One read-only connection to a file, `sqlite:///relative` or `sqlite:////absolute`.

    Raises (on entering):
        UsageError: there is no such file, or it is no database.
    """

    def __init__(
        self,
        dsn: str,
        *,
        statement_seconds: float = STATEMENT_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._path = _path_of(dsn)
        self._seconds, self._clock = statement_seconds, clock or SystemClock()
        self._connection: sqlite3.Connection | None = None
        self._ends = 0.0

    def __enter__(self) -> Self:
        if not self._path.is_file():
            raise UsageError(
                f"there is no SQLite file {self._path}; an absolute path takes four slashes: "
                "sqlite:////var/lib/shop.sqlite3"
            )
        uri = f"file:{quote(str(self._path))}?mode=ro"
        try:
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None
            )
            self._connection.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.Error as error:
            self.__exit__(None, None, None)
            raise UsageError(f"{self._path} cannot be read as a SQLite database: {error}") from None
        self._connection.set_authorizer(_authorize)
        self._connection.set_progress_handler(self._late, _STEPS)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def value(self, sql: str, parameters: Mapping[str, object] = _EMPTY) -> Any:
        """As Session.value."""
        return one_value(self.rows(sql, parameters))

    def rows(self, sql: str, parameters: Mapping[str, object] = _EMPTY) -> list[tuple[Any, ...]]:
        """As Session.rows."""
        if self._connection is None:
            raise CheckFailed("the session has not been entered")
        bind(sql, parameters)  # a parameter without a value is told as PostgreSQL's session does
        self._ends = self._clock.now() + self._seconds
        try:
            return list(self._connection.execute(sql, dict(parameters)).fetchall())
        except (sqlite3.Error, sqlite3.Warning) as error:
            if self._clock.now() >= self._ends:
                raise CheckFailed(f"the query took longer than {self._seconds:g} s") from None
            raise CheckFailed(str(error)) from None

    def _late(self) -> int:
        return int(self._clock.now() >= self._ends)


def _authorize(action: int, *_about: object) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def _path_of(dsn: str) -> Path:
    rest = dsn.removeprefix("sqlite://")
    if not rest.startswith("/") or rest == "/":
        raise UsageError("a SQLite dsn is sqlite:///relative/path or sqlite:////absolute/path")
    return Path(rest[1:])
