"""Is the web configuration what exporter-toolkit's users know, for real clients?"""

from __future__ import annotations

import gzip
import json
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from sre.core.clock import FakeClock
from sre.core.errors import ConfigError, UsageError
from sre.core.web.coding import coded
from sre.core.web.config import Web, load_web_config
from sre.core.web.gate import Pace
from sre.core.web.server import HttpServer
from sre.probes.scrape import takes_text
from sre.probes.serve import Pages
from tests.servers.net import wait_until
from tests.servers.tls import TlsServers

bcrypt = pytest.importorskip("bcrypt")


def hashed(password: str, cost: int = 5) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def write(home: Path, config: Any) -> Path:
    path = home / "web.yml"
    text = config if isinstance(config, str) else json.dumps(config)
    path.write_text(text, encoding="utf-8")
    return path


def tls_of(servers: TlsServers, label: str = "good", **more: Any) -> dict[str, Any]:
    files = {"cert_file": servers.cert_file(label), "key_file": servers.key_file(label)}
    return {"tls_server_config": {**files, **more}}


@contextmanager
def serving(path: Path | None, seen: list[bool] | None = None) -> Iterator[HttpServer]:
    web = Web(path, changed=(seen if seen is not None else []).append)
    big = (b"# a comment\n" * 500, b"up 1\n")
    pages = Pages(lambda _accept: (big, "text/plain"), lambda: True, lambda: None, list)
    server = HttpServer(("127.0.0.1", 0), pages, web)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(server: HttpServer, path: str = "/-/healthy", **options: Any) -> requests.Response:
    return requests.get(server.url + path, timeout=10, **options)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "{}", "basic_auth_users:\n", "tls_server_config:"]
)
def test_a_file_without_wishes_is_plain_http_for_all(text, tmp_path) -> None:
    with serving(write(tmp_path, text)) as server:
        assert ask(server).text == "Healthy\n"


def test_inline_certificates_versions_and_suites(tls_servers: TlsServers, tmp_path) -> None:
    config = {
        "tls_server_config": {
            "cert": Path(tls_servers.cert_file("good")).read_text(),
            "key": Path(tls_servers.key_file("good")).read_text(),
            "min_version": "TLS10",
            "max_version": "TLS12",
            "cipher_suites": [
                "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                "TLS_AES_128_GCM_SHA256",
            ],
            "curve_preferences": ["CurveP384"],
            "prefer_server_cipher_suites": False,
        },
        "http_server_config": {"http2": False},
    }
    with serving(write(tmp_path, config)) as server:
        assert ask(server, verify=tls_servers.ca_file).status_code == 200
        context = ssl.create_default_context(cafile=tls_servers.ca_file)
        port = int(server.url.rsplit(":", 1)[1])
        import socket

        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as connection,
        ):
            assert connection.version() == "TLSv1.2"
            assert "AES256-GCM-SHA384" in (connection.cipher() or ("",))[0]
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            pytest.raises(ssl.SSLError),
        ):
            context.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.parametrize("suites", [["TLS_AES_128_GCM_SHA256"], []])
def test_suites_of_tls_1_3_alone_leave_no_tls_1_2(suites, tls_servers, tmp_path) -> None:
    access = load_web_config(write(tmp_path, tls_of(tls_servers, cipher_suites=suites)))
    least = ssl.TLSVersion.TLSv1_3 if suites else ssl.TLSVersion.TLSv1_2
    assert access.tls is not None
    assert access.tls.minimum_version == least


@pytest.mark.parametrize(
    ("asking", "without", "with_one"),
    [
        ("NoClientCert", True, True),
        ("RequestClientCert", True, True),
        ("VerifyClientCertIfGiven", True, True),
        ("RequireAndVerifyClientCert", False, True),
    ],
)
def test_clients_with_certificates(asking, without, with_one, tls_servers, tmp_path) -> None:
    authority = {"client_ca_file": tls_servers.ca_file} if "Verify" in asking else {}
    path = write(tmp_path, tls_of(tls_servers, client_auth_type=asking, **authority))
    mine = (tls_servers.cert_file("client"), tls_servers.key_file("client"))
    strange = (tls_servers.cert_file("self_signed"), tls_servers.key_file("self_signed"))
    with serving(path) as server:
        assert admitted(server, tls_servers, None) is without
        assert admitted(server, tls_servers, mine) is with_one
        if authority:
            assert not admitted(server, tls_servers, strange), "an authority that nobody named"


def admitted(server: HttpServer, servers: TlsServers, cert: tuple[str, str] | None) -> bool:
    try:
        return ask(server, verify=servers.ca_file, cert=cert).status_code == 200
    except requests.exceptions.ConnectionError:
        return False


