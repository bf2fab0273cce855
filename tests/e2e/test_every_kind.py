"""Is /metrics well formed while every kind of probe is at work, each against its real server?

MongoDB and Kafka are mocks that speak the protocol: no distribution has these servers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from sre.probes.kinds import KINDS
from sre.probes.model import Check
from sre.settings import load_settings
from tests.e2e.kinds.test_mongodb import WHOLE
from tests.servers.demo import DemoShop
from tests.servers.dns import DnsServer
from tests.servers.examples import check_metrics, serving
from tests.servers.haproxy import running_haproxy
from tests.servers.kafkamock import KafkaMock
from tests.servers.mariadb import MariaPair
from tests.servers.memcached import Memcached
from tests.servers.mongomock import mongo_mock
from tests.servers.net import wait_until
from tests.servers.nginx import Nginx
from tests.servers.postgresql import PgPair
from tests.servers.rabbitmq import Rabbit
from tests.servers.redis import PASSWORD, RedisFamily
from tests.servers.tls import TlsServers

PROBES = """
  - {name: a, kind: accesslog, every: 1s, file: {log}}
  - {name: b, kind: browser, every: 5s, timeout: 25s, url: /}
  - {name: c, kind: cdn, every: 1s, url: "{nginx}", paths: [/]}
  - {name: d, kind: dns, every: 1s, server: "{dns}", query_name: www.shop.test}
  - {name: e, kind: haproxy, every: 1s, socket: "127.0.0.1:{haproxy}"}
  - {name: f, kind: host, every: 1s}
  - {name: g, kind: http, every: 1s, url: /}
  - {name: h, kind: icmp, every: 1s, host: 127.0.0.1}
  - {name: i, kind: journey, every: 1s, journey: browse}
  - {name: j, kind: kafka, every: 1s, bootstrap: ["{kafka}"], topics: [every]}
  - {name: k, kind: memcached, every: 1s, host: 127.0.0.1, port: {memcached}}
  - {name: l, kind: mongodb, every: 1s, host: 127.0.0.1, port: {mongo}}
  - {name: m, kind: mysql, every: 1s, host: 127.0.0.1, port: {maria}, user: root, password: "${env:MARIA}"}
  - {name: n, kind: nginx, every: 1s, url: "{nginx}/nginx_status"}
  - {name: o, kind: postgres, every: 1s, dsn: "${env:PG}"}
  - {name: p, kind: process, every: 1s, processes: [{name: cache, program: memcached}]}
  - {name: q, kind: rabbitmq, every: 1s, host: 127.0.0.1, port: {rabbit}, username: guest, password: "${env:GUEST}"}
  - {name: r, kind: redis, every: 1s, host: 127.0.0.1, port: {redis}, password: "${env:REDIS}"}
  - {name: s, kind: security, every: 5s, timeout: 20s, url: /}
  - {name: t, kind: sql, every: 1s, dsn: "${env:SHOP}",
     queries: [{name: orders, help: "All orders.", sql: "select count(*) as n from orders"}]}
  - {name: u, kind: tcp, every: 1s, host: 127.0.0.1, port: {memcached}}
  - {name: v, kind: tls, every: 1s, host: localhost, port: {tls}, ca_file: {ca_file}}
"""  # noqa: E501  a table
"""One of each kind; a word in braces is where its server is."""


def declare(home: Path, shop: DemoShop, places: Mapping[str, object]) -> None:
    text = PROBES
    for name, value in places.items():
        assert f"{{{name}}}" in text
        text = text.replace(f"{{{name}}}", str(value))
    lines = (
        "version: 1",
        f'shop: {{name: all, base_url: "{shop.url}", environment: staging}}',
        'targets: {allow: ["127.0.0.1:*", "localhost:*", "[::1]:*"]}',
        "journeys:",
        "  browse: {every: 1s, steps: [{name: front, get: /}]}",
        "probes:",
    )
    (home / "sre.yaml").write_text("\n".join(lines) + text, encoding="utf-8")


def looked(home: Path, checks: Sequence[Check], env: Mapping[str, str]) -> tuple[str, Any]:
    """/metrics and the last results, once every probe has had a verdict."""
    with serving(home, **env) as url:

        def all_judged() -> bool:
            text = requests.get(f"{url}/metrics", timeout=10).text
            return all(f'sre_probe_up{{probe="{one.name}"}}' in text for one in checks)

        wait_until(all_judged, 60, "a verdict of every probe")
        metrics = requests.get(f"{url}/metrics", timeout=10).text
        return metrics, requests.get(f"{url}/-/probes", timeout=10).json()["results"]


@pytest.mark.timeout(240)
def test_every_kind_at_once(
    demo_shop: DemoShop,
    tls_servers: TlsServers,
    dns_server: DnsServer,
    pg_pair: PgPair,
    mariadb_pair: MariaPair,
    redis_family: RedisFamily,
    memcached: Memcached,
    rabbit: Rabbit,
    kafka_mock: KafkaMock,
    nginx_shop: Nginx,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka_mock.produce("every", 3)
    log = tmp_path / "access.log"
    log.write_text('1.2.3.4 - - [22/Nov/2026:12:00:00 +0000] "GET /a/1 HTTP/1.1" 200 9 "-" "x"\n')
    env = {
        "PG": pg_pair.primary.dsn(), "SHOP": demo_shop.dsn, "REDIS": PASSWORD, "GUEST": "guest",
        "MARIA": mariadb_pair.primary.password,
    }  # fmt: skip
    with mongo_mock(**WHOLE) as mongo, running_haproxy(tmp_path / "haproxy", 2) as haproxy:
        places = {
            "log": log, "nginx": nginx_shop.url, "dns": dns_server.address,
            "haproxy": haproxy.admin, "kafka": kafka_mock.bootstrap[0],
            "memcached": memcached.port, "mongo": mongo.port, "maria": mariadb_pair.primary.port,
            "rabbit": rabbit.port, "redis": redis_family.master.port, "tls": tls_servers.good,
            "ca_file": tls_servers.ca_file,
        }  # fmt: skip
        declare(tmp_path, demo_shop, places)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        checks = load_settings(tmp_path / "sre.yaml").probes
        assert {check.kind for check in checks} == set(KINDS.names())
        metrics, told = looked(tmp_path, checks, env)
    check_metrics(metrics, checks)
    ended = {one["probe"]: (one["outcome"], one["message"]) for one in told}
    fine = {name: how for name, how in ended.items() if how[0] in ("ok", "degraded")}
    # The demo shop speaks plain HTTP and this machine may not ping.
    excused = {"s"} | ({"h"} if os.geteuid() else set())
    assert ended.keys() - fine.keys() <= excused, json.dumps(ended, indent=1)
    for secret in (PASSWORD, mariadb_pair.primary.password):
        assert not secret or secret not in metrics
