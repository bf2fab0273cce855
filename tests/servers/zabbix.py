"""Does a real Zabbix, server and API, take the template and what the feed sends?"""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from sre.demo.ports import free_port as low_port
from sre.demo.postgres import EmbeddedPostgres
from tests.servers.child import child, program
from tests.servers.net import free_port, missing, wait_until

__all__ = ["Zabbix", "zabbix"]

_SQL = Path("/usr/share/zabbix-server-pgsql")
_FRONTEND = Path("/usr/share/zabbix")
_NEEDED = {
    "role", "role_rule", "users", "usrgrp", "users_groups", "hstgrp", "config", "settings",
    "regexps", "expressions", "graph_theme", "dbversion", "module", "ids", "globalmacro",
}  # fmt: skip
"""Of the data that Zabbix ships; the rest are its hundreds of templates, half a minute to load."""

_SERVER = """
ListenPort={port}
ListenIP=127.0.0.1
DBHost=127.0.0.1
DBPort={db}
DBName=zabbix
DBUser=postgres
DBPassword={password}
LogType=console
PidFile={home}/zabbix.pid
SocketDir={home}
FpingLocation=/nowhere
CacheUpdateFrequency=1
StartPingers=0
StartDiscoverers=0
StartHTTPPollers=0
AllowRoot=1
AllowUnsupportedDBVersions=1
"""

_PHP = """<?php
$DB['TYPE']='POSTGRESQL'; $DB['SERVER']='127.0.0.1'; $DB['PORT']='{db}'; $DB['DATABASE']='zabbix';
$DB['USER']='postgres'; $DB['PASSWORD']='{password}'; $DB['SCHEMA']=''; $DB['ENCRYPTION']=false;
$DB['DOUBLE_IEEE754']=true; $ZBX_SERVER='127.0.0.1'; $ZBX_SERVER_PORT='{port}';
$IMAGE_FORMAT_DEFAULT=IMAGE_FORMAT_PNG;
"""


@dataclass
class Zabbix:
    """A running Zabbix server with its API.

    Attributes:
        port: where it takes values.
    """

    port: int
    api: str
    token: str = field(default="", repr=False)

    def call(self, method: str, **params: Any) -> Any:
        """The result of a call of the API."""
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        if self.token:
            body["auth"] = self.token
        answer = requests.post(self.api, json=body, timeout=20).json()
        assert "result" in answer, answer
        return answer["result"]

    def last(self, host: str) -> dict[str, str]:
        """Item key -> last value, of the items of a host that have one."""
        items = self.call("item.get", host=host, output=["key_", "lastvalue", "lastclock"])
        return {one["key_"]: one["lastvalue"] for one in items if int(one["lastclock"])}


@pytest.fixture(scope="session")
def zabbix(
    embedded_postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Zabbix]:
    """Server and frontend on a database of their own."""
    if not _SQL.exists() or not _FRONTEND.exists():
        missing("zabbix-server-pgsql and zabbix-frontend-php")
    home = tmp_path_factory.mktemp("zabbix")
    _fill(embedded_postgres)
    port = low_port()  # Zabbix takes none above 32767
    names = {
        "home": home, "port": port, "db": embedded_postgres.port,
        "password": embedded_postgres.password,
    }  # fmt: skip
    config = home / "server.conf"
    config.write_text(_SERVER.format(**names), encoding="utf-8")
    config.chmod(0o600)
    server = [program("zabbix_server"), "-f", "-c", str(config)]
    with (
        child(server, home=home / "server", grace=10),
        _frontend(home, names) as api,
    ):
        found = Zabbix(port, api)
        wait_until(lambda: found.call("apiinfo.version"), 30, "the API")
        found.token = found.call("user.login", username="Admin", password="zabbix")
        yield found


@contextmanager
def _frontend(home: Path, names: dict[str, Any]) -> Iterator[str]:
    """The PHP pages, served by PHP itself; Debian fixes where they look for their settings."""
    pages, settings = home / "pages", home / "zabbix.conf.php"
    shutil.copytree(_FRONTEND, pages, symlinks=False, ignore_dangling_symlinks=True)
    text = _PHP
    for name, value in names.items():
        text = text.replace("{" + name + "}", str(value))
    settings.write_text(text, encoding="utf-8")
    fixed = pages / "include/classes/core/CConfigFile.php"
    source = fixed.read_text(encoding="utf-8")
    changed = re.sub(r"(CONFIG_FILE_PATH = )'[^']*'", rf"\1'{settings}'", source)
    assert changed != source
    fixed.chmod(0o644)
    fixed.write_text(changed, encoding="utf-8")
    port = free_port()
    argv = [program("php"), "-S", f"127.0.0.1:{port}", "-t", str(pages)]
    with child(argv, home=home / "php", env={"PHP_CLI_SERVER_WORKERS": "2"}):
        yield f"http://127.0.0.1:{port}/api_jsonrpc.php"


def _fill(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("create database zabbix template template0")
    with psycopg.connect(postgres.dsn_for("zabbix"), autocommit=True) as connection:
        connection.execute(gzip.decompress((_SQL / "schema.sql.gz").read_bytes()))
        connection.execute("\n".join(_needed()).encode())


def _needed() -> Iterator[str]:
    """The statements that fill the needed tables."""
    kept = False
    with gzip.open(_SQL / "data.sql.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            begins = re.match(r"INSERT INTO (\w+) \(", line)
            if begins:
                kept = begins[1] in _NEEDED
            elif re.match(r"(START TRANSACTION|COMMIT|DELETE FROM)\b", line):
                kept = True
            if kept:
                yield line
