"""How do encrypted volumes become the tar again? (the program of a child process)

    frames ─► stdin │ age ─► zstd ─► hashes │ stdout ─► tar, or nowhere │ stderr: what each was

Three threads, one for each arrow. The first frame is what is needed (JSON: the secret identity,
which comes by pipe, never by argument, and the names of the hashes). With `--check` the plaintext
is only hashed and a bad volume does not end the work; otherwise the plaintext goes to standard
output and the first fault ends it. Nobody may use that output before the last volume was found
good: the end of a volume says whether all of it is genuine.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sre.backup.age.header import identity_of
from sre.backup.age.stream import Opener
from sre.backup.expand import Expander, Verdict
from sre.backup.frames import Frame, read_frames
from sre.backup.intake import wide
from sre.backup.threads import start
from sre.core.errors import IntegrityError

__all__ = ["main"]

_QUEUED = 8
_HASHES: dict[str, Callable[[], Any]] = {"sha256": hashlib.sha256, "blake3": blake3}


def _open(frames: Iterator[Frame], first: Frame, opener: Opener, out: Expander) -> None:
    """One volume into the expander, all of its frames in any case."""
    error, frame = "", first
    while frame.kind == "D":
        if not error:
            try:
                out.add(opener.update(frame.data))
            except ValueError as wrong:
                error = str(wrong)
        frame = next(frames)
    if not error:
        try:
            out.add(opener.finish())
        except ValueError as wrong:
            error = str(wrong)
    out.end(error)


class _Writer:
    """Plaintext, hashed and written on unless only checked; a line for each volume."""

    def __init__(self, source: Expander, hashes: list[str], *, check: bool) -> None:
        self._source, self._check = source, check
        self._names = hashes
        self._begin()

    def _begin(self) -> None:
        self._hashes = {name: _HASHES[name]() for name in self._names}
        self._size = 0

    def run(self) -> None:
        """Until the last volume; ends the process at the first bad one unless only checking."""
        while (item := self._source.out.get()) is not None:
            if isinstance(item, Verdict):
                self._tell(item)
                continue
            buffer, count = item
            with memoryview(buffer)[:count] as view:
                self._pass(view)
            self._source.free.put(buffer)

    def _pass(self, view: memoryview) -> None:
        for each in self._hashes.values():
            each.update(view)
        self._size += len(view)
        written = len(view) if self._check else 0
        while written < len(view):
            written += os.write(1, view[written:])

    def _tell(self, verdict: Verdict) -> None:
        found = {name: each.hexdigest() for name, each in self._hashes.items()}
        said = {"error": verdict.error, "bytes": self._size, **found}
        sys.stderr.write(json.dumps(said) + "\n")
        sys.stderr.flush()
        if verdict.error and not self._check:
            os._exit(1)  # the other threads may wait for us
        self._begin()


def main(*, check: bool) -> None:
    """Unseal stdin to its end; one line of JSON on stderr for each volume."""
    wide(0)
    if not check:
        wide(1)
    frames = read_frames(sys.stdin.buffer)
    needed: dict[str, Any] = next(frames).record()
    identity: X25519PrivateKey = identity_of(needed["identity"])
    expander = Expander(_QUEUED)
    threads = [
        start(expander.run, "zstd"),
        start(_Writer(expander, needed["hashes"], check=check).run, "write"),
    ]
    whole = _open_all(frames, identity, expander)
    for thread in threads:
        thread.join()
    sys.exit(0 if whole else 1)


def _open_all(frames: Iterator[Frame], identity: X25519PrivateKey, out: Expander) -> bool:
    """Whether the stream had its last frame: who sends stops early after a bad volume."""
    try:
        for frame in frames:
            if frame.kind != "L":
                _open(frames, frame, Opener(identity), out)
    except IntegrityError:
        return False
    finally:
        out.last()  # what came is told in any case
    return True


if __name__ == "__main__":
    main(check="--check" in sys.argv)
