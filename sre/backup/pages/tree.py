"""How is a folder changed by names that somebody else wrote, without ever leaving it?"""

from __future__ import annotations

import contextlib
import os
import stat

from sre.core.errors import IntegrityError

__all__ = ["Tree"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Tree:
    """A folder and what was named in it, until `close`.

    Raises:
        IntegrityError: a name that leads out of it, through a link, or to no file.
    """

    def __init__(self, folder: str) -> None:
        self._root = os.open(folder, _FOLDER)
        self._last: tuple[str, int] | None = None
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._modes: dict[str, int] = {}

    def close(self) -> None:
        """Let go of it."""
        self._forget()
        os.close(self._root)

    def folder(self, path: str, mode: int) -> None:
        """Make a folder unless it is there; `set_modes` gives it its mode, once it is filled."""
        if path in ("", "."):
            return
        parent, name = self._parent(path)
        self._folders.add(path)
        self._modes[path] = mode & 0o7777
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise IntegrityError(f"{path!r} is not a folder") from None
            self._set_mode(path, 0o700)  # an earlier tar may have forbidden to write there

    def create(self, path: str, mode: int) -> int:
        """A new file in place of what has its name; a descriptor to write to.

        Folders above it that no tar has named are made.
        """
        parent, name = self._parent(path, make=True)
        self._files.add(path)
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise IntegrityError(f"{path!r} is a folder, and shall be a file") from None
        descriptor = os.open(name, _NEW, mode & 0o777, dir_fd=parent)
        os.fchmod(descriptor, mode & 0o777)  # whatever our umask is
        return descriptor

    def change(self, path: str) -> int:
        """A file that is there; a descriptor to change it."""
        parent, name = self._parent(path)
        self._files.add(path)
        try:
            descriptor = os.open(name, _OLD, dir_fd=parent)
        except OSError as error:
            raise IntegrityError(
                f"changed pages of {path!r}, but the file is not there: {error.strerror}"
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise IntegrityError(f"{path!r} is not a file")
        return descriptor

    def remove_others(self) -> None:
        """Everything that was not named goes, links themselves and not what they lead to."""
        self._forget()
        for path in (*self._files, *self._folders):
            parts = path.split("/")[:-1]
            self._folders.update("/".join(parts[: end + 1]) for end in range(len(parts)))
        for here, folders, files, descriptor in os.fwalk(
            ".", topdown=False, follow_symlinks=False, dir_fd=self._root
        ):
            base = "" if here == "." else here.removeprefix("./") + "/"
            for name in files:
                if base + name not in self._files:
                    os.unlink(name, dir_fd=descriptor)
            for name in folders:
                if base + name not in self._folders:
                    self._remove_folder(name, descriptor)

    def set_modes(self) -> None:
        """Every folder that was named gets its mode, whatever our umask is; the deepest first."""
        for path in sorted(self._modes, key=lambda each: each.count("/"), reverse=True):
            self._set_mode(path, self._modes[path])

    def _set_mode(self, path: str, mode: int) -> None:
        parent, name = self._parent(path)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    @staticmethod
    def _remove_folder(name: str, descriptor: int) -> None:
        found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=descriptor)
        else:  # a link to a folder
            os.unlink(name, dir_fd=descriptor)

    def _parent(self, path: str, *, make: bool = False) -> tuple[int, str]:
        """The folder of a name, opened step by step, and the last part of the name."""
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\0" in path:
            raise IntegrityError(f"the name {path!r} leads elsewhere")
        above = "/".join(parts[:-1])
        if not above:
            return self._root, parts[-1]
        if self._last is None or self._last[0] != above:
            self._forget()
            self._last = (above, self._open(parts[:-1], make=make))
        return self._last[1], parts[-1]

    def _open(self, parts: list[str], *, make: bool) -> int:
        descriptor = os.dup(self._root)
        for number, part in enumerate(parts):
            try:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=descriptor)
                below = os.open(part, _FOLDER, dir_fd=descriptor)
            except OSError as error:
                name = "/".join(parts[: number + 1])
                raise IntegrityError(f"{name!r} is no folder: {error.strerror}") from error
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    def _forget(self) -> None:
        if self._last is not None:
            os.close(self._last[1])
            self._last = None
