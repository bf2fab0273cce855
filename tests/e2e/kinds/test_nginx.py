"""Does the `nginx` probe say what a real nginx says, and end in time when it says nothing?"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from sre.core.secrets import Secret
from sre.journey.result import Outcome, Reason
from sre.probes.kinds.nginx import Limits, NginxProbe, Status, judge, parse
from sre.probes.model import Reading
from tests.contracts.test_probe import context
from tests.servers.examples import run_example, serve_example
from tests.servers.net import wait_until
from tests.servers.nginx import Nginx, running_nginx

AT = "127.0.0.1:18080"


def look(probe: NginxProbe, seconds: float = 5) -> Reading:
    return probe.check(context({}, seconds=seconds))


def number(reading: Reading, name: str, **labels: str) -> float:
    found = [
        gauge.value
        for gauge in reading.gauges
        if gauge.name == f"sre_probe_nginx_{name}" and dict(gauge.labels) == labels
    ]
    assert len(found) == 1, (name, labels)
    return found[0]


def test_the_example_runs_and_serves(nginx_shop: Nginx, tmp_path: Path) -> None:
    at = {AT: f"127.0.0.1:{nginx_shop.port}", "kind: nginx": "kind: nginx, every: 1s"}
    code, told = run_example("nginx", tmp_path, at)
    assert (code, told["results"][0]["outcome"]) == (0, "ok")
    with serve_example("nginx", tmp_path, at) as metrics:
        assert 'sre_probe_nginx_requests_total{probe="edge"}' in metrics


def test_the_numbers_are_those_of_nginx(nginx_shop: Nginx) -> None:
    probe = NginxProbe(f"{nginx_shop.url}/nginx_status")
    before = look(probe)
    with ExitStack() as open_ones:
        for _ in range(7):
            answer = requests.get(f"{nginx_shop.url}/", timeout=5)
            assert answer.text == "hello"
        for _ in range(3):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", nginx_shop.port)))
        wait_until(lambda: number(look(probe), "active_connections") >= 4, 5, "3 idle clients")
        after = look(probe)
    assert number(after, "requests_total") - number(before, "requests_total") >= 7 + 1
    assert number(after, "accepted_connections_total") == number(after, "handled_connections_total")
    assert number(after, "dropped_connections_total") == 0
    assert number(after, "connections", state="writing") == 1
    text = requests.get(f"{nginx_shop.url}/nginx_status", timeout=5).text
    assert parse(text).requests > number(after, "requests_total")


def test_basic_authentication_and_other_pages(nginx_shop: Nginx) -> None:
    locked, right = f"{nginx_shop.url}/locked", Secret.literal("open-sesame")
    assert look(NginxProbe(locked, "watch", right)).outcome is Outcome.OK
    refused = look(NginxProbe(locked, "watch", Secret.literal("hunter2-wrong")))
    assert (refused.outcome, refused.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "hunter2" not in refused.message
    assert "`user` and `password`" in look(NginxProbe(locked)).message
    other = look(NginxProbe(f"{nginx_shop.url}/"))
    assert (other.reason, "stub_status" in other.message) == (Reason.BODY, True)


def test_dropped_and_active_connections_have_limits(tmp_path: Path) -> None:
    """Eight places, of which nginx needs some itself: the rest of twelve clients is dropped.

    `deferred` hands a client over together with its first bytes: an idle one would be closed in
    favour of the next, and is not dropped.
    """
    server = "server { listen 127.0.0.1:{port} deferred; location / { stub_status; } }"
    with running_nginx(tmp_path, server, events="worker_connections 8;") as nginx:
        with ExitStack() as clients:
            for _ in range(12):
                client = socket.create_connection(("127.0.0.1", nginx.port))
                clients.enter_context(client).sendall(b"GET / HTTP/1.1\r\nX: ")
            log = nginx.home / "error.log"
            wait_until(lambda: "worker_connections are not enough" in log.read_text(), 5, "a drop")
        probe = NginxProbe(nginx.url, warn=Limits(active=0), max=Limits(dropped=0))
        reading = wait_until(
            lambda: found if (found := look(probe)).gauges else None, 5, "a free place"
        )
        assert number(reading, "dropped_connections_total") >= 1
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
        assert "dropped since start (limit 0)" in reading.message
        busy = look(NginxProbe(nginx.url, warn=Limits(active=0)))
        assert (busy.outcome, busy.message) == (
            Outcome.DEGRADED,
            "1 active connections (limit 0)",
        )


def test_a_frozen_and_a_killed_nginx(tmp_path: Path) -> None:
    server = "server { listen 127.0.0.1:{port}; location / { stub_status; } }"
    with running_nginx(tmp_path, server) as nginx:
        probe = NginxProbe(nginx.url)
        with nginx.frozen():
            began = time.monotonic()
            reading = look(probe, seconds=0.5)
            assert time.monotonic() - began < 3
            assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.TIMEOUT)
        assert look(probe).outcome is Outcome.OK
    assert look(probe).reason is Reason.CONNECT


@pytest.mark.parametrize(
    "text",
    ["", "Active connections: x", "<html>Active connections: 3</html>", "\0" * 100],
)
def test_other_texts_are_no_status(text: str) -> None:
    from sre.probes.dial import Trouble

    with pytest.raises(Trouble):
        parse(text)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="password without user"):
        NginxProbe("http://a/", password=Secret.literal("x"))
    with pytest.raises(ValueError, match="absolute http"):
        NginxProbe("/status")
    with pytest.raises(ValueError, match="negative"):
        Limits(active=-1)


def test_a_judgement_needs_no_server() -> None:
    status = Status(5, 100, 90, 300, 1, 2, 2)
    assert judge(status, Limits(), Limits()) == (Outcome.OK, Reason.NONE, "")
    assert judge(status, Limits(dropped=10), Limits())[0] is Outcome.OK
    assert judge(status, Limits(dropped=9), Limits())[0] is Outcome.DEGRADED
    assert judge(status, Limits(dropped=9), Limits(active=4))[0] is Outcome.FAILED
