"""What may an entry of `nodes:` of a Redis cluster say, and what runs there?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from sre.failover.nodes import Service

__all__ = ["RedisNode", "host_and_port", "service_of"]

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/@]+):([0-9]{1,5})")


@dataclass(frozen=True)
class RedisNode:
    """What an entry of `nodes:` says of Redis.

    Attributes:
        data_dir: the folder in which it works (`dir`), its own: absolute, on the node.
        port: where it listens; only needed where several servers share a folder.
        bin_dir: where its programs lie there; found on the PATH without.
        config: its configuration file on the node; without, it is started by `options` alone.
        address: host:port where the other nodes and the sentinels reach it; as in `dsn` without.
        priority: among replicas that are equal, the one with the higher number is taken.
        log: where what it says goes when it is started directly; `data_dir`.log without.
        options: further arguments of `redis-server` when it is started directly.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}
    data_dir: str
    port: int = 0
    bin_dir: str = ""
    config: str = ""
    address: str = ""
    priority: int = 0
    log: str = ""
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("data_dir", "bin_dir", "config", "log"):
            value = getattr(self, name)
            if value and not value.startswith("/"):
                raise ValueError(f"{name} must be an absolute path on the node, not {value!r}")
        if not self.data_dir.strip("/"):
            raise ValueError("data_dir must be the folder of one server, such as /srv/redis/a")
        if not 0 <= self.port < 65536:
            raise ValueError(f"port must be 1 to 65535, not {self.port}")
        if self.address:
            host_and_port(self.address, "address")


def host_and_port(text: str, what: str) -> tuple[str, int]:
    """`host:port`, `[::1]:port`. Raises ValueError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[2]) < 65536:
        raise ValueError(f"{what} must be host:port, not {text!r}")
    return found[1].strip("[]"), int(found[2])


def service_of(own: RedisNode) -> Service:
    """A redis-server in the node's folder, with its own file first."""
    options = (own.config, *own.options) if own.config else own.options
    return Service("redis", own.data_dir, own.bin_dir, own.port, own.log, options)
