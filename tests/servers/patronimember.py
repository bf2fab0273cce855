"""How does a test start one member of a Patroni cluster and its etcd, and kill them?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests

from sre.core.clock import Deadline
from sre.failover.control.local import LocalControl
from sre.failover.nodes import Service
from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["USER", "Member", "etcd_at", "write_member"]

_UID = 65534
USER = "watch"

_MEMBER = """
scope: {scope}
name: {name}
restapi: {{listen: '127.0.0.1:{api}', connect_address: '127.0.0.1:{api}',
           authentication: {{username: {user}, password: '{password}'}}}}
etcd3: {{hosts: '127.0.0.1:{etcd}'}}
bootstrap:
  dcs:
    {{ttl: {ttl}, loop_wait: {loop_wait}, retry_timeout: 3, maximum_lag_on_failover: 1048576,
     synchronous_mode: {synchronous},
     postgresql: {{use_pg_rewind: true, parameters: {{wal_log_hints: 'on', max_connections: 40,
                   wal_keep_size: 64MB, shared_buffers: 16MB}}}}}}
  initdb: [{{auth: trust}}, no-sync, {{encoding: UTF8}}, {{locale: C}}]
  pg_hba: [host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {data}
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  authentication:
    superuser: {{username: postgres, password: '{password}'}}
    replication: {{username: replicator, password: '{password}'}}
    rewind: {{username: rewinder, password: '{password}'}}
  parameters: {{unix_socket_directories: '{folder}'}}
watchdog: {{mode: 'off'}}
tags: {tags}
"""


@dataclass
class Member:
    """One member: its Patroni, and the PostgreSQL that it starts."""

    name: str
    folder: Path
    api: int
    port: int
    programs: Path
    password: str
    running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    patroni: subprocess.Popen[str] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def service(self) -> Service:
        return Service("postgres", str(self.data), str(self.programs))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api}"

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def auth(self) -> tuple[str, str]:
        return (USER, self.password)

    def get(self, path: str) -> Any:
        return requests.get(self.url + path, timeout=5).json()

    def patch(self, **config: Any) -> bool:
        done = requests.patch(f"{self.url}/config", json=config, auth=self.auth, timeout=5)
        assert done.status_code == 200, done.text
        return True

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=3) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Patroni, as an ordinary user; it starts PostgreSQL."""
        argv = [program("patroni"), str(self.folder / "patroni.yml")]
        if os.geteuid() == 0:
            argv = ["setpriv", f"--reuid={_UID}", f"--regid={_UID}", "--clear-groups", *argv]
        self.patroni = self.running.enter_context(child(argv, home=self.folder))

    def patronis(self) -> list[int]:
        """Every Patroni of this member, whoever started it: its configuration is its own."""
        mark = os.fsencode(str(self.folder / "patroni.yml"))
        found = []
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if mark in place.read_bytes().split(b"\0"):
                    found.append(int(place.parent.name))
        return found

    def signal(self, which: signal.Signals) -> None:
        """To Patroni and every process of PostgreSQL: what happens to a node."""
        for pid in self.patronis():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)
        for pid in LocalControl().life(self.service, Deadline.after(10)).pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)

    def kill(self) -> None:
        """Its whole node dies."""
        self.signal(signal.SIGKILL)
        self.running.close()
        self.patroni = None


def write_member(member: Member, **more: Any) -> None:
    member.folder.mkdir()
    text = _MEMBER.format(
        name=member.name, api=member.api, port=member.port, data=member.data, user=USER,
        password=member.password, programs=member.programs, folder=member.folder, **more,
    )  # fmt: skip
    path = member.folder / "patroni.yml"
    path.write_text(text)
    if os.geteuid() == 0:
        os.chown(member.folder, _UID, _UID)
        os.chown(path, _UID, _UID)


@contextlib.contextmanager
def etcd_at(home: Path, port: int) -> Iterator[None]:
    url, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    argv = [
        program("etcd"), "--data-dir", str(home / "etcd-data"), "--listen-client-urls", url,
        "--advertise-client-urls", url, "--listen-peer-urls", peer,
        "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        "--unsafe-no-fsync",
    ]  # fmt: skip
    help_text = subprocess.run([argv[0], "--help"], capture_output=True, text=True, check=False)
    if "unsafe-no-fsync" not in help_text.stdout + help_text.stderr:
        argv.pop()
    with child(argv, home=home / "etcd"):
        wait_until(lambda: requests.get(f"{url}/health", timeout=2).ok, 20, "etcd")
        yield
