"""How is a protocol spoken on one connection so that a slow answer cannot outlive the deadline?"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from sre.core.errors import UsageError
from sre.core.secrets import Secret
from sre.journey.guard import Admission
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble, connect, secured

__all__ = [
    "Bounded",
    "ask",
    "check_port",
    "check_where",
    "dialled",
    "local",
    "revealed",
    "tls_context",
]

_CHUNK = 64 * 2**10


class Bounded:
    """A connected socket, for a client library, whose every operation ends at the deadline.

    A time limit for each operation alone would let a server that drips a byte a second go on for
    ever. What a library sets with `settimeout` is therefore ignored. More than `limit` bytes in
    all are refused, so that a server that is none cannot fill our memory.
    """

    def __init__(
        self, connection: socket.socket, left: Callable[[], float], limit: int = 16 * 2**20
    ) -> None:
        self._connection = connection
        self._left = left
        self._allowance = limit

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As a socket's."""
        data = self._limited().recv(size, flags)
        self._count(len(data))
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """As a socket's."""
        count = self._limited().recv_into(buffer, size, flags)
        self._count(count)
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As a socket's."""
        self._limited().sendall(data, flags)

    def settimeout(self, seconds: float | None) -> None:
        """Ignored: the deadline alone counts."""

    def gettimeout(self) -> float | None:
        """What is left."""
        return self._left()

    def shutdown(self, how: int) -> None:
        """As a socket's."""
        self._connection.shutdown(how)

    def close(self) -> None:
        """As a socket's."""
        self._connection.close()

    def getpeername(self) -> Any:
        """As a socket's."""
        return self._connection.getpeername()

    def _count(self, received: int) -> None:
        self._allowance -= received
        if self._allowance < 0:
            raise OSError(errno.EMSGSIZE, "the answers are larger than any that is expected")

    def _limited(self) -> socket.socket:
        left = self._left()
        if left <= 0:
            raise TimeoutError("no time left")
        self._connection.settimeout(left)
        return self._connection


@contextmanager
def dialled(
    attempt: Attempt, where: Admission | str, tls: ssl.SSLContext | None = None, name: str = ""
) -> Iterator[socket.socket]:
    """A connection to the admitted address, after a TLS handshake if there is a context.

    Args:
        where: a text is the path of a socket of this machine.

    Raises:
        Trouble: `connect`, `tls` or `timeout`.
    """
    raw = local(attempt, where) if isinstance(where, str) else connect(attempt, where)
    with closing(raw):
        if tls is None or isinstance(where, str):
            yield raw
            return
        with closing(secured(attempt, raw, tls, name or where.host)) as connection:
            yield connection


def local(attempt: Attempt, path: str) -> socket.socket:
    """A connection to a socket of this machine, which needs nobody's leave but the file's.

    Raises:
        Trouble: `connect`, `timeout`; `prober` where we may not open it.
    """
    raw = socket.socket(socket.AF_UNIX)
    try:
        with attempt.phase("connect"):
            raw.settimeout(attempt.time_left())
            raw.connect(path)
    except BaseException as error:
        raw.close()
        if isinstance(error, TimeoutError | BlockingIOError):  # its queue of newcomers is full
            raise Trouble(Reason.TIMEOUT, f"{path} takes no connection in time") from error
        if isinstance(error, PermissionError):
            what = f"no permission to open {path}; run as a user of its group"
            raise Trouble(Reason.PROBER, what) from error
        if isinstance(error, OSError):
            raise Trouble(Reason.CONNECT, f"{path}: {error.strerror or error}") from error
        raise
    return raw


def ask(
    attempt: Attempt,
    connection: socket.socket,
    request: bytes,
    complete: Callable[[bytes], bool],
    limit: int = 2**20,
) -> bytes:
    """Send, then read until the answer is complete.

    Raises:
        Trouble: `timeout`; `protocol` when it is closed early or longer than `limit`.
    """
    answer = b""
    with attempt.phase("processing"):
        try:
            connection.settimeout(attempt.time_left())
            connection.sendall(request)
            while not complete(answer):
                connection.settimeout(attempt.time_left())
                chunk = connection.recv(_CHUNK)
                if not chunk:
                    raise Trouble(Reason.PROTOCOL, _closed(answer))
                answer += chunk
                if len(answer) > limit:
                    raise Trouble(Reason.PROTOCOL, f"more than {limit} bytes of an answer")
        except TimeoutError as error:
            what = "the answer did not end in time" if answer else "connected, but no answer"
            raise Trouble(Reason.TIMEOUT, what) from error
        except OSError as error:
            raise Trouble(Reason.PROTOCOL, f"{_closed(answer)}: {error.strerror}") from error
    return answer


def _closed(answer: bytes) -> str:
    return f"closed after {len(answer)} bytes of an answer" if answer else "closed without a word"


def tls_context(
    ca_file: str | None, cert_file: str | None = None, key_file: str | None = None
) -> ssl.SSLContext:
    """A context that verifies, with a certificate of ours if there is one.

    Raises:
        UsageError: a file cannot be read or used; says which.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"ca_file {ca_file} cannot be used: {_why(error)}") from error
    if cert_file is not None:
        try:
            context.load_cert_chain(cert_file, key_file)
        except (OSError, ssl.SSLError) as error:
            files = " and ".join(name for name in (cert_file, key_file) if name)
            raise UsageError(f"{files} cannot be used: {_why(error)}") from error
    return context


def _why(error: OSError) -> str:
    return error.strerror or "no PEM certificate or key in it"


def check_port(port: int, name: str = "port") -> None:
    """Raises ValueError when it cannot be a TCP port."""
    if not 0 < port < 65536:
        raise ValueError(f"{name} must be 1 to 65535")


def check_where(host: str | None, unix_socket: str | None, *, tls: bool) -> None:
    """Raises ValueError unless exactly one of the two says where the server is."""
    if (host is None) == (unix_socket is None):
        raise ValueError("write either host or unix_socket: PATH")
    if unix_socket is not None and not unix_socket.startswith(("/", ".")):
        raise ValueError("unix_socket must be a path such as /run/redis/redis.sock")
    if unix_socket is not None and tls:
        raise ValueError("a unix_socket speaks no TLS; leave out tls")


def revealed(secret: Secret | None) -> str | None:
    """The value, read now; None stays None. Raises UsageError."""
    return None if secret is None else secret.reveal()
