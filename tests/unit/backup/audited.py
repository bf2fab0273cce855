"""What do tests of the audit log work with?"""

from __future__ import annotations

from pathlib import Path

from sre.backup.audit.chain import check_chain
from sre.backup.audit.log import Action, AuditLog
from sre.backup.job import Job
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.storage.memory import MemoryStorage
from sre.core.clock import FakeClock
from tests.unit.backup.setting import TarDatabase, make_job, make_tar, shop_files

MONTH = 31 * 86400.0


def job_at(folder: Path, keys: Keys, storage: Storage, then: str = "") -> Job:
    tar = make_tar(folder / "t", shop_files())
    return make_job(folder / "state", keys, TarDatabase(tar, then), storage=storage)


def log_at(folder: Path, keys: Keys, storage: Storage, clock: FakeClock | None = None) -> AuditLog:
    return AuditLog(storage, keys, "main-1", folder, clock or FakeClock())


def act(number: int = 0, at: float = 1_000_000.0) -> Action:
    return Action(at, ("sre", "backup"), "run", (f"backup-{number}",), "ok", number)


def filled(folder: Path, keys: Keys, count: int = 6) -> tuple[AuditLog, dict[str, bytes]]:
    storage = MemoryStorage()
    log = log_at(folder, keys, storage)
    for number in range(count):
        assert log.add(act(number, 1_000_000 + number * MONTH / 2))
    return log, storage.objects


def problems(log: AuditLog, *, remembered: bool = True) -> list[str]:
    known = log.known() if remembered else []
    checked = check_chain(log.objects(), known, log.keys.trusted)
    return [f"{fault.object}: {fault.problem}" for fault in checked.faults]
