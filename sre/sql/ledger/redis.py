"""How does one numbered write reach Redis, and when does it count?

A run is one list; a write is one RPUSH. It counts when the reply arrived and, where replicas are to
be waited for, when WAIT says that they have it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.secrets import redactor
from sre.sql.ledger.model import NotWritten, Row, Unclear

__all__ = ["Place", "RedisLedger", "RedisLink", "place_of"]

_PORT = 6379
_PAGE = 20_000
_LEAST_SECONDS = 0.001
_UNCLEAR_CODES = frozenset({"UNBLOCKED", "UNKNOWN", "UNCLEAR"})
_NEVER = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE"})
_HOW = (
    "the dsn cannot be read; write redis://USER:PASSWORD@HOST:6379/0 (rediss:// for TLS), special "
    "characters percent-encoded, option: ssl_ca_certs"
)


class Place:
    """Where a server is, and who we are there."""

    def __init__(self, host: str, port: int, options: dict[str, Any], *, tls: bool) -> None:
        self.host, self.port, self.options, self.tls = host, port, options, tls

    def dial(self, deadline: Deadline, host: str = "", port: int = 0) -> Any:
        """A connection of the driver that has logged in. Raises NotWritten."""
        seconds = max(_LEAST_SECONDS, deadline.left())
        common = {
            **self.options,
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": Retry(NoBackoff(), 0),
            "encoding_errors": "replace",
            "decode_responses": True,
            "client_name": "sre-ledger",
            "protocol": 2,
        }
        kind: Any = SSLConnection if self.tls else Connection
        if "path" in common:
            kind = UnixDomainSocketConnection
        else:
            common |= {"host": host or self.host, "port": port or self.port}
        made = kind(**common)
        try:
            made.connect()
        except (redis.RedisError, OSError, ValueError, UnicodeError) as error:
            with contextlib.suppress(Exception):
                made.disconnect()
            raise _not_connected(error) from None
        return made


class RedisLedger:
    """A list in a Redis server."""

    name = "redis"

    def __init__(self, dsn: str, *, table: str, wait: int = 0) -> None:
        self._place = place_of(dsn)
        self._table, self._wait = table, wait

    def connect(self, deadline: Deadline) -> RedisLink:
        """A connection that has logged in."""
        return RedisLink(self._dial(deadline), self._table, self._wait)

    def _dial(self, deadline: Deadline) -> Any:
        return self._place.dial(deadline)

    def prepare(self, deadline: Deadline) -> None:
        """Nothing is to be made; whether it lets us in is seen."""
        with contextlib.closing(self.connect(deadline)) as link:
            link.master(deadline)

    def read(self, run: str, deadline: Deadline) -> Iterator[tuple[int, int]]:
        """Page by page; nothing is written any more."""
        with contextlib.closing(self.connect(deadline)) as link:
            link.master(deadline)
            at = 0
            while page := link.ask(deadline, "LRANGE", f"{self._table}:{run}", at, at + _PAGE - 1):
                for each in page:
                    writer, _, rest = str(each).partition(":")
                    yield int(writer), int(rest.partition(":")[0])
                at += len(page)
            link.master(deadline)

    def remove(self, run: str, deadline: Deadline) -> None:
        """Delete the list of a run."""
        with contextlib.closing(self.connect(deadline)) as link:
            link.ask(deadline, "DEL", f"{self._table}:{run}")


class RedisLink:
    """One connection."""

    def __init__(self, connection: Any, table: str, wait: int) -> None:
        self._connection, self._table, self._wait = connection, table, wait

    def alive(self) -> bool:
        """Nothing may come from an idle server but its goodbye."""
        try:
            return not self._connection.can_read(timeout=0)
        except (redis.RedisError, OSError, ValueError):
            return False

    def write(self, row: Row, deadline: Deadline) -> None:
        """RPUSH, and WAIT where replicas count."""
        key, value = f"{self._table}:{row.run}", f"{row.writer}:{row.number}:{row.sent!r}"
        self.ask(deadline, "RPUSH", key, value)
        if self._wait:
            left = deadline.left()  # its answer must come before we stop waiting for it
            milliseconds = max(1, int(max(left / 2, left - 0.25) * 1000))
            try:
                reached = int(self.ask(deadline, "WAIT", self._wait, milliseconds))
            except NotWritten as error:  # WAIT alone was refused: the write itself was done
                raise Unclear(error.word, str(error)) from None
            if reached < self._wait:
                raise Unclear("too_few_replicas", f"{reached} of {self._wait} replicas have it")

    def master(self, deadline: Deadline) -> None:
        """Raises NotWritten when this is no master; Unclear."""
        try:
            role = self.ask(deadline, "ROLE")
        except NotWritten as error:
            if error.word != "ERR":
                raise
            return  # a proxy or a service that knows no ROLE
        if role and role[0] != "master":
            raise NotWritten("replica", f"a {role[0]} answered; writes do not go there")

    def ask(self, deadline: Deadline, *command: object) -> Any:
        """One command and its reply. Raises NotWritten, Unclear."""
        try:
            self._connection.send_command(*command, check_health=False)
            left = max(_LEAST_SECONDS, deadline.left())
            return self._connection.read_response(timeout=left)
        except (redis.ResponseError, redis.BusyLoadingError) as error:
            raise _refused(error) from None
        except (redis.TimeoutError, TimeoutError) as error:
            raise Unclear("timeout", redactor.mask(str(error))) from None
        except (redis.RedisError, OSError, ValueError, IndexError, UnicodeError) as error:
            raise Unclear(_code_of(error) or "connection_lost", redactor.mask(str(error))) from None

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(Exception):
            self._connection.disconnect()


def place_of(dsn: str) -> Place:
    """Raises UsageError; the message holds nothing of the dsn."""
    try:
        url = urlsplit(dsn)
        options = _login_of(url.username, url.password, url.path)
        query = parse_qs(url.query, strict_parsing=bool(url.query))
        asked = {key.replace("-", "_"): values[-1] for key, values in query.items()}
        host, port = url.hostname or "localhost", url.port or _PORT
    except ValueError:
        raise UsageError(_HOW) from None
    tls = url.scheme == "rediss"
    if tls:
        options["ssl_check_hostname"] = True
        if "ssl_ca_certs" in asked:
            options["ssl_ca_certs"] = asked.pop("ssl_ca_certs")
    if "unix_socket" in asked:
        options["path"] = asked.pop("unix_socket")
    if asked:
        raise UsageError(_HOW)
    return Place(host, port, options, tls=tls)


def _login_of(user: str | None, password: str | None, path: str) -> dict[str, Any]:
    """Raises ValueError: the database is no number."""
    number = path.strip("/")
    return {
        "username": unquote(user) if user else None,
        "password": unquote(password) if password else None,
        "db": int(number) if number else 0,
    }


def _refused(error: Exception) -> NotWritten | Unclear:
    code, said = _code_of(error), redactor.mask(str(error))
    if code in _UNCLEAR_CODES:
        return Unclear(code, said)
    return NotWritten(code or "ERR", said, never=code in _NEVER)


def _code_of(error: Exception) -> str:
    """The server's own word; the driver keeps it in the text or turns it into a class."""
    for kind, code in (
        (redis.ReadOnlyError, "READONLY"),
        (redis.AuthenticationError, "NOAUTH"),
        (redis.BusyLoadingError, "LOADING"),
    ):
        if isinstance(error, kind):
            return code
    head = str(error).split(" ", 1)[0].strip(":")
    return head if head.isupper() and head.isalpha() else ""


def _not_connected(error: Exception) -> NotWritten:
    said = redactor.mask(" ".join(str(error).split()))
    if isinstance(error, redis.AuthenticationError):
        return NotWritten("auth", said, never=True)
    if isinstance(error, redis.ResponseError):
        refused = _refused(error)
        return NotWritten(refused.word, said, never=refused.never)
    if isinstance(error, redis.TimeoutError | TimeoutError) or "imed out" in said:
        return NotWritten("connect_timeout", said)
    if "refused" in said:
        return NotWritten("connect_refused", said)
    return NotWritten("connect_closed" if "losed" in said else "connect", said)
