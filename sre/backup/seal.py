"""How does a tar become encrypted volumes? (the program of a child process)

    server or stdin ─► tap ─► volumes of N bytes ─► zstd ─► age │ stdout ─► frames

Its standard input is the dump's own output, or a module of ours asks the server here, which saves a
pipe: no byte of plaintext passes through the parent. Each
volume is a whole age file around zstd frames: by hand, the volumes are decrypted one by one and
what comes out is one tar. What the tap keeps for the next backup follows as one more such object,
the sidecar. One thread reads and hashes, others compress, one encrypts and writes.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from blake3 import blake3

from sre.backup.engine import Inside
from sre.backup.intake import Filling, Pieces, Pipe, Straight, Tar, wide
from sre.backup.press import CHUNK, Press
from sre.backup.sealing import Sealing
from sre.backup.tap import Looking, tap_of
from sre.core.errors import SreError
from sre.core.secrets import redactor

__all__ = ["main"]


def _seal(source: Pieces | Straight, press: Press, recipient: str, size: int) -> int:
    """Objects of `size` plaintext bytes each, the last one shorter; the sum."""
    total = 0
    while True:
        done, found = 0, blake3()
        while done < size:
            buffer = press.free.get()
            view = memoryview(buffer)[: min(CHUNK, size - done)]
            count = source.fill(view)
            if not count:
                press.free.put(buffer)
                break
            if not done:
                press.begin(recipient)
            found.update(view[:count])
            press.add(buffer, count)
            done += count
        if done:
            press.end({"bytes": done, "blake3": found.hexdigest()})
        total += done
        if done < size:
            return total


def _source(inside: Inside) -> Filling:
    if inside.module:
        given = tuple(inside.descriptors)
        return Pieces(import_module(inside.module).pieces(inside.argument, given))
    wide(0)
    return Pipe(0)


def main(sealing: Sealing) -> None:
    """Seal the tar to its end. Exits with an error on anything unusual; then nothing counts."""
    wide(1)
    tap, press = tap_of(sealing.tapping, sealing.mark), Press(sys.stdout.buffer, sealing.level)
    tar = Tar(_source(sealing.inside), tap)
    source = Straight(tar, tap) if isinstance(tap, Looking) else Pieces(tar.tapped())
    total = _seal(source, press, sealing.recipient, sealing.volume)
    if sealing.tapping.sidecar:
        aside = Pieces(tap.sidecar())
        if aside.more():
            press.side()
            _seal(aside, press, sealing.tapping.sidecar, sys.maxsize)
    press.last({"bytes": total, **tar.report()})


if __name__ == "__main__":
    try:
        main(Sealing.parse(sys.argv[1]))
    except SreError as error:  # said in one line; the other threads wait for more
        said = " ".join(redactor.mask(str(error)).split())
        sys.stderr.write(f"{said or type(error).__name__}\n")
        sys.stderr.flush()
        os._exit(1)
