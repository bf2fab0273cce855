"""How does a test get a real set of MariaDB servers behind HAProxy, and break it?"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pymysql

from sre.core.clock import Deadline
from sre.failover.control.local import LocalControl
from tests.servers.child import child, program
from tests.servers.marianode import Node
from tests.servers.net import free_port, wait_until

__all__ = ["MariaSet", "running_maria_set"]

REPO = Path(__file__).parents[2]


@dataclass
class MariaSet:
    """Nodes a, b, c; `a` is primary at first. `front` is HAProxy's port."""

    home: Path
    nodes: dict[str, Node]
    front: int
    socket: Path
    haproxy: Path
    config: Path = Path()

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    @property
    def password(self) -> str:
        return self["a"].password

    @property
    def dsn(self) -> str:
        """Through the front door."""
        return f"mysql://root:{self.password}@127.0.0.1:{self.front}/shop"

    @property
    def env(self) -> dict[str, str]:
        own = {f"MY_{name.upper()}": node.dsn for name, node in self.nodes.items()}
        return {**own, "SRE_STATE": str(self.home / "state"), "FRONT_DSN": self.dsn}

    def primaries(self) -> list[str]:
        """Those who take writes."""
        found = []
        for name, node in self.nodes.items():
            with contextlib.suppress(pymysql.Error):
                if node.sql("select @@global.read_only")[0][0] == 0:
                    found.append(name)
        return found

    def follow(self, name: str, primary: str) -> None:
        """As somebody would do it by hand."""
        self[name].sql(
            "stop slave", "set global read_only = 1",
            f"change master to master_host='127.0.0.1', master_port={self[primary].port}, "
            "master_user='copier', master_password='copying', master_use_gtid=slave_pos, "
            "master_heartbeat_period=0.5, master_connect_retry=1",
            "start slave",
        )  # fmt: skip

    def whole(self, primary: str) -> None:
        """Wait until everybody else follows it and has what it has."""
        for name in sorted(set(self.nodes) - {primary}):
            wait_until(partial(self._is_with, name, primary), 30, f"{name} is with {primary}")

    def _is_with(self, name: str, primary: str) -> bool:
        slave, text = self[name].slave(), "select @@gtid_current_pos"
        running = (slave.get("Slave_IO_Running"), slave.get("Slave_SQL_Running"))
        there = slave.get("Master_Port") == self[primary].port and running == ("Yes", "Yes")
        return there and self[name].sql(text) == self[primary].sql(text)

    def sre(self, *args: str, env: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """`sre failover ARGS… --format json`; its exit code and document."""
        done = self.run(*args, "--format", "json", env=env)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, done.stdout + done.stderr

    def run(
        self, *args: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "sre", "failover", *args, "--config", str(self.config)]
        return subprocess.run(
            argv, env={**os.environ, **self.env, **(env or {})}, cwd=REPO, capture_output=True,
            text=True, timeout=110, check=False,
        )  # fmt: skip

    def states(self) -> dict[str, str]:
        """What the runtime API and the file say of each server: `open/open`."""
        _, status = self.sre("status")
        states = status["clusters"][0]["more"]["states"]["front"]
        return {name: "/".join(each) for name, each in states.items()}

    def declare(self, **cluster: str) -> None:
        """Write sre.yaml anew, with further keys of the cluster and of nodes (`a__fence`)."""
        own = {k: v for k, v in cluster.items() if "__" not in k}
        lines = ["version: 1", "shop: {name: set, base_url: http://127.0.0.1:9}"]
        lines += ["clusters:", "  orders:", "    kind: mariadb", "    traffic: front"]
        lines += [f"    {key}: {value}" for key, value in own.items()]
        lines.append("    nodes:")
        for name, node in self.nodes.items():
            lines += [
                f"      - name: {name}",
                f'        dsn: "${{env:MY_{name.upper()}}}"',
                f"        data_dir: {node.data}",
                f"        options: {json.dumps(node.options)}",
            ]
            lines += [
                f"        {key.partition('__')[2]}: {value}"
                for key, value in cluster.items()
                if key.startswith(f"{name}__")
            ]
        lines += [
            "traffic:", f"  front: {{kind: haproxy, socket: {self.socket}, "
            f"config: {self.haproxy}, backend: my}}",
        ]  # fmt: skip
        self.config = self.home / "sre.yaml"
        self.config.write_text("\n".join(lines) + "\n")


@cache
def _template() -> tempfile.TemporaryDirectory[str]:
    """A data folder to copy, made once."""
    made = tempfile.TemporaryDirectory(prefix="sre-test-maria-")
    Path(made.name).chmod(0o755)
    argv = [
        program("mariadb-install-db"), "--no-defaults", f"--datadir={made.name}/data",
        "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=4M",
    ]  # fmt: skip
    if os.geteuid() == 0:
        argv.append("--user=mysql")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def _first(node: Node) -> None:
    """Copy the template, start it, let root in with a password over TCP."""
    node.folder.mkdir()
    subprocess.run(["cp", "-a", f"{_template().name}/data", str(node.data)], check=True)
    if os.geteuid() == 0:
        shutil.chown(node.folder, "mysql", "mysql")
    LocalControl().start(node.service, Deadline.after(20))

    def entered() -> bool:
        connect: Any = pymysql.connect
        with (
            connect(unix_socket=str(node.folder / "s"), user="root") as made,
            made.cursor() as cursor,
        ):
            cursor.execute("set sql_log_bin = 0")
            for host in ("127.0.0.1", "localhost"):
                who = (host, node.password)
                cursor.execute("create or replace user root@%s identified by %s", who)
                cursor.execute("grant all on *.* to root@%s with grant option", (host,))
            cursor.execute("create user copier@127.0.0.1 identified by 'copying'")
            cursor.execute("grant replication slave on *.* to copier@127.0.0.1")
        return True

    wait_until(lambda: (node.folder / "s").exists() and entered(), 20, "MariaDB")


_HAPROXY = """
global
  stats socket {socket} mode 600 level admin
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen my
  bind 127.0.0.1:{port}
{servers}
"""


@contextlib.contextmanager
def running_maria_set(
    names: str = "abc", *, semi_sync: bool = True, timeout: int = 3_600_000
) -> Iterator[MariaSet]:
    """A primary `a` and its replicas, HAProxy before them, a declaration in home/sre.yaml.

    `semi_sync`: commits wait for one of them, for `timeout` ms at most.
    """
    program("mariadbd")
    place = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    home = Path(tempfile.mkdtemp(prefix="sre-test-maria-", dir=place))
    home.chmod(0o755)
    password = secrets.token_urlsafe(16)
    nodes = {
        name: Node(name, number, home / name, free_port(), password, semi_sync)
        for number, name in enumerate(names, start=1)
    }
    try:
        for node in nodes.values():
            _first(node)
        with _front(home, nodes) as made:
            for name in names[1:]:
                made.follow(name, names[0])
            nodes[names[0]].sql("set global read_only = 0", "create database shop")
            if semi_sync:
                nodes[names[0]].sql(
                    f"set global rpl_semi_sync_master_timeout = {timeout}",
                    "set global rpl_semi_sync_master_enabled = 1",
                )
            made.whole(names[0])
            made.declare()
            yield made
    finally:
        for node in nodes.values():
            node.signal(signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _front(home: Path, nodes: dict[str, Node]) -> Iterator[MariaSet]:
    port, config, sock = free_port(), home / "haproxy.cfg", home / "haproxy.sock"
    servers = "\n".join(
        f"  server {name} 127.0.0.1:{node.port}" + ("" if node.number == 1 else " disabled")
        for name, node in nodes.items()
    )
    config.write_text(_HAPROXY.format(socket=sock, port=port, servers=servers))
    with child([program("haproxy"), "-W", "-db", "-f", str(config)], home=home / "proxy"):
        wait_until(sock.exists, 10, "HAProxy")
        yield MariaSet(home, nodes, port, sock, config)
