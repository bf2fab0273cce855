"""How is a MariaDB or MySQL reached at its admitted address alone, and asked without changing it?

PyMySQL gets a socket that is connected to the admitted address, and a watchdog that cuts it at the
deadline; the session is read-only and its statements have a time limit of the server's own.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from sre.core.secrets import redactor
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble, admitted, connect
from sre.probes.drivers import needs
from sre.probes.parts import Denied, Late, Unanswered
from sre.probes.watchdog import Watchdog, watched
from sre.probes.wire import local

__all__ = ["MySession", "Place", "Tls", "opened", "place_of"]

Tls = Literal["off", "prefer", "require", "verify_ca", "verify_identity"]

_EXTRA = "databases"
_PORT = 3306
_SHORTEST_SECRET = 6
_DENIED = (1044, 1045, 1054, 1064, 1109, 1142, 1143, 1146, 1193, 1227, 1235, 1370)
"""No privilege, or unknown to this server: column, statement, table, variable."""
_GIVEN_UP = (1205, 1317, 1969, 3024)
_NO_VARIABLE = 1193
_LOST = (2003, 2006, 2013, 2014, 2026, 2027)
_MODES: dict[str, Tls] = {
    "disabled": "off",
    "preferred": "prefer",
    "required": "require",
    "verify_ca": "verify_ca",
    "verify_identity": "verify_identity",
}
_GARBAGE = (ValueError, IndexError, AssertionError, TypeError, struct.error)
"""What the driver raises when somebody else answers at that port."""


@dataclass(frozen=True)
class Place:
    """Where a server is and who asks. `unix_socket` is a path and replaces host and port."""

    host: str = "localhost"
    port: int = _PORT
    unix_socket: str | None = None
    user: str = ""
    password: str = ""
    database: str | None = None
    tls: Tls = "prefer"
    ca_file: str | None = None


def place_of(dsn: str) -> Place:
    """`mysql://USER:PASSWORD@HOST:3306/DATABASE?ssl-mode=verify_identity&ssl-ca=…`.

    Also `mariadb://`, and `?unix_socket=/run/mysqld/mysqld.sock`; what is special in an address is
    percent-encoded.

    Raises:
        Trouble: it cannot be read (reason `prober`); the message holds nothing of it.
    """
    try:
        url = urlsplit(dsn)
        port, options = url.port or _PORT, parse_qs(url.query, strict_parsing=bool(url.query))
        asked = {key.replace("_", "-"): values[-1] for key, values in options.items()}
        mode = _MODES[asked.pop("ssl-mode", "preferred").lower()]
    except (ValueError, KeyError):
        raise _misread() from None
    path, ca_file = asked.pop("unix-socket", None), asked.pop("ssl-ca", None)
    asked.pop("charset", None)
    scheme = url.scheme.partition("+")[0]
    if scheme not in ("mysql", "mariadb") or asked or not (url.hostname or path):
        raise _misread()
    password = unquote(url.password or "")
    if len(password) >= _SHORTEST_SECRET and password != url.username:
        redactor.add(password)
    name, host = unquote(url.path.lstrip("/")), url.hostname or "localhost"
    user = unquote(url.username or "")
    return Place(host, port, path, user, password, name or None, mode, ca_file)


def _misread() -> Trouble:
    return Trouble(
        Reason.PROBER,
        "the dsn cannot be read; write mysql://USER:PASSWORD@HOST/DATABASE, special characters "
        "percent-encoded, options: ssl-mode, ssl-ca, unix_socket",
    )


@contextmanager
def opened(attempt: Attempt, place: Place, kind: str) -> Iterator[MySession]:
    """One connection, closed afterwards.

    Raises:
        Trouble: blocked, or why nobody let us in.
        MissingExtra: the driver is not installed.
    """
    with needs(kind, _EXTRA):
        import pymysql.connections  # noqa: PLC0415  only who asks MySQL needs the driver
    with closing(_socket(attempt, place)) as raw:
        connection: Any = pymysql.connections.Connection(
            host=place.host, user=place.user, password=place.password.encode(),
            database=place.database, charset="utf8mb4", autocommit=True, defer_connect=True,
            program_name="sre", **_tls(place),
        )  # fmt: skip
        with watched(raw.fileno(), attempt.time_left()) as dog:
            session = MySession(attempt, connection, dog)
            session.log_in(raw, local=place.unix_socket is not None)
            try:
                session.restrict()
                yield session
            finally:
                if connection.open:  # with a goodbye: else the server counts an aborted client
                    connection.close()


def _socket(attempt: Attempt, place: Place) -> socket.socket:
    if place.unix_socket is None:
        return connect(attempt, admitted(attempt, place.host, place.port))
    return local(attempt, place.unix_socket)


def _tls(place: Place) -> dict[str, Any]:
    """The driver's own words for a mode. Raises Trouble: the authorities cannot be read."""
    if place.tls == "off":
        return {"ssl_disabled": True}
    if place.tls == "prefer":
        return {}
    try:
        context = ssl.create_default_context(cafile=place.ca_file)
    except OSError as error:
        raise Trouble(Reason.PROBER, f"ca_file cannot be read: {error.strerror}") from error
    context.check_hostname = place.tls == "verify_identity"
    if place.tls == "require":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


