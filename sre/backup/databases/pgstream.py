"""How does a copy that we ask of a server begin?

The driver logs in, here. Where the connection is not encrypted its socket goes to the program that
seals, which reads it itself (`pgcopy`): no program and no pipe stand between, and the password
stays here. Else that program logs in itself and reads through the driver.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from sre.backup.databases.pgcopy import Copy, Piece
from sre.backup.databases.pgdsn import options
from sre.backup.databases.pgwire import ask
from sre.backup.databases.pgwish import OLDEST, Wish
from sre.backup.engine import Inside
from sre.core.errors import CheckFailed
from sre.core.secrets import redactor

__all__ = ["Driver", "opened", "pieces"]

_COPY = 2**20
_WAIT_MS = 1000
_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


@contextlib.contextmanager
def opened(dsn: str, wish: Wish) -> Iterator[Inside]:
    """What the program that seals is told; the connection ends with the context.

    Raises CheckFailed: the server cannot be reached, or refuses.
    """
    if wish.encrypted:
        yield Inside(__name__, wish.encode())
        return
    words = {key: value for key, value in options(dsn).items() if key != "dbname"}
    with _connected(make_conninfo("", **words, replication="true"), wish) as connection:
        if connection.ssl_in_use or connection.used_gssapi:
            yield Inside(__name__, replace(wish, encrypted=True).encode())
        else:
            ask(connection.socket, wish.command())  # the server begins while that program starts
            yield Inside(Copy.__module__, wish.encode(), (connection.socket,))


def pieces(argument: str, _descriptors: tuple[int, ...] = ()) -> Iterator[Piece]:
    """The tar, through the driver; where the server is stands in the environment, as libpq says.

    Raises as pgcopy's.
    """
    _mask_password()
    wish = Wish.parse(argument)
    try:
        with _connected("replication=true", wish) as connection:
            yield from Copy(Driver(connection), wish).run()
    except psycopg.Error as error:
        raise CheckFailed(str(error)) from error


@contextlib.contextmanager
def _connected(words: str, wish: Wish) -> Iterator[PGconn]:
    """Logged in; the server knows what was there before, if the wish names it."""
    try:
        connection = pq.PGconn.connect(words.encode())
        if connection.status != pq.ConnStatus.OK:
            raise CheckFailed(connection.get_error_message())
        if connection.server_version < OLDEST * 10000:
            raise CheckFailed(f"this is for PostgreSQL {OLDEST} and newer alone")
        if wish.parent:
            _send_manifest(connection, Path(wish.parent))
    except psycopg.Error as error:
        raise CheckFailed(str(error)) from error
    try:
        yield connection
    finally:
        connection.finish()


class Driver:
    """Through libpq, encrypted or not."""

    def __init__(self, connection: PGconn) -> None:
        self._connection = connection

    def begin(self, command: str) -> None:
        """As Copying's."""
        self._connection.send_query(command.encode())
        self._expect(*_OK)  # where the log begins
        self._expect(*_OK)  # which tablespaces there are
        self._expect(pq.ExecStatus.COPY_OUT)

    def messages(self) -> Iterator[tuple[int, memoryview]]:
        """As Copying's. Each is waited for outside of the driver: it lets no other thread run."""
        connection, poller = self._connection, select.poll()
        poller.register(connection.socket, select.POLLIN)
        while True:
            length, data = connection.get_copy_data(1)
            if length > 0:
                yield data[0], data[1:]
            elif length == 0:
                poller.poll(_WAIT_MS)
                connection.consume_input()
            else:
                return

    def end(self) -> None:
        """As Copying's."""
        self._expect(*_OK)  # where the log ends; an error, such as a promotion, comes here
        self._expect(*_OK)
        if self._connection.get_result() is not None:
            raise CheckFailed("the server says more than the protocol knows")

    def close(self) -> None:
        """As Copying's: nothing was."""

    def _expect(self, *wanted: pq.ExecStatus) -> None:
        result = self._connection.get_result()
        if result is None:
            raise CheckFailed(self._connection.get_error_message() or "the server said nothing")
        _must_be_ok(result, wanted)


def _must_be_ok(result: PGresult, wanted: tuple[pq.ExecStatus, ...] = _OK) -> None:
    """Raises CheckFailed with the server's words."""
    if result.status not in wanted:
        raise CheckFailed(result.get_error_message() or "the server answered something else")


def _send_manifest(connection: PGconn, path: Path) -> None:
    """What the server leaves out is told by the manifest of the parent."""
    connection.send_query(b"UPLOAD_MANIFEST")
    answer = connection.get_result()
    if answer is None:
        raise CheckFailed(connection.get_error_message() or "the server said nothing")
    _must_be_ok(answer, (pq.ExecStatus.COPY_IN,))
    with path.open("rb") as file:
        while piece := file.read(_COPY):
            connection.put_copy_data(piece)
    connection.put_copy_end()
    while (result := connection.get_result()) is not None:
        _must_be_ok(result)


def _mask_password() -> None:
    names = ("PGPASSWORD", "PGUSER", "PGDATABASE")
    password, *others = (os.environ.get(name, "") for name in names)  # noqa: TID251  libpq's own
    if len(password) >= 6 and password not in others:
        redactor.add(password)
