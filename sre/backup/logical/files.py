"""How do the pieces of a dump become one file, and is it what was written?"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from sre.backup.databases.pgbin import programs
from sre.backup.logical.members import COMPLETE, DUMP, PIECES, SCHEMA, SOURCE, TABLES
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, MissingExtra, Transient
from sre.core.process import run

__all__ = ["check_dump", "join", "major_of", "read_complete", "read_source", "read_tables"]

_COPY = 2**20


def read_source(folder: Path) -> dict[str, Any]:
    """`source.json` of a restored folder. Raises CheckFailed."""
    return _read(folder / SOURCE)


def read_complete(folder: Path) -> dict[str, Any]:
    """`complete.json`, the end of the dump. Raises CheckFailed."""
    return _read(folder / COMPLETE)


def read_tables(folder: Path) -> list[dict[str, Any]]:
    """The tables of `tables.json`. Raises CheckFailed."""
    found: list[dict[str, Any]] = _read(folder / TABLES)["tables"]
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        schema = found.get("schema")
    except (OSError, ValueError, AttributeError):
        schema = None
    if schema != SCHEMA:
        raise CheckFailed(f"what was restored holds no {path.name} of {SCHEMA}: no logical dump")
    assert isinstance(found, dict)  # noqa: S101  it has a schema
    return found


def major_of(version: str) -> str:
    """The major version in `15.4`."""
    return version.split(".", maxsplit=1)[0]


def join(folder: Path) -> Path:
    """Make one file of the pieces, in place; the file. Needs room for one piece. Idempotent.

    Raises:
        Transient: the disk refuses.
    """
    whole, pieces = folder / DUMP, sorted((folder / PIECES).glob("[0-9]*"))
    if pieces and not whole.exists():
        pieces.pop(0).rename(whole)
    try:
        with whole.open("ab") as out:
            for piece in pieces:
                with piece.open("rb") as source:
                    shutil.copyfileobj(source, out, _COPY)
                piece.unlink()
    except OSError as error:
        raise Transient(f"cannot write {whole}: {error.strerror}") from error
    if (folder / PIECES).is_dir():
        (folder / PIECES).rmdir()
    return whole


def check_dump(folder: Path, bin_dir: Path | None, deadline: Deadline) -> tuple[str, ...]:
    """What is wrong with a restored dump: its length, its hash, what pg_restore cannot read.

    Raises:
        MissingExtra: no pg_restore of that version here.
    """
    told, whole = read_complete(folder), join(folder)
    size = whole.stat().st_size
    if size != told["bytes"]:
        return (f"{DUMP} has {size} bytes, {COMPLETE} says {told['bytes']}",)
    with whole.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != told["sha256"]:
            return (f"{DUMP} does not have the SHA-256 that {COMPLETE} says",)
    program = str(_pg_restore(told["version"], bin_dir))
    done = run([program, "-f", os.devnull, str(whole)], deadline, env={"LC_ALL": "C"})
    if done.timed_out:
        raise CheckFailed("pg_restore did not end in time")
    if not done.ok:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        return (f"pg_restore cannot read {DUMP}: {said[-1]}",)
    return ()


def _pg_restore(version: str, bin_dir: Path | None) -> Path:
    try:
        return programs(major_of(version), ("pg_restore",), bin_dir=bin_dir) / "pg_restore"
    except MissingExtra as error:
        raise MissingExtra(f"pg_restore was not asked: {error}") from error