def test_only_clients_with_one_of_the_names(tls_servers: TlsServers, tmp_path) -> None:
    mine = (tls_servers.cert_file("client"), tls_servers.key_file("client"))
    other = (tls_servers.cert_file("good"), tls_servers.key_file("good"))
    for sans, expected in ((["localhost"], True), (["nobody.example.com"], False)):
        config = tls_of(
            tls_servers,
            client_auth_type="RequireAndVerifyClientCert",
            client_ca_file=tls_servers.ca_file,
            client_allowed_sans=sans,
        )
        with serving(write(tmp_path, config)) as server:
            assert admitted(server, tls_servers, other) is expected
            assert not admitted(server, tls_servers, mine), "it has no such name"


def test_headers_are_on_every_answer(tmp_path) -> None:
    headers = {
        "Strict-Transport-Security": "max-age=60",
        "X-Frame-Options": "deny",
        "X-XSS-Protection": "",
    }
    users = {"basic_auth_users": {"prom": hashed("sesame")}}
    config = {"http_server_config": {"headers": headers}, **users}
    with serving(write(tmp_path, config)) as server:
        for answer in (ask(server), ask(server, auth=("prom", "sesame")), ask(server, "/no")):
            assert answer.headers["Strict-Transport-Security"] == "max-age=60"
            assert answer.headers["X-Frame-Options"] == "deny"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "X-XSS-Protection" not in answer.headers


def test_the_rate_is_limited_for_all_together(tmp_path) -> None:
    with serving(write(tmp_path, {"rate_limit": {"interval": "1h", "burst": 3}})) as server:
        assert [ask(server).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    clock = FakeClock()
    pace = Pace(0.5, 2, clock)
    assert [pace.allows() for _ in range(3)] == [True, True, False]
    clock.advance(0.6)
    assert [pace.allows() for _ in range(2)] == [True, False]


def test_a_changed_file_holds_from_the_next_request_on(tls_servers, tmp_path, caplog) -> None:
    seen: list[bool] = []
    path = write(tmp_path, {"basic_auth_users": {"prom": hashed("one")}})
    with serving(path, seen) as server:
        assert ask(server, auth=("prom", "one")).status_code == 200
        write(tmp_path, {"basic_auth_users": {"prom": hashed("another")}})
        assert ask(server, auth=("prom", "one")).status_code == 401
        assert ask(server, auth=("prom", "another")).status_code == 200
        write(tmp_path, {"basic_auth_users": {"prom": "plain text"}})
        assert ask(server, auth=("prom", "another")).status_code == 200, "the old one stays"
        assert ask(server).status_code == 401
        path.unlink()
        assert ask(server).status_code == 401, "a lost file opens no door"
        write(tmp_path, tls_of(tls_servers))
        assert server.url.startswith("https://")
        assert ask(server, verify=tls_servers.ca_file).status_code == 200
    assert seen == [True, True, False, False, True]
    assert caplog.text.count("the old one stays") == 2
    assert "plain text" not in caplog.text


def test_a_renewed_certificate_is_used_at_once(tls_servers: TlsServers, tmp_path) -> None:
    for kind in ("cert", "key"):
        source = getattr(tls_servers, f"{kind}_file")("good")
        (tmp_path / f"my.{kind}").write_bytes(Path(source).read_bytes())
    files = {"cert_file": "my.cert", "key_file": "my.key"}
    with serving(write(tmp_path, {"tls_server_config": files})) as server:
        port = int(server.url.rsplit(":", 1)[1])
        before = ssl.get_server_certificate(("127.0.0.1", port))
        for kind in ("key", "cert"):
            source = getattr(tls_servers, f"{kind}_file")("chain")
            (tmp_path / f"my.{kind}").write_bytes(Path(source).read_bytes())
        wait_until(
            lambda: ssl.get_server_certificate(("127.0.0.1", port)) != before, 5, "the new one"
        )


def test_wrong_users_learn_nothing_from_the_time(tmp_path) -> None:
    """A name that does not exist takes as long as one that does, whatever its hash costs."""
    with serving(write(tmp_path, {"basic_auth_users": {"prom": hashed("one", 8)}})) as server:

        def seconds(user: str) -> float:
            times = []
            for number in range(5):
                began = time.perf_counter()
                assert ask(server, auth=(user, f"wrong {number}")).status_code == 401
                times.append(time.perf_counter() - began)
            return statistics.median(times)

        known, unknown = seconds("prom"), seconds("nobody")
        assert 0.5 < unknown / known < 2


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", "Bearer x", "Basic cHJvbQ==", "Basic /////w==", "Basic cHJvbTo=",
     "Basic cHJvbTpvbmUA"],
)  # fmt: skip
def test_what_is_no_password_is_401(header, tmp_path) -> None:
    with serving(write(tmp_path, {"basic_auth_users": {"prom": hashed("one")}})) as server:
        assert ask(server, headers={"Authorization": header}).status_code == 401
        assert ask(server, "/anything", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"http_server_config": {"headers": {"X-Other": "1"}}}, "cannot be set"),
        ({"http_server_config": {"headers": {"X-Frame-Options": "DENY"}}}, "deny, sameorigin"),
        ({"tls_server_config": {}}, "one of cert and cert_file is missing"),
        ({"tls_server_config": {"cert_file": "a"}}, "one of key and key_file is missing"),
        ({"tls_server_config": {"cert_file": "a", "cert": "b", "key": "c"}}, "not both"),
        ({"rate_limit": {"interval": "1s", "burst": 0}}, "burst"),
        ({"tls_server_config": {"cert": "a", "key": "b", "min_version": "SSL3"}}, "TLS12"),
        ({"tls_server_config": {"cert": "a", "key": "b", "min_version": "TLS13",
          "max_version": "TLS12"}}, "above max_version"),
        ({"tls_server_config": {"cert": "a", "key": "b", "cipher_suites": ["RC4"]}}, "no cipher"),
        ({"tls_server_config": {"cert": "a", "key": "b", "curve_preferences": ["P1"]}}, "no curve"),
        ({"tls_server_config": {"cert": "a", "key": "b", "client_auth_type": "Any"}}, "one of"),
        ({"tls_server_config": {"cert": "a", "key": "b",
          "client_auth_type": "RequireAnyClientCert"}}, "RequireAndVerify"),
        ({"tls_server_config": {"cert": "a", "key": "b",
          "client_auth_type": "RequireAndVerifyClientCert"}}, "client_ca_file"),
        ({"tls_server_config": {"cert": "a", "key": "b", "client_ca": "x"}}, "asks nobody"),
        ({"tls_server_config": {"cert": "a", "key": "b"}}, "cannot use the PEM texts"),
        ({"basic_auth_users": {"prom": "$2y$99$" + "a" * 53}}, "bcrypt"),
    ],
)  # fmt: skip
def test_a_bad_file_says_what_is_wrong(config, message, tmp_path) -> None:
    with pytest.raises((ConfigError, UsageError), match=message):
        load_web_config(write(tmp_path, config))


