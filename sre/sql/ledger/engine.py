"""What must a database be able to do, so that a ledger can be written into it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sre.core.clock import Deadline
from sre.sql.ledger.model import Row

__all__ = ["Engine", "Link"]


class Link(Protocol):
    """One connection of one writer; used by one thread at a time."""

    def alive(self) -> bool:
        """Whether it can be written to, as far as that is known without sending anything."""
        ...

    def write(self, row: Row, deadline: Deadline) -> None:
        """Insert one row and commit it. Returns only when the server said so without reserve.

        After any error the link is closed by its user, and another one made.

        Raises:
            NotWritten: the row is certainly not there.
            Unclear: it may be there.
        """
        ...

    def close(self) -> None:
        """Hang up; never raises, never waits for the server."""
        ...


class Engine(Protocol):
    """A database that a ledger is written into. Immutable: threads share it."""

    name: str

    def connect(self, deadline: Deadline) -> Link:
        """A connection that has logged in. Raises NotWritten."""
        ...

    def prepare(self, deadline: Deadline) -> None:
        """Make the table where it is missing. Idempotent.

        Raises:
            NotWritten, Unclear: it cannot be done; `never` when trying again cannot help.
        """
        ...

    def read(self, run: str, deadline: Deadline) -> Iterator[tuple[int, int]]:
        """Writer and number of every row of a run, in any order, from where writes go.

        Raises:
            NotWritten: nobody answers, or who answers takes no writes (a replica).
            Unclear: the answer broke off; what was read until then means nothing.
        """
        ...

    def remove(self, run: str, deadline: Deadline) -> None:
        """Delete the rows of a run. Idempotent. Raises NotWritten, Unclear."""
        ...
