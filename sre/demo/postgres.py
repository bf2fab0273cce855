"""How does a demo or a test get a real PostgreSQL of its own, and get rid of it again?"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sre.core.errors import Transient
from sre.core.secrets import redactor
from sre.demo.guard import Guarded, remove_folder
from sre.demo.ports import HOST, free_port
from sre.demo.postgres_binaries import Owner, binaries_for, environment, version_of
from sre.demo.served import Served

__all__ = ["EmbeddedPostgres"]

log = logging.getLogger(__name__)

_NOBODY: Owner = (65534, 65534)
_INIT_SECONDS = 60.0
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_SOCKET_PATH_LIMIT = 90  # sockaddr_un holds 107 bytes, the file's own name included
_SETTINGS = {
    "listen_addresses": HOST,
    "max_connections": "60",
    "shared_buffers": "32MB",
    "fsync": "off",  # nothing here has to survive the machine
    "log_min_messages": "warning",
}


class EmbeddedPostgres(Served):
    """A PostgreSQL server that lives and dies with this process.

    Its folder stands under the temporary directory, not beside the caller's files: PostgreSQL
    refuses to run as root, and another user may not enter a private home. The server ends and the
    folder goes on `stop()`, at exit, and after kill -9 of this process.

    Args:
        preferred_port: taken when free; any free port otherwise.
        settings: further lines of postgresql.conf.
    """

    def __init__(
        self, preferred_port: int | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.port = 0
        self.bin_dir = Path()
        self.version = ""
        self._preferred_port = preferred_port
        self._settings = {**_SETTINGS, **(settings or {})}
        self._owner = _NOBODY if os.geteuid() == 0 else None
        self._password = secrets.token_urlsafe(24)
        self._folder: Path | None = None
        self._server: Guarded | None = None
        redactor.add(self._password)

    def __repr__(self) -> str:
        return f"EmbeddedPostgres({HOST}:{self.port}, version={self.version!r})"

    @property
    def folder(self) -> Path:
        """Everything of this server; there only while it is started."""
        if self._folder is None:
            raise Transient("the embedded PostgreSQL is not started")
        return self._folder

    @property
    def data_dir(self) -> Path:
        """The cluster's data directory (PGDATA)."""
        return self.folder / "data"

    @property
    def log_path(self) -> Path:
        """What initdb and the server said."""
        return self.folder / "postgres.log"

    @property
    def dsn(self) -> str:
        """Superuser, database `postgres`. Holds the password: not for argument lists or logs."""
        return self.dsn_for("postgres")

    @property
    def password(self) -> str:
        """The superuser's; for an environment or a file, never for an argument list."""
        return self._password

    def dsn_for(self, database: str) -> str:
        """As `dsn`, for another database."""
        return f"postgresql://postgres:{self._password}@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Make the cluster and serve it.

        Raises:
            MissingExtra: no PostgreSQL on this machine.
            Transient: it did not start; the message ends with its last words.
        """
        self._folder = _make_folder(self._owner)
        try:
            self.bin_dir = binaries_for(self._owner, self.folder)
            self.version = version_of(self.bin_dir, self._owner)
            self._make_cluster()
            self._serve(self._preferred_port)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Stop the server and start it again: same data, and the same port if still free."""
        if self._server is not None:
            self._server.stop(keep_folder=True)
        self._serve(self.port)

    def stop(self) -> None:
        """End the server and remove its folder. Idempotent."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._folder is not None and not remove_folder(self._folder):
            log.warning("left behind: %s; remove it by hand", self._folder)
        self._folder = None

    def _make_cluster(self) -> None:
        password_file = self.folder / "password"
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(self._password + "\n")
        sockets = self.folder / "sockets"
        for path in (self.data_dir, sockets):
            path.mkdir(mode=0o700)
        for path in (self.data_dir, sockets, password_file):
            _give(path, self._owner)
        try:
            self._initdb(password_file)
        finally:
            password_file.unlink()
        with (self.data_dir / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("".join(_line(*item) for item in self._settings.items()))
            short = len(os.fsencode(sockets)) <= _SOCKET_PATH_LIMIT
            file.write(_line("unix_socket_directories", str(sockets) if short else ""))

    def _initdb(self, password_file: Path) -> None:
        command = [
            str(self.bin_dir / "initdb"), "-D", str(self.data_dir), "-U", "postgres",
            "-A", "scram-sha-256", f"--pwfile={password_file}",
            "-E", "UTF8", "--locale=C", "-k", "--no-sync",
        ]  # fmt: skip
        initdb = self._guarded(command)
        try:
            code = initdb.wait(_INIT_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            initdb.stop(keep_folder=True)
        if code != 0:
            raise Transient(f"PostgreSQL's initdb failed (exit {code}): {self._last_words()}")

    def _serve(self, preferred: int | None) -> None:
        for last_try in (False, True):
            self.port = free_port(preferred)
            before = self.log_path.stat().st_size
            port = ["-p", str(self.port)]
            command = [str(self.bin_dir / "postgres"), "-D", str(self.data_dir), *port]
            self._server = self._guarded(command)
            if self._becomes_ready(self._server):
                return
            words = self._last_words(before)
            self._server.stop(keep_folder=True)
            if last_try or "Address already in use" not in words:
                raise Transient(f"PostgreSQL {self.version} did not start: {words}")
            preferred = None  # somebody took the port between our look and the server's bind

    def _becomes_ready(self, server: Guarded) -> bool:
        end = time.monotonic() + _START_SECONDS
        while server.poll() is None and time.monotonic() < end:
            # The eighth line of postmaster.pid is what `pg_ctl -w` reads: no client is needed.
            lines = _read(self.data_dir / "postmaster.pid").splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return True
            time.sleep(0.01)
        return False

    def _guarded(self, command: list[str]) -> Guarded:
        return Guarded(
            command,
            env=environment(),
            log=self.log_path,
            folder=self.folder,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for every client
            grace=_STOP_SECONDS,
            owner=self._owner,
            cwd=self.folder,
        )

    def _last_words(self, start: int = 0) -> str:
        said = _read(self.log_path, start).strip().splitlines()
        return redactor.mask(" | ".join(said[-8:])) or "it said nothing"


def _make_folder(owner: Owner | None) -> Path:
    """A folder under $TMPDIR, or the nearest place that `owner` can enter."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        folder = Path(tempfile.mkdtemp(prefix="sre-pg-", dir=parent))
        folder.chmod(0o711)
        if owner is None or _enterable(folder, owner):
            return folder
        folder.rmdir()
    raise Transient(f"uid {_NOBODY[0]} can enter no temporary directory; set TMPDIR to one it can")


def _enterable(folder: Path, owner: Owner) -> bool:
    uid, gid = owner
    try:
        subprocess.run(
            ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
            check=True, capture_output=True, cwd="/", user=uid, group=gid, extra_groups=[],
        )  # fmt: skip
    except subprocess.CalledProcessError:
        return False
    except (OSError, subprocess.SubprocessError) as error:
        raise Transient(f"cannot run PostgreSQL as uid {uid}: {error}") from error
    return True


def _give(path: Path, owner: Owner | None) -> None:
    if owner is not None:
        os.chown(path, *owner)


def _line(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    return f"{name} = '{quoted}'\n"


def _read(path: Path, start: int = 0) -> str:
    try:
        return path.read_bytes()[start:].decode("utf-8", "replace")
    except OSError:
        return ""
