"""How does a test get a real set of Redis servers, sentinels above them and HAProxy before them?"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sre.core.clock import Deadline
from sre.failover.control.local import LocalControl
from sre.failover.nodes import Service
from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Node", "RedisSet", "running_redis_set"]


def _row(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=False))


REPO = Path(__file__).parents[2]
PASSWORD = "geheim-Ünï: #'\"4711"
_DSN_PASSWORD = "geheim-%C3%9Cn%C3%AF%3A%20%23%27%224711"
_NODE = """
port {port}
bind 127.0.0.1
dir {folder}
save {save}
requirepass "{password}"
masterauth "{password}"
repl-diskless-sync-delay 0
repl-backlog-size 8mb
"""
_SENTINEL = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor shop 127.0.0.1 {primary} 2
sentinel auth-pass shop "{password}"
sentinel down-after-milliseconds shop {down_after}
sentinel failover-timeout shop 10000
"""


@dataclass
class Node:
    """One server; `config` is its own file, which it writes anew."""

    name: str
    folder: Path
    port: int
    password: str | None = PASSWORD

    @property
    def config(self) -> Path:
        return self.folder / "redis.conf"

    @property
    def service(self) -> Service:
        return Service("redis", str(self.folder), "", self.port, "", (str(self.config),))

    @property
    def dsn(self) -> str:
        return f"redis://:{_DSN_PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        return redis.Redis(
            "127.0.0.1", self.port, password=self.password, decode_responses=True, protocol=2,
            retry=Retry(NoBackoff(), 0), socket_timeout=5,
        )  # fmt: skip

    def tell(self, *command: object) -> Any:
        with contextlib.closing(self.client()) as client:
            return client.execute_command(*command)

    def info(self) -> dict[str, Any]:
        with contextlib.closing(self.client()) as client:
            found: dict[str, Any] = client.info()
            return found

    def answers(self) -> bool:
        try:
            return bool(self.tell("PING"))
        except redis.RedisError:
            return False

    def start(self) -> None:
        LocalControl().start(self.service, Deadline.after(20))
        wait_until(self.answers, 20, f"{self.name} answers")

    def pids(self) -> tuple[int, ...]:
        return LocalControl().life(self.service, Deadline.after(10)).pids

    def signal(self, which: signal.Signals) -> None:
        for pid in self.pids():
            os.kill(pid, which)


