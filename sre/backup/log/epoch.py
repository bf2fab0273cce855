"""Whose key encrypts the log for now?

A pair of its own for each epoch (a day of one host): the secret half is wrapped for the recipients
in the store and forgotten; the public half is kept here, so that the next start uses it too.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sre.backup.keys import new_backup_key, wrap
from sre.backup.log.layout import key_of_epoch
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.core.errors import Transient
from sre.core.files import replace_file

__all__ = ["Epoch", "epoch_now"]

_SECONDS = 86400.0


@dataclass(frozen=True)
class Epoch:
    """Attributes:
    key: the key of the wrapped secret in the store.
    recipient: the public half.
    """

    key: str
    recipient: str
    began: float
    recipients: tuple[str, ...]

    def fits(self, keys: Keys, now: float) -> bool:
        """Whether it is still this day's, for those who shall be able to read."""
        return self.recipients == tuple(keys.recipients) and 0 <= now - self.began < _SECONDS


def epoch_now(
    storage: Storage, keys: Keys, note: Path, now: float, held: Epoch | None = None
) -> Epoch:
    """The epoch in use; a new one is stored before it is used. Raises UsageError, Transient."""
    found = held or _noted(note)
    if found is not None and found.fits(keys, now):
        return found
    secret, recipient = new_backup_key()
    name = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    made = Epoch(key_of_epoch(name), recipient, now, tuple(keys.recipients))
    storage.put(made.key, wrap(secret, keys.recipients))
    text = {"key": made.key, "recipient": recipient, "began": now, "recipients": made.recipients}
    with contextlib.suppress(OSError, Transient):  # a full disk: the next start makes another
        replace_file(note, json.dumps(text).encode())
    return made


def _noted(note: Path) -> Epoch | None:
    """As an earlier start left it; anything odd means a new one."""
    try:
        found = json.loads(note.read_bytes())
        recipients = tuple(str(each) for each in found["recipients"])
        return Epoch(str(found["key"]), str(found["recipient"]), float(found["began"]), recipients)
    except (OSError, ValueError, KeyError, TypeError):
        return None
