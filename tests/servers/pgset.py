"""How does a test get a real set of PostgreSQL servers behind HAProxy, and break it?"""

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sre.core.clock import Deadline
from sre.failover.control.local import LocalControl
from sre.failover.nodes import Service
from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until
from tests.servers.postgresql import bin_dir

__all__ = ["Node", "PgSet", "running_set"]

REPO = Path(__file__).parents[2]
_UID = 65534
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
max_connections = 60
max_wal_senders = 10
max_prepared_transactions = 5
wal_keep_size = 128MB
wal_log_hints = on
lc_messages = 'C'
log_statement = all
hot_standby = on
"""


@dataclass
class Node:
    """One server; its configuration lies in its data folder."""

    name: str
    folder: Path
    port: int
    programs: Path
    password: str
    host: str = "127.0.0.1"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def service(self) -> Service:
        return Service("postgres", str(self.data), str(self.programs))

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres:{self.password}@{self.host}:{self.port}/postgres"

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=3) as connection:
            cursor = connection.execute(text.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        LocalControl().start(self.service, Deadline.after(20))
        wait_until(lambda: self.sql("select 1"), 20, f"{self.name} answers")

    def pids(self) -> tuple[int, ...]:
        return LocalControl().life(self.service, Deadline.after(10)).pids

    def kill(self) -> None:
        """Its whole node dies: kill -9 to every process at once."""
        self.signal(signal.SIGKILL)

    def signal(self, which: signal.Signals) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)

    def recovering(self) -> bool:
        return bool(self.sql("select pg_is_in_recovery()")[0][0])


@dataclass
class PgSet:
    """Nodes a, b, c; `a` is primary at first. `front` is HAProxy's port, `more` are switches before
    it: name -> what `traffic:` says of it."""

    home: Path
    nodes: dict[str, Node]
    front: int
    socket: Path
    haproxy: Path
    config: Path = Path()
    proxy: int = 0
    """The process id of HAProxy's master."""
    more: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    @property
    def password(self) -> str:
        return self["a"].password

    @property
    def dsn(self) -> str:
        """Through the front door."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.front}/postgres"

    @property
    def env(self) -> dict[str, str]:
        own = {f"PG_{name.upper()}": node.dsn for name, node in self.nodes.items()}
        return {**own, "SRE_STATE": str(self.home / "state"), "FRONT_DSN": self.dsn}

    def primaries(self) -> list[str]:
        found = []
        for name, node in self.nodes.items():
            with contextlib.suppress(psycopg.Error):
                if not node.recovering():
                    found.append(name)
        return found

    def standbys(self, primary: str) -> list[str]:
        text = "select application_name from pg_stat_replication where state = 'streaming'"
        return sorted(row[0] for row in self[primary].sql(text))

    def whole(self, primary: str) -> None:
        """Wait until everybody else streams from it."""
        others = sorted(set(self.nodes) - {primary})
        wait_until(lambda: self.standbys(primary) == others, 30, f"{others} stream from {primary}")

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
        done = self.run("status", "--format", "json")
        status = json.loads(done.stdout)["clusters"][0]
        return {k: "/".join(v) for k, v in status["more"]["states"]["front"].items()}

    def _before(self) -> str:
        return f"    traffic: [{', '.join([*self.more, 'front'])}]"

    def declare(self, **cluster: str) -> None:
        """Write sre.yaml anew, with further keys of the cluster and of nodes (`a__fence`)."""
        own = {k: v for k, v in cluster.items() if "__" not in k}
        lines = ["version: 1", "shop: {name: set, base_url: http://127.0.0.1:9}"]
        lines += ["clusters:", "  orders:", "    kind: postgres", self._before()]
        lines += [f"    {key}: {value}" for key, value in own.items()]
        lines.append("    nodes:")
        for name, node in self.nodes.items():
            lines.append(f"      - name: {name}")
            lines.append(f'        dsn: "${{env:PG_{name.upper()}}}"')
            lines.append(f"        data_dir: {node.data}")
            lines.append(f"        bin_dir: {node.programs}")
            lines += [
                f"        {key.partition('__')[2]}: {value}"
                for key, value in cluster.items()
                if key.startswith(f"{name}__")
            ]
        lines += [
            "traffic:", f"  front: {{kind: haproxy, socket: {self.socket}, "
            f"config: {self.haproxy}, backend: pg}}",
        ]  # fmt: skip
        lines += [f"  {name}: {text}" for name, text in self.more.items()]
        self.config = self.home / "sre.yaml"
        self.config.write_text("\n".join(lines) + "\n")


def _as_nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": _UID, "group": _UID, "extra_groups": []}


def _do(argv: list[str], **env: str) -> None:
    clean = {"PATH": os.environ["PATH"], "LC_ALL": "C", **env}
    done = subprocess.run(
        argv, env=clean, cwd="/", capture_output=True, text=True, check=False, **_as_nobody()
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _first(node: Node, synchronous: str, more: str) -> None:
    word = node.folder / "word"
    word.write_text(node.password)
    word.chmod(0o644)
    _do([
        str(node.programs / "initdb"), "-D", str(node.data), "-U", "postgres", "-A",
        "scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--locale=C", "--no-sync",
    ])  # fmt: skip
    own = f"port = {node.port}\nsynchronous_standby_names = '{synchronous}'\n"
    with (node.data / "postgresql.conf").open("a") as file:
        file.write(_SETTINGS + more + own)
    node.start()


def _copy(node: Node, source: Node, *, slot: bool) -> None:
    where = f"host={source.host} port={source.port} user=postgres application_name={node.name}"
    argv = [
        str(node.programs / "pg_basebackup"), "-d", where, "-D", str(node.data),
        "-c", "fast", "-X", "stream", "-R", "--no-sync",
    ]  # fmt: skip
    _do([*argv, "-C", "-S", node.name] if slot else argv, PGPASSWORD=source.password)
    with (node.data / "postgresql.conf").open("a") as file:
        file.write(f"port = {node.port}\n")
    node.start()


_HAPROXY = """
global
  stats socket {socket} mode 600 level admin
