"""May this write still leave the process?

A write that waited (for a retry, for a stopped process to go on) may come too late. Stores ask here
at the last moment, for each try: whatever was set with `guarding` may raise instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

__all__ = ["guarding", "may_write"]

_GUARD: ContextVar[Callable[[], None] | None] = ContextVar("guard", default=None)


@contextlib.contextmanager
def guarding(check: Callable[[], None]) -> Iterator[None]:
    """Every write of this thread inside the context asks `check` right before it leaves."""
    token = _GUARD.set(check)
    try:
        yield
    finally:
        _GUARD.reset(token)


def may_write() -> None:
    """Called by stores right before a write. Raises what the guard raises."""
    check = _GUARD.get()
    if check is not None:
        check()
