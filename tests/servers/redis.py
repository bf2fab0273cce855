"""How does a test get Redis servers of its own: one with users, a replica, a sentinel?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["PASSWORD", "Redis", "RedisFamily", "running_redis"]

PASSWORD = "geheim-Ünïcode-4711"


@dataclass(frozen=True)
class Redis:
    """A running server; `client` is redis-py's own, not ours."""

    port: int
    process: Any = field(repr=False)
    password: str | None = PASSWORD

    def client(self) -> Any:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        return redis.Redis(
            "127.0.0.1", self.port, password=self.password, decode_responses=True, protocol=2,
            retry=Retry(NoBackoff(), 0),
        )  # fmt: skip

    def info(self, section: str = "default") -> dict[str, Any]:
        with contextlib.closing(self.client()) as client:
            found: dict[str, Any] = client.info(section)
            return found

    def tell(self, *command: str) -> Any:
        with contextlib.closing(self.client()) as client:
            return client.execute_command(*command)


@contextlib.contextmanager
def running_redis(
    home: Path, *options: str, password: str | None = PASSWORD, sentinel: str = ""
) -> Iterator[Redis]:
    """A server on a free port that answers; `sentinel` is the text of a sentinel's file."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    argv = [program("redis-server")]
    if sentinel:
        config = home / "sentinel.conf"
        config.write_text(f"port {port}\nbind 127.0.0.1\ndir {home}\n{sentinel}\n")
        argv += [str(config), "--sentinel"]
    else:
        argv += ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), "--save", ""]
        argv += [] if password is None else ["--requirepass", password]
        argv += [*options]
    with child(argv, home=home) as process:
        server = Redis(port, process, password)

        def answers() -> bool:
            assert process.poll() is None, (home / "log").read_text()
            with contextlib.closing(server.client()) as client:
                return bool(client.ping())

        wait_until(answers, 20, "redis-server")
        yield server


@dataclass(frozen=True)
class RedisFamily:
    """A master with users and data, its replica, and a sentinel that watches the master."""

    master: Redis
    replica: Redis
    sentinel: Redis


_SENTINEL = """
sentinel monitor shop 127.0.0.1 {port} 1
sentinel auth-pass shop {password}
sentinel down-after-milliseconds shop 60000
"""


@pytest.fixture(scope="session")
def redis_family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisFamily]:
    """One family for the whole run; whoever stops a server takes one of their own."""
    home = tmp_path_factory.mktemp("redis")
    options = ("--maxmemory", "64mb", "--maxclients", "50", "--repl-diskless-sync-delay", "0")
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(running_redis(home / "master", *options))
        replica = stack.enter_context(
            running_redis(
                home / "replica", "--replicaof", "127.0.0.1", str(master.port),
                "--masterauth", PASSWORD,
            )
        )  # fmt: skip
        watch = _SENTINEL.format(port=master.port, password=PASSWORD)
        sentinel = stack.enter_context(
            running_redis(home / "sentinel", password=None, sentinel=watch)
        )
        wait_until(
            lambda: replica.info("replication")["master_link_status"] == "up", 20, "the replica"
        )
        yield RedisFamily(master, replica, sentinel)
