"""How is a database asked a question that cannot change it, hang, or smuggle in another?

Read-only transaction, statement timeout, and the extended protocol alone: PostgreSQL then takes
one statement and bind parameters, so no text of a value is ever read as SQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from sre.core.errors import CheckFailed, MissingExtra, Transient, UsageError
from sre.core.secrets import redactor

__all__ = ["STATEMENT_SECONDS", "Session", "bind", "one_value"]

STATEMENT_SECONDS = 30
_CONNECT_SECONDS = 10
_EMPTY: Mapping[str, object] = {}

_TOKENS = re.compile(
    r"""(?P<skip>
        '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
        | \$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$ | ::
    ) | (?P<name>(?<![\w:]):[A-Za-z_]\w*) | (?P<percent>%)""",
    re.DOTALL | re.VERBOSE,
)


def bind(sql: str, parameters: Mapping[str, object] = _EMPTY) -> str:
    """`sql` with each `:name` as a bind parameter of the driver.

    Text literals, quoted names, comments and `::casts` stay what they are.

    Raises:
        UsageError: a parameter has no value here; the message names those that have.
    """

    def replace(match: re.Match[str]) -> str:
        if match["name"]:
            name = match["name"][1:]
            if name not in parameters:
                known = ", ".join(f":{each}" for each in sorted(parameters)) or "none"
                raise UsageError(f"the query uses :{name}, which has no value here; known: {known}")
            return f"%({name})s"
        return match[0].replace("%", "%%")

    return _TOKENS.sub(replace, sql)


def one_value(rows: Sequence[tuple[Any, ...]]) -> Any:
    """The one value of the one row. Raises CheckFailed when there is anything else."""
    if len(rows) != 1 or len(rows[0]) != 1:
        columns = f" of {len(rows[0])} columns" if rows else ""
        raise CheckFailed(f"the query gave {len(rows)} rows{columns}; expected one value")
    return rows[0][0]


class Session:
    """One read-only transaction on PostgreSQL; a context manager.

    Raises (on entering):
        MissingExtra: the driver is not installed.
        UsageError: the server knows neither this user nor this database.
        Transient: it cannot be reached.
    """

    def __init__(self, dsn: str, *, statement_seconds: float = STATEMENT_SECONDS) -> None:
        self._dsn, self._seconds = dsn, statement_seconds
        self._connection: Any = None

    def __enter__(self) -> Self:
        psycopg = _driver()
        try:
            self._connection = psycopg.connect(self._dsn, connect_timeout=_CONNECT_SECONDS)
        except psycopg.OperationalError as error:
            raise _cannot_connect(error) from None
        self._connection.read_only = True
        milliseconds = int(self._seconds * 1000)
        self._connection.execute(f"set local statement_timeout = {milliseconds}")
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
        """The one value of the one row of a query; None when that value is NULL.

        Raises:
            CheckFailed: the statement fails, takes too long, or gives anything else.
            UsageError: it uses a parameter that has no value.
        """
        return one_value(self.rows(sql, parameters))

    def rows(self, sql: str, parameters: Mapping[str, object] = _EMPTY) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises as `value` does."""
        psycopg, query = _driver(), bind(sql, parameters)
        try:
            with self._connection.transaction():  # a savepoint: one failure spoils no other query
                # prepare=True: the extended protocol, which takes one statement alone
                cursor = self._connection.execute(query, dict(parameters), prepare=True)
                return list(cursor.fetchall()) if cursor.description else []
        except psycopg.Error as error:
            raise CheckFailed(redactor.mask(_first_line(error))) from None


def _driver() -> Any:
    try:
        import psycopg  # noqa: PLC0415  only who asks a database needs the driver
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "asking PostgreSQL needs the package 'psycopg': pip install 'sre[backup]'"
        ) from error
    return psycopg


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _cannot_connect(error: Exception) -> Transient | UsageError:
    """Again later, or never? The driver tells by words alone."""
    said = redactor.mask(_first_line(error))
    never = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password")
    if any(words in str(error) for words in never):
        return UsageError(f"PostgreSQL lets us not in: {said}; check the dsn")
    return Transient(f"PostgreSQL cannot be reached: {said}")