defaults
  mode tcp
  retries 0
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen pg
  bind 127.0.0.1:{port}
{servers}
"""


@contextlib.contextmanager
def running_set(
    version: str = "15",
    names: str = "abc",
    *,
    synchronous: str = "ANY 1 (a, b, c)",
    slots: bool = False,
    settings: str = "",
    make: Callable[[str, Path, int, Path, str], Node] = Node,
    place: str = "",
) -> Iterator[PgSet]:
    """A primary `a` and its standbys, HAProxy before them, a declaration in home/sre.yaml.

    `make` makes a node of another kind, such as one on a host of its own. `place` is the folder
    that it lies in; in memory without.
    """
    place = place or ("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp")
    home = Path(tempfile.mkdtemp(prefix="sre-test-set-", dir=place))
    home.chmod(0o755)
    programs, password = bin_dir(version), secrets.token_urlsafe(16)
    nodes = {}
    for name in names:
        folder = home / name
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, _UID, _UID)
        nodes[name] = make(name, folder, free_port(), programs, password)
    try:
        _first(nodes["a"], synchronous if len(names) > 1 else "", settings)
        for name in names[1:]:
            _copy(nodes[name], nodes["a"], slot=slots)
        with _front(home, nodes) as made:
            made.whole("a")
            made.declare()
            yield made
    finally:
        for node in nodes.values():
            node.signal(signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _front(home: Path, nodes: dict[str, Node]) -> Iterator[PgSet]:
    port, config, sock = free_port(), home / "haproxy.cfg", home / "haproxy.sock"
    servers = "\n".join(
        f"  server {name} {node.host}:{node.port}" + ("" if name == "a" else " disabled")
        for name, node in nodes.items()
    )
    config.write_text(_HAPROXY.format(socket=sock, port=port, servers=servers))
    with child([program("haproxy"), "-W", "-db", "-f", str(config)], home=home / "proxy") as run:
        wait_until(sock.exists, 10, "HAProxy")
        yield PgSet(home, nodes, port, sock, config, proxy=run.pid)
