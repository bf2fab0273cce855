"""How do the bytes of an object come when the way breaks off, or only drips?

A connection on which less than a kilobyte a second comes counts as one that has stalled, though it
never falls silent. What broke off or stalled is asked for again from there on, of the same version
of the object, over a new connection. Only the time spent waiting counts: whoever works on what
came may take as long as he wants.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

__all__ = ["FLOOR", "Broken", "Patience", "pieces_of"]

FLOOR = 1024
"""Bytes a second; what is slower stands still."""
_PIECE = 2**20
_SMALL = 2**14
_AWAY = 8 * 2**20
"""Bytes after which a break is the first one again: a long object may break more often."""


class Broken(BotoCoreError):  # type: ignore[misc]
    """An answer's body ended early, or came too slowly."""

    fmt = "{problem}"


@dataclass(frozen=True)
class Patience:
    """How long is waited.

    Attributes:
        seconds: a window in which FLOOR bytes a second must come.
        attempts: connections that may break in a row.
        now: seconds, monotonic.
    """

    seconds: float = 30.0
    attempts: int = 5
    now: Callable[[], float] = time.monotonic


Ask = Callable[[int], tuple[Any, int | None]]


def pieces_of(ask: Ask, patience: Patience) -> Generator[bytes, None, None]:
    """The bytes of an object; `ask(offset)` opens it there and says how many bytes are to come.

    Raises what `ask` raises, and BotoCoreError once too many connections broke.
    """
    offset, since, left = 0, 0, patience.attempts
    while True:
        body, length = ask(offset)
        end = None if length is None else offset + length
        try:
            for piece in _paced(body, patience):
                offset += len(piece)
                yield piece
            if end is None or offset >= end:
                return
            raise Broken(problem=f"it ended {end - offset} bytes too early")
        except BotoCoreError:
            if offset == end:
                return
            left = patience.attempts if offset - since > _AWAY else left - 1
            since = offset
            if left < 1:
                raise
        finally:
            with contextlib.suppress(OSError, HTTPError):
                body.close()


def _paced(body: Any, patience: Patience) -> Iterator[bytes]:
    """In pieces that are worth the work; raises Broken after what came before it broke."""
    coming, waiting, broken = _coming(body, patience), bytearray(), None
    while broken is None:
        try:
            piece = next(coming, b"")
        except Broken as error:
            piece, broken = b"", error
        waiting += piece
        while len(waiting) >= _PIECE or (waiting and not piece):
            yield bytes(waiting[:_PIECE])
            del waiting[:_PIECE]
        if not piece and broken is None:
            return
    raise broken


def _coming(body: Any, patience: Patience) -> Iterator[bytes]:
    """As it comes; raises Broken when it hardly comes."""
    spent, came = 0.0, 0
    while True:
        began = patience.now()
        piece = _some(body)
        spent, came = spent + patience.now() - began, came + len(piece)
        if not piece:
            return
        yield piece
        if spent >= patience.seconds:
            if came < FLOOR * spent:
                raise Broken(problem=f"only {came} bytes came in {spent:.0f} s")
            spent, came = 0.0, 0


def _some(body: Any) -> bytes:
    """What is there; waits for the first byte. Empty at the end."""
    read1 = getattr(getattr(body, "_raw_stream", None), "read1", None)
    try:
        some: bytes = body.read(_SMALL) if read1 is None else read1(_PIECE)
    except (HTTPError, OSError) as error:
        raise Broken(problem=str(error)) from error
    return some
