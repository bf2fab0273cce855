"""How does a restored folder reach a node that is another machine? (effects)

By its control, in pieces: small files in tars, large ones at their place. Each piece may be sent
again; at the end the node says the size of every file, and only then the folder counts.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Transient
from sre.failover.engine import Placed

__all__ = ["send_folder"]

_PIECE = 16 * 2**20
_BLOCK = 2**20
# fixed texts; the folder comes as $1
_NEW = 'set -eu; umask 077; rm -rf "$1"; mkdir -p "$1"'
_SIZES = "cd \"$1\" && find . -type f -exec stat -c '%s %n' {} + && sync"


def send_folder(source: Path, node: Placed, target: str, deadline: Deadline) -> int:
    """Everything in `source` into the new folder `target` of the node; how many bytes.

    Raises:
        CheckFailed: the node refused.
        Transient: it cannot be reached, or not all has arrived; call it again.
    """
    sending = _Sending(source, node, target, deadline)
    sending.must(["sh", "-c", _NEW, "sre", target])
    for path in sorted(source.rglob("*")):
        sending.take(path)
    sending.flush()
    sending.compare()
    return sum(sending.sizes.values())


@dataclass
class _Sending:
    """One folder on its way."""

    source: Path
    node: Placed
    target: str
    deadline: Deadline
    sizes: dict[str, int] = field(default_factory=dict)
    _held: list[Path] = field(default_factory=list)
    _bytes: int = 0

    def take(self, path: Path) -> None:
        """A file, a folder or a link; a folder comes before what is in it."""
        plain = path.is_file() and not path.is_symlink()
        size = path.stat().st_size if plain else 0
        if plain:
            self.sizes[str(path.relative_to(self.source))] = size
        if size > _PIECE:
            self.flush()  # the folder that it stands in
            self._large(path)
            return
        self._held.append(path)
        self._bytes += size + 1024
        if self._bytes >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """Send what is held, as one tar."""
        held, self._held, self._bytes = self._held, [], 0
        if not held:
            return
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in held:
                tar.add(path, arcname=str(path.relative_to(self.source)), recursive=False)
        self.must(["tar", "-x", "-o", "-C", self.target, "-f", "-"], packed.getvalue())

    def _large(self, path: Path) -> None:
        to = f"{self.target}/{path.relative_to(self.source)}"
        for number, piece in enumerate(_pieces(path)):
            seek = number * (_PIECE // _BLOCK)
            self.must(["dd", f"of={to}", f"bs={_BLOCK}", f"seek={seek}", "conv=notrunc"], piece)
        self.must(["chmod", f"{path.stat().st_mode & 0o777:o}", to])

    def compare(self) -> None:
        """What has arrived, as the node says it. Raises Transient."""
        said = self.must(["sh", "-c", _SIZES, "sre", self.target])
        there: dict[str, int] = {}
        for line in said.decode("utf-8", "surrogateescape").splitlines():
            size, _, name = line.partition(" ")
            there[name.removeprefix("./")] = int(size)
        names = self.sizes.keys() | there.keys()
        odd = sorted(name for name in names if self.sizes.get(name) != there.get(name))
        if odd:
            raise Transient(f"{self.node.name}: {odd[0]} is not whole there ({len(odd)} files)")

    def must(self, argv: list[str], data: bytes = b"") -> bytes:
        """What a program of the node writes. Raises CheckFailed, Transient."""
        if self.deadline.passed():
            raise Transient(f"{self.node.name}: the data was not sent within the time")
        done = self.node.control.run(self.node.service, argv, self.deadline, input=data)
        if not done.ok:
            words = " ".join(done.stderr.split())[-300:]
            raise CheckFailed(f"{self.node.name}: {argv[0]} ended with {done.returncode}: {words}")
        return done.stdout


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
