"""Where does the tar of an opened backup go: nowhere, to standard output, or into a folder?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from sre.backup.intake import wide

__all__ = ["Folder", "Into", "Outlet", "Output", "outlet_of"]


@dataclass(frozen=True)
class Output:
    """A descriptor that the tar is written to as it comes."""

    descriptor: int


@dataclass(frozen=True)
class Folder:
    """A folder that the tar changes in place; an empty one is filled.

    Attributes:
        native: the server made the lists of changed pages in it.
    """

    path: str
    native: bool = False


Into = Output | Folder
"""What takes the tar of a backup."""


class Outlet(Protocol):
    """What takes the plaintext, in the program that opens volumes."""

    def put(self, view: memoryview) -> None:
        """The next piece, of any size. The memory is used again afterwards."""
        ...

    def end(self) -> object:
        """All of it came, and was good. Raises IntegrityError, OSError as `put` does."""
        ...


class _Nowhere:
    """It is only looked at."""

    def put(self, view: memoryview) -> None:
        del view

    def end(self) -> None:
        pass


class _Descriptor:
    """Written on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        wide(descriptor)

    def put(self, view: memoryview) -> None:
        while view:
            view = view[os.write(self._descriptor, view) :]

    def end(self) -> None:
        pass


def outlet_of(words: list[str]) -> Outlet:
    """By the arguments of the program: `--check`, `--into FOLDER [--native]`, or none of them."""
    match words:
        case ["--check"]:
            return _Nowhere()
        case ["--into", folder, *native]:
            made: Outlet = import_module("sre.backup.pages.apply").Applying(
                folder, native=bool(native)
            )
            return made
        case _:
            return _Descriptor(1)
