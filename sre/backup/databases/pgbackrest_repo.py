"""What does pgBackRest say of a stanza, and how is one of its backups fetched?

It keeps the data and its own retention; we ask it. Ours to add is only what does not change its
repository: nothing is ever expired or deleted from here.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, IntegrityError, MissingExtra, Transient, UsageError
from sre.core.process import Done, run

__all__ = ["NOTE", "RECORD", "SCHEMA", "Stanza", "segment_after", "told"]

NOTE = "sre"
"""The annotation by which a backup of theirs is found again: our id."""
RECORD = "pgbackrest.json"
"""The file in our record that says which backup of theirs it is."""
SCHEMA = "sre.pgbackrest/1"
_LIMIT = 2**28
_OTHER_STANZA_STATES = (1, 3, 4)  # no path, no stanza, no data for this database


@dataclass(frozen=True)
class Stanza:
    """A stanza, and how the program is called.

    Attributes:
        user: as whom, where we are root; the owner of its repository.
        env: passwords for the database; never in the argument list.
    """

    name: str
    config: Path | None = None
    repo: int | None = None
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    def argv(self, command: str, *options: str) -> list[str]:
        """The command line of a command of theirs."""
        program = shutil.which("pgbackrest")
        if program is None:
            raise MissingExtra("there is no pgbackrest on this machine; install that package")
        found = [program, f"--stanza={self.name}", "--log-level-console=off"]
        found += ["--log-level-stderr=warn", "--log-level-file=off"]
        found += [f"--config={self.config}"] if self.config else []
        found += [f"--repo={self.repo}"] if self.repo and command != "archive-get" else []
        return [*found, command, *options]

    @property
    def as_user(self) -> str | None:
        """Whom the program runs as; None: as we do."""
        return self.user or None if os.geteuid() == 0 else None

    def info(self, deadline: Deadline) -> dict[str, Any]:
        """What `pgbackrest info` says of the stanza.

        Raises UsageError (no such stanza), Transient (the repository does not answer).
        """
        done = self._run(deadline, "info", "--output=json")
        if not done.ok:
            raise Transient(f"pgbackrest does not tell of stanza {self.name!r}: {_words(done)}")
        try:
            found = json.loads(done.stdout)[0]
            status, bases = found["status"], found["db"]
        except (ValueError, LookupError, TypeError) as error:
            raise CheckFailed(f"pgbackrest info says what nobody understands: {error}") from error
        if status["code"] in _OTHER_STANZA_STATES or not bases:
            raise UsageError(
                f"pgbackrest knows no stanza {self.name!r}: {status['message']}; make it with "
                f"pgbackrest --stanza={self.name} stanza-create"
            )
        if status["code"] not in (0, 2):
            raise Transient(f"pgbackrest says of stanza {self.name!r}: {status['message']}")
        return dict(found)

    def backups(self, deadline: Deadline) -> dict[str, dict[str, Any]]:
        """Its backups by label, oldest first. Raises as `info`."""
        found = self.info(deadline)["backup"]
        here = (each for each in found if self.repo in (None, each["database"]["repo-key"]))
        return {str(each["label"]): each for each in here}

    def verify(self, deadline: Deadline) -> tuple[str, ...]:
        """Let it read and hash all that it has of the stanza; what is wrong."""
        done = self._run(deadline, "verify", "--output=text", "--verbose")
        if done.timed_out:
            raise CheckFailed("pgbackrest verify did not end in time")
        said = done.stdout.decode("utf-8", "replace").splitlines()
        bad = [line.strip() for line in said if "status: invalid" in line or _counts(line)]
        bad = bad or [line.strip() for line in said if "status: error" in line]
        return tuple(bad) or (() if done.ok else (f"pgbackrest verify: {_words(done)}",))

    def restore(self, label: str, folder: Path, work: Path, deadline: Deadline) -> None:
        """A backup into an empty folder, its tablespaces too; no link leads out of it.

        Raises IntegrityError (there is no such backup, or it is damaged), Transient (full disk).
        """
        spaces = work / "spaces"
        spaces.mkdir(mode=0o700)
        done = self._run_here(
            deadline, "restore", f"--set={label}", "--type=none", f"--pg1-path={folder}",
            f"--tablespace-map-all={spaces}", "--archive-mode=off", f"--lock-path={work}",
        )  # fmt: skip
        if not done.ok:
            _raise(done, f"pgbackrest does not restore {label}")
        for link in (folder / "pg_tblspc").iterdir():
            if link.is_symlink():
                place = link.resolve()
                if place.parent != spaces.resolve():
                    raise CheckFailed(f"pgbackrest made the link {link.name!r} out of the copy")
                link.unlink()
                shutil.move(place, link)
        (folder / "tablespace_map").unlink(missing_ok=True)

    def log(self, first: str, last: str, folder: Path, work: Path, deadline: Deadline) -> None:
        """Segments of the log from `first` to `last` into the restored `folder`.

        Raises IntegrityError when one is missing.
        """
        name = first
        while True:
            place = folder / "pg_wal" / name
            done = self._run_here(
                deadline, "archive-get", f"--pg1-path={folder}", f"--lock-path={work}",
                "--no-archive-async", name, str(place),
            )  # fmt: skip
            if not done.ok or not place.is_file():
                _raise(done, f"pgbackrest does not have the log {name}, which the backup needs")
            if name >= last:
                return
            name = segment_after(name, place.stat().st_size)

    def _run(self, deadline: Deadline, command: str, *options: str) -> Done:
        argv = self.argv(command, *options)
        return run(argv, deadline, env=self.env, cwd="/", user=self.as_user, limit=_LIMIT)

    def _run_here(self, deadline: Deadline, command: str, *options: str) -> Done:
        """As ourselves: the files become ours, wherever the folder stands."""
        return run(self.argv(command, *options), deadline, env=self.env, cwd="/", limit=_LIMIT)


def segment_after(name: str, size: int) -> str:
    """The next segment's name where one is `size` bytes. (pure)"""
    each = 2**32 // size
    number = int(name[8:16], 16) * each + int(name[16:], 16) + 1
    return f"{name[:8]}{number // each:08X}{number % each:08X}"


def told(data: bytes | str) -> dict[str, Any]:
    """What a record of ours says. Raises IntegrityError when it is none."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise IntegrityError(f"{RECORD} is no record: {error}") from error
    if not isinstance(found, dict) or found.pop("schema", None) != SCHEMA:
        raise IntegrityError(f"{RECORD} is no record of this version of sre")
    return found


def _counts(line: str) -> bool:
    """Whether a line of `verify` counts something that is wrong."""
    if not line.strip().startswith("missing:"):
        return False
    return any(part.rpartition(":")[2].strip() != "0" for part in line.split(","))


def _raise(done: Done, what: str) -> None:
    if done.timed_out:
        raise CheckFailed(f"{what}: it did not end in time")
    if "No space left" in done.stderr:
        raise Transient(f"{what}: the disk is full")
    raise IntegrityError(f"{what}: {_words(done)}")


def _words(done: Done) -> str:
    said = done.stderr.strip() or done.stdout.decode("utf-8", "replace").strip()[-2000:]
    return " | ".join(said.splitlines()[-4:]) or f"it ended with exit code {done.returncode}"
