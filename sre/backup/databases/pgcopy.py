"""How does what a server sends become one tar? (in the program that seals)

    messages ─► tars of the tablespaces, then of the data folder ─► one tar

Where there are tablespaces the content of each is put where the server sees it. Memory: a message,
and the server's list of files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sre.backup.databases.pgspaces import Archive, archive_of, file_header, without_map
from sre.backup.databases.pgwire import Copying, Socket
from sre.backup.databases.pgwish import Wish
from sre.backup.pages.tarstream import BLOCK, padding
from sre.core.errors import CheckFailed, IntegrityError

__all__ = ["MANIFEST", "Copy", "Piece", "Straight", "pieces"]

MANIFEST = "backup_manifest"
_END = 2 * BLOCK
_DATA, _NEXT, _LIST, _PROGRESS = b"dnmp"

Piece = bytes | memoryview


def pieces(argument: str, descriptors: tuple[int, ...]) -> Iterator[Piece]:
    """The tar, from a connection that is not encrypted and on which it was asked for.

    Its last bytes come only when the server has said that the copy is complete.

    Raises:
        CheckFailed: the server refuses or breaks off.
        IntegrityError: it sent what is no such copy.
    """
    with contextlib.closing(Socket(descriptors[0], asked=True)) as asked:
        yield from Copy(asked, Wish.parse(argument)).run()


class Straight:
    """The tar of a data folder where there are no tablespaces: as it comes, without its end."""

    data = True

    def __init__(self) -> None:
        self._held = memoryview(b"")

    def begin(self) -> bytes:
        """As Archive's."""
        return b""

    def feed(self, piece: memoryview) -> tuple[memoryview, ...]:
        """As Archive's; what may be its end is held back."""
        held = self._held
        if len(piece) >= _END:  # nearly always
            self._held = piece
            return (held,)
        joined = memoryview(bytes(held) + bytes(piece))
        self._held = joined[-_END:]
        return (joined[:-_END],)

    def end(self) -> bytes:
        """What was held back. Raises IntegrityError: it was cut."""
        if self._held[-_END:] != bytes(_END):
            raise IntegrityError("the tar of the data folder was cut")
        return bytes(self._held[:-_END])


class Copy:
    """One BASE_BACKUP; its messages in the order in which the protocol has them."""

    def __init__(self, asked: Copying, wish: Wish) -> None:
        self._asked, self._wish = asked, wish
        self._archive: Archive | Straight | None = None
        self._manifest: bytearray | None = None
        self._ended = False

    def run(self) -> Iterator[Piece]:
        """Everything to its end. Raises CheckFailed, IntegrityError."""
        self._asked.begin(self._wish.command())
        for kind, message in self._asked.messages():
            if kind == _DATA and self._manifest is None and self._archive is not None:
                yield from self._archive.feed(message)
            else:
                yield from self._taken(kind, message)
        self._asked.end()
        yield from self._close()

    def _taken(self, kind: int, message: memoryview) -> Iterator[Piece]:
        if kind == _DATA:
            if self._manifest is None:
                raise IntegrityError("the server sent data before it said of what")
            self._manifest += message
        elif kind == _NEXT and self._manifest is None:
            yield from self._end_archive()
            self._archive = self._begun(message.tobytes().split(b"\0")[0])
            yield self._archive.begin()
        elif kind == _LIST and self._manifest is None:
            yield from self._end_archive()
            self._manifest = bytearray()
        elif kind != _PROGRESS:
            raise IntegrityError(f"the server sent {chr(kind)!r}, which this program does not know")

    def _begun(self, name: bytes) -> Archive | Straight:
        archive = archive_of(name.decode("utf-8", "replace"))
        if self._wish.spaces:
            return archive
        if not archive.data:
            raise CheckFailed("a tablespace was just made: run it again")
        return Straight()

    def _end_archive(self) -> Iterator[Piece]:
        if self._archive is not None:
            yield self._archive.end()
            if self._archive.data and self._manifest is None:
                self._ended = True

    def _close(self) -> Iterator[Piece]:
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
