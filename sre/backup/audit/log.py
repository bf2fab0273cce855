"""How does an action get its record into a store, in order, whatever happens meanwhile?

The next record's place follows from its predecessor; it is written only if that place is free, so
of two writers one takes the next number. A store that does not take it leaves the record in the
state folder, from where the next action brings it along.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import pwd
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.backup.audit.chain import Known
from sre.backup.audit.record import (
    FOLDER,
    START,
    Entry,
    Head,
    Record,
    head_at,
    key_after,
    seq_of,
)
from sre.backup.keys import is_believed, public_of, sign
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.core.clock import Clock, Deadline
from sre.core.errors import Locked, Refused, SreError, Transient
from sre.core.facts import Facts
from sre.core.files import replace_file
from sre.core.lock import exclusive
from sre.core.masking import masked

__all__ = ["Action", "AuditLog"]

_TRIES = 100
_WAIT_SECONDS = 20.0
_log = logging.getLogger(__name__)


def _user() -> str:
    """By number, not by $USER: that may say anything."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


@dataclass(frozen=True)
class Action:
    """What was done, before it has a number."""

    at: float
    argv: tuple[str, ...]
    action: str
    objects: tuple[str, ...]
    result: str
    fence: int | None
    who: str = dataclasses.field(default_factory=_user)
    host: str = dataclasses.field(default_factory=socket.gethostname)


@dataclass(frozen=True)
class AuditLog:
    """The audit log of one store, and this machine's copy of what it wrote there.

    Attributes:
        name: of the store, with what makes another bucket another log.
    """

    storage: Storage
    keys: Keys
    name: str
    state: Path
    clock: Clock

    @property
    def folder(self) -> Path:
        """Copies of what this machine wrote, and what still has to follow."""
        return self.state / "audit" / self.name

    def add(self, action: Action) -> bool:
        """Record an action; False when it has to follow later. Never raises for the store."""
        draft = self.folder / f"pending-{action.at:017.6f}-{secrets.token_hex(4)}.json"
        try:
            replace_file(draft, json.dumps(masked(dataclasses.asdict(action))).encode())
        except OSError as error:
            raise Transient(f"cannot write {draft}: {error.strerror}") from error
        try:
            with self._alone():
                for path in self.pending():
                    self._append(_action_in(path))
                    path.unlink(missing_ok=True)
        except (SreError, OSError, ValueError, TypeError, KeyError) as error:
            _log.warning(
                "the audit record of %s is not in the store yet (%s); it is kept in %s and "
                "follows with the next action", action.action, error, self.folder,
            )  # fmt: skip
            return False
        return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process of this machine at a time, so that no record is brought along twice."""
        deadline = Deadline.after(_WAIT_SECONDS, self.clock)
        while True:
            try:
                with exclusive(self.folder / "lock", "audit"):
                    yield
                    return
            except Locked:
                if deadline.passed():
                    raise
                self.clock.sleep(0.05)

    def head(self) -> Head:
        """The newest record in the store. Raises Transient, UsageError."""
        head = self._remembered() or self._newest()
        return self._walk(head)

    def _append(self, action: Action) -> None:
        head = self.head()
        for _ in range(_TRIES):
            entry = self._entry(head, action)
            key, data = key_after(head, action.at), entry.encode()
            try:
                self.storage.put(key, data)
            except Refused:
                taken = self._walk(head)
                if taken == head:
                    raise
                head = taken
                continue
            self._remember(key, data)
            return
        raise Transient(f"{FOLDER} grows faster than we can write to it")

    def _entry(self, head: Head, action: Action) -> Entry:
        signing = self.keys.signing if is_believed(self.keys) else None
        if signing is None and self.keys.signing is not None:
            _log.warning("keys.trusted does not name keys.signing: this record is not signed")
        record = Record(
            seq=head.seq + 1,
            prev=head.sha256,
            signer="" if signing is None else public_of(signing),
            **dataclasses.asdict(action),
        )
        signature = b"" if signing is None else sign(record.encode(), signing)
        return Entry(record, record.digest, signature)

    def _walk(self, head: Head) -> Head:
        """Forward to the end; each next place is known."""
        while True:
            key = key_after(head, self.clock.wall())
            try:
                head = head_at(key, self.storage.get(key))
            except KeyError:
                return head

    def _newest(self) -> Head:
        """By a list: nobody here remembers one."""
        keys = [each.key for each in self.storage.list(FOLDER) if seq_of(each.key) is not None]
        if not keys:
            return START
        newest = max(keys, key=lambda key: seq_of(key) or 0)
        return head_at(newest, self.storage.get(newest))

    def _fact(self) -> str:
        return f"audit/{self.name}"

    def _remembered(self) -> Head | None:
        fact = Facts(self.state, self.clock).read(self._fact())
        if fact is None:
            return None
        value = fact.value
        return Head(int(value["seq"]), str(value["sha256"]), str(value["month"]))

    def _remember(self, key: str, data: bytes) -> None:
        head = head_at(key, data)
        replace_file(self.folder / f"{head.seq:09d}.json", data)
        held = self._remembered()
        if held is None or held.seq < head.seq:
            Facts(self.state, self.clock).publish(self._fact(), dataclasses.asdict(head))

    def known(self) -> list[Known]:
        """What this machine remembers: its newest record as a fact, its own as copies."""
        held = self._remembered()
        found = [] if held is None else [Known("this machine's fact", held.seq, held.sha256)]
        for path in sorted(self.folder.glob("[0-9]*.json")):
            head = head_at(f"{FOLDER}0000/00/{path.name}", path.read_bytes())
            found.append(Known(f"the copy {path}", head.seq, head.sha256))
        return found

    def objects(self) -> Mapping[str, bytes]:
        """Everything that stands below `v1/audit/`."""
        return {each.key: self.storage.get(each.key) for each in self.storage.list(FOLDER)}

    def pending(self) -> Sequence[Path]:
        """Records that the store has not taken yet."""
        return sorted(self.folder.glob("pending-*.json"))


def _action_in(path: Path) -> Action:
    found: dict[str, Any] = json.loads(path.read_bytes())
    found["argv"], found["objects"] = tuple(found["argv"]), tuple(found["objects"])
    return Action(**found)
