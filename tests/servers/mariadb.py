"""How does a test get a real MariaDB of its own, and a replica of it?"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["MariaDb", "MariaPair", "mariadb_pair", "running_mariadb"]

_SMALL = (
    "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M",
    "--innodb-flush-log-at-trx-commit=0",
    "--sync-binlog=0", "--skip-name-resolve", "--max-connections=12", "--performance-schema=off",
    "--table-open-cache=200", "--aria-pagecache-buffer-size=128K", "--key-buffer-size=64K",
)  # fmt: skip


@dataclass
class MariaDb:
    """A running server; `root` has a password and may come over TCP."""

    folder: Path
    port: int
    password: str
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def socket(self) -> str:
        return str(self.folder / "s")

    def dsn(self, user: str = "root", password: str = "") -> str:
        return f"mysql://{user}:{password or self.password}@127.0.0.1:{self.port}/"

    def connect(self, **more: Any) -> pymysql.connections.Connection[Any]:
        wanted = {"host": "127.0.0.1", "port": self.port, "user": "root", "autocommit": True}
        return pymysql.connect(password=self.password, ssl_disabled=True, **{**wanted, **more})

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The whole group: a helper in front of the server is no server."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)


@dataclass
class MariaPair:
    """A primary and a replica whose channel runs."""

    primary: MariaDb
    replica: MariaDb
    ca_file: str


def _install(folder: Path) -> None:
    argv = [
        program("mariadb-install-db"), "--no-defaults", f"--datadir={folder / 'd'}",
        "--auth-root-authentication-method=normal", "--skip-test-db",
        "--innodb-log-file-size=4M",
    ]  # fmt: skip
    if os.geteuid() == 0:
        argv.append("--user=mysql")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running_mariadb(number: int, *options: str, template: Path | None = None) -> Iterator[MariaDb]:
    """A server; `template` is a data folder to copy, which is faster than to make one."""
    folder = Path(tempfile.mkdtemp(prefix="sre-test-my-", dir="/tmp"))
    folder.chmod(0o777)
    server = MariaDb(folder, free_port(), secrets.token_urlsafe(16))
    try:
        if template is None:
            _install(folder)
        else:
            subprocess.run(["cp", "-a", str(template), str(folder / "d")], check=True)
        argv = [
            program("mariadbd"), "--no-defaults", f"--datadir={folder / 'd'}",
            f"--socket={server.socket}", f"--port={server.port}", "--bind-address=127.0.0.1",
            f"--pid-file={folder / 'pid'}", f"--server-id={number}", "--log-bin=bin", *_SMALL,
            *options, *(["--user=mysql"] if os.geteuid() == 0 else []),
        ]  # fmt: skip
        with child(argv, home=folder, grace=5) as server.process:
            _let_root_in(server)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _let_root_in(server: MariaDb) -> None:
    def entered() -> bool:
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(server.socket)  # the driver leaves a socket open that cannot connect
        with (
            pymysql.connect(
                unix_socket=server.socket, user="root", ssl_disabled=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("set sql_log_bin = 0")
            for host in ("127.0.0.1", "localhost"):
                cursor.execute(
                    "create or replace user root@%s identified by %s", (host, server.password)
                )
                cursor.execute("grant all on *.* to root@%s with grant option", (host,))
        return True

    wait_until(entered, 30, "MariaDB")


def _certificates(folder: Path) -> dict[str, str]:
    """A root, and a server's certificate by it, for names and addresses of this machine."""
    from tests.servers.certificates import issue

    root = issue(folder, "mariadb root", authority=True)
    own = issue(folder, "mariadb", issuer=root)
    for path in folder.iterdir():
        path.chmod(0o644)
    return {"ca": str(root.chain_file), "cert": str(own.chain_file), "key": str(own.key_file)}


@pytest.fixture(scope="session")
def mariadb_pair() -> Iterator[MariaPair]:
    """A primary with TLS, and its replica; tests leave nothing in them."""
    with ExitStack() as stack:
        made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sre-test-my-")))
        made.chmod(0o777)
        _install(made)
        (made / "tls").mkdir(mode=0o755)
        files = _certificates(made / "tls")
        tls = [f"--ssl-{name}={path}" for name, path in files.items()]
        primary = stack.enter_context(running_mariadb(1, *tls, template=made / "d"))
        replica = stack.enter_context(running_mariadb(2, "--read-only=1", template=made / "d"))
        primary.sql(
            "create user copier@127.0.0.1 identified by 'copying'",
            "grant replication slave on *.* to copier@127.0.0.1",
        )
        replica.sql(
            f"change master to master_host='127.0.0.1', master_port={primary.port}, "
            "master_user='copier', master_password='copying', master_connect_retry=1, "
            "master_use_gtid=slave_pos, master_heartbeat_period=1",
            "start slave",
        )
        yield MariaPair(primary, replica, files["ca"])