def test_a_locked_key_does_not_ask_on_a_terminal(tls_servers: TlsServers, tmp_path) -> None:
    from cryptography.hazmat.primitives import serialization as pem

    key = pem.load_pem_private_key(Path(tls_servers.key_file("good")).read_bytes(), None)
    locked = key.private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"secret")
    )
    (tmp_path / "locked.key").write_bytes(locked)
    files = {"cert_file": tls_servers.cert_file("good"), "key_file": "locked.key"}
    done: list[BaseException] = []

    def load() -> None:
        try:
            load_web_config(write(tmp_path, {"tls_server_config": files}))
        except UsageError as error:
            done.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(10)
    assert done


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True), ("GZIP, deflate", True), ("*", True), ("br;q=1, gzip;q=0.2", True),
        ("gzip;q=0", False), ("gzip;q=0.000, *", False), ("*;q=0", False), ("", False),
        ("identity", False), ("gzip;q=0.001", True),
    ],
)  # fmt: skip
def test_packed_only_where_it_is_taken(accepted, packed, tmp_path) -> None:
    body = (b"a" * 600, b"b" * 600)
    blocks, coding = coded(body, accepted)
    assert (coding == "gzip") is packed
    whole = b"".join(blocks)
    assert (gzip.decompress(whole) if packed else whole) == b"".join(body)
    assert coded((b"small",), accepted) == ((b"small",), "")
    with serving(None) as server:
        answer = ask(server, "/metrics", headers={"Accept-Encoding": accepted})
        assert answer.headers.get("Content-Encoding", "") == coding
        assert answer.text.endswith("up 1\n")
        head = requests.head(f"{server.url}/metrics", headers={"Accept-Encoding": ""}, timeout=5)
        assert int(head.headers["Content-Length"]) == len(answer.content)


def test_open_metrics_only_for_who_takes_nothing_else() -> None:
    prometheus = (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
        "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    )
    assert takes_text(prometheus)
    assert takes_text("")
    assert takes_text("text/html")
    assert not takes_text("application/openmetrics-text; version=1.0.0")
