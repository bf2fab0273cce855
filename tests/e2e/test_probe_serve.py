"""Does `sre probe serve` live with Prometheus: scraped, reloaded, stopped, guarded?"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.servers.child import child
from tests.servers.hostile import Hostile
from tests.servers.net import wait_until
from tests.servers.prometheus import promtool
from tests.servers.tls import TlsServers

PLANTED = "s3cr3t-Planted"


@dataclass
class Service:
    """A running `sre probe serve`."""

    url: str
    home: Path
    process: subprocess.Popen[str]

    def get(self, path: str, **options: object) -> requests.Response:
        return requests.get(self.url + path, timeout=5, **options)  # type: ignore[arg-type]

    def metrics(self) -> str:
        return self.get("/metrics").text

    def value(self, series: str) -> float | None:
        for line in self.metrics().splitlines():
            if line.startswith(series + " "):
                return float(line.rpartition(" ")[2])
        return None

    def log(self) -> str:
        return (self.home / "log").read_text(encoding="utf-8")


def declare(home: Path, base: str, *lines: str) -> None:
    text = ["version: 1", f'shop: {{name: test, base_url: "{base}"}}', *lines]
    (home / "sre.yaml").write_text("\n".join(text) + "\n", encoding="utf-8")


@contextmanager
def serving(home: Path, *options: str, **env: str) -> Iterator[Service]:
    words = ["probe", "serve", "--web.listen-address", "127.0.0.1:0", "--log-level", "info"]
    argv = [sys.executable, "-m", "sre", *words, *options]
    env = {"PYTHONPATH": str(Path.cwd()), "PYTHONUNBUFFERED": "1", **env}
    with child(argv, home=home, env=env, grace=20) as process:
        log = home / "log"

        def listening() -> str | None:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            lines = log.read_text(encoding="utf-8").splitlines()
            return next((x.split()[-1] for x in lines if x.startswith("listening on ")), None)

        yield Service(wait_until(listening, 20, "the address") or "", home, process)


BASIC = (
    "probes:",
    "  - {name: home, kind: http, url: /status/200, every: 1s}",
    "  - {name: down, kind: http, url: /status/500, every: 1s}",
    "journeys:",
    "  browse:",
    "    every: 1s",
    "    steps:",
    "      - {name: front, get: /}",
    "objectives:",
    "  - {name: fast, probe: home, below: 123ms, target: 99%, owner: shop}",
    "  - {name: front-fast, step: browse/front, below: 456ms, target: 99%, owner: shop}",
)


@pytest.mark.prometheus
def test_prometheus_scrapes_it_and_promtool_has_nothing_to_say(
    hostile: Hostile, tmp_path, prometheus_scraping
):
    declare(
        tmp_path,
        hostile.url,
        *BASIC,
    )
    with serving(tmp_path) as service:
        wait_until(lambda: service.value('sre_probe_up{probe="down"}') == 0, 20, "runs")
        checked = promtool("check", "metrics", input=service.metrics())
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        with prometheus_scraping(service.url.removeprefix("http://"), interval="1s") as prom:
            prom.wait_for('sum(sre_probe_attempts_total{probe="home",outcome="ok"}) > 2', 30)
            assert prom.value('sre_probe_up{probe="home"}') == 1
            assert prom.value('sre_probe_up{probe="down"}') == 0
            prom.wait_for('increase(sre_probe_attempts_total{reason="status"}[30s]) > 0', 20)
            edges = 'sre_probe_duration_seconds_bucket{probe="home",le="0.123"}'
            assert prom.value(edges) > 0
            step = 'sre_probe_step_duration_seconds_bucket{step="front",le="0.456"}'
            assert prom.value(step) > 0
            assert prom.query('sre_probe_step_phase_seconds{phase="connect"}')
            assert not prom.query('sre_probe_step_phase_seconds{phase="tls"}')
            assert prom.metadata()["sre_probe_duration_seconds"][0]["type"] == "histogram"
            assert [target["health"] for target in prom.targets()] == ["up"]


def test_open_metrics_when_asked_for(hostile: Hostile, tmp_path):
    declare(tmp_path, hostile.url, *BASIC)
    with serving(tmp_path) as service:
        wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = service.get("/metrics", headers=wanted)
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")


def test_reload_keeps_what_stays_and_forgets_what_goes(hostile: Hostile, tmp_path):
    declare(tmp_path, hostile.url, *BASIC)
    ok = 'sre_probe_attempts_total{outcome="ok",probe="home",reason=""}'
    with serving(tmp_path) as service:
        wait_until(lambda: (service.value(ok) or 0) >= 2, 20, "two runs")
        before = service.value(ok)
        declare(tmp_path, hostile.url, *BASIC[:2], "  - {name: new, kind: host, every: 1s}")
        answer = requests.post(f"{service.url}/-/reload", timeout=10)
        assert answer.status_code == 200, answer.text
        text = service.metrics()
        assert 'probe="down"' not in text
        assert 'journey="browse"' not in text
        assert (service.value(ok) or 0) >= (before or 0)
        wait_until(lambda: service.value('sre_probe_up{probe="new"}') == 1, 10, "the new probe")
        declare(tmp_path, hostile.url, *BASIC)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: service.value('sre_probe_up{probe="down"}') == 0, 20, "SIGHUP")


def test_a_bad_declaration_changes_nothing_and_says_why(hostile: Hostile, tmp_path):
    declare(tmp_path, hostile.url, *BASIC)
    ok = 'sre_probe_attempts_total{outcome="ok",probe="home",reason=""}'
    with serving(tmp_path) as service:
        good_at = service.value("sre_config_last_reload_success_timestamp_seconds")
        assert service.value("sre_config_last_reload_successful") == 1
        declare(tmp_path, hostile.url, "probes:", "  - {name: home, kind: htp, url: /}")
        answer = requests.post(f"{service.url}/-/reload", timeout=10)
        assert answer.status_code == 500
        assert "sre.yaml:4:" in answer.text
        assert "did you mean 'http'?" in answer.text
        assert service.value("sre_config_last_reload_successful") == 0
        assert service.value("sre_config_last_reload_success_timestamp_seconds") == good_at
        before = service.value(ok) or 0
        wait_until(lambda: (service.value(ok) or 0) > before, 10, "the old probes to go on")
        assert service.get("/-/ready").status_code == 200
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: service.log().count("not reloaded") >= 2, 10, "SIGHUP to be refused")
        assert service.process.poll() is None


def test_a_bad_declaration_at_the_start_is_exit_2(hostile: Hostile, tmp_path):
    declare(tmp_path, hostile.url, "probes:", "  - {name: home, kind: htp, url: /}")
    argv = [sys.executable, "-m", "sre", "probe", "serve", "--web.listen-address", "127.0.0.1:0"]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "sre.yaml:4:" in done.stderr


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "taken"])
def test_an_address_that_is_no_good_is_exit_2(address, hostile: Hostile, tmp_path):
    declare(tmp_path, hostile.url, *BASIC)
    where = f"127.0.0.1:{hostile.port}" if address == "taken" else address
    argv = [sys.executable, "-m", "sre", "probe", "serve", "--web.listen-address", where]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_other_pages(hostile: Hostile, tmp_path):
    declare(tmp_path, hostile.url, *BASIC)
    with serving(tmp_path) as service:
        assert service.get("/-/healthy").text == "Healthy\n"
        assert service.get("/-/ready").status_code == 200
        refused = service.get("/-/reload")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
        assert requests.post(f"{service.url}/metrics", timeout=5).status_code == 405
        assert (
            requests.post(f"{service.url}/-/reload", data="x" * 10**6, timeout=5).status_code == 413
        )
        assert service.get("/nothing").status_code == 404
        assert requests.head(f"{service.url}/metrics", timeout=5).text == ""
        wait_until(lambda: service.get("/-/probes").json()["results"], 10, "a result")
        wait_until(lambda: "browse" in service.get("/").text, 10, "the index page")


@pytest.mark.parametrize(("which", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopping_lets_a_running_journey_clean_up(which, code, hostile: Hostile, tmp_path):
    declare(
        tmp_path, hostile.url, "journeys:", "  checkout:", "    every: 1s", "    steps:",
        "      - {name: order, get: /json, extract: {order: {url: '(json)'}}}",
        '      - {name: wait, get: /status/404, until: {expect: {status: 200}, every: 200ms, '
        "within: 25s}}",
        "    cleanup:", '      - {name: cancel, post: "/echo?cancel=${order}", when: order}',
    )  # fmt: skip
    with serving(tmp_path) as service:
        wait_until(lambda: "/status/404" in hostile.paths(), 20, "a run")
        began = time.monotonic()
        service.process.send_signal(which)
        assert service.process.wait(20) == code
        assert time.monotonic() - began < 6
    assert "/echo" in hostile.paths(), "the cleanup step ran"
    assert "Traceback" not in service.log()


def test_slow_and_rude_clients_hold_up_nobody(hostile: Hostile, tmp_path):
    declare(tmp_path, hostile.url, *BASIC)
    with serving(tmp_path) as service:
        port = int(service.url.rsplit(":", 1)[1])
        rude = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        for connection in rude:
            connection.sendall(b"GET /metrics HT")
        assert service.get("/metrics").status_code == 200
        more = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        for connection in [*rude, *more]:
            connection.close()
        wait_until(lambda: service.get("/-/healthy").ok, 10, "room for clients again")
        assert "Traceback" not in service.log()


def test_a_planted_secret_is_in_no_page_and_no_log(hostile: Hostile, tmp_path):
    declare(
        tmp_path, hostile.url, "journeys:", "  login:", "    every: 1s",
        '    vars: {pin: {secret: true, value: "${env:PIN}"}}', "    steps:",
        '      - {name: login, post: /echo, form: {pin: "${pin}"}, expect: {matches: "^never$"}}',
    )  # fmt: skip
    with serving(tmp_path, "--log-level", "debug", PIN=PLANTED) as service:
        wait_until(lambda: service.value('sre_probe_up{probe="login"}') == 0, 20, "a run")
        pages = [service.get(path).text for path in ("/metrics", "/-/probes", "/", "/nothing")]
        requests.post(f"{service.url}/-/reload", timeout=5)
        assert not [page for page in pages if "Planted" in page]
        assert "Planted" not in service.log()
    assert any(PLANTED.encode() in seen.body for seen in hostile.requests), "it was really sent"


class TestWebConfig:
    """The file format of exporter-toolkit."""

    def test_tls_and_users(self, hostile: Hostile, tls_servers: TlsServers, tmp_path):
        bcrypt = pytest.importorskip("bcrypt")
        declare(tmp_path, hostile.url, *BASIC)
        hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(5)).decode()
        config = {
            "tls_server_config": {
                "cert_file": tls_servers.cert_file("good"),
                "key_file": tls_servers.key_file("good"),
            },
            "basic_auth_users": {"prom": hashed},
        }
        (tmp_path / "web.yml").write_text(json.dumps(config), encoding="utf-8")
        with serving(tmp_path, "--web.config.file", "web.yml") as service:
            assert service.url.startswith("https://")
            trust = {"verify": tls_servers.ca_file}
            for wrong in (None, ("prom", "no"), ("nobody", "open sesame")):
                for path in ("/metrics", "/-/healthy", "/"):
                    refused = service.get(path, auth=wrong, **trust)
                    assert refused.status_code == 401
                    assert "WWW-Authenticate" in refused.headers
            posted = requests.post(f"{service.url}/-/reload", timeout=5, **trust)
            assert posted.status_code == 401
            good = service.get("/metrics", auth=("prom", "open sesame"), **trust)
            assert "sre_build_info" in good.text
            with pytest.raises(requests.exceptions.ConnectionError):
                requests.get(service.url.replace("https", "http"), timeout=5)
            assert "open sesame" not in service.log()

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"tls_server_config": {"cert_file": "no.pem", "key_file": "no.key"}}, "no.pem"),
            ({"basic_auth_users": {"prom": "plain"}}, "bcrypt"),
            ({"basic_auth": {}}, "did you mean 'basic_auth_users'?"),
        ],
    )
    def test_a_bad_file_is_exit_2(self, config, message, hostile: Hostile, tmp_path):
        declare(tmp_path, hostile.url, *BASIC)
        (tmp_path / "web.yml").write_text(json.dumps(config), encoding="utf-8")
        argv = [sys.executable, "-m", "sre", "probe", "serve", "--web.config.file", "web.yml"]
        argv += ["--web.listen-address", "127.0.0.1:0"]
        env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 2
        assert message in done.stderr
