"""How does a folder (a mounted disk, a file share) keep objects as safely as a bucket?"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Self

from sre.backup.fence import may_write
from sre.backup.objects import Cell, ObjectInfo, Storage
from sre.backup.storage import local_cells
from sre.backup.upkeep import LockState, ObjectLock, Pending
from sre.core.errors import Refused, Transient, UsageError
from sre.core.files import sync_folder

__all__ = ["LocalStorage", "LocalStore"]

_PIECE = 2**20
_DRAFT = ".draft-"


@dataclass(frozen=True)
class LocalStore:
    """`kind: local`: a folder. Not on the disk that holds the database.

    Attributes:
        path: the folder; made when the first object is stored.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    path: Path

    def open(self) -> Storage:
        return LocalStorage(self.path)


class LocalStorage:
    """A `Storage` in a folder: written beside, synced, then linked to its name if that is free."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, data: bytes) -> None:
        self.upload(key, [data])

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        target = self._path(key)
        draft = target.with_name(f"{_DRAFT}{secrets.token_hex(8)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            size = _write(draft, chunks)
            self._publish(draft, target, key)
        except OSError as error:
            raise _refused_by_disk(key, error) from error
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
        return size

    def _publish(self, draft: Path, target: Path, key: str) -> None:
        may_write()
        try:
            os.link(draft, target)  # in one step, and never over something
        except FileExistsError:
            if not _same(draft, target):
                raise Refused(
                    f"{key} exists already with other content; nothing is overwritten"
                ) from None
        for folder in (target.parent, *target.parent.parents):
            sync_folder(folder)
            if folder == self.root:
                break

    def head(self, key: str) -> ObjectInfo | None:
        try:
            found = self._path(key).stat()
            return ObjectInfo(key, found.st_size, found.st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused_by_disk(key, error) from error

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with self._open(key) as descriptor, open(descriptor, "rb") as file:  # noqa: PTH123
            file.seek(start)
            return file.read(-1 if length is None else length)

    def stream(self, key: str) -> Iterator[bytes]:
        with self._open(key) as descriptor, open(descriptor, "rb") as file:  # noqa: PTH123
            while piece := file.read(_PIECE):
                yield piece

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = self.root / PurePosixPath(prefix + "x").parent
        try:
            found = sorted(path for path in folder.rglob("*") if path.is_file())
            for path in found:
                key = path.relative_to(self.root).as_posix()
                if key.startswith(prefix) and not path.name.startswith(_DRAFT):
                    about = path.stat()
                    yield ObjectInfo(key, about.st_size, about.st_mtime)
        except OSError as error:
            raise _refused_by_disk(prefix, error) from error

    def delete(self, key: str) -> None:
        may_write()
        path = self._path(key)
        try:
            path.unlink()
            sync_folder(path.parent)  # in the order of the calls, whenever the power goes
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _refused_by_disk(key, error) from error

    def time(self) -> float | None:
        return None

    def pending(self, prefix: str) -> Iterator[Pending]:
        """Drafts of runs that were killed."""
        folder = self.root / PurePosixPath(prefix + "x").parent
        try:
            for path in sorted(folder.rglob(f"{_DRAFT}*")):
                key, about = path.relative_to(self.root).as_posix(), path.stat()
                if key.startswith(prefix) and not path.name.startswith(f"{_DRAFT}lock-"):
                    yield Pending(key, path.name, about.st_mtime, about.st_size)
        except OSError as error:
            raise _refused_by_disk(prefix, error) from error

    def abandon(self, upload: Pending) -> None:
        if PurePosixPath(upload.key).name.startswith(_DRAFT):
            self.delete(upload.key)

    def locking(self, lock: ObjectLock) -> Self:
        raise Refused(
            f"the tier asks for object lock ({lock.mode}), and a folder has none: name a store of "
            "kind s3 whose bucket was made with object lock, or take lock: out of the tier"
        )

    def lock_of(self, key: str) -> LockState:  # noqa: ARG002  a folder locks nothing
        return LockState()

    def extend_lock(self, key: str, lock: ObjectLock) -> None:
        raise Refused(f"a folder cannot lock {key} ({lock.mode})")

    def cell(self, key: str) -> Cell:
        try:
            return local_cells.read(self._path(key), key, _DRAFT)
        except OSError as error:
            raise _refused_by_disk(key, error) from error

    def swap(self, key: str, data: bytes, version: str) -> Cell:
        try:
            return local_cells.swap(self._path(key), key, data, version, _DRAFT)
        except OSError as error:
            raise _refused_by_disk(key, error) from error

    def conditional(self, key: str) -> bool:
        if self.head(key) is None:
            raise KeyError(key)
        return True

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[int]:
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise KeyError(key) from None
        except OSError as error:
            raise _refused_by_disk(key, error) from error
        yield descriptor

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise UsageError(f"{key!r} is not the key of an object")
        return self.root.joinpath(*parts)


def _write(draft: Path, chunks: Iterable[bytes]) -> int:
    size = 0
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor, not a path
        for chunk in chunks:
            file.write(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return size


def _same(left: Path, right: Path) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb") as one, right.open("rb") as other:
        while piece := one.read(_PIECE):
            if piece != other.read(_PIECE):
                return False
    return True


def _refused_by_disk(key: str, error: OSError) -> Transient | UsageError:
    what = f"the store's folder refuses {key}: {error.strerror or error}"
    if isinstance(error, PermissionError):
        return UsageError(f"{what}; check who may write there")
    return Transient(what)
