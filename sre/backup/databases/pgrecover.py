"""How does a restored PostgreSQL replay its log up to a target, and stop there?

A scratch server as in verification, with `recovery.signal` and the log in a folder below its data.
Standby queries are off unless it shall pause at the target and answer questions.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sre.backup.databases.pgscratch import Bench, control_settings, last_words, running
from sre.backup.log.lsn import format_lsn, parse_lsn
from sre.backup.recovery.settings import RESTORE_COMMAND
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused, Transient
from sre.core.process import run
from sre.sql.session import Session

__all__ = ["NotReached", "Replayed", "TooEarly", "controlled", "recovering"]

_STOP_SECONDS = 1800.0
_ANY_SUPERUSER = "select rolname from pg_roles where rolsuper and rolcanlogin order by oid limit 1"
_LOCKED = "select exists(select from pg_locks where mode = 'AccessExclusiveLock' and granted)"
_MORE_THAN_ANY = 200
_REDO = re.compile(r"current LSN: ([0-9A-F]+/[0-9A-F]+)")
_STOPPED = re.compile(
    r"recovery stopping (before|after) (?:commit|abort) of (?:prepared )?transaction (\d+), "
    r"time (\S+ [0-9:.]+)"
)
_LAST = re.compile(r"last completed transaction was at log time (\S+ [0-9:.]+)")
_SWITCH = re.compile(r"^\s*\d+\s+([0-9A-F]+/[0-9A-F]+)", re.MULTILINE)


class TooEarly(Refused):
    """The target lies before the copy is consistent: it needs an earlier backup."""


class NotReached(Refused):
    """The log ended before the target."""


@dataclass(frozen=True)
class Replayed:
    """Where replay stopped.

    Attributes:
        dsn: of the server while it runs; a superuser's where it was to pause.
        lsn: the position after the last record that was replayed, `1/6B3F00A8`; "" if unknown.
        stopped: before or after which transaction, if it was at one: `before 740`.
        newest: when the newest transaction in it committed, as the server said it (UTC).
        paused: it waits at the target; else it is open for writing.
    """

    dsn: str
    lsn: str
    stopped: str
    newest: str
    paused: bool


@contextlib.contextmanager
def recovering(
    bench: Bench,
    deadline: Deadline,
    settings: Mapping[str, str],
    *,
    user: str,
    database: str,
    paused: bool = False,
    at: Callable[[int], None] = lambda _lsn: None,
) -> Iterator[Replayed]:
    """Replay to the target in `settings`; the server runs until the context is left, then is shut
    down cleanly. `at` is told positions of the log as they are reached.

    Raises:
        TooEarly, NotReached: the target cannot be reached from here, or with this log.
        CheckFailed: it does not start; Transient: the disk is full.
    """
    folder = bench.folder
    for name in ("standby.signal", "postmaster.pid"):
        (folder / name).unlink(missing_ok=True)
    (folder / "recovery.signal").write_bytes(b"")
    more = _settings(bench, settings, paused=paused)
    states = ("ready", "standby") if paused else ("ready",)
    try:
        with running(bench, deadline, more, ready=states, tick=_watch(bench.log, at)) as server:
            dsn = _dsn(bench, user, database)
            if paused:
                dsn = _superuser(dsn)
            waits = paused and _wait_paused(dsn, deadline)
            yield _replayed(bench, dsn, waits=waits)
            server.signal(signal.SIGINT)
            code = server.wait(Deadline.after(_STOP_SECONDS))
    except CheckFailed as error:
        raise _meaning(bench.log, error) from None
    if code != 0:
        raise CheckFailed(f"the server does not stop cleanly: {last_words(bench.log)}")


def controlled(bench: Bench, label: str) -> str:
    """A line of what pg_controldata says of the folder; empty without it."""
    argv = [str(bench.programs / "pg_controldata"), str(bench.folder)]
    done = run(argv, Deadline.after(30), env={"LC_ALL": "C"})
    match = re.search(rf"^{re.escape(label)}:\s*(.*)$", done.stdout.decode(), re.MULTILINE)
    return match[1].strip() if match else ""


def _settings(bench: Bench, settings: Mapping[str, str], *, paused: bool) -> dict[str, str]:
    """Limits may have been raised after the backup: they are set higher than any log asks."""
    limits = control_settings(bench.folder, bench.programs)
    raised = {name: str(int(value) * 2 + _MORE_THAN_ANY) for name, value in limits.items()}
    found = {
        **raised,
        "restore_command": RESTORE_COMMAND,
        "hot_standby": "on" if paused else "off",
        "recovery_target_action": "pause" if paused else "promote",
        "full_page_writes": "on",
        "track_commit_timestamp": controlled(bench, "track_commit_timestamp setting") or "off",
        "wal_level": controlled(bench, "wal_level setting") or "replica",
        "timezone": "UTC",
        "log_timezone": "UTC",
        **settings,
    }
    if int((bench.folder / "PG_VERSION").read_text(encoding="ascii")) >= 15:
        found["log_startup_progress_interval"] = "500ms"
    return found


def _dsn(bench: Bench, user: str, database: str) -> str:
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  names with spaces and quotes

    return make_conninfo(host=str(bench.sockets), port=5432, dbname=database, user=user)


def _wait_paused(dsn: str, deadline: Deadline) -> bool:
    """True once it waits at the target; False when it was opened for writing instead.

    A transaction that has not committed there may hold a table locked, against questions too:
    then it is opened, which ends that transaction as any crash does.
    """
    resumed = False
    while not deadline.passed():
        with Session(dsn) as session:
            if not session.value("select pg_is_in_recovery()"):
                return False
            if not resumed and _paused(session):
                if not session.value(_LOCKED):
                    return True
                session.rows("select pg_wal_replay_resume()")
                resumed = True
        deadline.clock.sleep(0.05)
    raise CheckFailed("replay did not reach its target in time")


def _paused(session: Session) -> bool:
    try:
        return bool(session.value("select pg_is_wal_replay_paused()"))
    except CheckFailed:  # it was opened since we asked
        return False


def _superuser(dsn: str) -> str:
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  names with spaces and quotes

    with Session(dsn) as session:
        return make_conninfo(dsn, user=str(session.value(_ANY_SUPERUSER)))


def _replayed(bench: Bench, dsn: str, *, waits: bool) -> Replayed:
    said = _text(bench.log)
    stopped, last = _STOPPED.search(said), _LAST.findall(said)
    if waits:
        with Session(dsn) as session:
            lsn = str(session.value("select pg_last_wal_replay_lsn()::text"))
    else:
        lsn = _end_of_replay(bench.folder)
    newest = last[-1] if last else ""
    return Replayed(dsn, lsn, f"{stopped[1]} {stopped[2]}" if stopped else "", newest, waits)


def _end_of_replay(folder: Path) -> str:
    """Where the new timeline began, as its history says."""
    histories = sorted((folder / "pg_wal").glob("????????.history"))
    found = _SWITCH.findall(_text(histories[-1])) if histories else []
    return format_lsn(parse_lsn(found[-1])) if found else ""


def _watch(log: Path, at: Callable[[int], None]) -> Callable[[], None]:
    """Tell `at` of each position that the server writes into its log."""
    seen = 0

    def tick() -> None:
        nonlocal seen
        found = _REDO.findall(_text(log))
        if len(found) > seen:
            seen = len(found)
            at(parse_lsn(found[-1]))

    return tick


def _meaning(log: Path, error: CheckFailed) -> CheckFailed | Refused | Transient:
    said = _text(log)
    if "before consistent recovery point" in said:
        return TooEarly("the target lies before the end of the backup")
    if "recovery ended before configured recovery target was reached" in said:
        return NotReached("the log ends before the target")
    if "No space left on device" in said:
        return Transient(f"the disk is full: {error}")
    return error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
