"""What do the demo's servers have in common? They start, and they stop on the way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__all__ = ["Served"]


class Served(ABC):
    """A server as a context manager."""

    @abstractmethod
    def start(self) -> None:
        """Serve. Raises MissingExtra, Transient."""

    @abstractmethod
    def stop(self) -> None:
        """End it and what it left. Idempotent."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()
