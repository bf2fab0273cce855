"""Is /metrics well formed while every kind of probe is at work, each against its real server?

MongoDB and Kafka are mocks that speak the protocol: no distribution has these servers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import requests

from sre.probes.kinds import KINDS
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


def declaration(home: Path, shop: DemoShop, *probes: str) -> None:
    lines = (
        "version: 1",
        f'shop: {{name: all, base_url: "{shop.url}", environment: staging}}',
        'targets: {allow: ["127.0.0.1:*", "localhost:*", "[::1]:*"]}',
        "journeys:",
        "  browse: {every: 1s, steps: [{name: front, get: /}]}",
        "probes:",
        *(f"  - {{{one}}}" for one in probes),
    )
    (home / "sre.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


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
    query = '[{name: orders, help: "All orders.", sql: "select count(*) as n from orders"}]'
    env = {
        "PG": pg_pair.primary.dsn(), "SHOP": demo_shop.dsn, "REDIS": PASSWORD, "GUEST": "guest",
        "MARIA": mariadb_pair.primary.password,
    }  # fmt: skip
    with mongo_mock(**WHOLE) as mongo, running_haproxy(tmp_path / "haproxy", 2) as haproxy:
        declaration(
            tmp_path, demo_shop,
            f"name: a, kind: accesslog, every: 1s, file: {log}",
            "name: b, kind: browser, every: 5s, timeout: 25s, url: /",
            f'name: c, kind: cdn, every: 1s, url: "{nginx_shop.url}", paths: [/]',
            f'name: d, kind: dns, every: 1s, server: "{dns_server.address}", '
            "query_name: www.shop.test",
            f'name: e, kind: haproxy, every: 1s, socket: "127.0.0.1:{haproxy.admin}"',
            "name: f, kind: host, every: 1s",
            "name: g, kind: http, every: 1s, url: /",
            "name: h, kind: icmp, every: 1s, host: 127.0.0.1",
            "name: i, kind: journey, every: 1s, journey: browse",
            f'name: j, kind: kafka, every: 1s, bootstrap: ["{kafka_mock.bootstrap[0]}"], '
            "topics: [every]",
            f"name: k, kind: memcached, every: 1s, host: 127.0.0.1, port: {memcached.port}",
            f"name: l, kind: mongodb, every: 1s, host: 127.0.0.1, port: {mongo.port}",
            f"name: m, kind: mysql, every: 1s, host: 127.0.0.1, port: {mariadb_pair.primary.port}, "
            'user: root, password: "${env:MARIA}"',
            f'name: n, kind: nginx, every: 1s, url: "{nginx_shop.url}/nginx_status"',
            'name: o, kind: postgres, every: 1s, dsn: "${env:PG}"',
            "name: p, kind: process, every: 1s, processes: [{name: us, cmdline: 'probe serve'}]",
            f"name: q, kind: rabbitmq, every: 1s, host: 127.0.0.1, port: {rabbit.port}, "
            'username: guest, password: "${env:GUEST}"',
            f"name: r, kind: redis, every: 1s, host: 127.0.0.1, port: {redis_family.master.port}, "
            'password: "${env:REDIS}"',
            "name: s, kind: security, every: 5s, timeout: 20s, url: /",
            f'name: t, kind: sql, every: 1s, dsn: "${{env:SHOP}}", queries: {query}',
            f"name: u, kind: tcp, every: 1s, host: 127.0.0.1, port: {memcached.port}",
            f"name: v, kind: tls, every: 1s, host: localhost, port: {tls_servers.good}, "
            f"ca_file: {tls_servers.ca_file}",
        )  # fmt: skip
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        checks = load_settings(tmp_path / "sre.yaml").probes
        assert {check.kind for check in checks} == set(KINDS.names())
        with serving(tmp_path, **env) as url:
            names = {check.name for check in checks}

            def missing() -> set[str]:
                text = requests.get(f"{url}/metrics", timeout=10).text
                return {n for n in names if f'sre_probe_up{{probe="{n}"}}' not in text}

            wait_until(lambda: not missing() or None, 60, "a verdict of every probe")
            metrics = requests.get(f"{url}/metrics", timeout=10).text
            check_metrics(metrics, checks)
            told = requests.get(f"{url}/-/probes", timeout=10).json()["results"]
    ended = {one["probe"]: (one["outcome"], one["message"]) for one in told}
    fine = {name: how for name, how in ended.items() if how[0] in ("ok", "degraded")}
    # The demo shop speaks plain HTTP and this machine may not ping.
    excused = {"s"} | ({"h"} if os.geteuid() else set())
    assert ended.keys() - fine.keys() <= excused, json.dumps(ended, indent=1)
    for secret in (PASSWORD, mariadb_pair.primary.password):
        assert not secret or secret not in metrics
