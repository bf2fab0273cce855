"""How does a test get a real Patroni cluster with its etcd, behind HAProxy, and break it?"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import requests

from sre.cli.main import run as sre_main
from sre.core.clock import Deadline
from sre.failover.control.local import LocalControl
from sre.failover.nodes import Service
from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until
from tests.servers.postgresql import bin_dir

__all__ = ["Member", "PatroniSet", "running_patroni"]

_UID = 65534
_USER = "watch"

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
        return (_USER, self.password)

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


@dataclass
class PatroniSet:
    """Members a, b, c. `front` is HAProxy's port; it asks each member whether it is primary."""

    home: Path
    scope: str
    members: dict[str, Member]
    front: int
    socket: Path
    config: Path

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    @property
    def dsn(self) -> str:
        """Through the front door."""
        any_one = next(iter(self.members.values()))
        return f"postgresql://postgres:{any_one.password}@127.0.0.1:{self.front}/postgres"

    @property
    def env(self) -> dict[str, str]:
        any_one = next(iter(self.members.values()))
        own = {f"PG_{name.upper()}": each.dsn for name, each in self.members.items()}
        state = {"SRE_STATE": str(self.home / "state"), "FRONT_DSN": self.dsn}
        return {**own, **state, "PATRONI_USER": _USER, "PATRONI_PASSWORD": any_one.password}

    def cluster(self) -> dict[str, dict[str, Any]]:
        """Member -> what the first Patroni that answers says of it."""
        for each in self.members.values():
            with contextlib.suppress(requests.RequestException, ValueError):
                return {row["name"]: row for row in each.get("/cluster")["members"]}
        return {}

    def leader(self) -> str:
        found = [name for name, row in self.cluster().items() if row["role"] == "leader"]
        return found[0] if len(found) == 1 else ""

    def whole(self) -> str:
        """Wait until one leads, everybody else streams from it, and HAProxy sees it; its name."""

        def ready() -> str:
            who = self.leader()
            streaming = {
                row["application_name"]
                for row in self[who].get("/patroni").get("replication", ())
                if row["state"] == "streaming"
            }
            members = set(self.cluster())
            sync = any(row["role"].endswith("_standby") for row in self.cluster().values())
            wanted = bool(self[who].get("/config").get("synchronous_mode"))
            calm = not self[who].get("/patroni").get("pause", False)
            whole = members == set(self.members) and streaming == members - {who}
            return who if whole and sync == wanted and calm and self.through() else ""

        return wait_until(ready, 60, "a whole Patroni cluster")

    def through(self) -> bool:
        """Whether a write through the front door is taken."""
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=2) as connection:
            connection.execute("select pg_logical_emit_message(true, 'test', '')")
        return True

    def sre(self, *args: str, env: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """`sre failover ARGS… --format json` in this process; its exit code and document."""
        out, told = io.StringIO(), io.StringIO()
        argv = ["failover", *args, "--format", "json", "--config", str(self.config)]
        with (
            patch.dict(os.environ, {**self.env, **(env or {})}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(told),
        ):
            code = sre_main(argv)
        try:
            return code, json.loads(out.getvalue())
        except ValueError:
            return code, out.getvalue() + told.getvalue()

    def argv(self, *args: str) -> list[str]:
        """The same as a program."""
        return [sys.executable, "-m", "sre", "failover", *args, "--config", str(self.config)]

    def declare(self, **more: str) -> None:
        """Write sre.yaml anew, with further keys of the cluster and of nodes (`a__fence`)."""
        lines = ["version: 1", "shop: {name: set, base_url: http://127.0.0.1:9}"]
        lines += ["clusters:", "  orders:", "    kind: patroni", f"    scope: {self.scope}"]
        lines += ['    user: "${env:PATRONI_USER}"', '    password: "${env:PATRONI_PASSWORD}"']
        own = {"traffic": "front", **{k: v for k, v in more.items() if "__" not in k}}
        lines += [f"    {key}: {value}" for key, value in own.items()] + ["    nodes:"]
        for name, each in self.members.items():
            lines += [f"      - name: {name}", f"        api: {each.url}"]
            lines += [f"        data_dir: {each.data}", f"        bin_dir: {each.programs}"]
            lines += [f'        dsn: "${{env:PG_{name.upper()}}}"']
            for key, value in more.items():
                if key.startswith(f"{name}__"):
                    lines.append(f"        {key.partition('__')[2]}: {value}")
        lines += ["traffic:", f"  front: {{kind: haproxy, socket: {self.socket}, backend: pg}}"]
        self.config.write_text("\n".join(lines) + "\n")


_HAPROXY = """
global
  stats socket {socket} mode 600 level admin
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen pg
  bind 127.0.0.1:{port}
  option httpchk GET /primary
  default-server inter 100ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


@contextlib.contextmanager
def running_patroni(
    names: str = "abc", *, synchronous: bool = True, tags: Mapping[str, str] | None = None,
    loop_wait: int = 1, ttl: int = 20,
) -> Iterator[PatroniSet]:  # fmt: skip
    """etcd, the members, HAProxy, a declaration in home/sre.yaml; everybody streams."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    home = Path(tempfile.mkdtemp(prefix="sre-test-patroni-", dir=place))
    home.chmod(0o755)
    programs, password, etcd = bin_dir("15"), secrets.token_urlsafe(16), free_port()
    scope = "orders-main"
    members = {n: Member(n, home / n, free_port(), free_port(), programs, password) for n in names}
    try:
        with _etcd(home, etcd), contextlib.ExitStack() as stack:
            for name, each in members.items():
                stack.callback(each.kill)
                _write(
                    each, scope=scope, etcd=etcd, tags=(tags or {}).get(name, "{}"),
                    synchronous=str(synchronous).lower(), loop_wait=loop_wait, ttl=ttl,
                )  # fmt: skip
                each.start()
                if name == names[0]:
                    wait_until(lambda: each.get("/cluster")["members"][0]["role"] == "leader",  # noqa: B023
                               60, "Patroni's first leader")  # fmt: skip
            found = stack.enter_context(_front(home, scope, members))
            found.declare()
            found.whole()
            yield found
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write(member: Member, **more: Any) -> None:
    member.folder.mkdir()
    text = _MEMBER.format(
        name=member.name, api=member.api, port=member.port, data=member.data, user=_USER,
        password=member.password, programs=member.programs, folder=member.folder, **more,
    )  # fmt: skip
    path = member.folder / "patroni.yml"
    path.write_text(text)
    if os.geteuid() == 0:
        os.chown(member.folder, _UID, _UID)
        os.chown(path, _UID, _UID)


@contextlib.contextmanager
def _etcd(home: Path, port: int) -> Iterator[None]:
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


@contextlib.contextmanager
def _front(home: Path, scope: str, members: dict[str, Member]) -> Iterator[PatroniSet]:
    port, config, sock = free_port(), home / "haproxy.cfg", home / "haproxy.sock"
    servers = "\n".join(
        f"  server {name} 127.0.0.1:{each.port} check port {each.api}"
        for name, each in members.items()
    )
    config.write_text(_HAPROXY.format(socket=sock, port=port, servers=servers))
    with child([program("haproxy"), "-W", "-db", "-f", str(config)], home=home / "proxy"):
        wait_until(sock.exists, 10, "HAProxy")
        yield PatroniSet(home, scope, members, port, sock, home / "sre.yaml")
