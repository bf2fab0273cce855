"""Do Debian's blackbox_exporter and our /probe tell the same of the same targets?"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET6
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.servers.child import child, program
from tests.servers.net import free_port, missing, wait_until
from tests.servers.tls import TlsServers

__all__ = ["MODULES", "Peers", "Samples", "peers", "sampled", "serving"]

ROOT = Path(__file__).parents[2]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

MODULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "brief": {},
    "brief_matches": {"fail_if_body_matches_regexp": ["hel+o"]},
    "post": {"method": "POST", "headers": {"Content-Type": "text/plain"}, "body": "a body"},
    "head": {"method": "HEAD"},
    "stay": {"follow_redirects": False, "valid_status_codes": [302]},
    "codes": {"valid_status_codes": [200, 404]},
    "gzip": {"compression": "gzip", "headers": {"Accept-Encoding": "gzip"}},
    "small": {"body_size_limit": "3B"},
    "basic": {"basic_auth": {"username": "shop", "password": "hunter2222"}},
    "bearer": {"authorization": {"credentials": "tok-1234567"}},
    "matches": {"fail_if_body_matches_regexp": ["hel+o"]},
    "spans": {"fail_if_body_not_matches_regexp": ["caf.*hello"]},
    "referer": {"headers": {"Referer": "http://shop.example.test/"}},
    "matches_not": {"fail_if_body_not_matches_regexp": ["^hello$"]},
    "header": {"fail_if_header_matches": [{"header": "X-Kind", "regexp": "^tea"}]},
    "header_optional": {
        "fail_if_header_not_matches": [
            {"header": "X-Kind", "regexp": "cup|pot", "allow_missing": True}
        ]
    },
    "http2_alone": {"valid_http_versions": ["HTTP/2.0"]},
    "no_ssl": {"fail_if_ssl": True, "tls_config": {"insecure_skip_verify": True}},
    "ssl": {"fail_if_not_ssl": True},
    "insecure": {"tls_config": {"insecure_skip_verify": True}},
    "trusted": {"tls_config": {"ca_file": "CA"}},
    "trusted_as": {"tls_config": {"ca_file": "CA", "server_name": "wrong.example.test"}},
    "http1": {"enable_http2": False, "tls_config": {"insecure_skip_verify": True}},
    "ip6_alone": {"preferred_ip_protocol": "ip6", "ip_protocol_fallback": False},
    "ip6": {"preferred_ip_protocol": "ip6"},
    "host": {"headers": {"Host": "vhost.example.test"}},
}
"""Options of http modules, in words that blackbox_exporter 0.23 knows."""


class _Target(BaseHTTPRequestHandler):
    """What the web servers of this test answer, by path."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.sent = self.rfile.read(length)
        path = self.path.partition("?")[0].strip("/")
        if path in ("caf%C3%A9", "up/../down"):
            path = "ok"
        name, _, rest = path.partition("/")
        act: Callable[[str], None] = getattr(self, f"on_{name or 'ok'}", self.on_missing)
        act(rest)

    do_GET = do_POST = do_HEAD = answer

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def on_ok(self, _rest: str) -> None:
        self.say(200, b"hello", X_Kind="teapot")

    def on_missing(self, _rest: str) -> None:
        self.say(404, b"no")

    def on_hop(self, rest: str) -> None:
        left = int(rest)
        self.say(302, b"moved", Location=f"/hop/{left - 1}" if left > 1 else "/ok")

    def on_loop(self, _rest: str) -> None:
        self.say(301, Location="/loop")

    def on_nowhere(self, _rest: str) -> None:
        self.say(302, b"no location")

    def on_again(self, _rest: str) -> None:
        self.say(307, Location="/echo")

    def on_other(self, _rest: str) -> None:
        assert isinstance(self.server, _Server)
        self.say(302, Location=f"http://localhost:{self.server.port}/ok")

    def on_away(self, _rest: str) -> None:
        self.say(302, Location="http://127.0.0.1:1/")

    def on_accent(self, _rest: str) -> None:
        utf8 = "/caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1")
        self.say(302, Location=utf8)

    def on_old(self, _rest: str) -> None:
        self.say(200, "caf\N{LATIN SMALL LETTER E WITH ACUTE}s, hello".encode("latin-1"))

    def on_referred(self, _rest: str) -> None:
        self.say(302, Location="/referer")

    def on_referer(self, _rest: str) -> None:
        self.say(200 if len(self.headers.get_all("Referer", ())) == 1 else 400)

    def on_cookie(self, rest: str) -> None:
        if not rest:
            self.say(302, Location="/cookie/back", Set_Cookie="a=b; Path=/")
        else:
            self.say(200 if "a=b" in self.headers.get("Cookie", "") else 403)

    def on_echo(self, _rest: str) -> None:
        self.say(200 if self.sent == b"a body" and self.command == "POST" else 400, self.sent)

    def on_vhost(self, _rest: str) -> None:
        self.say(200 if self.headers["Host"] == "vhost.example.test" else 400)

    def on_empty(self, _rest: str) -> None:
        self.send_response(204)
        self.end_headers()

    def on_gzip(self, _rest: str) -> None:
        self.say(200, gzip.compress(b"hello " * 1000), Content_Encoding="gzip")

    def on_chunks(self, _rest: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.end_headers()
        self.wfile.write(b"2\r\nab\r\n0\r\n\r\n")

    def on_slow(self, _rest: str) -> None:
        time.sleep(0.03)
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"ab")
        time.sleep(0.05)
        self.wfile.write(b"cd")

    def on_silence(self, _rest: str) -> None:
        time.sleep(2)

    def on_half(self, _rest: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"ab")
        time.sleep(2)

    def on_cut(self, _rest: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "400")
        self.end_headers()
        self.wfile.write(b"ab")
        self.close_connection = True

    def on_hangup(self, _rest: str) -> None:
        self.close_connection = True

    def on_nonsense(self, _rest: str) -> None:
        self.wfile.write(b"SSH-2.0-not-a-web-server\r\n")
        self.close_connection = True

    def on_login(self, _rest: str) -> None:
        basic = base64.b64encode(b"shop:hunter2222").decode()
        known = (f"Basic {basic}", "Bearer tok-1234567")
        self.say(200 if self.headers.get("Authorization") in known else 401)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        """Say nothing: probes hang up in every way."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str) -> None:
        if ":" in host:
            self.address_family = AF_INET6
        super().__init__((host, 0), _Target)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


def sampled(text: str) -> Samples:
    """Every sample of an exposition, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Peers:
    """Both exporters with the same modules, and the targets.

    Attributes:
        theirs, ours: where they listen.
        places: what a target's text may name in braces.
    """

    def __init__(self, theirs: str, ours: str, places: Mapping[str, str]) -> None:
        self.theirs, self.ours, self.places = theirs, ours, places
        self.session = requests.Session()

    def get(self, base: str, module: str, target: str, **more: str) -> requests.Response:
        """GET /probe of one of them."""
        if "{six}" in target and "six" not in self.places:
            missing("an IPv6 loopback address")
        given = {"module": module, "target": target.format(**self.places), **more}
        return self.session.get(f"{base}/probe", params=given, timeout=30)

    def both(self, module: str, target: str, **more: str) -> tuple[Samples, Samples]:
        """What each of them says, one after the other."""
        answers = [self.get(base, module, target, **more) for base in (self.theirs, self.ours)]
        assert [answer.status_code for answer in answers] == [200, 200], answers[-1].text
        return sampled(answers[0].text), sampled(answers[1].text)


