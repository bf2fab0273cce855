"""How is a bucket put on the table: reached, written, and what do its answers mean?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from sre.backup.doctor.model import Check, Outcome, absent, denied, unknown
from sre.backup.doctor.s3_clean import clean, sweep
from sre.backup.doctor.s3_locks import lock_settings
from sre.backup.doctor.scene import Scene, code_of, status_of
from sre.backup.doctor.table_s3 import S3_CHECKS
from sre.backup.storage.s3_errors import remedy_of
from sre.core.clock import Clock, Deadline
from sre.core.errors import Refused, SreError, Transient, UsageError

if TYPE_CHECKING:
    from sre.backup.storage.s3 import S3Store

__all__ = ["S3Patient"]

_DENIED = {
    "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Unauthorized",
    "AuthorizationHeaderMalformed", "Forbidden",
}  # fmt: skip
_LATER = {"SlowDown", "RequestTimeout", "InternalError", "Throttling", "TooManyRequests"}


class S3Patient:
    """A bucket on the table."""

    def __init__(self, store: S3Store, where: str, clock: Clock, deadline: Deadline) -> None:
        self.checks: tuple[Check, ...] = S3_CHECKS
        self.where = where
        self.scene = Scene(store, clock, deadline)

    def ready(self) -> None:
        """Lists, puts, reads: who may not do that takes and restores no backup."""
        scene = self.scene
        what = "list"
        try:
            scene.names("none/")
            what = "find out about object lock in"
            self._default_lock()
            what = "write to"
            scene.put("ready", b"ready")
            what = "read from"
            scene.get("ready")
        except (ClientError, BotoCoreError) as error:
            raise self._never(what, error) from error
        sweep(scene)

    def _default_lock(self) -> None:
        """Scratch objects must not be locked for as long as backups are."""
        try:
            _, default = lock_settings(self.scene)
        except ClientError as error:
            if code_of(error) not in _DENIED | {"403"}:
                raise
            return
        self.scene.lock_default = bool(default)

    def _never(self, what: str, error: ClientError | BotoCoreError) -> SreError:
        scene = self.scene
        if isinstance(error, BotoCoreError):
            return Transient(
                f"the store cannot be reached at {scene.client.meta.endpoint_url}: {error}"
            )
        code, status = code_of(error), status_of(error)
        if code == "NoSuchBucket" or (status == 404 and what == "list"):
            return UsageError(
                f"there is no bucket {scene.bucket!r}; make it, or mend stores: in sre.yaml"
            )
        if code == "RequestTimeTooSkewed":
            return Transient(
                "the store refuses our clock (RequestTimeTooSkewed): set the time of this machine"
            )
        if code in _DENIED or status in {401, 403}:
            return Refused(
                f"these credentials may not {what} bucket {scene.bucket!r} below "
                f"{scene.prefix.rpartition('doctor-scratch')[0]!r} ({code}): "
                f"{remedy_of(code)}"
            )
        if status >= 500 or code in _LATER:
            return Transient(f"the store answers {code} ({status}) when asked to {what} it")
        return UsageError(f"the store refuses to {what} bucket {scene.bucket!r}: {code} ({status})")

    def explain(self, error: Exception) -> Outcome | None:
        if isinstance(error, ClientError):
            code, status = code_of(error), status_of(error)
            said = f"{error.operation_name}: {code or status}"
            if code in _DENIED or status in {401, 403}:
                return denied(f"these credentials may not: {said}")
            if code in _LATER or (status >= 500 and status != 501) or status in {0, 200, 429}:
                return unknown(said)
            return absent(f"refused: {said}")
        if isinstance(error, BotoCoreError | OSError):
            return unknown(f"no answer: {_short(error)}")
        return unknown(str(error)) if isinstance(error, SreError) else None

    def affords(self, check: Check, seconds: float) -> bool:
        rate = self.scene.rate
        return not check.bytes or rate is None or check.bytes / rate < seconds * 0.8

    def stop(self) -> None:
        self.scene.stop()

    def clean(self, seconds: float) -> tuple[str, ...]:
        if not self.scene.touched and not self.scene.uploads:
            return ()
        try:
            return clean(self.scene, seconds)
        except (ClientError, BotoCoreError, SreError):
            return (f"{self.scene.prefix} (the store does not answer)",)

    def measured(self) -> dict[str, float]:
        names = {
            "latency": "latency_seconds", "upload_rate": "upload_bytes_per_second",
            "download_rate": "download_bytes_per_second", "skew": "clock_difference_seconds",
        }  # fmt: skip
        memo = self.scene.memo
        return {told: float(memo[name]) for name, told in names.items() if name in memo}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
