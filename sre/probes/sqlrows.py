"""How does any of three databases answer one query, in time, with a bounded number of rows?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from sre.core.secrets import redactor
from sre.journey.result import Reason
from sre.probes import mysqlwire, pgwire
from sre.probes.dial import Attempt, Trouble
from sre.probes.parts import Late, Unanswered

__all__ = ["Engine", "Rows", "asking", "engine_of", "sqlite_asking"]

Engine = Literal["postgres", "mysql", "sqlite"]
Rows = Callable[[str, int], tuple[list[str], list[Sequence[Any]]]]
"""`rows(sql, most)`: names of the columns, and `most` rows and one more at most."""

_STEPS = 1000
"""Instructions of SQLite between two looks at the clock."""


def engine_of(dsn: str) -> Engine:
    """Which database a dsn is about: `mysql://`, `mariadb://`, `sqlite:`; any other: PostgreSQL."""
    scheme = dsn.partition(":")[0].partition("+")[0].lower()
    if scheme in ("mysql", "mariadb"):
        return "mysql"
    return "sqlite" if scheme == "sqlite" else "postgres"


@contextmanager
def asking(attempt: Attempt, engine: Engine, dsn: str) -> Iterator[Rows]:
    """One connection that only reads, closed afterwards.

    Raises:
        Trouble: it cannot be had. `rows` raises it when the connection is gone, and Unanswered
            when one query has no answer.
    """
    if engine == "mysql":
        with mysqlwire.opened(attempt, mysqlwire.place_of(dsn), "sql") as session:
            yield _mysql(session)
    elif engine == "sqlite":
        with sqlite_asking(attempt, Path(unquote(urlsplit(dsn).path.removeprefix("/")))) as rows:
            yield rows
    else:
        with pgwire.opened(attempt, dsn, "sql") as asked:
            yield _postgres(asked)


def _postgres(session: pgwire.PgSession) -> Rows:
    def rows(sql: str, most: int) -> tuple[list[str], list[Sequence[Any]]]:
        """A cursor: it takes one statement that reads, and gives no more than it is asked for."""
        query = sql.strip().rstrip(";")
        session.run(f"{session.begin()}; set local cursor_tuple_fraction = 1")
        session.run(f"declare sre_rows no scroll cursor for {query}", alone=True)
        cursor = session.run(f"fetch forward {most + 1} from sre_rows")
        names = [column.name for column in cursor.description or ()]
        try:
            return names, cursor.fetchall()
        except (ValueError, OverflowError, ArithmeticError) as error:
            raise Unanswered("a value cannot be read by the driver") from error
        except Exception as error:
            if type(error).__module__.startswith("psycopg"):
                raise Unanswered("a value cannot be read by the driver") from error
            raise
        finally:
            session.run("commit")

    return rows


def _mysql(session: mysqlwire.MySession) -> Rows:
    def rows(sql: str, most: int) -> tuple[list[str], list[Sequence[Any]]]:
        names, found = session.run(sql, most)
        if not names:
            raise Unanswered("it gives no rows; write a select")
        return names, list(found)

    return rows


@contextmanager
def sqlite_asking(attempt: Attempt, path: Path) -> Iterator[Rows]:
    """A file, opened for reading alone. Raises Trouble: it cannot be opened."""
    try:
        there = path.is_file()
    except OSError as error:  # a folder on the way may not be entered, say
        raise Trouble(Reason.CONNECT, f"{path} cannot be read: {error.strerror}") from error
    if not there:
        raise Trouble(Reason.CONNECT, f"there is no file {path}")
    deadline = attempt.context.deadline
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=attempt.time_left()
        )
    except sqlite3.Error as error:
        raise Trouble(Reason.CONNECT, f"{path}: {error}") from error
    with closing(connection):
        connection.set_progress_handler(deadline.passed, _STEPS)
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")

        def rows(sql: str, most: int) -> tuple[list[str], list[Sequence[Any]]]:
            attempt.time_left()
            with attempt.phase("processing"):
                try:
                    cursor = connection.execute(sql)
                    names = [column[0] for column in cursor.description or ()]
                    return names, cursor.fetchmany(most + 1)
                except (sqlite3.Error, sqlite3.Warning) as error:
                    if deadline.passed():
                        raise Late("it took too long") from error
                    raise Unanswered(redactor.mask(str(error))) from error

        yield rows
