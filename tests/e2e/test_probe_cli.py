"""Does `sre probe run` do for a user what the documents say? The real program, real targets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers.child import clean_environment
from tests.servers.hostile import Hostile
from tests.servers.net import Canary, free_port, wait_until

SRE = [sys.executable, "-m", "sre"]
PLANTED = "s3cr3t-Planted/+value"


def declared(home: Path, base: str, *lines: str) -> Path:
    text = ["version: 1", f'shop: {{name: test, base_url: "{base}"}}', *lines]
    home.joinpath("sre.yaml").write_text("\n".join(text) + "\n", encoding="utf-8")
    return home


def sre(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SRE, *words],
        cwd=home,
        env=clean_environment(home) | {"PYTHONPATH": str(Path.cwd())} | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_json(home: Path, *words: str, **env: str) -> tuple[int, dict[str, Any]]:
    done = sre(home, "probe", "run", *words, "--format", "json", **env)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


PROBES = (
    "probes:",
    "  - {name: good, kind: http, url: /status/200}",
    "  - {name: bad, kind: http, url: /status/500}",
    "  - {name: busy, kind: http, url: /status/429}",
    '  - {name: slow, kind: http, url: "/delay?first=300", slow: 100ms}',
)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good"], 0),
        (["bad"], 1),
        (["busy"], 4),
        (["slow"], 3),
        (["slow", "busy"], 4),
        (["good", "slow", "busy", "bad"], 1),
        ([], 1),
    ],
)
def test_exit_codes(names, code, hostile: Hostile, tmp_path):
    home = declared(tmp_path, hostile.url, *PROBES)
    done, document = run_json(home, *names)
    assert done == code
    assert [one["probe"] for one in document["results"]] == names or len(names) == 0


def test_the_document_for_others(hostile: Hostile, tmp_path):
    home = declared(
        tmp_path, hostile.url, "probes:",
        '  - {name: moved, kind: http, url: "/redirect?to=/status/200"}',
    )  # fmt: skip
    code, document = run_json(home)
    assert (code, document["schema"]) == (0, "sre.probe-run/1")
    [result] = document["results"]
    assert (result["outcome"], result["reason"]) == ("ok", "")
    assert [row["status"] for row in result["steps"]] == [302, 200]
    for row in result["steps"]:
        assert set(row["phases"]) <= {"resolve", "connect", "tls", "processing", "transfer"}
        assert row["seconds"] >= 0


def test_text_on_stdout_and_nothing_on_stderr(hostile: Hostile, tmp_path):
    done = sre(declared(tmp_path, hostile.url, *PROBES), "probe", "run", "good", "bad")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "expected status 200..399, got 500" in done.stdout
    assert "\033" not in done.stdout


def test_a_wrong_name_is_exit_2_with_a_suggestion(hostile: Hostile, tmp_path):
    done = sre(declared(tmp_path, hostile.url, *PROBES), "probe", "run", "goood")
    assert done.returncode == 2
    assert "did you mean 'good'?" in done.stderr
    assert hostile.connections == 0


def test_a_journey_is_a_probe_of_its_own_name(hostile: Hostile, tmp_path):
    home = declared(
        tmp_path, hostile.url, "journeys:", "  browse:", "    steps:",
        "      - {name: home, get: /}", "      - {name: fails, get: /status/503}",
        "      - {name: never, get: /}",
    )  # fmt: skip
    code, document = run_json(home, "browse")
    assert code == 1
    [result] = document["results"]
    assert result["message"].startswith("fails: ")
    assert [row["step"] for row in result["steps"]] == ["home", "fails"]


@pytest.mark.parametrize(
    "probe",
    [
        "{name: x, kind: http, url: 'http://127.0.0.1:PORT/'}",
        "{name: x, kind: http, url: 'http://2130706433:PORT/'}",
        "{name: x, kind: tcp, host: localhost, port: PORT}",
        "{name: x, kind: tls, host: 127.0.0.1, port: PORT}",
    ],
)
def test_what_is_not_allowed_is_exit_5_and_nothing_was_sent(probe, tmp_path):
    with Canary() as canary:
        home = declared(
            tmp_path, "https://shop.example.com", "probes:",
            f"  - {probe.replace('PORT', str(canary.port))}",
        )  # fmt: skip
        code, document = run_json(home)
        assert canary.connections == 0
    assert (code, document["results"][0]["outcome"]) == (5, "blocked")


def test_a_redirect_to_what_is_not_allowed_is_exit_5(hostile: Hostile, tmp_path):
    with Canary() as canary:
        home = declared(
            tmp_path, hostile.url, "probes:",
            f'  - {{name: x, kind: http, url: "/redirect?to={canary.url}/"}}',
        )  # fmt: skip
        code, _ = run_json(home)
        assert canary.connections == 0
    assert code == 5


def test_our_own_failure_is_exit_8(hostile: Hostile, tmp_path):
    home = declared(
        tmp_path, hostile.url, "journeys:", "  login:",
        '    vars: {pin: {secret: true, value: "${env:NO_SUCH_PIN}"}}', "    steps:",
        '      - {name: login, post: /echo, form: {pin: "${pin}"}}',
    )  # fmt: skip
    code, document = run_json(home, "login")
    assert code == 8
    [result] = document["results"]
    assert (result["outcome"], result["reason"]) == ("failed", "prober")
    assert "NO_SUCH_PIN" in result["message"]
    assert hostile.connections == 0


def test_a_planted_secret_comes_out_nowhere(hostile: Hostile, tmp_path):
    home = declared(
        tmp_path, hostile.url, "journeys:", "  login:",
        '    vars: {pin: {secret: true, value: "${env:PIN}"}}', "    steps:",
        '      - {name: login, post: /echo, form: {pin: "${pin}"}, expect: {matches: "^never$"}}',
        "probes:",
        '  - {name: api, kind: http, url: /echo,'
        ' headers: {X-Api-Key: {secret: true, value: "${env:PIN}"}},'
        ' expect: {contains: "never ${env:PIN}"}}',
        '  - {name: bearer, kind: http, url: /echo,'
        ' headers: {Authorization: "Bearer ${env:PIN}"}, expect: {matches: "^never$"}}',
    )  # fmt: skip
    for how in (["--format", "json"], ["--log-level", "debug"], ["--log-format", "json"]):
        done = sre(home, "probe", "run", *how, PIN=PLANTED)
        assert done.returncode == 1, done.stderr
        assert "lanted" not in done.stdout + done.stderr
    assert any(PLANTED in str(seen.headers) for seen in hostile.requests), "it was really sent"


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_journey_still_cleans_up(which, code, hostile: Hostile, tmp_path):
    home = declared(
        tmp_path, hostile.url, "journeys:", "  checkout:", "    steps:",
        "      - {name: order, get: /json, extract: {order: {url: '(json)'}}}",
        '      - {name: wait, get: /status/404, until: {expect: {status: 200}, every: 200ms, '
        "within: 25s}}",
        "    cleanup:", '      - {name: cancel, post: "/echo?cancel=${order}", when: order}',
    )  # fmt: skip
    process = subprocess.Popen(
        [*SRE, "probe", "run", "checkout"],
        cwd=home,
        env=clean_environment(home) | {"PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        wait_until(lambda: "/status/404" in hostile.paths(), 20, "the run to wait")
        began = time.monotonic()
        process.send_signal(which)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code, err
    assert time.monotonic() - began < 5
    assert any(seen.path == "/echo" for seen in hostile.requests), "the cleanup step ran"
    assert "Traceback" not in err
    assert out == ""


def test_nothing_listens(tmp_path):
    home = declared(
        tmp_path, f"http://127.0.0.1:{free_port()}", "probes:",
        "  - {name: home, kind: http, url: /}",
    )  # fmt: skip
    code, document = run_json(home)
    assert code == 1
    assert document["results"][0]["reason"] == "connect"
