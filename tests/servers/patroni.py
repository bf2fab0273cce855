"""How does a test get a real Patroni cluster with its etcd, behind HAProxy, and break it?"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import requests

from sre.cli.main import run as sre_main
from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until
from tests.servers.patronimember import USER, Member, etcd_at, write_member
from tests.servers.postgresql import bin_dir

__all__ = ["Member", "PatroniSet", "running_patroni"]


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
        return {**own, **state, "PATRONIUSER": USER, "PATRONI_PASSWORD": any_one.password}

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
        lines += ['    user: "${env:PATRONIUSER}"', '    password: "${env:PATRONI_PASSWORD}"']
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
    loop_wait: int = 1, ttl: int = 20, place: str = "",
) -> Iterator[PatroniSet]:  # fmt: skip
    """etcd, the members, HAProxy, a declaration in home/sre.yaml; everybody streams.

    `place` is the folder that it lies in; in memory without.
    """
    place = place or ("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp")
    home = Path(tempfile.mkdtemp(prefix="sre-test-patroni-", dir=place))
    home.chmod(0o755)
    programs, password, etcd = bin_dir("15"), secrets.token_urlsafe(16), free_port()
    scope = "orders-main"
    members = {n: Member(n, home / n, free_port(), free_port(), programs, password) for n in names}
    try:
        with etcd_at(home, etcd), contextlib.ExitStack() as stack:
            for name, each in members.items():
                stack.callback(each.kill)
                write_member(
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
