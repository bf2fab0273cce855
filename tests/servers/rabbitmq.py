"""How does a test get a RabbitMQ server of its own, with its management API?"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import run
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import requests

from tests.servers.child import child, clean_environment, program
from tests.servers.net import free_port, missing, wait_until

__all__ = ["Rabbit", "running_rabbit"]

_START_SECONDS = 60


@dataclass(frozen=True)
class Rabbit:
    """A running server; the user `guest` may do everything from this machine."""

    amqp: int
    port: int
    process: Any = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    home: Path

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """The management API as the administrator uses it; path parts are quoted by the caller."""
        answer = requests.request(
            method, f"http://127.0.0.1:{self.port}/api/{path}",
            json=body, auth=("guest", "guest"), timeout=10,
        )  # fmt: skip
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def queue(self, name: str, vhost: str = "/", **arguments: Any) -> None:
        path = f"queues/{quote(vhost, safe='')}/{quote(name, safe='')}"
        self.api("PUT", path, {"durable": True, "arguments": arguments})

    def publish(self, queue: str, count: int = 1, vhost: str = "/", **properties: Any) -> None:
        message = {
            "routing_key": queue, "payload": "x", "payload_encoding": "string",
            "properties": properties,
        }  # fmt: skip
        path = f"exchanges/{quote(vhost, safe='')}/amq.default/publish"
        for _ in range(count):
            assert self.api("POST", path, message)["routed"]

    def user(self, name: str, password: str, tags: str) -> None:
        self.api("PUT", f"users/{name}", {"password": password, "tags": tags})

    def may(self, name: str, vhost: str = "/") -> None:
        rights = {"configure": "", "write": "", "read": ".*"}
        self.api("PUT", f"permissions/{quote(vhost, safe='')}/{name}", rights)

    def ctl(self, *words: str) -> None:
        """`rabbitmqctl`, which takes a second or two."""
        env = {**clean_environment(self.home), **self.env}
        run([_script("rabbitmqctl"), *words], env=env, check=True, capture_output=True, timeout=30)


def _script(name: str) -> str:
    """A script of the package itself: the ones on PATH insist on a user of their own."""
    program("rabbitmq-server")
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob(f"rabbitmq_server-*/sbin/{name}"))
    return str(found[-1]) if found else missing(f"RabbitMQ's own {name}")


_CONFIG = """
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {port}
management.rates_mode = basic
collect_statistics_interval = 1000
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 1MB
"""


def _environment(home: Path, amqp: int, port: int, epmd: int) -> dict[str, str]:
    (home / "r.conf").write_text(_CONFIG.format(amqp=amqp, port=port))
    (home / "plugins").write_text("[rabbitmq_management].")
    return {
        "RABBITMQ_NODENAME": f"t{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "logs"),
        "RABBITMQ_CONFIG_FILE": str(home / "r.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


@contextlib.contextmanager
def running_rabbit(home: Path) -> Iterator[Rabbit]:
    """A server that answers; killed at the end, which is far quicker than a farewell."""
    home.mkdir(parents=True, exist_ok=True)
    amqp, port, epmd = free_port(), free_port(), free_port()
    env = _environment(home, amqp, port, epmd)
    try:
        with child([_script("rabbitmq-server")], home=home, env=env, grace=0.1) as process:
            server = Rabbit(amqp, port, process, env, home)

            def answers() -> bool:
                assert process.poll() is None, (home / "log").read_text()
                overview = server.api("GET", "overview")
                return bool(overview.get("queue_totals") is not None and server.api("GET", "nodes"))

            wait_until(answers, _START_SECONDS, "rabbitmq-server")
            yield server
    finally:
        _end_epmd(epmd)


def _end_epmd(port: int) -> None:
    """Erlang's name server makes itself a daemon, out of every group: found by its own port."""
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == "epmd" and any(
                one.laddr.port == port for one in process.net_connections("tcp")
            ):
                os.kill(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    """One server for the whole run: it takes seconds to start."""
    with running_rabbit(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server
