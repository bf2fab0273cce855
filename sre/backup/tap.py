"""What does a dump's tar pass through before it is cut into volumes?

A tap sees every byte of the tar once, in order. What it hands on is what is stored: the same bytes
for a full backup, fewer for one that builds on another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from sre.backup.tartail import TarTail

__all__ = ["TAPS", "Looking", "Tap", "Tapping", "Whole", "make", "tap_of"]


class Tap(Protocol):
    """One pass over one tar. Used by one thread, in the child process that seals."""

    def feed(self, piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """The next piece of the tar, of any size; what is stored of it, perhaps later.

        Neither is kept: the memory is used again.
        """
        ...

    def end(self) -> Iterator[bytes]:
        """The tar has ended; what is still to be stored."""
        ...

    @property
    def marked(self) -> bool:
        """Whether the engine's log has begun to follow the data."""
        ...

    def report(self) -> dict[str, Any]:
        """After the end: `members`, `last_member`, `whole`, `tail`, and what it likes to add."""
        ...

    def sidecar(self) -> Iterator[bytes]:
        """After the end: what the next backup compares with, piece by piece; maybe nothing."""
        ...


@runtime_checkable
class Looking(Tap, Protocol):
    """A tap that lets everything through and only looks: the bytes need not be copied for it."""

    def look(self, view: memoryview) -> None:
        """The next piece, of any size. It is not kept: the memory is used again."""
        ...


@dataclass(frozen=True)
class Tapping:
    """Which tap a dump passes through, and what it is given.

    Attributes:
        kind: a key of `TAPS`.
        options: its own settings; JSON.
        descriptors: open files of ours by name; the tap gets them under the same numbers.
        sidecar: the age recipient of its sidecar; "" when none is stored.
    """

    kind: str = "whole"
    options: Mapping[str, Any] = field(default_factory=dict)
    descriptors: Mapping[str, int] = field(default_factory=dict)
    sidecar: str = ""


TAPS = {"whole": "sre.backup.tap", "pages": "sre.backup.pages.tap"}
"""Kinds of taps, and the module whose `make` makes one."""


def tap_of(tapping: Tapping, mark: str) -> Tap:
    """A tap of that kind. `mark`: the engine's log begins with the member of that name."""
    made: Tap = import_module(TAPS[tapping.kind]).make(
        mark, dict(tapping.options), dict(tapping.descriptors)
    )
    return made


def make(mark: str, options: dict[str, Any], descriptors: dict[str, int]) -> Tap:
    """The tap of a full backup, which needs nothing."""
    del options, descriptors
    return Whole(mark)


class Whole:
    """Everything is stored as it came."""

    def __init__(self, mark: str) -> None:
        self._tar = TarTail(mark)

    def feed(self, piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """As Tap's."""
        self._tar.feed(piece)
        yield piece

    def look(self, view: memoryview) -> None:
        """As Looking's."""
        self._tar.feed(view)

    def end(self) -> Iterator[bytes]:
        """As Tap's: nothing was held back."""
        return iter(())

    @property
    def marked(self) -> bool:
        """As Tap's."""
        return self._tar.marked

    def report(self) -> dict[str, Any]:
        """As Tap's."""
        tar = self._tar
        return {
            "members": tar.members,
            "last_member": tar.last_member,
            "whole": tar.whole,
            "tail": tar.tail.decode("utf-8", "replace"),
        }

    def sidecar(self) -> Iterator[bytes]:
        """As Tap's: nothing builds on it by pages."""
        return iter(())
