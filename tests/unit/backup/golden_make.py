"""How is a golden repository made? Once for each change of the format, never again:

python -m tests.unit.backup.golden_make tests/unit/backup/golden/NAME.tar
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tarfile
import tempfile
from pathlib import Path

from sre.backup.keyring.rewrap import rewrap
from sre.backup.keyring.shred import shred
from sre.backup.keys import sign
from sre.backup.manifest import canonical
from sre.backup.pruning.marks import hold
from sre.backup.runner import run_backup
from sre.backup.verifying.verify import verify
from tests.unit.backup.golden_keys import golden_keys
from tests.unit.backup.setting import TarDatabase, make_job, make_tar

FILES = {
    "PG_VERSION": b"16\n",
    "base/1/1": bytes(range(256)) * 40,
    "empty": b"",
    "backup_manifest": b'{"WAL-Ranges": []}\n',
}
OLDEST = ("fence", "audit_head", "sidecar")
"""Fields that the first manifests did not have."""


def make(to: Path) -> None:
    """Four backups: as the first version wrote it, plain, with its key wrapped again, shredded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = TarDatabase(make_tar(folder / "db.tar", FILES))
        keys = golden_keys("first")
        job = make_job(folder, keys, database)
        made = [run_backup(job, "orders") for _ in range(4)]
        _as_the_first_version(folder / "store", made[0].where.manifest)
        both = dataclasses.replace(keys, recipients=golden_keys("first", "second").recipients)
        rewrap(dataclasses.replace(job, backups=dataclasses.replace(job.backups, keys=both)),
               [made[2].id])  # fmt: skip
        shred(job, [made[3].id], reason="golden")
        for each in made[:3]:
            assert verify(job, each.id, 1).passed
        hold(job, made[0].id, "golden")
        with tarfile.open(to, "w", format=tarfile.USTAR_FORMAT) as tar:
            for path in sorted((folder / "store").rglob("*")):
                if path.is_file() and not path.name.startswith(".") and _lasts(path):
                    info = tarfile.TarInfo(path.relative_to(folder / "store").as_posix())
                    info.size = path.stat().st_size
                    with path.open("rb") as file:
                        tar.addfile(info, file)


def _lasts(path: Path) -> bool:
    """Leases end, and audit records name the machine that wrote them."""
    return not {"locks", "audit"} & set(path.parts)


def _as_the_first_version(store: Path, key: str) -> None:
    found = json.loads((store / key).read_bytes())
    data = canonical({name: value for name, value in found.items() if name not in OLDEST})
    (store / key).write_bytes(data)
    (store / f"{key}.sig").write_bytes(sign(data, golden_keys("first").signing))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
