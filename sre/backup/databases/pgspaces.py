"""How do the several tars of a server with tablespaces become one? (pure)

Each tablespace comes as a tar of its own, then the data folder. In the one tar the content of a
tablespace stands where the server sees it, at `pg_tblspc/OID/`, as plain folders: no link leads
out of a restored copy. So `tablespace_map`, by which recovery would make such links to the places
of the source, is left out, and out of the server's list of files.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator

from sre.backup.pages.tarstream import BLOCK, Member, Splitter, padding
from sre.core.errors import IntegrityError

__all__ = ["MAP", "SPACES", "Archive", "archive_of", "file_header", "folder_header", "without_map"]

SPACES = "pg_tblspc"
MAP = "tablespace_map"
_NAME, _PREFIX, _SUM = slice(0, 100), slice(345, 500), slice(148, 156)
_OF_SPACE = re.compile(r"([1-9]\d{0,9})\.tar(?:\.\w+)?")
_OF_DATA = re.compile(r"base\.tar(?:\.\w+)?")
_MAP_LINE = re.compile(rb'^\{ "Path": "tablespace_map",.*\n', re.MULTILINE)
_LAST = re.compile(rb'"Manifest-Checksum": "([0-9a-f]{64})"\}\s*\Z')


def archive_of(name: str) -> Archive:
    """What the server's announcement of a tar means: `16384.tar` or `base.tar`.

    Raises IntegrityError for anything else.
    """
    if match := _OF_SPACE.fullmatch(name):
        return Archive(f"{SPACES}/{match[1]}/")
    if _OF_DATA.fullmatch(name):
        return Archive("")
    raise IntegrityError(f"the server announced {name[:60]!r}, which is no tar that is known")


class Archive:
    """One tar of several: its members under another folder, without its end.

    Raises:
        IntegrityError: from `feed` and `end`: it is damaged, was cut, or holds what no tablespace
            does.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._splitter = Splitter()
        self._member: Member | None = None

    @property
    def data(self) -> bool:
        """Whether it is the data folder's, which comes last."""
        return not self.folder

    def begin(self) -> bytes:
        """What stands before its members."""
        if self.data:
            return b""
        return folder_header(SPACES) + folder_header(self.folder.rstrip("/"))

    def feed(self, piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """The next piece, of any size; what the one tar holds instead, in order."""
        for event in self._splitter.feed(bytes(piece)):
            if event.member is not None:
                self._member = event.member
                yield self._header(event.member)
            elif self._member is None or self._left_out(self._member):
                continue
            elif event.data is not None:
                yield event.data
            else:
                yield padding(self._member.size)

    def end(self) -> bytes:
        """It has ended; nothing was held back."""
        if not self._splitter.whole:
            raise IntegrityError(f"the tar of {self.folder or 'the data folder'} was cut")
        return b""

    def _left_out(self, member: Member) -> bool:
        return self.data and member.name == MAP

    def _header(self, member: Member) -> bytes:
        if self._left_out(member):
            return b""
        if member.kind not in "05" or member.name.startswith("/") or ".." in member.name.split("/"):
            raise IntegrityError(
                f"the server sent {member.name!r}, neither a file nor a folder; is there a link in "
                "the data folder?"
            )
        return member.header if self.data else _renamed(member, self.folder + member.name)


def file_header(name: str, size: int) -> bytes:
    """The header of a file that we add."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.USTAR_FORMAT)


def folder_header(name: str) -> bytes:
    """The header of a folder that we add."""
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o700
    return info.tobuf(tarfile.USTAR_FORMAT)


def without_map(manifest: bytes) -> bytes:
    """The server's list of files without `tablespace_map`, its own checksum made anew.

    Raises IntegrityError when its checksum does not hold.
    """
    last = _LAST.search(manifest)
    if last is None or _summed(manifest[: last.start()]) != last[1]:
        raise IntegrityError("the server's backup_manifest was damaged on the way")
    head = _MAP_LINE.sub(b"", manifest[: last.start()])
    head = head.replace(b"},\n],\n", b"}\n],\n", 1)  # where it was the last file
    return head + b'"Manifest-Checksum": "' + _summed(head) + b'"}\n'


def _summed(head: bytes) -> bytes:
    return hashlib.sha256(head).hexdigest().encode()


def _renamed(member: Member, name: str) -> bytes:
    block = bytearray(member.header)
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) > 100:
        raise IntegrityError(f"the name {name!r} is too long for a tar")
    block[_NAME] = raw.ljust(100, b"\0")
    block[_PREFIX] = bytes(155)
    block[_SUM] = b" " * 8
    block[_SUM] = b"%06o\0 " % sum(block)
    if len(block) != BLOCK:
        raise IntegrityError("a header of the tar is damaged")
    return bytes(block)
