"""What stands in these logs, line by line? Plain, compressed, rotated, from a pipe."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from sre.core.accesslog import MAX_LINE
from sre.core.errors import UsageError

__all__ = ["STDIN", "Batch", "batches"]

STDIN = "-"
"""The name of what comes through a pipe."""

_BLOCK = 2**20
_MAGIC: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}

Batch = Sequence[str]
"""Some lines of one file, whole ones; one that is far too long is a single odd character."""


def batches(name: str) -> Iterator[Batch]:
    """The lines of a file, or of `-`; compressed ones (gzip, bzip2, xz) are known by their bytes.

    Raises:
        UsageError: there is no such file, or it is damaged.
    """
    try:
        with contextlib.ExitStack() as stack:
            yield from _lines(_opened(name, stack))
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UsageError(f"{name} is damaged, or cut off: {error}; copy it anew") from error
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror or error}") from error


def _opened(name: str, stack: contextlib.ExitStack) -> IO[bytes]:
    raw: Any = sys.stdin.buffer if name == STDIN else stack.enter_context(Path(name).open("rb"))  # noqa: SIM115
    unpack = _MAGIC.get(raw.peek(2)[:2])
    return stack.enter_context(unpack(raw)) if unpack else cast("IO[bytes]", raw)


def _lines(stream: IO[bytes]) -> Iterator[Batch]:
    rest, skipping = b"", False
    while block := stream.read(_BLOCK):
        whole, newline, tail = block.rpartition(b"\n")
        if not newline:
            rest = b"" if skipping else rest + tail
            if len(rest) > 4 * MAX_LINE:
                rest, skipping = b"", True
                yield ("\ufffd",)
            continue
        if skipping:
            _, _, whole = whole.partition(b"\n")
            skipping = False
        lines = (rest + whole).decode("utf-8", "replace").split("\n")
        yield lines
        rest = tail
    if rest and not skipping:
        yield (rest.decode("utf-8", "replace"),)
