"""How is a server copied into one tar by its replication protocol? (in the program that seals)

    replication protocol ─► tars of the tablespaces, then of the data folder ─► one tar

Asks for what `pg_basebackup` asks for, of servers from 15 on, which send everything in one stream.
No program and no pipe stand between: that is two fifths of what a copy through them costs. With
tablespaces, for which `pg_basebackup` does not write one tar, the content of each is put where the
server sees it. Memory: a message, and the server's list of files.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn

from sre.backup.databases.pgspaces import Archive, archive_of, file_header, without_map
from sre.backup.databases.pgwire import Copying, Driver, Socket, must_be_ok
from sre.backup.databases.pgwish import OLDEST, Wish
from sre.backup.pages.tarstream import BLOCK, padding
from sre.core.errors import CheckFailed, IntegrityError
from sre.core.secrets import redactor

__all__ = ["MANIFEST", "pieces"]

MANIFEST = "backup_manifest"
_COPY = 2**20
_END = 2 * BLOCK
_DATA, _NEXT, _LIST, _PROGRESS = b"dnmp"

_Piece = bytes | memoryview


def pieces(argument: str) -> Iterator[_Piece]:
    """The tar, piece by piece; where the server is stands in the environment, as libpq reads it.

    Its last bytes come only when the server has said that the copy is complete.

    Raises:
        CheckFailed: the server cannot be reached, refuses, or breaks off.
        IntegrityError: it sent what is no such copy.
    """
    _mask_password()
    try:
        connection = pq.PGconn.connect(b"replication=true")
        if connection.status != pq.ConnStatus.OK:
            raise CheckFailed(connection.get_error_message())
        try:
            if connection.server_version < OLDEST * 10000:
                raise CheckFailed(f"this is for PostgreSQL {OLDEST} and newer alone")
            wish = Wish.parse(argument)
            if wish.parent:
                _send_manifest(connection, Path(wish.parent))
            plain = not (wish.encrypted or connection.ssl_in_use or connection.used_gssapi)
            with contextlib.closing(Socket(connection) if plain else Driver(connection)) as asked:
                yield from _Copy(asked, wish).run()
        finally:
            connection.finish()
    except psycopg.Error as error:
        raise CheckFailed(str(error)) from error


class _Straight:
    """The tar of a data folder where there are no tablespaces: as it comes, without its end."""

    data = True

    def __init__(self) -> None:
        self._held, self._size = deque[memoryview](), 0

    def begin(self) -> bytes:
        """As Archive's."""
        return b""

    def feed(self, piece: memoryview) -> Iterator[memoryview]:
        """As Archive's; as much as its end is long is held back."""
        held = self._held
        held.append(piece)
        self._size += len(piece)
        while self._size - len(held[0]) >= _END:
            self._size -= len(held[0])
            yield held.popleft()

    def end(self) -> bytes:
        """What was held back. Raises IntegrityError: it was cut."""
        rest = b"".join(self._held)
        if rest[-_END:] != bytes(_END):
            raise IntegrityError("the tar of the data folder was cut")
        return rest[:-_END]


class _Copy:
    """One BASE_BACKUP; its messages in the order in which the protocol has them."""

    def __init__(self, asked: Copying, wish: Wish) -> None:
        self._asked, self._wish = asked, wish
        self._archive: Archive | _Straight | None = None
        self._manifest: bytearray | None = None
        self._ended = False

    def run(self) -> Iterator[_Piece]:
        """Everything to its end. Raises CheckFailed, IntegrityError."""
        self._asked.begin(self._wish.command())
        for kind, message in self._asked.messages():
            yield from self._taken(kind, message)
        self._asked.end()
        yield from self._close()

    def _taken(self, kind: int, message: memoryview) -> Iterator[_Piece]:
        if kind == _DATA:
            if self._manifest is not None:
                self._manifest += message
            elif self._archive is None:
                raise IntegrityError("the server sent data before it said of what")
            else:
                yield from self._archive.feed(message)
        elif kind == _NEXT and self._manifest is None:
            yield from self._end_archive()
            self._archive = self._begun(message.tobytes().split(b"\0")[0])
            yield self._archive.begin()
        elif kind == _LIST and self._manifest is None:
            yield from self._end_archive()
            self._manifest = bytearray()
        elif kind != _PROGRESS:
            raise IntegrityError(f"the server sent {chr(kind)!r}, which this program does not know")

    def _begun(self, name: bytes) -> Archive | _Straight:
        archive = archive_of(name.decode("utf-8", "replace"))
        if self._wish.spaces:
            return archive
        if not archive.data:
            raise CheckFailed("a tablespace was just made: run it again")
        return _Straight()

    def _end_archive(self) -> Iterator[_Piece]:
        if self._archive is not None:
            yield self._archive.end()
            if self._archive.data and self._manifest is None:
                self._ended = True

    def _close(self) -> Iterator[_Piece]:
        """The list of files and the end: only now, when the server has said that all is well."""
        if not self._ended or self._manifest is None:
            raise IntegrityError("the server sent no data folder, or no list of its files")
        manifest = bytes(self._manifest)
        if self._wish.spaces:
            manifest = without_map(manifest)
        yield file_header(MANIFEST, len(manifest))
        yield manifest
        yield padding(len(manifest))
        yield bytes(_END)


def _send_manifest(connection: PGconn, path: Path) -> None:
    """What the server leaves out is told by the manifest of the parent."""
    connection.send_query(b"UPLOAD_MANIFEST")
    answer = connection.get_result()
    if answer is None:
        raise CheckFailed(connection.get_error_message() or "the server said nothing")
    must_be_ok(answer, (pq.ExecStatus.COPY_IN,))
    with path.open("rb") as file:
        while piece := file.read(_COPY):
            connection.put_copy_data(piece)
    connection.put_copy_end()
    while (result := connection.get_result()) is not None:
        must_be_ok(result)


def _mask_password() -> None:
    names = ("PGPASSWORD", "PGUSER", "PGDATABASE")
    password, *others = (os.environ.get(name, "") for name in names)  # noqa: TID251  libpq's own
    if len(password) >= 6 and password not in others:
        redactor.add(password)
