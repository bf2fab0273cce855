"""How does a restored PostgreSQL run without touching anything but its own folder?

Its own configuration is not used: it may name archives, standbys, files of another machine. It
listens on a socket in a private folder, archives nothing, and dies with us.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sre.backup.databases.pgbin import programs, server_user
from sre.backup.databases.pgspaces_guard import has_spaces, must_stay_inside
from sre.backup.recovery.settings import LOG_FOLDER, RESTORE_COMMAND, line
from sre.core.child import Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.core.process import run
from sre.core.secrets import redactor
from sre.sql.session import Session

__all__ = ["Bench", "control_settings", "last_words", "make_bench", "running", "scratch_server"]

_PORT = 5432
_NO_MORE: Mapping[str, str] = {}
_LAST_LINES = 6
_SUPERUSER = "select rolname from pg_roles where rolsuper and rolcanlogin order by oid limit 1"
_FROM_CONTROL = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}
_SETTINGS = {
    "archive_mode": "off",
    "archive_command": "",
    "restore_command": "",
    "primary_conninfo": "",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "fsync": "off",  # it lives for minutes and is thrown away
    "full_page_writes": "off",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "log_min_messages": "warning",
    "jit": "off",
}
_REPLAY = {
    "restore_command": RESTORE_COMMAND,
    "recovery_target_timeline": "latest",
    "hot_standby": "off",  # whoever connects sees the end of the log
}


@contextlib.contextmanager
def scratch_server(
    folder: Path,
    work: Path,
    deadline: Deadline,
    *,
    major: str,
    bin_dir: Path | None,
    user: str,
    database: str,
    more: Mapping[str, str] = _NO_MORE,
) -> Iterator[str]:
    """Run `folder` until the context is left; the dsn of a superuser there. `more` are settings.

    Where a folder with archived log stands in it, all of that is replayed first.

    Raises:
        MissingExtra: no server of that version here.
        CheckFailed: it does not start, or not in time; the message ends with its last words.
    """
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  names with spaces and quotes

    bench = make_bench(folder, work, major, bin_dir)
    for name in ("recovery.signal", "standby.signal", "postmaster.pid"):
        (folder / name).unlink(missing_ok=True)
    settings = {**control_settings(folder, bench.programs), **more}
    if (folder / LOG_FOLDER).is_dir():
        (folder / "recovery.signal").write_bytes(b"")
        settings |= _REPLAY
    with running(bench, deadline, settings) as server:
        dsn = make_conninfo(host=str(bench.sockets), port=_PORT, dbname=database)
        with Session(make_conninfo(dsn, user=user)) as session:
            superuser = session.value(_SUPERUSER)
        dsn = make_conninfo(dsn, user=superuser)
        with Session(dsn) as session:
            _must_be_the_copy(session, bench.sockets)
        try:
            yield dsn
        finally:
            server.signal(signal.SIGQUIT)  # at once: its folder goes away with it
            server.wait(Deadline.after(10))


def _must_be_the_copy(session: Session, sockets: Path) -> None:
    """Never ask another server by accident, least of all the source. Raises CheckFailed."""
    served = str(session.value("select current_setting('unix_socket_directories')"))
    address = str(session.value("select coalesce(host(inet_server_addr()), '')"))
    if served != str(sockets) or address:
        raise CheckFailed(
            f"the server that answers listens on {address or served}, it is not the restored copy: "
            "nothing was checked"
        )


@dataclass(frozen=True)
class Bench:
    """What a scratch server works with.

    Attributes:
        folder: its data.
        work: a private folder for its socket, configuration and log.
        owner: the uid that runs it; None: ours.
    """

    folder: Path
    work: Path
    programs: Path
    owner: int | None

    @property
    def sockets(self) -> Path:
        """Where its socket is."""
        return self.work / "s"

    @property
    def log(self) -> Path:
        """What it said."""
        return self.work / "postgres.log"


def make_bench(folder: Path, work: Path, major: str, bin_dir: Path | None) -> Bench:
    """Find the programs of a version. Raises MissingExtra."""
    owner = server_user()
    needed = ("postgres", "pg_controldata")
    found = programs(major, needed, bin_dir=bin_dir, user=owner, copy_to=work / "bin")
    return Bench(folder, work, found, owner)


@contextlib.contextmanager
def running(
    bench: Bench,
    deadline: Deadline,
    more: Mapping[str, str],
    *,
    ready: tuple[str, ...] = ("ready",),
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Child]:
    """Start a server with `more` settings; it is in one of the states `ready`.

    Its own postgresql.auto.conf is emptied: it counts whatever file the rest comes from.

    Raises:
        CheckFailed: it does not start, or not in time; the message ends with its last words.
    """
    folder, log = bench.folder, bench.log
    must_stay_inside(folder, bench.work, bench.programs, deadline)
    (folder / "postgresql.auto.conf").write_text("", encoding="ascii")
    bench.sockets.mkdir(mode=0o700, exist_ok=True)
    config = _configure(bench, more)
    _give(bench.owner, folder, bench.sockets, config, bench.work / "pg_hba.conf")
    log.unlink(missing_ok=True)
    with _entered(bench) as (data, passed):
        argv = [str(bench.programs / "postgres"), "-D", data, "-c", f"config_file={config}"]
        with Child(
            argv, stdout=log, stderr=log, cwd="/", user=bench.owner, env={"LC_ALL": "C"},
            pass_fds=passed,
        ) as server:  # fmt: skip
            _wait_until_ready(server, bench, deadline, ready, tick)
            yield server


@contextlib.contextmanager
def _entered(bench: Bench) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The data folder as the server's user can name it, and descriptors to inherit.

    As root the folder may stand below one that nobody else may enter (a private home); through a
    descriptor that root opened the server's user gets there all the same.
    """
    above = bench.folder.resolve().parents
    if bench.owner is None or all(each.stat().st_mode & 0o001 for each in above):
        yield str(bench.folder), ()
        return
    descriptor = os.open(bench.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


def _configure(bench: Bench, more: Mapping[str, str]) -> Path:
    hba = bench.work / "pg_hba.conf"
    hba.write_text("local all all trust\n", encoding="ascii")
    settings = {
        **_SETTINGS,
        "min_wal_size": _least_log(bench),
        **more,
        **({"allow_in_place_tablespaces": "on"} if has_spaces(bench.folder) else {}),
        "hba_file": str(hba),
        "ident_file": str(hba),
        "unix_socket_directories": str(bench.sockets),
        "port": str(_PORT),
    }
    config = bench.work / "postgresql.conf"
    lines = (f"{line(name, value)}\n" for name, value in settings.items())
    config.write_text("".join(lines), encoding="utf-8")
    return config


def control_settings(folder: Path, found: Path) -> dict[str, str]:
    """Limits that the log was written under: replay refuses smaller ones."""
    said = _control(folder, found)
    told = dict(re.findall(rb"^(\w+) setting: +(\d+)$", said, re.MULTILINE))
    return {
        name: told[key.encode()].decode()
        for key, name in _FROM_CONTROL.items()
        if key.encode() in told
    }


def _least_log(bench: Bench) -> str:
    """`min_wal_size`: two segments, or no server starts (initdb --wal-segsize)."""
    said = _control(bench.folder, bench.programs)
    found = re.search(rb"^Bytes per WAL segment: +(\d+)$", said, re.MULTILINE)
    return f"{max(80, 2 * int(found[1]) // 2**20 if found else 0)}MB"


def _control(folder: Path, found: Path) -> bytes:
    argv = [str(found / "pg_controldata"), str(folder)]
    return run(argv, Deadline.after(30), env={"LC_ALL": "C"}).stdout


def _give(owner: int | None, *paths: Path) -> None:
    for path in paths if owner is not None else ():
        for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
            os.chown(each, owner or 0, -1, follow_symlinks=False)


def _wait_until_ready(
    server: Child,
    bench: Bench,
    deadline: Deadline,
    ready: tuple[str, ...],
    tick: Callable[[], None],
) -> None:
    while not deadline.passed():
        if server.poll() is not None:
            raise CheckFailed(f"the restored server does not start: {last_words(bench.log)}")
        # The eighth line of postmaster.pid is what `pg_ctl -w` reads: no client is needed.
        lines = _read(bench.folder / "postmaster.pid").splitlines()
        if len(lines) >= 8 and lines[7].strip() in ready:
            return
        tick()
        deadline.clock.sleep(0.01)
    raise CheckFailed(f"the restored server was not ready in time: {last_words(bench.log)}")


def last_words(log: Path) -> str:
    """The last lines of a server's log as one, secrets masked."""
    said = _read(log).strip().splitlines()[-_LAST_LINES:]
    return redactor.mask(" | ".join(said)) or "it said nothing"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
