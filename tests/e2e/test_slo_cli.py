"""Does `sre slo` write, judge and read what it says, and end with the documented codes?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import click
import pytest
from click.testing import CliRunner

from sre.cli.dashboards import dashboards
from sre.cli.slo import slo
from sre.core.errors import Transient, UsageError
from tests.servers.net import free_port
from tests.servers.prometheus import promtool

OBJECTIVE = (
    "  - {{name: {name}, {about}, target: {target}, owner: shop, runbook: checkout-failing}}"
)
HEAD = """\
version: 1
shop: {name: My Shop, base_url: "http://127.0.0.1:9", environment: staging}
links: {runbooks: "https://git.example.com/runbooks", dashboards: "https://grafana.example.com/d"}
probes:
  - {name: home, kind: http, url: /, every: 30s}
  - {name: again, kind: journey, journey: browse, every: 30s}
journeys:
  browse:
    every: 15s
    steps: [{name: front, get: /}]
  never:  # places orders, so it runs only when told how often
    side_effects: order
    budget: 60/h
    steps: [{name: front, get: /, sandbox: true}]
  shy:
    every: 60s
    steps: [{name: front, get: /}]
objectives:
"""


def declare(folder: Path, *objectives: tuple[str, str, str]) -> Path:
    lines = [OBJECTIVE.format(name=n, about=a, target=t) for n, a, t in objectives]
    path = folder / "sre.yaml"
    path.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def call(command: click.Command, *words: str) -> tuple[int, str]:
    """Exit code and standard output; an error of ours is raised."""
    done = CliRunner().invoke(command, list(words), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return int(done.return_value or 0), done.stdout


GOOD = (
    ("home-up", "probe: home", "99%"),
    ("browse-up", "journey: browse", "99.5%"),
    ("front-fast", "step: browse/front, below: 250ms", "99%"),
)


@pytest.mark.prometheus
def test_rules_and_their_tests_are_written_where_asked(tmp_path: Path):
    config = str(declare(tmp_path, GOOD[2]))
    code, said = call(slo, "rules", "--config", config, "--out", str(tmp_path / "o"), "--tests")
    rules, tests = tmp_path / "o" / "My-Shop.rules.yml", tmp_path / "o/tests/My-Shop_test.yaml"
    assert (code, said.split()) == (0, [str(rules), str(tests)])
    for words in (("check", "rules", str(rules)), ("test", "rules", str(tests))):
        done = promtool(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert call(slo, "rules", "--config", config) == (0, rules.read_text(encoding="utf-8"))
    with pytest.raises(UsageError, match="--out DIR"):
        call(slo, "rules", "--config", config, "--tests")


def test_all_probes_of_a_journey_are_its_events(tmp_path: Path):
    _, text = call(slo, "rules", "--config", str(declare(tmp_path, *GOOD)))
    assert 'probe=~"again|browse"' in text


def test_rules_refuse_what_nobody_watches(tmp_path: Path):
    config = str(declare(tmp_path, ("n", "journey: never", "99%")))
    with pytest.raises(UsageError, match="no probe runs 'never'"):
        call(slo, "rules", "--config", config)
    code, said = call(slo, "lint", "--config", config)
    assert code == 1
    assert "[unwatched]" in said
    config = str(declare(tmp_path))
    with pytest.raises(UsageError, match="no objectives"):
        call(slo, "rules", "--config", config)


def test_lint_names_the_place_the_trap_and_the_cure(tmp_path: Path):
    config = declare(tmp_path, *GOOD, ("strict", "journey: shy", "99.9%"))
    line = (
        config.read_text(encoding="utf-8")
        .splitlines()
        .index(next(x for x in config.read_text(encoding="utf-8").splitlines() if "strict" in x))
    )
    code, said = call(slo, "lint", "--config", str(config))
    assert code == 1
    assert f"sre.yaml:{line + 1}:5 error [low-volume] strict:" in said
    assert "run it each 25s or more often, or promise 99.76% or less" in said
    assert said.endswith("4 objectives, 1 error, 0 warnings\n")
    code, text = call(slo, "lint", "--config", str(config), "--format", "json")
    data = json.loads(text)
    assert (code, data["schema"], data["problems"][0]["line"]) == (1, "sre.slo-lint/1", line + 1)
    good = declare(tmp_path, *GOOD)
    assert call(slo, "lint", "--config", str(good)) == (0, "3 objectives, 0 errors, 0 warnings\n")


@contextmanager
def answering(status: int, body: bytes, hold: Event | None = None) -> Iterator[str]:
    """Something that is not Prometheus, at an address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)
            if hold is not None:
                self.wfile.flush()
                hold.wait(30)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://user:s3cret@127.0.0.1:{server.server_address[1]}"
    finally:
        if hold is not None:
            hold.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, b"busy", Transient),
        (503, b'{"status":"error","error":"query timed out"}', Transient),
        (429, b"slow down", Transient),
        (404, b"<html>", UsageError),
        (200, b"<html>", UsageError),
        (200, b'{"status":"success","data":{"resultType":"scalar"}}', UsageError),
        (200, b"[]", UsageError),
        (401, b"who are you", UsageError),
    ],
)
def test_status_says_what_is_wrong_with_prometheus(tmp_path: Path, status, body, error):
    config = str(declare(tmp_path, *GOOD))
    with answering(status, body) as url, pytest.raises(error) as caught:
        call(slo, "status", "--config", config, "--prometheus", url)
    assert "127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_status_waits_no_longer_than_asked(tmp_path: Path):
    config = str(declare(tmp_path, *GOOD))
    with (
        answering(200, b"{", Event()) as url,
        pytest.raises(Transient, match="does not answer"),
    ):
        call(slo, "status", "--config", config, "--prometheus", url, "--timeout", "0.3")
    nowhere = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Transient, match="does it run"):
        call(slo, "status", "--config", config, "--prometheus", nowhere)
    with pytest.raises(UsageError, match="address such as"):
        call(slo, "status", "--config", config, "--prometheus", "127.0.0.1:9090")


def test_dashboards_are_built_and_checked(tmp_path: Path):
    config = str(declare(tmp_path, *GOOD))
    out = tmp_path / "out"
    code, said = call(dashboards, "build", "--config", config, "--out", str(out))
    assert (code, len(said.split())) == (0, 2)
    code, said = call(dashboards, "check", str(out))
    assert code == 1
    assert "nobody exports or records 'slo:sli_error:ratio_rate30d'" in said
    call(slo, "rules", "--config", config, "--out", str(out), "--tests")
    assert call(dashboards, "check", str(out))[0] == 0
    storefront = out / "storefront.json"
    storefront.write_text(storefront.read_text().replace("sre_probe_up", "sre_probe_upp"))
    code, said = call(dashboards, "check", str(out), "--format", "json")
    data = json.loads(said)
    assert (code, data["schema"]) == (1, "sre.dashboards/1")
    assert "sre_probe_upp" in data["problems"][0]["message"]
    with pytest.raises(UsageError, match="is not a dashboard"):
        storefront.write_text("{}")
        call(dashboards, "check", str(storefront))
