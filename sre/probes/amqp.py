"""Does a port speak AMQP 0-9-1: is its protocol header answered as the standard says?"""

from __future__ import annotations

import socket
import struct

from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.wire import ask

__all__ = ["greeted"]

_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = 1
_START = (10, 10)


def greeted(attempt: Attempt, connection: socket.socket) -> None:
    """Send the header; the server must begin with Connection.Start. Nobody logs in.

    Raises:
        Trouble: `timeout`, or `protocol` when something else is answered.
    """
    answer = ask(attempt, connection, _HEADER, _enough)
    if answer.startswith(b"AMQP"):
        version = ".".join(str(byte) for byte in answer[5:8])
        raise Trouble(Reason.PROTOCOL, f"the AMQP port speaks {version}, not 0.9.1")
    kind, _channel, _size, *method = struct.unpack(">BHIHH", answer[:11])
    if kind != _METHOD_FRAME or tuple(method) != _START:
        raise Trouble(Reason.PROTOCOL, "the AMQP port answers something else than AMQP 0-9-1")


def _enough(heard: bytes) -> bool:
    """A server of another version answers with its own header, 8 bytes, and closes."""
    return len(heard) >= (8 if heard.startswith(b"AMQP") else 11)
