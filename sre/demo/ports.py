"""Which local port may a demo server listen on?"""

from __future__ import annotations

import socket

__all__ = ["HOST", "free_port"]

HOST = "127.0.0.1"


def free_port(preferred: int | None = None) -> int:
    """`preferred` when nothing listens there, else any free port of 127.0.0.1.

    Another process may take the port before the caller does: bind errors are still possible.
    """
    if preferred is not None and _bindable(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port with connections in TIME_WAIT is free for a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
