"""How does redis-py talk over one connection that is pinned, admitted and bound to the deadline?"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from redis import exceptions
from redis.connection import AbstractConnection, DefaultParser

from sre.journey.guard import Admission
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.wire import Bounded, dialled

__all__ = ["Link", "Login", "Refusal", "linked"]

_CURES = (
    ("max number of clients", "the server takes no more connections (maxclients)"),
    ("DENIED", "the server is in protected mode: give it a password or a bind address"),
    ("wrong number of arguments", "the server is older than Redis 6: remove username"),
    ("NOAUTH", "the server wants a password; set password"),
    ("without any password", "the server has no password for this user; remove password"),
    ("no password is set", "the server has no password; remove password"),
    ("invalid username-password", "user name or password is wrong, or the user is disabled"),
    ("invalid password", "the password is wrong"),
    ("DB index", "the server has no database of this number (db)"),
)


@dataclass(frozen=True)
class Refusal:
    """A command that the server refused: its code (`NOPERM`) and its words."""

    code: str
    text: str


@dataclass(frozen=True)
class Login:
    """Who we are; values, so it lives no longer than a run."""

    username: str | None = None
    password: str | None = None
    db: int = 0


class _Parser(DefaultParser):  # type: ignore[misc,valid-type] # one of two, by what is installed
    """Every error as an answer, with its code in its text.

    redis-py calls some of them (LOADING, NOAUTH) errors of the connection: it raises them out of
    its parser and reads the same one again the next time.
    """

    EXCEPTION_CLASSES: ClassVar[dict[str, Any]] = {}


class _Connection(AbstractConnection):
    """redis-py's own protocol over a socket of ours; it never opens one itself."""

    host: str = "the server"

    def __init__(self, connection: Bounded, login: Login) -> None:
        super().__init__(
            db=login.db,
            username=login.username,
            password=login.password,
            protocol=2,
            decode_responses=True,
            encoding_errors="replace",
            parser_class=_Parser,
        )
        self._given: Bounded | None = connection
        # No CLIENT SETINFO: servers before 7.2 count it as an error, ACL LOG keeps it as a denial.
        for name in ("driver_info", "lib_name", "lib_version"):
            setattr(self, name, None)

    def _connect(self) -> Any:
        given, self._given = self._given, None
        if given is None:
            raise ConnectionResetError("the connection was closed")
        return given

    def repr_pieces(self) -> list[tuple[str, str]]:
        return []

    def _host_error(self) -> str:
        return "the server"


class Link:
    """A conversation that has begun; commands are answered, or refused, one by one."""

    def __init__(self, attempt: Attempt, connection: _Connection) -> None:
        self._attempt = attempt
        self._connection: Any = connection

    def ask(self, *commands: tuple[str, ...]) -> list[Any]:
        """All commands in one go; an answer, or a Refusal, for each.

        Raises:
            Trouble: `timeout` or `protocol`.
        """
        with self._attempt.phase("processing"), _translated():
            packed = self._connection.pack_commands(commands)
            self._connection.send_packed_command(packed, check_health=False)
            return [self._one() for _ in commands]

    def _one(self) -> Any:
        try:
            return self._connection.read_response(disconnect_on_error=False)
        except exceptions.ResponseError as error:
            return _refusal(error)


@contextmanager
def linked(
    attempt: Attempt, where: Admission | str, login: Login, tls: ssl.SSLContext | None, name: str
) -> Iterator[Link]:
    """Connect, log in, choose the database; hung up at the end.

    Raises:
        Trouble: `connect`, `tls`, `timeout`, `status` (refused) or `protocol`.
    """
    with dialled(attempt, where, tls, name) as raw:
        connection: Any = _Connection(Bounded(raw, attempt.context.deadline.left), login)
        try:
            with attempt.phase("processing"), _translated():
                connection.connect()
            yield Link(attempt, connection)
        finally:
            connection.disconnect()


@contextmanager
def _translated() -> Iterator[None]:
    """redis-py's exceptions as Troubles; none of them is shown as it is."""
    try:
        yield
    except (exceptions.TimeoutError, TimeoutError) as error:
        raise Trouble(Reason.TIMEOUT, "connected, but no answer came in time") from error
    except exceptions.ResponseError as error:
        raise Trouble(Reason.STATUS, _words(_refusal(error))) from error
    except (exceptions.ConnectionError, OSError) as error:
        raise _lost(str(error)) from error
    except (exceptions.RedisError, ValueError, RecursionError) as error:
        raise Trouble(Reason.PROTOCOL, "it answered, but not in Redis' protocol") from error


def _lost(text: str) -> Trouble:
    """A connection that ended."""
    if "larger than any" in text:
        return Trouble(Reason.PROTOCOL, "its answers are larger than any that is expected")
    return Trouble(
        Reason.PROTOCOL, "closed without an answer; if the server speaks TLS, set tls: true"
    )


def _refusal(error: Exception) -> Refusal:
    """`NOPERM this user has no permissions ...`: the code is the first word."""
    text = str(error)
    first = text.partition(" ")[0]
    return Refusal(first if first.isupper() else "ERR", text)


def _words(refusal: Refusal) -> str:
    """What to do. The server's own text is not shown: it may repeat what it was sent."""
    for sign, cure in _CURES:
        if sign in refusal.text:
            return cure
    return f"the login was refused ({refusal.code})"