@dataclass
class RedisSet:
    """Nodes a, b, c; `a` is primary at first. `front` is HAProxy's port."""

    home: Path
    nodes: dict[str, Node]
    sentinels: dict[str, Node]
    front: int
    haproxy: Path
    socket: Path
    config: Path = Path()
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    @property
    def dsn(self) -> str:
        """Through the front door."""
        return f"redis://:{_DSN_PASSWORD}@127.0.0.1:{self.front}/0"

    @property
    def named(self) -> str:
        """Through the sentinels."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels.values())
        return f"redis+sentinel://:{_DSN_PASSWORD}@{hosts}/shop/0"

    @property
    def env(self) -> dict[str, str]:
        own = {f"REDIS_{name.upper()}": node.dsn for name, node in self.nodes.items()}
        return {**own, "SRE_STATE": str(self.home / "state"), "FRONT_DSN": self.dsn}

    def primaries(self) -> list[str]:
        found = []
        for name, node in self.nodes.items():
            with contextlib.suppress(redis.RedisError):
                if node.tell("ROLE")[0] == "master":
                    found.append(name)
        return found

    def whole(self, primary: str) -> None:
        """Wait until everybody else streams from it, and every sentinel knows all of them."""

        def streams() -> bool:
            others = [node for name, node in self.nodes.items() if name != primary]
            if self.primaries() != [primary]:
                return False
            infos = [each.info() for each in others]
            port = self[primary].port
            return all(i["master_port"] == port and i["master_link_status"] == "up" for i in infos)

        def known() -> bool:
            return all(self._knows(each, primary) for each in self.sentinels.values())

        wait_until(streams, 30, f"the others stream from {primary}")
        wait_until(known, 40, f"the sentinels know that {primary} is primary")

    def _knows(self, sentinel: Node, primary: str) -> bool:
        with contextlib.suppress(redis.RedisError):
            master = sentinel.tell("SENTINEL", "MASTER", "shop")
            replicas = sentinel.tell("SENTINEL", "REPLICAS", "shop")
            sentinel.tell("SENTINEL", "CKQUORUM", "shop")
            row, links = _row(master), [_row(each) for each in replicas]
            up = [each for each in links if each["master-link-status"] == "ok"]
            calm = [each for each in links if not {"s_down"} & set(each["flags"].split(","))]
            return (
                row["port"] == str(self[primary].port)
                and row["flags"] == "master"
                and row["num-other-sentinels"] == str(len(self.sentinels) - 1)
                and len(up) == len(calm) == len(self.nodes) - 1
            )
        return False

    def sre(self, *args: str) -> tuple[int, Any]:
        """`sre failover ARGS… --format json`; its exit code and document."""
        done = self.run(*args, "--format", "json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def argv(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "sre", "failover", *args, "--config", str(self.config)]

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*args), env={**os.environ, **self.env}, cwd=REPO,
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip

    def declare(self, **cluster: str) -> None:
        """Write sre.yaml anew, with further keys of the cluster."""
        kind = "sentinel" if self.sentinels else "redis"
        lines = ["version: 1", "shop: {name: set, base_url: http://127.0.0.1:9}"]
        lines += ["clusters:", "  basket:", f"    kind: {kind}", "    traffic: front"]
        if self.sentinels:
            hosts = ", ".join(f'"127.0.0.1:{each.port}"' for each in self.sentinels.values())
            lines += ["    master: shop", f"    sentinels: [{hosts}]"]
        lines += [f"    {key}: {value}" for key, value in cluster.items()]
        lines.append("    nodes:")
        for name, node in self.nodes.items():
            lines.append(f"      - name: {name}")
            lines.append(f'        dsn: "${{env:REDIS_{name.upper()}}}"')
            lines.append(f"        data_dir: {node.folder}")
            lines.append(f"        config: {node.config}")
        lines += [
            "traffic:", f"  front: {{kind: haproxy, socket: {self.socket}, "
            f"config: {self.haproxy}, backend: red}}",
        ]  # fmt: skip
        self.config = self.home / "sre.yaml"
        self.config.write_text("\n".join(lines) + "\n")


_HAPROXY = """
global
  stats socket {socket} mode 600 level admin
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen red
  bind 127.0.0.1:{port}
{servers}
"""


@contextlib.contextmanager
def running_redis_set(
    names: str = "abc", *, sentinels: int = 3, save: str = '""', down_after: int = 5000
) -> Iterator[RedisSet]:
    """A primary `a` and its replicas, HAProxy before them, a declaration in home/sre.yaml."""
    program("redis-server")
    place = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    home = Path(tempfile.mkdtemp(prefix="sre-test-redis-", dir=place))
    nodes = {name: Node(name, home / name, free_port()) for name in names}
    try:
        for node in nodes.values():
            node.folder.mkdir()
            text = _NODE.format(
                port=node.port, folder=node.folder, save=save,
                password=PASSWORD.replace('"', '\\"'),
            )  # fmt: skip
            text += "" if node.name == "a" else f"replicaof 127.0.0.1 {nodes['a'].port}\n"
            node.config.write_text(text)
            node.start()
        with contextlib.ExitStack() as stack:
            made = stack.enter_context(_front(home, nodes))
            for number in range(sentinels):
                _sentinel(made, stack, f"s{number}", down_after)
            made.whole("a")
            made.declare()
            yield made
    finally:
        for node in nodes.values():
            node.signal(signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


def _sentinel(made: RedisSet, stack: contextlib.ExitStack, name: str, down_after: int) -> None:
    node = Node(name, made.home / name, free_port(), None)
    node.folder.mkdir()
    config = node.folder / "sentinel.conf"
    config.write_text(
        _SENTINEL.format(
            port=node.port, folder=node.folder, primary=made["a"].port, down_after=down_after,
            password=PASSWORD.replace('"', '\\"'),
        )
    )  # fmt: skip
    argv = [program("redis-server"), str(config), "--sentinel"]
    made.processes[name] = stack.enter_context(child(argv, home=node.folder))
    wait_until(node.answers, 20, name)
    node.tell("SENTINEL", "DEBUG", "INFO-PERIOD", "500")  # 10 s otherwise, for every steering
    made.sentinels[name] = node


@contextlib.contextmanager
def _front(home: Path, nodes: dict[str, Node]) -> Iterator[RedisSet]:
    port, config, sock = free_port(), home / "haproxy.cfg", home / "haproxy.sock"
    servers = "\n".join(
        f"  server {name} 127.0.0.1:{node.port}" + ("" if name == "a" else " disabled")
        for name, node in nodes.items()
    )
    config.write_text(_HAPROXY.format(socket=sock, port=port, servers=servers))
    with child([program("haproxy"), "-W", "-db", "-f", str(config)], home=home / "proxy"):
        wait_until(sock.exists, 10, "HAProxy")
        yield RedisSet(home, nodes, {}, port, config, sock)
