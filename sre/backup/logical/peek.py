"""What does a backup say about its source, before all of it is downloaded?"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tarfile
import threading
from typing import Any

from sre.backup.catalogue import Damaged
from sre.backup.logical.members import SOURCE
from sre.backup.opening import Sealed, open_volumes
from sre.backup.outlet import Output
from sre.core.errors import CheckFailed

__all__ = ["peek"]


def peek(sealed: Sealed) -> dict[str, Any]:
    """`source.json` of a logical dump; only as many volumes are read as it takes.

    Raises:
        Damaged: a volume is not what it should be.
        CheckFailed: it is no logical dump.
    """
    volumes = sealed.manifest.volumes
    for count in range(1, len(volumes) + 1):
        some = dataclasses.replace(sealed.manifest, volumes=volumes[:count])
        found = _first_member(dataclasses.replace(sealed, manifest=some))
        if found is not None:
            return found
    raise CheckFailed("the backup holds no source.json: no logical dump")


def _first_member(sealed: Sealed) -> dict[str, Any] | None:
    read, write = os.pipe()
    reader = _Reader(read)
    thread = threading.Thread(target=reader.run, name="peek", daemon=True)
    thread.start()
    try:
        faults = open_volumes(sealed, into=Output(write))
    finally:
        os.close(write)
        thread.join()
    for fault in faults:
        raise Damaged(fault)
    return reader.found


class _Reader:
    """Reads a pipe to its end; remembers the first member if it is the one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.found: dict[str, Any] | None = None

    def run(self) -> None:
        with os.fdopen(self._descriptor, "rb") as file:
            with contextlib.suppress(tarfile.TarError, ValueError, EOFError):
                tar = tarfile.open(fileobj=file, mode="r|")  # noqa: SIM115  the pipe is closed
                member = tar.next()
                if member is not None and member.name == SOURCE:
                    content = tar.extractfile(member)
                    self.found = json.loads(content.read()) if content is not None else None
            while file.read(2**20):
                pass
