"""How does a test get a real PgBouncer before a real PostgreSQL?"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Bouncer", "running_pgbouncer"]

PASSWORD = "console-sesame"


@dataclass
class Bouncer:
    """A running PgBouncer, transaction pooling, its database `shop` at one server."""

    process: subprocess.Popen[str]
    home: Path
    port: int

    @property
    def config(self) -> Path:
        return self.home / "pgbouncer.ini"

    @property
    def admin(self) -> str:
        return f"postgresql://boss:{PASSWORD}@127.0.0.1:{self.port}/pgbouncer"

    @property
    def dsn(self) -> str:
        return f"postgresql://boss:{PASSWORD}@127.0.0.1:{self.port}/shop"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None)


_CONFIG = """\
;; by hand
[databases]
; shop = host=old
shop = host=127.0.0.1 port={server} dbname=postgres user=postgres password='{password}'  pool_size=4
other=dbname=postgres port={server} host=127.0.0.1

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {home}/users.txt
admin_users = boss
logfile = {home}/bouncer.log
pool_mode = transaction
server_login_retry = 0.05
"""


@contextlib.contextmanager
def running_pgbouncer(server: int, password: str, *, connects: bool = True) -> Iterator[Bouncer]:
    """PgBouncer before the PostgreSQL at that port; only its console, unless it `connects`."""
    home = Path(tempfile.mkdtemp(prefix="sre-test-pgbouncer-", dir="/tmp"))
    port = free_port()
    (home / "users.txt").write_text(f'"boss" "{PASSWORD}"\n')
    text = _CONFIG.format(home=home, port=port, server=server, password=password)
    (home / "pgbouncer.ini").write_text(text)
    argv = [program("pgbouncer"), str(home / "pgbouncer.ini")]
    if os.geteuid() == 0:  # PgBouncer refuses root
        for path in (home, *home.iterdir()):
            os.chown(path, 65534, 65534)
        setpriv = program("setpriv")
        argv = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--", *argv]
    try:
        with child(argv, home=home) as process:
            bouncer = Bouncer(process, home, port)
            dsn = bouncer.dsn if connects else bouncer.admin
            ready = lambda: psycopg.connect(dsn, autocommit=True).close() is None  # noqa: E731
            wait_until(ready, 20, "PgBouncer")
            yield bouncer
    finally:
        shutil.rmtree(home, ignore_errors=True)
