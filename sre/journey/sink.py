"""Where is an answer gathered, and to which address alone may its socket lead?"""

from __future__ import annotations

from _socket import socket as raw_socket
from collections.abc import Callable
from dataclasses import dataclass, field
from posix import close, dup  # gevent's close comes late: it would keep two descriptors longer
from typing import Any

import pycurl

from sre.journey.guard import Admission

__all__ = ["Sink", "open_pinned", "opened", "pinned"]


@dataclass(slots=True)
class Sink:
    """Where an answer is gathered: body up to a limit, header lines as they come.

    Attributes:
        begun: how often libcurl wanted to send a request that may be sent once alone.
    """

    limit: int
    chunks: list[bytes] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    overflow: bool = False
    trouble: str = ""
    begun: int = 0

    def once(self, *_where: object) -> int:
        """libcurl's callback before it sends: a second time is forbidden.

        A kept connection that the server closes instead of answering makes libcurl send the same
        request again, a payment too.
        """
        self.begun += 1
        return int(pycurl.PREREQFUNC_OK if self.begun == 1 else pycurl.PREREQFUNC_ABORT)

    def body(self, chunk: bytes) -> int | None:
        """libcurl's write callback: anything but the length ends the transfer."""
        self.size += len(chunk)
        if self.size > self.limit:
            self.overflow = True
            return -1
        self.chunks.append(chunk)
        return None

    def header(self, line: bytes) -> None:
        """libcurl's header callback; a new status line (100-continue) begins anew."""
        if line.startswith(b"HTTP/"):
            self.lines.clear()
        self.lines.append(line)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """(lower-case name, value), in order."""
        pairs = (line.decode("latin-1").partition(":") for line in self.lines[1:] if b":" in line)
        return tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)


def pinned(admission: Admission, sink: Sink) -> Callable[[int, Any], Any]:
    """libcurl's callback that opens a socket to the admitted address and to nowhere else."""

    def open_socket(_purpose: int, address: Any) -> Any:
        return open_pinned(address, admission.address, admission.port, sink)

    return open_socket


def open_pinned(address: Any, admitted: str, port: int, sink: Sink) -> Any:
    """A socket to libcurl's `address`, if it is the admitted one."""
    family, kind, protocol, where = address
    if str(where[0]) != admitted or where[1] != port:
        return pycurl.SOCKET_BAD
    try:
        socket = _Opened(raw_socket(family, kind, protocol).detach())
        close(dup(socket.descriptor))  # pycurl's own duplicate would fail without a word
    except OSError as error:  # out of file descriptors: our trouble, not the shop's
        sink.trouble = f"cannot open a socket: {error.strerror}; raise ulimit -n"
        return pycurl.SOCKET_BAD
    return socket


def opened(descriptor: int) -> Any:
    """A socket that is there already, for libcurl to have."""
    return _Opened(descriptor)


class _Opened:
    """A descriptor for pycurl, which takes a duplicate of it; ours is closed when it lets go."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def fileno(self) -> int:
        return self.descriptor

    def __del__(self) -> None:
        close(self.descriptor)
