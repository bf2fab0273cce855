"""How are the messages of a copy taken from a server's connection?

The driver gives each message of 32 KiB by itself and holds up our other threads meanwhile. Where a
connection is not encrypted its socket is read here instead, once the driver has logged in: by what
the protocol calls a simple query, in pieces as large as they come.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Protocol

from sre.core.errors import CheckFailed, IntegrityError

__all__ = ["Copying", "Socket", "ask"]

_RECEIVE = 2**18
_SMALL = 2**20
_PATIENCE = struct.pack("@ll", 0, 10_000)
"""Seconds and microseconds, after which fewer bytes do."""
_HEAD, _HEADS = struct.Struct("!BI"), struct.Struct("!BIB")
_LEAST = 6  # a length and a byte of data
_DATA, _COPY_OUT, _DONE, _COMPLETE, _READY, _ERROR = b"dHcCZE"
_ROWS, _ROW, _NOTICE, _STATUS, _TOLD = b"TDNSA"
_PASSING = ord("d")


class Copying(Protocol):
    """One BASE_BACKUP. Everything may raise CheckFailed (the server's words), IntegrityError."""

    def begin(self, command: str) -> None:
        """Ask, unless that was done; returns when the copy begins."""
        ...

    def messages(self) -> Iterator[tuple[int, memoryview]]:
        """Kinds and contents; what is data ("d") perhaps in several pieces."""
        ...

    def end(self) -> None:
        """Returns when the server has said that the copy is complete; an error comes here too."""
        ...

    def close(self) -> None:
        """Let go of what was opened here; the connection is its owner's."""
        ...


def ask(descriptor: int, command: str) -> None:
    """Send a command over the socket of an idle connection; whoever reads it has the answer.

    Raises CheckFailed: the connection is gone.
    """
    text = memoryview(command.encode() + b"\0")
    data = memoryview(_HEAD.pack(ord("Q"), len(text) + 4) + text)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError as error:
        raise CheckFailed(f"the server cannot be asked: {error.strerror}") from error


class Socket:
    """By the socket of a connection that is not encrypted; it becomes ours.

    `asked`: the command was sent already, and nothing else runs on it; else it is idle.
    """

    def __init__(self, descriptor: int, *, asked: bool = False) -> None:
        self._asked = asked
        self._socket = socket.socket(fileno=descriptor)
        self._socket.settimeout(None)
        self._gather()
        self._ahead = memoryview(b"")

    def _gather(self) -> None:
        """Have the system wake us for a good piece, not for each few KiB; soon all the same."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _RECEIVE // 2)

    def begin(self, command: str) -> None:
        """As Copying's."""
        if not self._asked:
            ask(self._socket.fileno(), command)
        self._answers(_COPY_OUT)

    def messages(self) -> Iterator[tuple[int, memoryview]]:
        """As Copying's."""
        while True:
            yield from self._passing()
            kind, size = self._head()
            if kind == _DATA and size > 0:
                inner = self._exactly(1)[0]
                if inner != _PASSING:
                    yield inner, memoryview(self._small(size - 1))
                    continue
                left = size - 1
                while left:
                    piece = self._some(left)
                    left -= len(piece)
                    yield inner, piece
            elif kind == _DONE:
                self._small(size)
                return
            else:
                self._pass_by(kind, self._small(size))

    def _passing(self) -> Iterator[tuple[int, memoryview]]:
        """The whole messages of data that are there already, which nearly all are."""
        ahead, at = self._ahead, 0
        last = len(ahead) - _HEADS.size
        while at <= last:
            kind, size, inner = _HEADS.unpack_from(ahead, at)
            end = at + 1 + size
            if kind != _DATA or inner != _PASSING or size < _LEAST or end > len(ahead):
                break
            yield inner, ahead[at + _HEADS.size : end]
            at = end
        self._ahead = ahead[at:]

    def end(self) -> None:
        """As Copying's."""
        self._answers(_READY)

    def close(self) -> None:
        """As Copying's."""
        self._socket.close()

    def _answers(self, last: int) -> None:
        """Two commands are complete before `last` comes: rows of where, and which or none."""
        complete = 0
        while True:
            kind, size = self._head()
            content = self._small(size)
            if kind == last:
                break
            complete += kind == _COMPLETE
            if kind not in (_ROWS, _ROW, _COMPLETE):
                self._pass_by(kind, content)
        if complete != 2:
            raise CheckFailed("the server says something else than the protocol knows")

    def _pass_by(self, kind: int, content: bytes) -> None:
        if kind == _ERROR:
            raise CheckFailed(_words(content))
        if kind not in (_NOTICE, _STATUS, _TOLD):
            raise IntegrityError(f"the server sent {chr(kind)!r}, which this program does not know")

    def _head(self) -> tuple[int, int]:
        kind, size = _HEAD.unpack(self._exactly(_HEAD.size))
        if size < 4:
            raise IntegrityError("the server sent a message without a length")
        return kind, size - 4

    def _small(self, size: int) -> bytes:
        if size > _SMALL:
            raise IntegrityError(f"the server sent a message of {size} bytes where none is so long")
        return bytes(self._exactly(size))

    def _exactly(self, size: int) -> bytes | bytearray | memoryview:
        piece = self._some(size) if size else memoryview(b"")
        if len(piece) == size:
            return piece
        found = bytearray(piece)
        while len(found) < size:
            found += self._some(size - len(found))
        return found

    def _some(self, most: int) -> memoryview:
        """What is there, at least a byte; waits for it."""
        if not self._ahead:
            self._ahead = memoryview(self._received())
        piece, self._ahead = self._ahead[:most], self._ahead[most:]
        return piece

    def _received(self) -> bytes:
        """What has come, at least a byte."""
        while True:
            try:
                got = self._socket.recv(_RECEIVE)
            except BlockingIOError:  # nothing yet
                continue
            except OSError as error:
                words = f"the connection to the server broke: {error.strerror}"
                raise CheckFailed(words) from error
            if not got:
                raise CheckFailed("the server closed the connection while it was copied")
            return got


def _words(content: bytes) -> str:
    """Of an error: its message, detail and hint."""
    fields = {each[:1]: each[1:].decode("utf-8", "replace") for each in content.split(b"\0")}
    told = [fields[key] for key in (b"M", b"D", b"H") if key in fields]
    return "; ".join(told) or "the server refuses, and does not say why"
