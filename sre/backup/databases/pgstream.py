"""How is a server with tablespaces copied into one tar? (the program of a child process)

    replication protocol ─► tars of the tablespaces, then of the data folder ─► one tar ─► stdout

`pg_basebackup` writes one tar to its standard output only where there are no tablespaces. This asks
the same of the server (15 and newer, which sends everything in one stream), and puts the content of
each tablespace where the server sees it. Ends with 0 only when the server said that the copy is
complete. Memory: a message, and the server's list of files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

from sre.backup.databases.pgspaces import Archive, archive_of, file_header, without_map
from sre.backup.pages.tarstream import BLOCK, padding
from sre.core.errors import CheckFailed, IntegrityError, SreError
from sre.core.secrets import redactor

__all__ = ["MANIFEST", "OLDEST", "main"]

MANIFEST = "backup_manifest"
OLDEST = 15
_GATHERED = 2**18
_COPY = 2**20
_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


def main(label: str, parent: str) -> int:
    """Write the tar to stdout. `parent`: a file with the manifest to build on, or empty."""
    _mask_password()
    try:
        connection = pq.PGconn.connect(b"replication=true")
        if connection.status != pq.ConnStatus.OK:
            raise CheckFailed(connection.get_error_message())
        try:
            _Copy(connection, _Out(1)).run(label, parent)
        finally:
            connection.finish()
    except (SreError, OSError) as error:
        said = " ".join(redactor.mask(str(error)).split())
        sys.stderr.write(f"{said or type(error).__name__}\n")
        return 1
    return 0


class _Out:
    """Writes to a pipe in large pieces."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._held = descriptor, bytearray()

    def add(self, piece: bytes | memoryview) -> None:
        self._held += piece
        if len(self._held) >= _GATHERED:
            self.flush()

    def flush(self) -> None:
        view = memoryview(bytes(self._held))
        self._held.clear()
        while view:
            view = view[os.write(self._descriptor, view) :]


class _Copy:
    """One BASE_BACKUP; its messages in the order in which the protocol has them."""

    def __init__(self, connection: PGconn, out: _Out) -> None:
        self._connection, self._out = connection, out
        self._archive: Archive | None = None
        self._manifest: bytearray | None = None
        self._ended = False

    def run(self, label: str, parent: str) -> None:
        """Everything to its end. Raises CheckFailed, IntegrityError."""
        if self._connection.server_version < OLDEST * 10000:
            raise CheckFailed(f"tablespaces are copied from PostgreSQL {OLDEST} and newer alone")
        if parent:
            self._send_manifest(Path(parent))
        self._connection.send_query(_command(label, incremental=bool(parent)))
        self._expect(*_OK)  # where the log begins
        self._expect(*_OK)  # which tablespaces there are
        self._expect(pq.ExecStatus.COPY_OUT)
        self._messages(self._take)
        self._expect(*_OK)  # where the log ends; an error, such as a promotion, comes here
        self._expect(*_OK)
        if self._connection.get_result() is not None:
            raise CheckFailed("the server says more than the protocol knows")
        self._close()

    def _send_manifest(self, path: Path) -> None:
        self._connection.send_query(b"UPLOAD_MANIFEST")
        self._expect(pq.ExecStatus.COPY_IN)
        with path.open("rb") as file:
            while piece := file.read(_COPY):
                self._connection.put_copy_data(piece)
        self._connection.put_copy_end()
        self._expect(*_OK)
        while (result := self._connection.get_result()) is not None:
            self._must_be(result, _OK)

    def _messages(self, take: Callable[[memoryview], None]) -> None:
        while True:
            length, data = self._connection.get_copy_data(0)
            if length == -1:
                return
            if length < 1:
                raise CheckFailed(self._connection.get_error_message() or "the copy broke off")
            take(memoryview(data))

    def _take(self, message: memoryview) -> None:
        kind = message[:1].tobytes()
        if kind == b"d":
            if self._manifest is not None:
                self._manifest += message[1:]
            elif self._archive is None:
                raise IntegrityError("the server sent data before it said of what")
            else:
                for piece in self._archive.feed(message[1:]):
                    self._out.add(piece)
        elif kind == b"n" and self._manifest is None:
            self._end_archive()
            name = message[1:].tobytes().split(b"\0")[0].decode("utf-8", "replace")
            self._archive = archive_of(name)
            self._out.add(self._archive.begin())
        elif kind == b"m" and self._manifest is None:
            self._end_archive()
            self._manifest = bytearray()
        elif kind != b"p":
            raise IntegrityError(f"the server sent {kind!r}, which this program does not know")

    def _end_archive(self) -> None:
        if self._archive is not None:
            self._archive.end()
            if self._archive.data and self._manifest is None:
                self._ended = True

    def _close(self) -> None:
        """The list of files and the end: only now, when the server has said that all is well."""
        if not self._ended or self._manifest is None:
            raise IntegrityError("the server sent no data folder, or no list of its files")
        manifest = without_map(bytes(self._manifest))
        self._out.add(file_header(MANIFEST, len(manifest)))
        self._out.add(manifest)
        self._out.add(padding(len(manifest)))
        self._out.add(bytes(2 * BLOCK))
        self._out.flush()

    def _expect(self, *wanted: pq.ExecStatus) -> None:
        result = self._connection.get_result()
        if result is None:
            raise CheckFailed(self._connection.get_error_message() or "the server said nothing")
        self._must_be(result, wanted)

    def _must_be(self, result: PGresult, wanted: tuple[pq.ExecStatus, ...]) -> None:
        if result.status not in wanted:
            raise CheckFailed(result.get_error_message() or "the server answered something else")


def _command(label: str, *, incremental: bool) -> bytes:
    quoted = label.replace("'", "''")
    more = ", INCREMENTAL" if incremental else ""
    return (
        f"BASE_BACKUP (LABEL '{quoted}', CHECKPOINT 'fast', WAL, WAIT, TABLESPACE_MAP, "
        f"MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C'{more})"
    ).encode()


def _mask_password() -> None:
    names = ("PGPASSWORD", "PGUSER", "PGDATABASE")
    password, *others = (os.environ.get(name, "") for name in names)  # noqa: TID251  libpq's own
    if len(password) >= 6 and password not in others:
        redactor.add(password)


if __name__ == "__main__":
    sys.exit(main(*json.loads(sys.argv[1])))
