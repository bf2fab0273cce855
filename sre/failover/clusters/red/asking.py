"""How is a Redis server asked so that a frozen one costs its own deadline alone? (effects)

Connections are kept between questions. One that got no answer in time is given up: a frozen server
accepts connections and says nothing.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.connection import (
    Connection,
    DefaultParser,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.retry import Retry

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, UsageError
from sre.core.secrets import Secret, redactor
from sre.failover.clusters.common.together import Silent, in_time
from sre.sql.ledger.redis import Place, place_of

__all__ = ["Line", "No", "Question", "dsn_place"]

Question = tuple[object, ...]
_LEAST = 0.001


class _Parser(DefaultParser):  # type: ignore[misc,valid-type] # one of two, by what is installed
    """Every error as an answer, with its code in its text: the driver takes some (LOADING) for
    errors of the connection, and reads them a second time."""

    EXCEPTION_CLASSES: ClassVar[dict[str, Any]] = {}


@dataclass(frozen=True)
class No:
    """A command that the server refused: its code (`NOPERM`) and its words."""

    code: str
    text: str


def dsn_place(node: str, dsn: Secret) -> Place:
    """Where a dsn leads. Raises UsageError; the message holds nothing of the dsn."""
    try:
        return place_of(dsn.reveal())
    except UsageError as error:
        raise UsageError(f"node {node}: {error}") from error


class Line:
    """Connections to one server, kept between questions. Threads may share it.

    `place` is read for each connection: keys rotate.
    """

    def __init__(self, name: str, place: Any) -> None:
        self.name, self._place = name, place
        self._spare: list[Any] = []
        self._lock = threading.Lock()

    @property
    def place(self) -> Place:
        """Where it is, now. Raises UsageError."""
        found: Place = self._place()
        return found

    def ask(self, questions: Sequence[Question], deadline: Deadline) -> list[Any]:
        """An answer, or a `No`, for each, all in one go.

        Raises:
            Silent: no answer by the deadline, nobody there, or nobody is let in.
            UsageError: the dsn cannot be read.
        """
        held: list[Any] = []
        work = partial(self._work, questions, deadline, held)
        return in_time(self.name, work, deadline, partial(_hang_up, held))

    def tell(self, deadline: Deadline, *question: object) -> Any:
        """One answer. Raises as `ask`, and CheckFailed when it was refused."""
        [answer] = self.ask([question], deadline)
        if isinstance(answer, No):
            raise CheckFailed(f"{self.name}: {_verb(question)}: {answer.text}")
        return answer

    def close(self) -> None:
        """Give every connection back."""
        with self._lock:
            spare, self._spare = self._spare, []
        for each in spare:
            with contextlib.suppress(Exception):
                each.disconnect()

    def _work(self, questions: Sequence[Question], deadline: Deadline, held: list[Any]) -> Any:
        while True:
            connection, fresh = self._connection(deadline)
            held[:] = [connection]
            try:
                answers = self._exchange(connection, questions, deadline)
            except (redis.RedisError, OSError, ValueError, IndexError) as error:
                with contextlib.suppress(Exception):
                    connection.disconnect()
                late = isinstance(error, redis.TimeoutError | TimeoutError)
                if not fresh and not late and not deadline.passed():
                    continue  # the server went away since we asked last
                raise _silent(self.name, error) from None
            held.clear()
            with self._lock:
                self._spare.append(connection)
            return answers

    def _exchange(
        self, connection: Any, questions: Sequence[Question], deadline: Deadline
    ) -> list[Any]:
        packed = connection.pack_commands(questions)
        connection.send_packed_command(packed, check_health=False)
        return [self._answer(connection, deadline) for _ in questions]

    def _answer(self, connection: Any, deadline: Deadline) -> Any:
        try:
            left = max(_LEAST, deadline.left())
            return connection.read_response(disconnect_on_error=False, timeout=left)
        except redis.ResponseError as error:
            return _no(error)

    def _connection(self, deadline: Deadline) -> tuple[Any, bool]:
        with self._lock:
            while self._spare:
                connection = self._spare.pop()
                with contextlib.suppress(redis.RedisError, OSError, ValueError):
                    if not connection.can_read(timeout=0):  # else it is the server's goodbye
                        return connection, False
                with contextlib.suppress(Exception):
                    connection.disconnect()
        connection = _made(self.place, deadline)
        try:
            connection.connect()
        except (redis.RedisError, OSError, ValueError) as error:
            with contextlib.suppress(Exception):
                connection.disconnect()
            raise _silent(self.name, error) from None
        return connection, True


def _made(place: Place, deadline: Deadline) -> Any:
    seconds = max(_LEAST, deadline.left())
    options = {
        **place.options, "db": 0, "socket_timeout": seconds, "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0), "encoding_errors": "replace", "decode_responses": True,
        "protocol": 2, "parser_class": _Parser,
    }  # fmt: skip
    kind: Any = SSLConnection if place.tls else Connection
    if "path" in options:
        kind = UnixDomainSocketConnection
    else:
        options |= {"host": place.host, "port": place.port}
    made = kind(**options)
    for name in ("driver_info", "lib_name", "lib_version"):  # older servers count it as an error
        setattr(made, name, None)
    return made


def _hang_up(held: list[Any]) -> None:
    for connection in held:
        raw: Any = getattr(connection, "_sock", None)
        with contextlib.suppress(OSError, AttributeError):
            raw.shutdown(socket.SHUT_RDWR)


def _no(error: Exception) -> No:
    text = redactor.mask(" ".join(str(error).split()))[:300]
    first = text.partition(" ")[0]
    return No(first if first.isupper() else "ERR", text)


def _silent(name: str, error: Exception) -> Silent:
    said = redactor.mask(" ".join(str(error).split()))[:200]
    refused = isinstance(error, redis.AuthenticationError | redis.ResponseError)
    if refused or "AUTH" in said or "DENIED" in said:
        return Silent(f"{name}: it does not let us in: {said}", "no-login")
    if isinstance(error, redis.TimeoutError | TimeoutError) or "imed out" in said:
        return Silent(f"{name} did not answer in time", "silent")
    if isinstance(error, redis.ConnectionError | OSError) and "nvalid" not in said:
        return Silent(f"{name}: {said or 'it hung up'}", "refused")
    return Silent(f"{name}: it answers, but not as Redis does", "no-login")


def _verb(question: Question) -> str:
    """The command without what may be a secret."""
    shown = [str(each) for each in question[:2]]
    return " ".join(shown)
