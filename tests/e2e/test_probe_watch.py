"""Does `sre probe serve` say what is planned, where it stands, and whose fault a failure is?"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import requests

from tests.e2e.test_probe_serve import declare, serving
from tests.servers.examples import check_metrics
from tests.servers.hostile import Hostile
from tests.servers.net import free_port, wait_until

HOME = "  - {name: home, kind: http, url: /status/200, every: 1s}"


def names_of(text: str, metric: str, label: str = "probe") -> set[str]:
    lines = re.findall(rf"^{metric}\{{(.*)\}} ", text, re.MULTILINE)
    return {found[1] for line in lines if (found := re.search(rf'{label}="([^"]*)"', line))}


def test_maintenance_and_location_are_metrics_and_on_the_page(hostile: Hostile, tmp_path) -> None:
    declare(
        tmp_path, hostile.url, "watch: {location: fra1}", "maintenance:",
        '  - {name: "Wartung \\"Ü\\"", schedule: "* * * * *", for: 5m, probes: ["h*"]}',
        '  - {name: later, from: "2099-01-01T00:00:00Z", to: "2099-01-02T00:00:00Z"}',
        "probes:", HOME, "  - {name: down, kind: http, url: /status/500, every: 1s}",
    )  # fmt: skip
    with serving(tmp_path) as service:
        wait_until(lambda: service.value('sre_probe_up{probe="home"}') == 1, 20, "probing goes on")
        assert service.value('sre_probe_maintenance{probe="home"}') == 1
        assert service.value('sre_probe_maintenance{probe="down"}') == 0
        text = service.metrics()
        assert names_of(text, "sre_probe_maintenance_info") == {"home"}
        assert 'window="Wartung \\"Ü\\""' in text
        assert service.value('sre_probe_location_info{location="fra1"}') == 1
        check_metrics(text)
        planned = service.get("/-/status.json").json()["maintenance"]
        assert "Wartung" in planned[0]["name"]
        declare(tmp_path, hostile.url, "probes:", HOME)
        assert requests.post(f"{service.url}/-/reload", timeout=10).status_code == 200
        assert "sre_probe_maintenance" not in service.metrics()
        assert "sre_probe_location" not in service.metrics()


def test_a_closed_gate_takes_the_blame(tmp_path) -> None:
    dead, gate = free_port(), free_port()
    declare(
        tmp_path, f"http://127.0.0.1:{dead}", f'watch: {{gate: ["127.0.0.1:{gate}"]}}',
        "probes:", HOME,
    )  # fmt: skip
    ours = 'sre_probe_attempts_total{outcome="failed",probe="home",reason="prober"}'
    theirs = 'sre_probe_attempts_total{outcome="failed",probe="home",reason="connect"}'
    with serving(tmp_path) as service:
        wait_until(lambda: (service.value(ours) or 0) >= 2, 20, "failures of ours")
        assert service.value("sre_probe_gate_up") == 0
        assert service.value(theirs) == 0
        assert service.value('sre_probe_up{probe="home"}') is None
        with socket.create_server(("127.0.0.1", gate)):
            wait_until(lambda: (service.value(theirs) or 0) >= 1, 20, "a failure of the target")
            assert service.value("sre_probe_gate_up") == 1
        declare(tmp_path, f"http://127.0.0.1:{dead}", "probes:", HOME)
        assert requests.post(f"{service.url}/-/reload", timeout=10).status_code == 200
        assert service.value("sre_probe_gate_up") is None


def test_two_machines_share_the_probes(hostile: Hostile, tmp_path) -> None:
    lines = [f"  - {{name: p{n}, kind: http, url: /status/200, every: 5s}}" for n in range(12)]
    seen: Counter[str] = Counter()
    for index in (1, 2):
        home = tmp_path / str(index)
        home.mkdir()
        declare(home, hostile.url, "probes:", *lines)
        with serving(home, "--shard", f"{index}/2") as service:
            text = wait_until(service.metrics, 10, "metrics")
            part = names_of(text, "sre_probe_attempts_total")
            assert 1 <= len(part) <= 11
            seen.update(part)
    assert seen == Counter(f"p{n}" for n in range(12))


@pytest.mark.parametrize("shard", ["0/2", "3/2", "two", "1/0"])
def test_a_shard_that_is_none_is_exit_2(shard, hostile: Hostile, tmp_path) -> None:
    declare(tmp_path, hostile.url, "probes:", HOME)
    argv = [sys.executable, "-m", "sre", "probe", "serve", "--shard", shard]
    done = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
        env={"PYTHONPATH": str(Path.cwd()), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 2
    assert "such as 2/5" in done.stderr


def test_no_bad_file_of_any_kind_ends_the_watch(hostile: Hostile, tmp_path) -> None:
    declare(tmp_path, hostile.url, "probes:", HOME)
    web = tmp_path / "web.yml"
    web.write_text("{}", encoding="utf-8")
    good = (tmp_path / "sre.yaml").read_text(encoding="utf-8")
    with serving(tmp_path, "--web.config.file", "web.yml") as service:

        def refused(message: str) -> None:
            answer = requests.post(f"{service.url}/-/reload", timeout=10)
            assert (answer.status_code, message in answer.text) == (500, True), answer.text
            assert service.value("sre_config_last_reload_successful") == 0
            service.process.send_signal(signal.SIGHUP)

        declare(tmp_path, hostile.url, "include: [lost.yaml]", "probes:", HOME)
        refused("lost.yaml")
        (tmp_path / "folder").mkdir()
        declare(tmp_path, hostile.url, "include: [folder]", "probes:", HOME)
        refused("is a directory")
        (tmp_path / "sre.yaml").write_bytes(b"\xff\xfe\x00")
        refused("UTF-8")
        (tmp_path / "sre.yaml").unlink()
        refused("no such file")
        (tmp_path / "sre.yaml").mkdir()
        refused("is a directory")
        (tmp_path / "sre.yaml").rmdir()
        (tmp_path / "sre.yaml").write_text(good, encoding="utf-8")
        assert service.value("sre_web_config_last_reload_successful") == 1
        web.write_text("basic_auth_users: {prom: plain}", encoding="utf-8")
        refused("bcrypt")
        assert service.value("sre_web_config_last_reload_successful") == 0
        web.write_text("{}", encoding="utf-8")
        assert requests.post(f"{service.url}/-/reload", timeout=10).status_code == 200
        assert service.value("sre_config_last_reload_successful") == 1
        assert service.value("sre_web_config_last_reload_successful") == 1
        assert service.process.poll() is None
        assert "Traceback" not in service.log()


def test_a_restart_refills_no_budget(hostile: Hostile, tmp_path) -> None:
    skipped = 'sre_probe_schedule_skipped_total{probe="often",reason="budget"}'
    for life in ("first", "second"):
        home = tmp_path / life
        home.mkdir()
        declare(
            home, hostile.url, "journeys:", "  buy:", "    side_effects: order",
            "    budget: 2/h", "    steps: [{name: order, post: /echo}]",
            "probes: [{name: often, kind: journey, journey: buy, every: 1s}]",
        )  # fmt: skip
        text = (home / "sre.yaml").read_text(encoding="utf-8")
        text = text.replace("name: test,", "name: test, environment: staging,")
        (home / "sre.yaml").write_text(text, encoding="utf-8")
        with serving(home, SRE_STATE=str(tmp_path / "state")) as service:
            wait_until(lambda: (service.value(skipped) or 0) >= 1, 20, "a skip")
    assert hostile.paths().count("/echo") == 2


def test_prometheus_gets_text_and_packed(hostile: Hostile, tmp_path) -> None:
    declare(tmp_path, hostile.url, "probes:", HOME)
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    with serving(tmp_path) as service:
        answer = service.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"})
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert int(answer.headers["Content-Length"]) < len(answer.content) / 3
