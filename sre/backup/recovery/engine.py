"""What must a kind of database be able to do, so that it comes back to a moment?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from sre.backup.databases.pgrecover import Replayed
from sre.core.clock import Deadline

__all__ = ["Replays", "nothing"]


def nothing(_lsn: int) -> None:
    """Tells nobody of progress."""


@runtime_checkable
class Replays(Protocol):
    """A kind whose log is archived."""

    def replay(
        self,
        folder: Path,
        work: Path,
        deadline: Deadline,
        settings: Mapping[str, str],
        *,
        paused: bool = False,
        at: Callable[[int], None] = nothing,
    ) -> AbstractContextManager[Replayed]:
        """Replay the log in the folder up to what `settings` say; see pgrecover.recovering."""
        ...

    def tools(self, major: str, needed: tuple[str, ...]) -> Path:
        """Where the engine's programs are. Raises MissingExtra."""
        ...
