"""How is a folder put on the table?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sre.backup.doctor.local_checks import LOCAL_CHECKS
from sre.backup.doctor.local_scene import LocalScene
from sre.backup.doctor.model import Check, Outcome, absent, denied, unknown
from sre.core.clock import Clock, Deadline

if TYPE_CHECKING:
    from sre.backup.storage.local import LocalStore

__all__ = ["LocalPatient"]


class LocalPatient:
    """A folder on the table."""

    def __init__(self, store: LocalStore, where: str, clock: Clock, deadline: Deadline) -> None:
        self.checks: tuple[Check, ...] = LOCAL_CHECKS
        self.where = where
        self.scene = LocalScene(store.path, clock, deadline)

    def ready(self) -> None:
        self.scene.open()

    def explain(self, error: Exception) -> Outcome | None:
        if isinstance(error, PermissionError):
            return denied(f"this user may not: {error.strerror}")
        if isinstance(error, OSError):
            if error.errno in {28, 122, 5}:  # full, over quota, the disk fails
                return unknown(f"the disk says: {error.strerror}")
            return absent(f"refused: {error.strerror or error}")
        return None

    def affords(self, check: Check, seconds: float) -> bool:  # noqa: ARG002  disks are fast
        return True

    def stop(self) -> None:
        """A check of a folder is over in a moment."""

    def clean(self, seconds: float) -> tuple[str, ...]:  # noqa: ARG002
        return self.scene.close()

    def measured(self) -> dict[str, float]:
        names = {
            "upload_rate": "upload_bytes_per_second", "free": "free_bytes",
            "skew": "clock_difference_seconds",
        }  # fmt: skip
        memo = self.scene.memo
        return {told: float(memo[name]) for name, told in names.items() if name in memo}