def _web(stack: ExitStack, host: str) -> _Server:
    server = _Server(host)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return server


def _modules(ca_file: str, prober: str = "http") -> dict[str, Any]:
    text = json.dumps(MODULES).replace('"CA"', json.dumps(ca_file))
    common = {"preferred_ip_protocol": "ip4"}
    made = {
        name: {
            "prober": prober,
            "timeout": "700ms" if name.startswith("brief") else "10s",
            prober: common | options,
        }
        for name, options in json.loads(text).items()
    }
    made["grpc"] = {"prober": "grpc", "timeout": "10s", "grpc": common}
    secure = {"tls": True, "tls_config": {"insecure_skip_verify": True}}
    made["grpc_tls"] = {"prober": "grpc", "timeout": "10s", "grpc": common | secure}
    return {"modules": made}


_NGINX = """{user} daemon off; pid {home}/pid; error_log {home}/errors; worker_processes 1;
events {{}}
http {{
  access_log off; client_body_temp_path {home}/t1; proxy_temp_path {home}/t2;
  fastcgi_temp_path {home}/t3; uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
  server {{
    listen 127.0.0.1:{grpc} http2; listen 127.0.0.1:{http2} ssl http2;
    ssl_certificate {cert}; ssl_certificate_key {key};
    location / {{ return 200 hello; }}
    location /empty {{ return 204; }}
    location /hop {{ return 302 /; }}
    location = /grpc.health.v1.Health/Check {{ error_page 405 =200 /serving; return 405; }}
    location = /serving {{
      root {home}; types {{}} default_type application/grpc; add_trailer grpc-status 0 always;
    }}
  }}
}}
"""


