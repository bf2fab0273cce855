"""Can the `http` kind say what a module of blackbox's http prober can, and keep secrets at home?"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from sre.core.config import Problems, decode_kind, read_tree, resolve
from sre.core.secrets import Secret
from sre.journey.result import Outcome, Reason
from sre.probes.httpauth import BasicAuth, OAuth2
from sre.probes.httpoptions import Proxy
from sre.probes.kinds import KINDS
from sre.probes.kinds.http import HttpProbe
from sre.probes.model import CheckFields, Reading
from tests.servers.hostile import Hostile
from tests.servers.onloop import context, on_loop

BASIC = BasicAuth("user", Secret.literal("hunter2-planted"))


def both(probe: HttpProbe, seconds: float = 3.0) -> Reading:
    """On the loop, after it was the same in a thread."""
    thread, (loop,) = probe.check(context(seconds)), on_loop((probe, context(seconds)))
    assert (thread.outcome, thread.reason, thread.message) == (
        loop.outcome,
        loop.reason,
        loop.message,
    )
    return loop


def facts(reading: Reading) -> dict[str, float]:
    return {g.name.removeprefix("sre_probe_http_"): g.value for g in reading.gauges}


def test_facts(hostile: Hostile):
    found = facts(both(HttpProbe(f"{hostile.url}/redirect?to=/delay")))
    assert found == {
        "redirects": 1,
        "status_code": 200,
        "connection_reused": 0,
        "body_bytes": 1000,
        "version": 1.1,
        "content_length_bytes": 1000,
        "tls": 0,
    }


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        ({"not_contains": "hello"}, Reason.BODY),
        ({"not_contains": ["bye", "hello"]}, Reason.BODY),
        ({"not_matches": "h.llo"}, Reason.BODY),
        ({"not_matches": "^nothing$"}, Reason.NONE),
        ({"not_header": {"Content-Type": "~html"}}, Reason.HEADER),
        ({"not_header": {"X-Lacks": "~.*"}}, Reason.NONE),
        ({"header": {"X-Lacks": {"value": "~a", "required": False}}}, Reason.NONE),
        ({"header": {"X-Lacks": {"value": "~a", "required": True}}}, Reason.HEADER),
        ({"header": {"Content-Type": ["~text", "~html"]}}, Reason.NONE),
        ({"header": {"Content-Type": ["~text", "~json"]}}, Reason.HEADER),
    ],
)
def test_what_must_not_be_there(expect: dict[str, Any], reason: Reason, hostile: Hostile):
    assert both(HttpProbe(f"{hostile.url}/", expect=expect)).reason is reason


@pytest.mark.parametrize(
    "auth",
    [
        {"basic_auth": BASIC},
        {"bearer": Secret.literal("hunter2-planted")},
    ],
)
def test_credentials_stay_at_the_origin_of_the_url(
    auth: dict[str, Any], hostile: Hostile, hostile_other: Hostile
):
    url = f"{hostile.url}/redirect?to=/redirect?to={hostile_other.url}/echo"
    assert both(HttpProbe(url, **auth)).outcome is Outcome.OK
    seen = [request.header("authorization") for request in hostile.requests]
    assert len(seen) == 4
    assert all(value and value.startswith(("Basic ", "Bearer ")) for value in seen)
    assert [request.header("authorization") for request in hostile_other.requests] == [None] * 2


def test_cookies_stay_at_home_and_come_back(hostile: Hostile, hostile_other: Hostile):
    back = f"{hostile.url}/cookies"
    away = f"{hostile_other.url}/redirect?to={back}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_setting_a_cookie, args=(server, away), daemon=True).start()
        probe = HttpProbe(f"http://127.0.0.1:{server.getsockname()[1]}/")
        both(probe)
    assert [r.header("cookie") for r in hostile_other.requests] == [None, None]
    assert [r.header("cookie") for r in hostile.requests] == [None, None], "another origin"


def _setting_a_cookie(server: socket.socket, to: str) -> None:
    for _ in range(2):
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            head = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nSet-Cookie: sid=12345678; Path=/\r\n"
            connection.sendall(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())


def test_a_password_is_in_no_message(hostile: Hostile):
    expect = {"json": {"nothing": "here"}}
    reading = both(HttpProbe(f"{hostile.url}/echo", basic_auth=BASIC, expect=expect))
    assert reading.reason is Reason.BODY
    assert "hunter2" not in reading.message
    assert "aHVudGVyMi1wbGFudGVk" not in reading.message


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ('/json?access_token="tok-12345678"', Reason.NONE),
        ("/json?access_token=1", Reason.BODY),
        ("/status/401", Reason.STATUS),
        ("/garbage", Reason.PROTOCOL),
    ],
)
def test_a_token_is_fetched_and_sent(
    page: str, reason: Reason, hostile: Hostile, hostile_other: Hostile
):
    secret = Secret.literal("hunter2-planted")
    token_url = f"{hostile_other.url}{page}".replace('"', "%22")
    oauth2 = OAuth2(token_url, "shop", secret, ("a", "b"), {"audience": "x"})
    reading = both(HttpProbe(f"{hostile.url}/echo", oauth2=oauth2))
    assert reading.reason is reason
    assert hostile_other.requests[0].body == (b"grant_type=client_credentials&audience=x&scope=a+b")
    sent = [request.header("authorization") for request in hostile.requests]
    assert sent == (["Bearer tok-12345678"] * 2 if reason is Reason.NONE else [])
    assert reason is Reason.NONE or reading.message.startswith("the token: ")


def test_the_version_and_tls_that_an_answer_must_have(hostile: Hostile):
    old = f"{hostile.url}/http10"
    assert both(HttpProbe(old, http_versions=(1.0,))).outcome is Outcome.OK
    assert both(HttpProbe(old, http_versions=(1.1, 2))).reason is Reason.PROTOCOL
    assert both(HttpProbe(old, must_be_tls=False)).outcome is Outcome.OK
    assert both(HttpProbe(old, must_be_tls=True)).reason is Reason.TLS


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ip": 4}, Reason.NONE),
        ({"ip": 6}, Reason.NONE),
        ({"ip": 6, "ip_fallback": False}, Reason.DNS),
        ({"ip": 4, "ip_fallback": False}, Reason.NONE),
    ],
)
def test_the_address_family(fields: dict[str, Any], reason: Reason, hostile: Hostile):
    assert both(HttpProbe(f"{hostile.url}/", **fields)).reason is reason


@pytest.mark.parametrize(("compress", "sent"), [("none", None), ("gzip", "gzip"), ("any", "gzip")])
def test_encodings_that_are_asked_for(compress: str, sent: str | None, hostile: Hostile):
    both(HttpProbe(f"{hostile.url}/", compress=compress))  # type: ignore[arg-type]
    for request in hostile.requests:
        found = request.header("accept-encoding")
        assert found is None if sent is None else sent in (found or "")


def test_a_body_from_a_file(tmp_path: Path, hostile: Hostile):
    path = tmp_path / "order.bin"
    path.write_bytes(b"\0${not.a.template}\xff")
    probe = HttpProbe(f"{hostile.url}/echo", method="post", body_file=str(path))
    assert probe.talk(context()) is None, "a file may take its time: not on the loop"
    assert probe.check(context()).outcome is Outcome.OK
    assert hostile.requests[0].body == b"\0${not.a.template}\xff"
    path.unlink()
    assert probe.check(context()).reason is Reason.PROBER


def test_secrets_that_take_time_need_a_thread(tmp_path: Path):
    url = "http://127.0.0.1:1/"
    assert HttpProbe(url, bearer=Secret.from_env("TOKEN")).talk(context()) is not None
    assert HttpProbe(url, bearer=Secret.from_file(tmp_path / "x")).talk(context()) is None
    header = {"Authorization": {"secret": True, "value": f"${{file:{tmp_path}/x}}"}}
    assert HttpProbe(url, headers=header).talk(context()) is None


def test_a_connection_is_kept_and_labelled_where_it_is_asked_for(hostile: Hostile):
    from tests.servers.onloop import looping

    kept, told = HttpProbe(f"{hostile.url}/keepalive", keep_alive=True), []
    with looping() as loop:
        for number in range(3):
            its = context()
            loop.carry(kept.talk(its), its, told.append)
            while len(told) <= number:
                loop.work(0.05)
    assert [facts(reading)["connection_reused"] for reading in told] == [0, 1, 1]
    assert "connect" not in told[2].steps[0].phases
    assert hostile.connections == 1
    fresh = [facts(both(HttpProbe(f"{hostile.url}/keepalive")))["connection_reused"] for _ in "ab"]
    assert fresh == [0, 0]


def test_through_a_proxy(hostile: Hostile, hostile_other: Hostile):
    proxy = Proxy(hostile_other.url, "me", Secret.literal("hunter2-planted"))
    probe = HttpProbe(f"{hostile.url}/status/200", proxy=proxy)
    assert probe.talk(context()) is None
    assert probe.check(context()).outcome is Outcome.OK
    asked = hostile_other.requests[0]
    assert asked.target == f"{hostile.url}/status/200"
    assert asked.header("proxy-authorization")
    assert hostile.requests == []
    blocked = probe.check(context(allow=(f"127.0.0.1:{hostile.port}",)))
    assert blocked.outcome is Outcome.BLOCKED, "the proxy must be on the list as well"


def test_the_environment_s_proxy_is_never_used(
    monkeypatch: pytest.MonkeyPatch, hostile: Hostile, hostile_other: Hostile
):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, hostile_other.url)
    assert both(HttpProbe(f"{hostile.url}/")).outcome is Outcome.OK
    assert hostile_other.connections == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"basic_auth": BASIC, "bearer": Secret.literal("x")}, "write one of them"),
        ({"bearer": Secret.literal("x"), "headers": {"authorization": "y"}}, "take it out"),
        ({"http_versions": (4,)}, "is none of"),
        ({"http_version": "1.3"}, "must be one of"),
        ({"body_file": "x"}, "carry no body"),
        ({"method": "post", "body_file": "x", "body": "y"}, "one body only"),
    ],
)
def test_what_cannot_be_meant(fields: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        HttpProbe("http://127.0.0.1/", **fields)


def test_all_of_it_can_be_written_in_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PASSWORD", "hunter2-planted")
    path = tmp_path / "sre.yaml"
    path.write_text(
        """
probes:
  - name: all
    kind: http
    url: https://shop.example.com/
    ip: 6
    ip_fallback: false
    http_version: 1.1
    http_versions: [1.1, 2]
    compress: gzip
    must_be_tls: true
    keep_alive: true
    basic_auth: {username: user, password: "${env:PASSWORD}"}
    tls: {ca_file: ca.pem, server_name: other, min_version: TLSv1.3, verify: false}
    proxy: {url: "http://proxy:3128", username: me, password: "${env:PASSWORD}", resolve: false}
    expect: {not_matches: error, not_header: {Server: "~nginx"}}
"""
    )
    problems = Problems()
    probes = read_tree(path).get("probes")
    assert probes is not None
    node = resolve(probes.elements[0], keep=("expect",))
    made = decode_kind(KINDS, node, where="p", problems=problems, common=CheckFields)
    assert [str(problem) for problem in problems.found] == []
    assert made is not None
    probe = made.own
    assert isinstance(probe, HttpProbe)
    assert (probe.ip, probe._options().families, probe._options().http_version) == (6, (6,), "1.1")
    assert probe.basic_auth is not None
    assert probe.basic_auth.password.reveal() == "hunter2-planted"
    assert "hunter2" not in json.dumps(str(probe))