@dataclass
class MySession:
    """One connection that only reads."""

    attempt: Attempt
    connection: Any
    dog: Watchdog

    @property
    def mariadb(self) -> bool:
        """Which of the two it is."""
        return "mariadb" in str(self.connection.server_version).lower()

    def log_in(self, raw: socket.socket, *, local: bool) -> None:
        """Shake hands on a connected socket. Raises Trouble."""
        import pymysql  # noqa: PLC0415

        with self.attempt.phase("processing"):
            try:
                self.connection._secure = local  # a socket on this machine may carry a password
                self.connection.connect(sock=raw)
            except pymysql.err.Error as error:
                raise self._outside(error) from None
            except RuntimeError as error:  # a password that needs RSA
                raise Trouble(
                    Reason.PROBER, f"{error}; or use TLS: pip install cryptography"
                ) from None
            except _GARBAGE as error:
                raise self._cut() or Trouble(Reason.PROTOCOL, "it does not speak MySQL") from error

    def restrict(self) -> None:
        """Read only, bounded, in one clock; servers differ in what they know of that.

        Raises:
            Unanswered, Trouble: not even read-only is possible.
        """
        left = self.attempt.time_left() * 0.9
        self.run("set session transaction read only")
        limit = (
            f"max_statement_time = {left:.3f}"
            if self.mariadb
            else (f"max_execution_time = {max(1, int(left * 1000))}")
        )
        self._try(f"set session {limit}")
        self._try(f"set session lock_wait_timeout = {max(1, int(left))}")
        self._try("set session time_zone = 'SYSTEM'")

    def _try(self, statement: str) -> None:
        try:
            self.run(statement)
        except Denied:
            return

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """All rows of a query, by column.

        Raises:
            Unanswered: denied, late, or failed; the session can go on.
            Trouble: it cannot: the time is up, or the connection is gone.
        """
        names, rows = self.run(sql)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def run(self, sql: str, most: int | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of one statement, `most` rows and one more at most.

        No statement holds a second one: the driver was not told to allow that.
        Raises as `rows` does.
        """
        import pymysql  # noqa: PLC0415

        kind = pymysql.cursors.Cursor if most is None else pymysql.cursors.SSCursor
        with self.attempt.phase("processing"):
            try:
                with self.connection.cursor(kind) as cursor:
                    cursor.execute(sql)
                    rows = cursor.fetchall() if most is None else cursor.fetchmany(most + 1)
                    return [column[0] for column in cursor.description or ()], list(rows)
            except pymysql.err.Error as error:
                raise self._inside(error) from None
            except _GARBAGE as error:
                raise self._cut() or Trouble(Reason.PROTOCOL, "an answer makes no sense") from error

    def _cut(self) -> Trouble | None:
        late = Trouble(Reason.TIMEOUT, "the server stopped answering")
        return late if self.dog.bit else None

    def _outside(self, error: Any) -> Trouble:
        """Why there is no session."""
        code, text = _code(error)
        why = getattr(error, "original_exception", None)
        if self.dog.bit:
            return Trouble(Reason.TIMEOUT, "connected, but the server did not let us in in time")
        if isinstance(why, ssl.SSLCertVerificationError):
            return Trouble(Reason.TLS, f"not trusted: {why.verify_message}")
        if isinstance(why, ssl.SSLError) or code == 2026:
            return Trouble(Reason.TLS, f"no TLS session: {getattr(why, 'reason', None) or text}")
        if code in _LOST or code == 0:
            return Trouble(Reason.PROTOCOL, "the server closed the connection, or is no MySQL")
        return Trouble(Reason.STATUS, f"the server refused: {text}")

    def _inside(self, error: Any) -> Exception:
        code, text = _code(error)
        if self.dog.bit:
            return Trouble(Reason.TIMEOUT, "the server stopped answering")
        if code in _LOST or not self.connection.open:
            return Trouble(Reason.PROTOCOL, "the server closed the connection")
        if code in _DENIED:
            return Denied(text)
        return Late("it took too long") if code in _GIVEN_UP else Unanswered(text)


def _code(error: Any) -> tuple[int, str]:
    """The server's number and sentence; numbers above 2000 are the driver's."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[-1]) if error.args else type(error).__name__
    return code, redactor.mask(re.sub(r"\s+", " ", text).strip()[:300])
