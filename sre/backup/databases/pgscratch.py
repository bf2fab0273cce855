"""How does a restored PostgreSQL run without touching anything but its own folder?

Its own configuration is not used: it may name archives, standbys, files of another machine. It
listens on a socket in a private folder, archives nothing, and dies with us.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from sre.backup.databases.pgbin import programs, server_user
from sre.core.child import Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.core.process import run
from sre.core.secrets import redactor
from sre.sql.session import Session

__all__ = ["scratch_server"]

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

    Raises:
        MissingExtra: no server of that version here.
        CheckFailed: it does not start, or not in time; the message ends with its last words.
    """
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  names with spaces and quotes

    owner = server_user()
    found = programs(
        major, ("postgres", "pg_controldata"), bin_dir=bin_dir, user=owner, copy_to=work / "bin"
    )
    for name in ("recovery.signal", "standby.signal", "postmaster.pid"):
        (folder / name).unlink(missing_ok=True)
    (folder / "postgresql.auto.conf").write_text("", encoding="ascii")
    sockets = work / "s"
    sockets.mkdir(mode=0o700)
    config = _configure(folder, work, sockets, found, more)
    _give(owner, folder, sockets, config, work / "pg_hba.conf")
    log = work / "postgres.log"
    argv = [str(found / "postgres"), "-D", str(folder), "-c", f"config_file={config}"]
    with Child(argv, stdout=log, stderr=log, cwd=folder, user=owner, env={"LC_ALL": "C"}) as server:
        _wait_until_ready(server, folder, log, deadline)
        dsn = make_conninfo(host=str(sockets), port=_PORT, dbname=database)
        with Session(make_conninfo(dsn, user=user)) as session:
            superuser = session.value(_SUPERUSER)
        try:
            yield make_conninfo(dsn, user=superuser)
        finally:
            server.signal(signal.SIGQUIT)  # at once: its folder goes away with it
            server.wait(Deadline.after(10))


def _configure(
    folder: Path, work: Path, sockets: Path, found: Path, more: Mapping[str, str]
) -> Path:
    hba = work / "pg_hba.conf"
    hba.write_text("local all all trust\n", encoding="ascii")
    settings = {
        **_SETTINGS,
        **_control(folder, found),
        **more,
        "hba_file": str(hba),
        "ident_file": str(hba),
        "unix_socket_directories": str(sockets),
        "port": str(_PORT),
    }
    config = work / "postgresql.conf"
    lines = (
        f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()
    )
    config.write_text("".join(lines), encoding="utf-8")
    return config


def _control(folder: Path, found: Path) -> dict[str, str]:
    """Limits that the log was written under: replay refuses smaller ones."""
    done = run(
        [str(found / "pg_controldata"), str(folder)], Deadline.after(30), env={"LC_ALL": "C"}
    )
    told = dict(re.findall(rb"^(\w+) setting: +(\d+)$", done.stdout, re.MULTILINE))
    return {
        name: told[key.encode()].decode()
        for key, name in _FROM_CONTROL.items()
        if key.encode() in told
    }


def _give(owner: int | None, *paths: Path) -> None:
    for path in paths if owner is not None else ():
        for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
            os.chown(each, owner or 0, -1, follow_symlinks=False)


def _wait_until_ready(server: Child, folder: Path, log: Path, deadline: Deadline) -> None:
    while not deadline.passed():
        if server.poll() is not None:
            raise CheckFailed(f"the restored server does not start: {_last_words(log)}")
        # The eighth line of postmaster.pid is what `pg_ctl -w` reads: no client is needed.
        lines = _read(folder / "postmaster.pid").splitlines()
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return
        deadline.clock.sleep(0.01)
    raise CheckFailed(f"the restored server was not ready in time: {_last_words(log)}")


def _last_words(log: Path) -> str:
    said = _read(log).strip().splitlines()[-_LAST_LINES:]
    return redactor.mask(" | ".join(said)) or "it said nothing"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
