"""A run of a backup in a process of its own, which a test stops, kills or lets go on.

    lease_child.py STATE KEYS TAR STORE THEN TTL [STOP]

STORE is a folder, or an S3 store as JSON. With STOP, the process stops itself (SIGSTOP) right
before it puts a key that ends so.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from sre.backup.keys import public_of
from sre.backup.model import Keys
from sre.backup.objects import Store
from sre.backup.runner import run_backup
from sre.backup.storage import local, s3_client
from sre.backup.storage.local import LocalStore
from sre.backup.storage.s3 import S3Store
from sre.cli import main as cli
from sre.core.errors import SreError, Terminated
from sre.core.secrets import Secret
from tests.unit.backup.setting import TarDatabase, make_job


def keys_in(folder: Path) -> Keys:
    recipient = (folder / "identity.pub").read_text().strip()
    signing = Secret.from_file(folder / "signing")
    identity = Secret.from_file(folder / "identity")
    return Keys((recipient,), signing, (public_of(signing),), identity)


def store_of(text: str) -> Store:
    if not text.startswith("{"):
        return LocalStore(Path(text))
    fields = json.loads(text)
    secrets = {name: Secret.literal(fields.pop(name)) for name in ("access_key", "secret_key")}
    return S3Store(**fields, **secrets)


def stopping(cls: Any, ending: str) -> None:
    put = cls.put

    def armed(self: Any, key: str, data: bytes) -> None:
        if key.endswith(ending):
            os.kill(os.getpid(), signal.SIGSTOP)
        put(self, key, data)

    cls.put = armed


def main(state: str, keys: str, tar: str, store: str, then: str, ttl: str, stop: str = "") -> int:
    signal.signal(signal.SIGTERM, cli._terminate)
    for cls in (local.LocalStorage, s3_client.S3Storage):
        if stop:
            stopping(cls, stop)
    job = make_job(
        Path(state), keys_in(Path(keys)), TarDatabase(Path(tar), then), store=store_of(store)
    )
    try:
        run_backup(replace(job, lease_ttl=float(ttl)), "orders")
    except (SreError, Terminated) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
