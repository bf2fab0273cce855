"""How is one command said to a HAProxy's runtime API?"""

from __future__ import annotations

import re
import socket

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient

__all__ = ["ask", "quoted"]

_MOST = 16 * 2**20


def ask(address: str, command: str, deadline: Deadline) -> str:
    """The answer of the API at `address`, the path of a socket or HOST:PORT.

    Raises:
        Transient: nobody answers in time.
        CheckFailed: the answer has no end.
    """
    try:
        with _connected(address, deadline) as raw:
            raw.settimeout(max(0.001, deadline.left()))
            raw.sendall(f"{command}\n".encode("utf-8", "surrogateescape"))
            return _whole(raw, address, deadline).decode("utf-8", "surrogateescape")
    except TimeoutError as error:
        raise Transient(f"HAProxy at {address} does not answer in time") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise Transient(f"HAProxy at {address} cannot be reached: {why}") from error


def quoted(text: str) -> str:
    """`text` as one word of a command."""
    return re.sub(r"([\\ \t;\"'#])", r"\\\1", text)


def _connected(address: str, deadline: Deadline) -> socket.socket:
    seconds = max(0.001, deadline.left())
    if "/" not in address:
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), seconds)
    raw = socket.socket(socket.AF_UNIX)
    try:
        raw.settimeout(seconds)
        raw.connect(address)
    except BaseException:
        raw.close()
        raise
    return raw


def _whole(raw: socket.socket, address: str, deadline: Deadline) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        raw.settimeout(max(0.001, deadline.left()))
        chunk = raw.recv(65536)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        size += len(chunk)
        if size > _MOST:
            raise CheckFailed(f"HAProxy at {address} answers without end")
