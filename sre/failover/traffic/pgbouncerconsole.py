"""What does PgBouncer's admin console answer, and by when?

The console speaks the simple query protocol alone and may hold an answer back for as long as a
PAUSE lasts, so every wait here ends by a deadline.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator, Mapping

from psycopg import OperationalError, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, Transient, UsageError
from sre.core.secrets import Secret, redactor

__all__ = ["Console", "TooLate", "console"]

_ADMIN = "pgbouncer"


class TooLate(Transient):
    """The console has not answered by the deadline; what was asked may still be under way."""


class Console:
    """One connection to the console; for one thread."""

    def __init__(self, link: PGconn) -> None:
        self._link = link

    def ask(self, command: str, deadline: Deadline) -> list[Mapping[str, str]]:
        """The rows of an answer by their columns' names; none for a command.

        Raises:
            TooLate: no answer by the deadline.
            CheckFailed: PgBouncer refuses; its words.
            Transient: the connection broke.
        """
        try:
            self._link.send_query(command.encode())
            rows: list[Mapping[str, str]] = []
            refused = ""
            while result := self._next(deadline):
                rows += _rows(result)
                if result.status == pq.ExecStatus.FATAL_ERROR:
                    refused = refused or _words(result.error_message)
        except OperationalError as error:
            raise Transient(f"PgBouncer's console broke off: {_words(str(error))}") from error
        if self._link.status != pq.ConnStatus.OK:
            raise Transient(f"PgBouncer's console broke off: {refused}")
        if refused:
            raise CheckFailed(f"PgBouncer refuses {command!r}: {refused}")
        return rows

    def _next(self, deadline: Deadline) -> PGresult | None:
        while self._link.is_busy():
            if not _ready(self._link, deadline, writing=False):
                raise TooLate("PgBouncer's console does not answer in time")
            self._link.consume_input()
        return self._link.get_result()


@contextlib.contextmanager
def console(dsn: Secret, deadline: Deadline) -> Iterator[Console]:
    """A connection to the console.

    Raises:
        UsageError: the DSN cannot be read.
        Transient: nobody answers there by the deadline, or refuses the login.
    """
    link = pq.PGconn.connect_start(_conninfo(dsn))
    try:
        _connected(link, deadline)
        yield Console(link)
    finally:
        link.finish()


def _conninfo(dsn: Secret) -> bytes:
    text = dsn.reveal()
    try:
        known = conninfo_to_dict(text)
    except Exception as error:
        raise UsageError(
            f"the admin DSN ({dsn.reference}) is no PostgreSQL connection string"
        ) from error
    if password := known.get("password"):
        redactor.add(str(password))
    return make_conninfo(text, dbname=_ADMIN, application_name="sre").encode()


def _connected(link: PGconn, deadline: Deadline) -> None:
    wanted = pq.PollingStatus.WRITING
    while wanted != pq.PollingStatus.OK:
        if wanted == pq.PollingStatus.FAILED or link.status == pq.ConnStatus.BAD:
            raise _unreachable(link)
        if not _ready(link, deadline, writing=wanted == pq.PollingStatus.WRITING):
            raise TooLate("PgBouncer's console does not answer; is it frozen, or the wrong port?")
        wanted = pq.PollingStatus(link.connect_poll())


def _unreachable(link: PGconn) -> SreError:
    words = _words(link.error_message)
    return Transient(f"PgBouncer's console: {words or 'nobody answers there'}")


def _ready(link: PGconn, deadline: Deadline, *, writing: bool) -> bool:
    at = [link.socket]
    found = select.select([] if writing else at, at if writing else [], [], deadline.left())
    return any(found)


def _rows(result: PGresult) -> list[Mapping[str, str]]:
    names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
    return [
        {
            name: (result.get_value(row, column) or b"").decode("utf-8", "replace")
            for column, name in enumerate(names)
        }
        for row in range(result.ntuples)
    ]


def _words(text: bytes | str | None) -> str:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text or ""
    return redactor.mask(" ".join(said.split()))[:300]
