"""How is a MariaDB node asked so that a frozen one costs its own deadline and no more? (effects)"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
from pymysql.constants import CR

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, UsageError
from sre.core.secrets import Secret, redactor
from sre.failover.clusters.common.together import Silent, in_time
from sre.sql.mysqldoor import connect

__all__ = ["Connection", "Line", "options_of", "rows", "value"]

T = TypeVar("T")
Connection = Any
"""A `pymysql.connections.Connection`, which has no types."""

_HOW = (
    "cannot be read; write mysql://USER:PASSWORD@HOST:3306/, special characters percent-encoded, "
    "options: ssl-mode, ssl-ca, unix_socket"
)
_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
_LOST = frozenset({CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, 0, 1053, 1927, 4031})
_SETUP = "set session wait_timeout = 3600, lock_wait_timeout = 30, max_statement_time = 0"


def options_of(dsn: str, node: str) -> dict[str, Any]:
    """The driver's own options. Raises UsageError; the message holds nothing of the dsn."""
    try:
        url = urlsplit(dsn)
        query = parse_qs(url.query, strict_parsing=bool(url.query))
        asked = {key.replace("_", "-").lower(): values[-1] for key, values in query.items()}
        options: dict[str, Any] = {
            "host": url.hostname or "localhost",
            "port": url.port or 3306,
            "user": unquote(url.username or ""),
            "password": unquote(url.password or ""),
            "unix_socket": asked.pop("unix-socket", None),
        }
    except ValueError:
        raise UsageError(f"the dsn of {node} {_HOW}") from None
    mode = asked.pop("ssl-mode", "preferred").lower()
    authorities = asked.pop("ssl-ca", None)
    wrong_scheme = url.scheme not in ("mysql", "mariadb")
    if wrong_scheme or asked or mode not in _MODES or not options["user"]:
        raise UsageError(f"the dsn of {node} {_HOW}")
    return {**options, **_tls(mode, authorities, node)}


def _tls(mode: str, authorities: str | None, node: str) -> dict[str, Any]:
    if mode == "disabled":
        return {"ssl_disabled": True}
    if mode == "preferred":
        return {}
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise UsageError(f"ssl-ca of {node} cannot be read: {error.strerror}") from None
    context.check_hostname = mode == "verify_identity"
    if mode == "required":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def rows(connection: Connection, sql: str, *values: object) -> list[dict[str, Any]]:
    """What a statement answers, by column. Raises pymysql.Error."""
    with connection.cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute(sql, values or None)
        return [dict(each) for each in cursor.fetchall()]


def value(connection: Connection, sql: str, *values: object) -> Any:
    """The one value that a statement answers. Raises pymysql.Error."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        row = cursor.fetchone()
    return row[0] if row else None


class Line:
    """Connections to one node, kept between questions. Threads may share it."""

    def __init__(self, node: str, dsn: Secret) -> None:
        self.node, self._dsn = node, dsn
        self._spare: list[Connection] = []
        self._known: dict[int, Connection] = {}
        self._lock = threading.Lock()

    def twin(self) -> Line:
        """Another one to the same node, which shares no connection with this one."""
        return Line(self.node, self._dsn)

    def address(self) -> tuple[str, str]:
        """Host and port. Raises UsageError."""
        options = options_of(self._dsn.reveal(), self.node)
        return str(options["host"]), str(options["port"])

    def login(self) -> dict[str, Any]:
        """How we log in: the driver's options. Raises UsageError."""
        return options_of(self._dsn.reveal(), self.node)

    def mine(self) -> frozenset[int]:
        """The ids of our own sessions there."""
        with self._lock:
            return frozenset(self._known)

    def ask(self, work: Callable[[Connection], T], deadline: Deadline, *, keep: bool = True) -> T:
        """The answer of `work`, which may be called a second time when its connection was stale.

        Raises:
            Silent: no answer by the deadline, or nobody there.
            CheckFailed: the server said no; its words.
            UsageError: the dsn cannot be read.
        """
        held: list[Connection] = []

        def give_up() -> None:
            for each in held:
                _hang_up(each)

        return in_time(
            self.node, lambda: self._work(work, deadline, held, keep=keep), deadline, give_up
        )

    def close(self) -> None:
        """Give every connection back."""
        with self._lock:
            spare, self._spare = self._spare, []
            self._known.clear()
        for each in spare:
            _hang_up(each)

    def _work(
        self,
        work: Callable[[Connection], T],
        deadline: Deadline,
        held: list[Connection],
        *,
        keep: bool,
    ) -> T:
        while True:
            connection, fresh = self._connection(deadline, spare=keep)
            held[:] = [connection]
            try:
                answer = work(connection)
            except (pymysql.Error, OSError, EOFError, IndexError, ValueError) as error:
                lost = _code(error) in _LOST
                if lost or not keep:
                    self._drop(connection)
                else:
                    self._back(connection)
                if lost and not fresh and not deadline.passed():
                    continue  # the server went away since we asked last
                if lost:
                    raise Silent(f"{self.node} hung up: {_words(error)}", "refused") from None
                raise CheckFailed(f"{self.node}: {_words(error)}") from error
            held.clear()
            if keep:
                self._back(connection)
            return answer

    def _back(self, connection: Connection) -> None:
        with self._lock:
            self._spare.append(connection)

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._known = {k: v for k, v in self._known.items() if v is not connection}
        _hang_up(connection)

    def _connection(self, deadline: Deadline, *, spare: bool) -> tuple[Connection, bool]:
        with self._lock:
            if spare and self._spare:
                return self._spare.pop(), False
        options = options_of(self._dsn.reveal(), self.node)
        redactor.add(options["password"])
        left = max(0.001, deadline.left())
        try:
            made = connect(
                autocommit=True, connect_timeout=min(left, 30.0), program_name="sre failover",
                charset="utf8mb4", **options,
            )  # fmt: skip
            with made.cursor() as cursor:
                cursor.execute(_SETUP)
        except (pymysql.Error, OSError, EOFError, IndexError, ValueError, AssertionError) as error:
            raise Silent(f"{self.node}: {_words(error)}", _state(error)) from None
        if deadline.passed():
            _hang_up(made)
            raise Silent(f"{self.node} did not answer in time", "silent")
        with self._lock:
            self._known[made.thread_id()] = made
        return made, True


def _hang_up(connection: Connection) -> None:
    """Without a goodbye, for the server may be frozen; wakes a thread that waits on it."""
    raw = connection._sock  # noqa: SLF001  the driver has no other way
    with contextlib.suppress(OSError):
        if raw is not None:
            raw.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        connection._force_close()  # noqa: SLF001


def _code(error: BaseException) -> int:
    """The server's or the driver's number; 0 where the conversation broke."""
    if not isinstance(error, pymysql.Error):
        return 0
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _state(error: BaseException) -> str:
    text, code = str(error).lower(), _code(error)
    if "timed out" in text:
        return "silent"
    if code in _LOST or code == CR.CR_CONN_HOST_ERROR or 2000 <= code < 2100:
        return "refused"
    return "no-login"


def _words(error: BaseException) -> str:
    """What the server said, secrets masked."""
    said = str(error.args[1]) if len(error.args) > 1 else str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return redactor.mask(lines[0]) if lines else type(error).__name__
