"""Does the `security` kind tell a well-kept nginx from one with its doors open?"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from sre.core.clock import Deadline, SystemClock
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.kinds.security import SecurityProbe
from sre.probes.model import ProbeContext, Reading
from tests.servers.examples import run_example, serve_example
from tests.servers.net import free_port
from tests.servers.nginx import Nginx, running_nginx
from tests.servers.oscar import OscarShop
from tests.servers.tls import TlsServers

GOOD = """
server {
  listen 127.0.0.1:{port};
  if ($http_user_agent ~ python-requests) { return 200 "up"; }
  return 301 https://localhost:{tls}$request_uri;
}
server {
  listen 127.0.0.1:{tls} ssl; server_name localhost; root {home}/good; server_tokens off;
  ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
  add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;
  add_header Content-Security-Policy "default-src 'self'; frame-ancestors 'none'" always;
  add_header X-Content-Type-Options nosniff always;
  add_header Referrer-Policy strict-origin-when-cross-origin always;
  add_header Permissions-Policy "geolocation=()" always;
  add_header Set-Cookie "sessionid=abc; HttpOnly; Path=/; SameSite=Lax; Secure";
  add_header Set-Cookie "csrftoken=def; Path=/; SameSite=Lax; Secure";
  error_page 404 =200 /index.html;
}"""

BAD = """
server { listen 127.0.0.1:{port}; server_name localhost; return 200 "plain"; }
server {
  listen 127.0.0.1:{tls} ssl; server_name localhost; root {home}/bad;
  ssl_certificate {cert}; ssl_certificate_key {key};
  ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers "ALL:@SECLEVEL=0";
  add_header Strict-Transport-Security "max-age=600";
  add_header Access-Control-Allow-Origin $http_origin;
  add_header Access-Control-Allow-Credentials true;
  add_header Set-Cookie "sessionid=abc; Path=/"; add_header Set-Cookie "csrftoken=def; Path=/";
  location /media/ { autoindex on; }
  location = /server-status { stub_status; }
}"""

FILES = {
    ".git/HEAD": b"ref: refs/heads/main\n",
    ".env": b"# production\nDEBUG=1\nSECRET_KEY=hunter2\n",
    "backup.sql": b"-- PostgreSQL database dump\n\nCREATE TABLE orders (id int);\n",
    "wp-config.php.bak": b"<?php define('DB_PASSWORD', 'x');",
    "id_rsa": b"-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n",
    "actuator/env": b'{"activeProfiles":[],"propertySources":[]}',
    "phpinfo.php": b"<html><title>PHP 8.2.1 - phpinfo()</title>",
    ".DS_Store": b"\x00\x00\x00\x01Bud1\x00",
    ".svn/entries": b"12\n",
    "backup.tar.gz": gzip.compress(os.urandom(3 * 2**20), 1),
    "export/customers.csv": b"id,mail\n1,a@example.com\n",
    "media/one.txt": b"x",
}


@dataclass
class Site:
    nginx: Nginx
    tls: int

    @property
    def url(self) -> str:
        return f"https://localhost:{self.tls}"


@pytest.fixture(scope="module")
def sites(
    tls_servers: TlsServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Site]]:
    home = tmp_path_factory.mktemp("sites")
    for name in ("good", "bad"):
        (home / name).mkdir()
        page = "<title>Shop</title><h1>Welcome</h1>"
        if name == "bad":
            page += "<script src='http://cdn.test/a.js'></script><img src='http://cdn.test/a.png'>"
        (home / name / "index.html").write_text(page, encoding="utf-8")
    for path, content in FILES.items():
        (home / "bad" / path).parent.mkdir(parents=True, exist_ok=True)
        (home / "bad" / path).write_bytes(content)
    issued = tls_servers.issued["good"]
    words = {"home": home, "cert": issued.chain_file, "key": issued.key_file}
    found = {}

    def text(servers: str, tls: int) -> str:
        for name, value in {**words, "tls": tls}.items():
            servers = servers.replace(f"{{{name}}}", str(value))
        return servers

    good, bad = free_port(), free_port()
    with (
        running_nginx(home / "n1", text(GOOD, good)) as first,
        running_nginx(home / "n2", text(BAD, bad)) as second,
    ):
        found = {"good": Site(first, good), "bad": Site(second, bad)}
        yield found


def check(
    site: Site, tls: TlsServers, *, seconds: float = 20.0, allow: tuple[str, ...] = (), **words: Any
) -> Reading:
    shop = Shop("test", site.url)
    guard = Guard(allow or ("localhost:*", "127.0.0.1:*"), shop.base_url)
    words = {"ca_file": tls.ca_file, "http_port": site.nginx.port, **words}
    context = ProbeContext(Deadline.after(seconds), guard, shop, SystemClock())
    return SecurityProbe("/", **words).check(context)


def seen(reading: Reading) -> dict[str, float]:
    return {
        dict(gauge.labels)["check"]: gauge.value
        for gauge in reading.gauges
        if gauge.name == "sre_probe_security_finding"
    }


def number(reading: Reading, name: str) -> float:
    return next(g.value for g in reading.gauges if g.name == f"sre_probe_security_{name}")


def test_a_shop_that_is_well_kept_has_no_finding(
    sites: dict[str, Site], tls_servers: TlsServers
) -> None:
    """It answers everything with its own page and status 200: that exposes nothing."""
    reading = check(sites["good"], tls_servers, exposed={"/export/customers.csv": ""})
    assert (reading.outcome, reading.message) == (Outcome.OK, "")
    assert [name for name, value in seen(reading).items() if value] == []
    assert len(seen(reading)) == 28
    assert number(reading, "unchecked") == 0
    assert 20 < number(reading, "requests_sent") < 50
    assert {"connect", "tls", "processing", "transfer"} <= set(reading.steps[0].phases)


def test_every_open_door_is_found(sites: dict[str, Site], tls_servers: TlsServers) -> None:
    exposed = {"/export/customers.csv": "", "/export/nothing.csv": ""}
    reading = check(sites["bad"], tls_servers, exposed=exposed)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
    found = {name for name, value in seen(reading).items() if value}
    assert found == set(seen(reading)) - {"hsts_missing", "csp_unsafe_inline"}
    assert reading.message.startswith("cors_credentials (high): allows https://stranger.invalid")
    assert "exposed_database (high): /backup.sql" in reading.message
    assert "sessionid" in reading.message
    assert "csrftoken" not in reading.message
    assert "hunter2" not in reading.message
    assert "version_banner" not in reading.message, "what counts for nothing is only a number"


def test_one_connection_and_our_mark(sites: dict[str, Site], tls_servers: TlsServers) -> None:
    site = sites["good"]
    before = len(site.nginx.log.read_text().splitlines())
    reading = check(site, tls_servers)
    lines = site.nginx.log.read_text().splitlines()[before:]
    assert len(lines) == number(reading, "requests_sent") - 1  # the handshake is no request
    assert all("sre/" in line and "synthetic monitoring" in line for line in lines)


def test_ignored_checks_are_gone(sites: dict[str, Site], tls_servers: TlsServers) -> None:
    ignore = tuple(name for name, value in seen(check(sites["bad"], tls_servers)).items() if value)
    reading = check(sites["bad"], tls_servers, ignore=ignore)
    assert reading.outcome is Outcome.OK
    assert not set(seen(reading)) & set(ignore)


def test_levels(sites: dict[str, Site], tls_servers: TlsServers) -> None:
    lenient = check(sites["bad"], tls_servers, fail_on="never")
    assert lenient.outcome is Outcome.DEGRADED
    silent = check(sites["bad"], tls_servers, fail_on="never", degrade_on="never")
    assert (silent.outcome, silent.message) == (Outcome.OK, "")
    assert sum(seen(silent).values()) > 20


def test_a_port_that_is_not_allowed_is_not_looked_at(
    sites: dict[str, Site], tls_servers: TlsServers
) -> None:
    site = sites["bad"]
    before = site.nginx.log.read_text().count("plain")
    allow = (f"localhost:{site.tls}", f"127.0.0.1:{site.tls}")
    reading = check(site, tls_servers, allow=allow)
    assert "http_not_redirected" not in seen(reading)
    assert number(reading, "unchecked") == 1
    assert site.nginx.log.read_text().count("plain") == before


def test_a_certificate_that_is_not_trusted(sites: dict[str, Site], tls_servers: TlsServers) -> None:
    reading = check(sites["good"], tls_servers, ca_file=None)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.TLS)
    assert check(sites["good"], tls_servers, ca_file=None, verify=False).outcome is Outcome.OK


def test_a_floor_of_tls_1_3(sites: dict[str, Site], tls_servers: TlsServers) -> None:
    reading = check(sites["good"], tls_servers, min_tls="TLSv1.3")
    assert seen(reading)["tls_outdated"] == 1


def test_a_page_that_is_missing(sites: dict[str, Site], tls_servers: TlsServers) -> None:
    reading = check(sites["bad"], tls_servers, paths=("/no-such-page",))
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "/no-such-page answered with status 404" in reading.message


def test_a_server_that_is_stopped(sites: dict[str, Site], tls_servers: TlsServers) -> None:
    with sites["good"].nginx.frozen():
        began = time.monotonic()
        reading = check(sites["good"], tls_servers, seconds=1.0)
        assert time.monotonic() - began < 3
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.TIMEOUT)


@pytest.mark.oscar
def test_a_shop_that_nobody_here_wrote(oscar_shop: OscarShop) -> None:
    """Django's own middleware does much; the login page sets its cookies."""
    shop = Shop("test", oscar_shop.base_url)
    context = ProbeContext(Deadline.after(30), Guard((), shop.base_url), shop, SystemClock())
    reading = SecurityProbe("/catalogue/", paths=("/accounts/login/",)).check(context)
    assert reading.outcome is Outcome.DEGRADED
    told = requests.get(f"{shop.base_url}/catalogue/", timeout=10).headers
    assert told["X-Content-Type-Options"] == "nosniff"
    assert not {"X-Frame-Options", "Content-Security-Policy", "Permissions-Policy"} & set(told)
    found = {name for name, value in seen(reading).items() if value}
    assert found == {"csp_missing", "framing_allowed", "permissions_policy_missing"}


def test_the_example(sites: dict[str, Site], tls_servers: TlsServers, tmp_path: Path) -> None:
    site = sites["good"]
    at = {
        '"https://shop.example.com"': f'"{site.url}", environment: test',
        '"shop.example.com:443", "shop.example.com:80"': '"localhost:*", "127.0.0.1:*"',
        "url: /,": f"url: /, ca_file: {tls_servers.ca_file}, http_port: {site.nginx.port},",
    }
    code, data = run_example("security", tmp_path, at)
    assert (code, data["results"][0]["message"]) == (0, "")
    at["url: /,"] += " paths: [/index.html],"
    at["every: 1h"] = "every: 2s"
    with serve_example("security", tmp_path, at) as metrics:
        finding = 'sre_probe_security_finding{check="exposed_repository",probe="defences"'
        assert finding in metrics
