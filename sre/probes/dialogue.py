"""How is a talk held over a real socket, within the deadline of its probe?"""

from __future__ import annotations

from collections.abc import Callable, Generator
from socket import socket
from typing import TypeVar

from sre.journey.result import Reason
from sre.probes.conversation import Hear, Say, Secure
from sre.probes.dial import Attempt, Trouble

__all__ = ["hold"]

T = TypeVar("T")


def hold(
    attempt: Attempt,
    talk: Generator[Say | Hear | Secure, bytes, T],
    connection: socket,
    secure: Callable[[socket], socket],
) -> tuple[socket, T]:
    """Drive the talk to its end; the connection that it ended on (TLS may have begun), its result.

    Whoever opened `connection` closes it; what `secure` made of it is closed here on failure.

    Raises:
        Unmatched: the other side did not say what was expected.
        Trouble: `timeout` (no answer), `body` (a part of one), `protocol`, or one of `secure`.
    """
    heard, answer = 0, b""
    try:
        action = next(talk)
        while True:
            if isinstance(action, Hear):
                answer = _hear(attempt, connection, action.most, heard)
                heard += len(answer)
            else:
                answer, heard = b"", 0
                if isinstance(action, Say):
                    _say(attempt, connection, action.data)
                else:
                    connection = secure(connection)
            action = talk.send(answer)
    except StopIteration as end:
        return connection, end.value
    except BaseException:
        connection.close()
        raise
    finally:
        talk.close()


def _say(attempt: Attempt, connection: socket, data: bytes) -> None:
    try:
        connection.settimeout(attempt.time_left())
        connection.sendall(data)
    except TimeoutError as error:
        raise Trouble(Reason.TIMEOUT, "the text could not be sent in time") from error
    except OSError as error:
        raise Trouble(Reason.PROTOCOL, f"closed while sending: {error.strerror}") from error


def _hear(attempt: Attempt, connection: socket, most: int, heard: int) -> bytes:
    with attempt.phase("processing"):
        try:
            connection.settimeout(attempt.time_left())
            return connection.recv(most)
        except (TimeoutError, Trouble) as error:
            if heard:
                told = f"no match in {heard} bytes before the time was up"
                raise Trouble(Reason.BODY, told) from error
            raise Trouble(Reason.TIMEOUT, "connected, but no answer came in time") from error
        except OSError as error:
            why = error.strerror or error
            raise Trouble(Reason.PROTOCOL, f"reset while answering: {why}") from error