def _nginx(stack: ExitStack, home: Path, tls: TlsServers) -> dict[str, str]:
    """HTTP/2 over TLS, and a health service that serves: its answer is a file with a trailer."""
    home.mkdir()
    (home / "serving").write_bytes(b"\0\0\0\0\x02\x08\x01")
    ports = {"http2": free_port(), "grpc": free_port()}
    cert, key = tls.cert_file("good"), tls.key_file("good")
    config = home / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers cannot read the answer
    text = _NGINX.format(user=user, home=home, cert=cert, key=key, **ports)
    config.write_text(text, encoding="utf-8")
    argv = [program("nginx"), "-c", str(config), "-e", str(home / "errors")]
    stack.enter_context(child(argv, home=home))
    return {
        "http2": f"https://127.0.0.1:{ports['http2']}",
        "grpc": f"127.0.0.1:{ports['grpc']}",
        "grpc_tls": f"127.0.0.1:{ports['http2']}",
    }


def _their(stack: ExitStack, home: Path, modules: Path) -> str:
    port = free_port()
    argv = [
        program("prometheus-blackbox-exporter"),
        f"--config.file={modules}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    stack.enter_context(child(argv, home=home))
    return f"http://127.0.0.1:{port}"


def serving(stack: ExitStack, home: Path, modules: Path, *flags: str) -> str:
    """`sre probe serve` with these modules and a list of all that is local; its address."""
    home.mkdir()
    (home / "sre.yaml").write_text(
        'version: 1\nshop: {name: s, base_url: "http://127.0.0.1:9", environment: staging}\n'
        'targets: {allow: ["127.0.0.1:*", "localhost:*", "[::1]:*", "nx.invalid:*"]}\n',
        encoding="utf-8",
    )
    argv = [sys.executable, "-m", "sre", "probe", "serve", "--web.listen-address", "127.0.0.1:0"]
    argv += ["--config.file", str(modules), *flags]
    env = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = stack.enter_context(child(argv, home=home, env=env, grace=20))

    def listening() -> str | None:
        text = (home / "log").read_text(encoding="utf-8")
        assert process.poll() is None, text
        lines = text.splitlines()
        return next((x.split()[-1] for x in lines if x.startswith("listening on ")), None)

    return wait_until(listening, 30, "the address") or ""


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory, tls_servers: TlsServers) -> Iterator[Peers]:
    """Both exporters, with the targets that they look at."""
    home = tmp_path_factory.mktemp("blackbox")
    modules = home / "blackbox.yml"
    modules.write_text(json.dumps(_modules(tls_servers.ca_file)), encoding="utf-8")
    with ExitStack() as stack:
        four, six = _web(stack, "127.0.0.1"), None
        with contextlib.suppress(OSError):
            six = _web(stack, "::1")
        labels = ("good", "expired", "self_signed", "wrong_host", "chain")
        places = {label: f"https://127.0.0.1:{getattr(tls_servers, label)}" for label in labels}
        places |= {"web": f"http://127.0.0.1:{four.port}"}
        places |= {"six": f"http://[::1]:{six.port}"} if six else {}
        places |= {"bare": f"127.0.0.1:{four.port}", "named": f"http://localhost:{four.port}"}
        places |= _nginx(stack, home / "nginx", tls_servers)
        theirs = _their(stack, home / "theirs", modules)
        ours = serving(stack, home / "ours", modules, "--web.enable-debug")
        found = Peers(theirs, ours, places)
        for base in (theirs, ours):
            wait_until(lambda base=base: requests.get(f"{base}/-/healthy", timeout=5).ok, 20, base)  # type: ignore[misc]
        wait_until(lambda: found.both("grpc", "{grpc}")[0], 20, "nginx")
        yield found
