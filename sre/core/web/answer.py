"""What is one request to our HTTP server, what is its answer, and who gives it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sre.core.secrets import redactor

__all__ = ["Answer", "Asked", "Pages"]

_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `more` is what follows `body`, where that is large."""

    status: int
    body: bytes
    type: str = _TEXT
    headers: tuple[tuple[str, str], ...] = ()
    more: tuple[bytes, ...] = ()

    @classmethod
    def text(cls, status: int, words: str) -> Answer:
        """A line for people, secrets masked."""
        return cls(status, f"{redactor.mask(words)}\n".encode())


@dataclass(frozen=True, slots=True)
class Asked:
    """One GET beyond its path.

    Attributes:
        headers: by lower-case name.
        known: whether the client named itself, which only a web configuration with users asks.
    """

    query: str
    headers: Mapping[str, str] = field(default_factory=dict)
    known: bool = False

    def header(self, name: str) -> str:
        """The value of a header, empty when it is not there."""
        return self.headers.get(name.lower(), "")


class Pages(Protocol):
    """What a server shows and does, path by path. Called from many threads."""

    def get(self, path: str, accept: str, asked: Asked | None = None) -> Answer:
        """The answer to GET or HEAD; `accept` is that header."""
        ...

    def post(self, path: str, *, near: bool = True) -> Answer:
        """The answer to POST; `near` are clients on this machine, or known by name."""
        ...

    def unused(self, path: str) -> Answer:
        """The answer to a method that nothing there has a use for."""
        ...
