"""Does a real Prometheus scrape what we serve, and does promtool read from its input?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.servers.prometheus import Scraping, promtool

GOOD = "# HELP smoke_total Smoke.\n# TYPE smoke_total counter\nsmoke_total 3\n"


class _Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(GOOD.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def metrics_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Metrics) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


def test_it_scrapes_answers_and_evaluates_rules(
    prometheus_scraping: Scraping, metrics_port: int, tmp_path: Path
) -> None:
    rules = tmp_path / "a.rules.yml"
    rules.write_text(
        'groups: [{name: g, rules: [{record: "smoke:twice", expr: "smoke_total * 2"}]}]\n',
        encoding="utf-8",
    )
    target = f"127.0.0.1:{metrics_port}"
    with prometheus_scraping(target, interval="200ms", rules=[rules]) as prom:
        (one,) = prom.wait_for("smoke_total")
        assert one["metric"]["instance"] == target
        assert prom.value("smoke_total") == 3
        assert prom.query("nothing_here") == []
        assert prom.wait_for("smoke:twice > 5")[0]["value"][1] == "6"
        assert [rule["health"] for rule in prom.rules()] == ["ok"]
        assert [one["health"] for one in prom.targets()] == ["up"]
        assert prom.metadata()["smoke_total"][0]["type"] == "counter"


def test_promtool_checks_an_exposition_from_its_input() -> None:
    assert promtool("check", "metrics", input=GOOD).returncode == 0
    bad = promtool("check", "metrics", input="smoke_total{ 3\n")
    assert bad.returncode != 0
    assert bad.stderr
