"""Are the files of a restored PostgreSQL those that the server listed in `backup_manifest`?

What pg_verifybackup does, for hosts without it (and builds of it that crash): the manifest's own
checksum, every file there with its size and checksum, and no file that it does not name. The log is
not in the manifest; that it replays is shown by starting the server.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed

__all__ = ["check_manifest"]

_MANIFEST = "backup_manifest"
_OWN = {_MANIFEST, "postgresql.auto.conf", "recovery.signal", "standby.signal"}
_BESIDE = ("pg_wal/", "pg_tblspc/", "sre_wal/")
_LAST = re.compile(rb'"Manifest-Checksum": "([0-9a-f]{64})"\}\s*$')
_HASHES = {name.upper(): name for name in ("sha224", "sha256", "sha384", "sha512")}
_MOST = 20


def check_manifest(folder: Path, deadline: Deadline) -> tuple[str, ...]:
    """What is wrong, at most twenty things. Raises CheckFailed when it does not end in time."""
    found: list[str] = []
    for problem in _problems(folder, deadline):
        found.append(problem)
        if len(found) == _MOST:
            break
    return tuple(found)


def _problems(folder: Path, deadline: Deadline) -> Iterator[str]:
    files = _files(folder)
    if isinstance(files, str):
        yield files
        return
    for path, entry in files.items():
        if deadline.passed():
            raise CheckFailed("the check against backup_manifest did not end in time")
        problem = _file_problem(folder / path, entry)
        if problem:
            yield f'"{path}" {problem}'
    for path in _present(folder):
        if path not in files and path not in _OWN and not path.startswith(_BESIDE):
            yield f'"{path}" is present on disk but not in the manifest'


def _files(folder: Path) -> dict[str, Mapping[str, Any]] | str:
    """By path; a text when the manifest itself is bad."""
    try:
        data = (folder / _MANIFEST).read_bytes()
    except OSError as error:
        return f"{_MANIFEST} cannot be read: {error.strerror}"
    last = _LAST.search(data)
    if last is None:
        return f"{_MANIFEST} has no end"
    if hashlib.sha256(data[: data.rindex(b"\n", 0, last.start()) + 1]).hexdigest() != (
        last[1].decode()
    ):
        return f"{_MANIFEST} was changed: its own checksum differs"
    try:
        return {_path(each): each for each in json.loads(data)["Files"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{_MANIFEST} is no manifest: {error}"


def _path(entry: Mapping[str, Any]) -> str:
    if "Path" in entry:
        return str(entry["Path"])
    return os.fsdecode(bytes.fromhex(entry["Encoded-Path"]))


def _file_problem(path: Path, entry: Mapping[str, Any]) -> str:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry["Size"]:
                return f"has size {size}, the manifest says {entry['Size']}"
            name = _HASHES.get(entry.get("Checksum-Algorithm", ""))
            if name and hashlib.file_digest(file, name).hexdigest() != entry["Checksum"]:
                return "has another checksum than in the manifest"
    except FileNotFoundError:
        return "is present in the manifest but not on disk"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _present(folder: Path) -> Iterator[str]:
    for base, _folders, names in os.walk(folder):
        for name in names:
            yield (Path(base) / name).relative_to(folder).as_posix()
