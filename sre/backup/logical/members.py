"""What does the tar of a logical dump hold, and how is it written as it comes?

    source.json  roles.sql  tables.json  dump/000000 dump/000001 …  complete.json

A tar says the size of a member before its content, and nobody knows how long a dump will be: so it
comes in pieces of one size. End to end, `cat dump/*`, they are what `pg_dump -Fc` wrote.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from typing import IO, Any

__all__ = [
    "COMPLETE",
    "DUMP",
    "PIECE",
    "PIECES",
    "ROLES",
    "SCHEMA",
    "SOURCE",
    "TABLES",
    "Members",
    "summary",
]

SCHEMA = "sre.logical/1"
SOURCE, ROLES, TABLES, COMPLETE = "source.json", "roles.sql", "tables.json", "complete.json"
PIECES = "dump"
"""The folder of the pieces."""
DUMP = "database.dump"
"""The file that they become in a restored folder."""
PIECE = 16 * 2**20
_BLOCK = 512
_RECORDS = (SCHEMA, "sre.pgbackrest/1")


def summary(tail: str) -> dict[str, Any]:
    """What `complete.json` at a tar's end says; empty when the tar ends with something else."""
    try:
        found = json.loads(tail)
    except ValueError:
        return {}
    if not isinstance(found, dict) or found.pop("schema", None) not in _RECORDS:
        return {}
    return found


class Members:
    """Writes one tar (ustar) to a file that cannot seek."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.pieces = 0

    def add(self, name: str, data: bytes | memoryview) -> None:
        """One member, whole."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o600
        self._out.write(info.tobuf(tarfile.USTAR_FORMAT))
        self._out.write(data)
        self._out.write(b"\0" * (-len(data) % _BLOCK))

    def add_json(self, name: str, content: Mapping[str, Any]) -> None:
        """One member of JSON."""
        self.add(name, json.dumps({"schema": SCHEMA, **content}, indent=1).encode() + b"\n")

    def add_piece(self, data: bytes) -> None:
        """The next piece of the dump."""
        self.add(f"{PIECES}/{self.pieces:06}", data)
        self.pieces += 1

    def end(self) -> None:
        """The end-of-archive mark, through to the reader."""
        self._out.write(b"\0" * (2 * _BLOCK))
        self._out.flush()
