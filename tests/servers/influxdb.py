"""Does a real InfluxDB take what the feed writes?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Influx", "influx"]

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{home}/meta"
[data]
  dir = "{home}/data"
  wal-dir = "{home}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  auth-enabled = {auth}
"""


@dataclass
class Influx:
    """A running InfluxDB 1 with a database `sre` and a user `feed`."""

    url: str
    user: str = "feed"
    password: str = "only for this test"

    def ask(self, query: str, method: str = "get") -> list[dict[str, Any]]:
        """The series of an InfluxQL query on the database."""
        auth = (self.user, self.password)
        params = {"db": "sre", "q": query}
        answer = requests.request(
            method, f"{self.url}/query", params=params, auth=auth, timeout=5
        ).json()
        assert "error" not in answer, answer
        (result,) = answer["results"]
        assert "error" not in result, result
        return list(result.get("series", []))


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    """With authentication; the first user is made, as InfluxDB has it, without."""
    home = tmp_path_factory.mktemp("influx")
    http, config = free_port(), home / "influx.conf"
    influxd = program("influxd")
    _write(config, home, http, auth=True)
    with child([influxd, "run", "-config", str(config)], home=home):
        server = Influx(f"http://127.0.0.1:{http}")
        _ready(server)
        made = f"create user {server.user} with password '{server.password}' with all privileges"
        server.ask(made, "post")
        server.ask("create database sre", "post")
        yield server


def _write(config: Path, home: Path, http: int, *, auth: bool) -> None:
    text = _CONFIG.format(home=home, http=http, rpc=free_port(), auth=str(auth).lower())
    config.write_text(text, encoding="utf-8")


def _ready(server: Influx) -> None:
    wait_until(
        lambda: requests.get(f"{server.url}/ping", timeout=2).status_code == 204, 20, "InfluxDB"
    )
