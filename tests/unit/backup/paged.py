"""What is a database of pages to a test that needs no server?"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import random
from pathlib import Path

from sre.backup.engine import Dump, Source
from sre.backup.pages.apply import Applying
from sre.core.clock import Deadline
from tests.unit.backup.setting import TarDatabase, make_tar

PAGE = 8192
NOISE = random.Random(3).randbytes(400 * PAGE)
SYSTEM = "7000000000000000001"


@dataclasses.dataclass(frozen=True)
class PagedDatabase(TarDatabase):
    """A database of pages whose dump is a tar that the test made; no server."""

    system: str = SYSTEM
    timeline: int = 1

    def identify(self, deadline: Deadline) -> Source:
        size = self.tar.stat().st_size
        return Source("postgres", "15.4", self.system, size, self.timeline)

    def dump(self, source: Source, label: str) -> Dump:
        return dataclasses.replace(super().dump(source, label), pages=True)


def server_manifest(files: dict[str, bytes], timeline: int = 1) -> bytes:
    """As the server writes it."""
    entries = ",\n".join(
        json.dumps({"Path": name, "Size": len(data), "Checksum-Algorithm": "SHA256",
                    "Checksum": hashlib.sha256(data).hexdigest()})
        for name, data in files.items()
    )  # fmt: skip
    ranges = f'{{ "Timeline": {timeline}, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }}'
    text = f'{{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n{entries}\n],\n'
    text += f'"WAL-Ranges": [\n{ranges}\n],\n'
    return f'{text}"Manifest-Checksum": "{hashlib.sha256(text.encode()).hexdigest()}"}}\n'.encode()


def state(job_folder: Path, changed: int) -> dict[str, bytes]:
    """The database after `changed` changes, and its tar."""
    data = bytearray(NOISE)
    for number in range(changed):
        data[number * PAGE : number * PAGE + 3] = b"new"
    files = {"PG_VERSION": b"15\n", "base/1/1": bytes(data), "base/1/2": NOISE[: 9 * PAGE]}
    files["backup_manifest"] = server_manifest(files)
    make_tar(job_folder / "db.tar", files)
    return files


def apply(tar: bytes, folder: Path) -> None:
    """Change a folder in place, as a restore does."""
    with contextlib.closing(Applying(str(folder), native=False)) as applying:
        applying.put(memoryview(tar))
        applying.end()
