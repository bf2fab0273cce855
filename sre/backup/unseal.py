"""How do encrypted volumes become the tar again? (the program of a child process)

    frames ─► stdin │ age ─► zstd ─► hashes │ stdout, a folder or nowhere │ stderr: what each was

Three threads, one for each arrow. The first frame is what is needed (JSON: the secret identity,
which comes by pipe, never by argument, and the names of the hashes). With `--check` the plaintext
is only hashed and a bad volume does not end the work; otherwise it goes to standard output, or with
`--into` becomes the files of a folder, and the first fault ends it. Nobody may use either before
this ended with 0: the end of a volume says whether all of it is genuine.
"""

from __future__ import annotations

import contextlib
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
from sre.backup.outlet import Outlet, outlet_of
from sre.backup.programs import UNUSABLE
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
    """Plaintext, hashed and put into the outlet; a line for each volume."""

    def __init__(self, source: Expander, hashes: list[str], outlet: Outlet, *, check: bool) -> None:
        self._source, self._outlet, self._check = source, outlet, check
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
        with _or_say_why():
            self._outlet.put(view)

    def _tell(self, verdict: Verdict) -> None:
        found = {name: each.hexdigest() for name, each in self._hashes.items()}
        said = {"error": verdict.error, "bytes": self._size, **found}
        sys.stderr.write(json.dumps(said) + "\n")
        sys.stderr.flush()
        if verdict.error and not self._check:
            os._exit(1)  # the other threads may wait for us
        self._begin()


@contextlib.contextmanager
def _or_say_why() -> Iterator[None]:
    """What the outlet cannot take ends the process, whose other threads may wait for us."""
    try:
        yield
    except (IntegrityError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(UNUSABLE)


def main(words: list[str]) -> None:
    """Unseal stdin to its end; one line of JSON on stderr for each volume."""
    wide(0)
    with _or_say_why():
        outlet = outlet_of(words)
    frames = read_frames(sys.stdin.buffer)
    needed: dict[str, Any] = next(frames).record()
    identity: X25519PrivateKey = identity_of(needed["identity"])
    expander = Expander(_QUEUED)
    threads = [
        start(expander.run, "zstd"),
        start(_Writer(expander, needed["hashes"], outlet, check="--check" in words).run, "write"),
    ]
    whole = _open_all(frames, identity, expander)
    for thread in threads:
        thread.join()
    if not whole:
        sys.exit(1)
    with _or_say_why():
        outlet.end()


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
    main(sys.argv[1:])
