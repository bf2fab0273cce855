"""What do tests of backups work with: keys, a declaration, a database, a job?"""

from __future__ import annotations

import contextlib
import io
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.backup.databases.postgres import PostgresDatabase
from sre.backup.engine import Database, Dump, Source
from sre.backup.job import Job
from sre.backup.keys import new_keys
from sre.backup.model import Backups, Declared, Keys, Tier
from sre.backup.objects import Storage, Store
from sre.backup.storage.local import LocalStore
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.core.secrets import Secret
from sre.sql.model import Invariant

ROOT = Path(__file__).parent.parent.parent.parent
VOLUME = 2**20
"""Small volumes, so that small databases have many."""


def make_keys(folder: Path) -> Keys:
    """A set of keys as `sre backup keys new` makes it."""
    made = new_keys(folder)
    return Keys(
        (made.recipient,),
        Secret.from_file(folder / "signing"),
        (made.trusted,),
        Secret.from_file(folder / "identity"),
    )


def make_job(
    state: Path,
    keys: Keys,
    database: Database,
    *,
    store: Store | None = None,
    storage: Storage | None = None,
    invariants: tuple[Invariant, ...] = (),
    tier: Tier | None = None,
    volume: int = 0,
) -> Job:
    """A job with the one database `orders`; `storage` stands in for the store when given."""
    store = store or LocalStore(state / "store")
    declared = Declared(
        "orders", "postgres", database, "main", store, "gold", tier or Tier(), invariants,
        volume or VOLUME,
    )  # fmt: skip
    backups = Backups({"main": store}, {}, keys, {"orders": declared})
    return Job(backups, state=state, storages={} if storage is None else {"main": storage})


@dataclass(frozen=True)
class Scene:
    """Everything that a declaration needs, for a process of its own."""

    folder: Path
    dsn: str
    store: Mapping[str, Any]
    bin_dir: str = ""
    volume: str = "1MiB"

    @property
    def config(self) -> Path:
        return self.folder / "sre.yaml"

    def write(self, invariants: Sequence[str] = (), *, pg_basebackup: bool = False) -> Path:
        """The declaration as a file. `pg_basebackup`: that program copies."""
        keys = self.folder / "keys"
        if not keys.exists():
            new_keys(keys)
        store = ", ".join(f"{name}: {value}" for name, value in self.store.items())
        bin_dir = f"    bin_dir: {self.bin_dir}\n" if self.bin_dir else ""
        bin_dir += "    pg_basebackup: true\n" if pg_basebackup else ""
        self.config.write_text(
            f"""\
version: 1
shop: {{name: demo, base_url: "http://127.0.0.1:9"}}
stores:
  main: {{{store}}}
tiers:
  gold: {{rpo: 60s, rto: 15m, verify: {{level: 3, every: 1d}}}}
keys:
  recipients: [{(keys / "identity.pub").read_text().strip()}]
  trusted: ["{(keys / "signing.pub").read_text().strip()}"]
  signing: "${{file:{keys}/signing}}"
  identity: "${{file:{keys}/identity}}"
databases:
  orders:
    kind: postgres
    dsn: "${{env:ORDERS_DSN}}"
{bin_dir}    tier: gold
    store: main
    volume: {self.volume}
    invariants: [{", ".join(invariants)}]
"""
        )
        return self.config

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ORDERS_DSN": self.dsn,
            "SRE_STATE": str(self.folder / "state"),
            "PYTHONPATH": str(ROOT),
        }

    def argv(self, *arguments: str, stage: str = "") -> list[str]:
        """The command line that runs `sre backup …` on this declaration."""
        program = [sys.executable, str(Path(__file__).with_name("driver.py"))]
        return [*program, str(self.config), stage, *arguments]

    def run(
        self, *arguments: str, stage: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end. With `stage` it kills itself there (see driver.py)."""
        return subprocess.run(
            self.argv(*arguments, stage=stage),
            capture_output=True,
            text=True,
            timeout=110,
            env={**self.environment, **(env or {})},
            cwd=self.folder,
        )


@dataclass(frozen=True)
class TarDatabase:
    """A database of which the dump is a tar that the test made; no server."""

    tar: Path
    then: str = ""
    """A line of shell after the tar was written, such as `exit 3`."""
    last: str = "backup_manifest"

    def identify(self, deadline: Deadline) -> Source:
        return Source("postgres", "16.4", "7000000000000000001", self.tar.stat().st_size)

    def dump(self, source: Source, label: str) -> Dump:
        script = f'cat "$0"; {self.then}' if self.then else 'exec cat "$0"'
        return Dump(("/bin/sh", "-c", script, str(self.tar)), {"LABEL": label}, self.last)

    def check_files(self, folder: Path, deadline: Deadline) -> tuple[str, ...]:
        return ()

    @contextlib.contextmanager
    def serve(self, folder: Path, work: Path, deadline: Deadline) -> Iterator[str]:
        raise CheckFailed("a tar does not serve")
        yield ""


def make_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    """A tar as PostgreSQL writes it: ustar, `backup_manifest` at its end unless told."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))
    return path


def shop_files(size: int = 3 * 2**20) -> dict[str, bytes]:
    """Files that do not compress, so that stored volumes have a size."""
    noise = random.Random(7).randbytes(size)
    return {
        "PG_VERSION": b"16\n",
        "base/1/1": noise[: size // 2],
        "base/1/2": noise[size // 2 :],
        "empty": b"",
        "backup_manifest": b'{"WAL-Ranges": []}\n',
    }


def postgres(dsn: str, bin_dir: Path | None = None) -> PostgresDatabase:
    """The kind, on a dsn that no environment holds."""
    return PostgresDatabase(Secret.literal(dsn), bin_dir)
