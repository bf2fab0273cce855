"""Which local port may a demo server listen on?"""

from __future__ import annotations

import random
import socket

from sre.core.errors import Transient

__all__ = ["HOST", "free_port"]

HOST = "127.0.0.1"
_FIRST, _LAST = 10_240, 32_768


def free_port(preferred: int | None = None, *, twin: int = 0) -> int:
    """`preferred` when nothing listens there, else any free port of 127.0.0.1.

    It lies below the range from which the kernel takes ports for outgoing connections (32768 on),
    so that no client takes it before the caller listens; another server still may.

    Args:
        twin: a server that also listens so many ports above needs that one free, too.
    """
    if preferred is not None and _bindable(preferred):
        return preferred
    ports = random.sample(range(_FIRST, _LAST - twin), 500)
    for port in ports:
        if _bindable(port) and (not twin or _bindable(port + twin)):
            return port
    raise Transient(f"no free port on {HOST} between {_FIRST} and {_LAST}")


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port with connections in TIME_WAIT is free for a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
