"""How does a child process make itself fit to send load? (imports neither Locust nor gevent)"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
from collections.abc import Callable
from typing import Any, TextIO

from sre.core.secrets import redactor

__all__ = ["allow_files", "forget_settings", "listeners", "mask_stderr", "settle"]


class _Masked:
    """stderr without secrets: gevent prints tracebacks there on its own account."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(redactor.mask(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def forget_settings() -> None:
    """A stray setting of Locust or gevent must not change the gate. Before Locust is imported."""
    for name in [n for n in os.environ if n.startswith(("LOCUST_", "GEVENT_"))]:  # noqa: TID251
        del os.environ[name]  # noqa: TID251


def mask_stderr() -> None:
    """No secret in what is written to stderr from now on."""
    sys.stderr = _Masked(sys.stderr)


def allow_files() -> None:
    """Each customer in flight is a socket: take as many descriptors as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def listeners(environment: Any) -> Callable[[], bool]:
    """Whether anybody but Locust's own statistics, which no gate reads, wants to know of requests.

    To be asked for once Locust's runner is there and before anything else is told of it.
    """
    handlers = environment.events.request._handlers  # noqa: SLF001  there is no other way to know
    own = len(handlers)
    return lambda: len(handlers) > own


def settle() -> None:
    """Everything is loaded: the garbage collector need not look at it again, and memory that was
    needed once is kept.

    glibc gives memory back to the system after each parsed page and asks for it again: that takes
    longer than parsing.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-1, 256 * 2**20), (-3, 32 * 2**20), (-2, 2**20), (1, 0)):
            mallopt(parameter, value)  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_TOP_PAD, M_MXFAST
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
