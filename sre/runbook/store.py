"""Where does a run live on disk, and what runs have there been?

STATE/runs/RUN/run.json       what was asked for: never a secret's value
               runbook.md     the text that is followed, as it was at the start
               journal.jsonl  each decision, begin, end; the only memory
               transcript.txt what was shown, secrets masked
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sre.core.clock import Clock
from sre.core.errors import IntegrityError, Transient, UsageError
from sre.core.files import replace_file, state_folder
from sre.core.journal import Journal
from sre.core.secrets import redactor
from sre.runbook.model import Runbook

__all__ = ["Request", "RunFolder", "all_runs", "create", "lock_path", "open_run"]


@dataclass(frozen=True)
class Request:
    """What a run was asked to do. Secrets stand in it as references."""

    run: str
    runbook: str
    file: str
    digest: str
    target: str
    created: float
    rehearsal: bool = False
    fail_back: bool = False
    given: dict[str, str] = field(default_factory=dict)
    config: str = ""


@dataclass(frozen=True)
class RunFolder:
    """One run on disk."""

    path: Path
    request: Request

    @property
    def text(self) -> Path:
        """The runbook as it was at the start."""
        return self.path / "runbook.txt"

    def journal(self, clock: Clock) -> Journal:
        """Its journal."""
        return Journal(self.path / "journal.jsonl", clock)

    def write_down(self, text: str) -> None:
        """Add to the transcript, masked."""
        try:
            with (self.path / "transcript.txt").open("a", encoding="utf-8") as file:
                file.write(f"{redactor.mask(text)}\n")
        except OSError as error:
            raise Transient(f"cannot write the transcript: {error.strerror}") from error


def digest_of(text: str) -> str:
    """What a rehearsal is good for: an edited runbook has another one."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def lock_path(target: str) -> Path:
    """One run at a time for each target."""
    return state_folder() / "locks" / f"runbook-{quote(target, safe='')}"


def create(
    runbook: Runbook,
    target: str,
    given: dict[str, str],
    clock: Clock,
    *,
    rehearsal: bool,
    fail_back: bool,
    config: str,
) -> RunFolder:
    """Make the folder of a new run.

    Raises:
        Transient: the disk refuses.
    """
    now = clock.wall()
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    run = f"{stamp}-{runbook.id}-{secrets.token_hex(3)}"
    request = Request(
        run, runbook.id, str(runbook.path.resolve()), digest_of(runbook.text), target, now,
        rehearsal, fail_back, given, config,
    )  # fmt: skip
    folder = RunFolder(_runs() / run, request)
    try:
        replace_file(folder.text, runbook.text.encode())
        replace_file(folder.path / "run.json", json.dumps(asdict(request), indent=1).encode())
        folder.path.chmod(0o700)
    except OSError as error:
        raise Transient(f"cannot make the run's folder {folder.path}: {error.strerror}") from error
    return folder


def open_run(name: str) -> RunFolder:
    """The run of this name, or of the one name that begins so.

    Raises:
        UsageError: there is none, or more than one.
        IntegrityError: its run.json is damaged.
    """
    found = [path for path in _folders() if path.name.startswith(name)]
    if not name or len(found) != 1:
        some = ", ".join(path.name for path in _folders()[-3:]) or "none"
        what = "more than one run begins with" if found and name else "there is no run"
        raise UsageError(f"{what} {name!r}; the latest: {some}")
    return _read(found[0])


def all_runs() -> tuple[RunFolder, ...]:
    """Every run, the oldest first; damaged ones are left out."""
    found = []
    for path in _folders():
        with contextlib.suppress(IntegrityError):
            found.append(_read(path))
    return tuple(sorted(found, key=lambda each: each.request.created))


def _runs() -> Path:
    return state_folder() / "runs"


def _folders() -> list[Path]:
    return sorted(path.parent for path in _runs().glob("*/run.json"))


def _read(path: Path) -> RunFolder:
    try:
        return RunFolder(path, Request(**json.loads((path / "run.json").read_bytes())))
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(f"{path / 'run.json'} is damaged; start a new run") from error
