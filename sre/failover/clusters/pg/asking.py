"""How is a PostgreSQL node asked so that a frozen one costs its own deadline and no more? (effects)

Each question runs in a thread of its own over a connection that is kept. One that gets no answer
in time is given up with its connection: a frozen server accepts connections and says nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.rows import tuple_row

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, UsageError
from sre.core.secrets import Secret, redactor
from sre.failover.clusters.common.together import Silent, in_time

__all__ = ["Later", "Line", "address_of"]

T = TypeVar("T")
Connection = psycopg.Connection[Any]

_STARTING = re.compile(r"starting up|shutting down|recovery mode|not yet accepting|not accepting")
_DEAD = re.compile(
    r"refused|timeout|timed out|no route|unreachable|could not (translate|resolve)|"
    r"closed the connection|reset by peer|failed to resolve|no such file|lost",
    re.IGNORECASE,
)
_SETUP = "set statement_timeout = 0; set lock_timeout = 0; set idle_session_timeout = 0"


def address_of(dsn: str) -> tuple[str, str]:
    """Host and port of a connection string. Raises UsageError."""
    try:
        words = conninfo.conninfo_to_dict(dsn)
    except psycopg.Error as error:
        raise UsageError(f"a dsn cannot be read: {str(error).strip()}") from error
    return str(words.get("host") or words.get("hostaddr") or ""), str(words.get("port") or "5432")


class Line:
    """Connections to one node, kept between questions. Threads may share it."""

    def __init__(self, node: str, dsn: Secret) -> None:
        self.node, self._dsn = node, dsn
        self._spare: list[Connection] = []
        self._lock = threading.Lock()

    def ask(self, work: Callable[[Connection], T], deadline: Deadline) -> T:
        """The answer of `work`, which may be called a second time when its connection was stale.

        Raises:
            Silent: no answer by the deadline, or nobody there.
            CheckFailed: the server said no; its words.
            UsageError: the dsn cannot be read.
        """
        held: list[Connection] = []
        return in_time(
            self.node, lambda: self._work(work, deadline, held), deadline, lambda: _hang_up(held)
        )

    def close(self) -> None:
        """Give every connection back."""
        with self._lock:
            spare, self._spare = self._spare, []
        for each in spare:
            with contextlib.suppress(psycopg.Error, OSError):
                each.close()

    def _work(
        self, work: Callable[[Connection], T], deadline: Deadline, held: list[Connection]
    ) -> T:
        while True:
            connection, fresh = self._connection(deadline)
            held[:] = [connection]
            try:
                answer = work(connection)
            except psycopg.Error as error:
                broken = connection.broken or connection.closed
                if broken and not fresh and not deadline.passed():
                    continue  # the server went away since we asked last
                with contextlib.suppress(psycopg.Error):
                    connection.close()
                if broken or isinstance(error, psycopg.errors.AdminShutdown):
                    raise Silent(f"{self.node} hung up", "refused") from error
                raise CheckFailed(f"{self.node}: {_words(error)}") from error
            held.clear()
            with self._lock:
                self._spare.append(connection)
            return answer

    def _connection(self, deadline: Deadline) -> tuple[Connection, bool]:
        with self._lock:
            while self._spare:
                connection = self._spare.pop()
                if not connection.closed:
                    return connection, False
        dsn = self._dsn.reveal()
        try:
            connection = psycopg.connect(
                dsn, autocommit=True, connect_timeout=2, tcp_user_timeout=3000,
                keepalives_idle=2, keepalives_interval=1, keepalives_count=2,
                application_name="sre failover", row_factory=tuple_row, prepare_threshold=None,
            )  # fmt: skip
            connection.execute(_SETUP.replace("; set idle_session_timeout = 0", "")
                               if connection.info.server_version < 140000 else _SETUP)  # fmt: skip
        except psycopg.ProgrammingError as error:
            raise UsageError(f"the dsn of {self.node} cannot be read: {_words(error)}") from error
        except psycopg.Error as error:
            raise Silent(f"{self.node}: {_words(error)}", _state(str(error))) from error
        if deadline.passed():
            with contextlib.suppress(psycopg.Error):
                connection.close()
            raise Silent(f"{self.node} did not answer in time", "silent")
        return connection, True


def _hang_up(held: list[Connection]) -> None:
    """Wake the thread that waits on a connection which says nothing."""
    for connection in held:
        with (
            contextlib.suppress(psycopg.Error, OSError),
            socket.socket(fileno=os.dup(connection.fileno())) as raw,
        ):
            raw.shutdown(socket.SHUT_RDWR)


def _state(text: str) -> str:
    if _STARTING.search(text):
        return "starting"
    if "timeout" in text.lower():
        return "silent"
    if _DEAD.search(text):
        return "refused"
    return "no-login"


def _words(error: BaseException) -> str:
    """The first line of what a server or libpq said, secrets masked."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return redactor.mask(lines[0]) if lines else type(error).__name__


class Later:
    """A job beside us, for whose end somebody waits later, or nobody."""

    def __init__(self, job: Callable[[], object], name: str) -> None:
        self._job = job
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        with contextlib.suppress(SreError):  # whoever waits looks for himself what became of it
            self._job()

    def start(self) -> None:
        """Begin it."""
        self._thread.start()

    def join(self, deadline: Deadline) -> None:
        """Wait for its end, at the latest to the deadline."""
        self._thread.join(deadline.left())
