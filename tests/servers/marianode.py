"""How is one MariaDB server of a set started and killed, as the tool itself does it?"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from sre.core.clock import Deadline
from sre.failover.control.local import LocalControl
from sre.failover.nodes import Service
from tests.servers.net import wait_until

__all__ = ["Node"]

_SMALL = (
    "--bind-address=127.0.0.1", "--log-bin=bin", "--log-slave-updates=1", "--gtid-strict-mode=1",
    "--read-only=1", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M",
    "--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--skip-name-resolve",
    "--max-connections=60", "--performance-schema=off", "--table-open-cache=200",
    "--aria-pagecache-buffer-size=128K", "--key-buffer-size=64K", "--slave-net-timeout=4",
)  # fmt: skip


@dataclass
class Node:
    """One server, started as the tool starts it."""

    name: str
    number: int
    folder: Path
    port: int
    password: str
    semi_sync: bool

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def options(self) -> tuple[str, ...]:
        semi = ("--rpl-semi-sync-slave-enabled=1",) if self.semi_sync else ()
        return (
            "--no-defaults", f"--server-id={self.number}", f"--port={self.port}",
            f"--socket={self.folder / 's'}", f"--pid-file={self.folder / 'pid'}", *_SMALL, *semi,
        )  # fmt: skip

    @property
    def service(self) -> Service:
        return Service("mariadb", str(self.data), options=self.options)

    @property
    def dsn(self) -> str:
        return f"mysql://root:{self.password}@127.0.0.1:{self.port}/"

    def connect(self, **more: Any) -> pymysql.connections.Connection[Any]:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", password=self.password,
            autocommit=True, ssl_disabled=True, connect_timeout=3, **more,
        )  # fmt: skip

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def slave(self) -> dict[str, Any]:
        """Its replication, by column; nothing when it follows nobody."""
        with (
            self.connect(cursorclass=pymysql.cursors.DictCursor) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("show all slaves status")
            return dict(cursor.fetchone() or {})

    def start(self) -> None:
        LocalControl().start(self.service, Deadline.after(20))
        wait_until(lambda: self.sql("select 1"), 20, f"{self.name} answers")

    def pids(self) -> tuple[int, ...]:
        return LocalControl().life(self.service, Deadline.after(10)).pids

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)

    def signal(self, which: signal.Signals) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)
