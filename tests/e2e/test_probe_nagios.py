"""Does a real Nagios show a probe's state, words and numbers, and is every end one of its codes?"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers.hostile import Hostile
from tests.servers.nagios import running_nagios
from tests.servers.net import free_port, wait_until

ROOT = Path(__file__).parents[2]
PERFDATA = re.compile(r"(?:[A-Za-z0-9_.-]+|'[^'=|]+')=(?:U|-?[0-9.]+)(?:s|B|c|%)?(?:;[0-9.]*){0,4}")

CONFIG = """
version: 1
shop: {name: shop, base_url: "URL", environment: test}
targets: {allow: ["127.0.0.1:*"]}
journeys:
  browse:
    steps:
      - {name: first_page, get: /status/200}
      - {name: odd-name, get: /status/200}
      - {name: redirected, get: "/redirect?to=/"}
  long:
    timeout: 10m
    steps: [{name: one, get: /status/200}]
probes:
  - {name: good, kind: http, url: /status/200, slow: 5s}
  - {name: slow, kind: http, url: /delay?first=20, slow: 1ms}
  - {name: broken, kind: http, url: /status/500}
  - {name: dead, kind: tcp, host: 127.0.0.1, port: DEAD}
  - {name: outside, kind: tcp, host: 10.1.2.3, port: 80}
  - {name: machine, kind: host, timeout: 10s}
  - {name: hangs, kind: http, url: /delay?first=30000, timeout: 30s}
"""


@pytest.fixture
def home(hostile: Hostile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    text = CONFIG.replace("URL", hostile.url).replace("DEAD", str(free_port()))
    (folder / "sre.yaml").write_text(text, encoding="utf-8")
    return folder


def plugin(home: Path, *words: str) -> tuple[int, str]:
    argv = [sys.executable, "-m", "sre", "probe", "nagios", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, cwd=home, env=env, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stdout.encode()) <= 8192
    first = done.stdout.splitlines()[0]
    text, _, numbers = first.partition(" | ")
    assert "|" not in text
    rest = re.sub(PERFDATA, "", numbers)
    assert rest.strip() == "", f"no performance data: {rest!r}"
    return done.returncode, done.stdout


def test_nagios_shows_what_the_probes_found(home: Path, tmp_path: Path) -> None:
    def line(name: str) -> str:
        call = [sys.executable, "-m", "sre", "probe", "nagios", name]
        return shlex.join([*call, "--config", str(home / "sre.yaml")])

    example = (ROOT / "examples" / "nagios.cfg").read_text(encoding="utf-8")
    for old, new in {
        "/usr/local/bin/sre": f"{sys.executable} -m sre",
        "/etc/sre/sre.yaml": str(home / "sre.yaml"),
        "check_sre!home": "check_sre!good",
    }.items():
        assert old in example
        example = example.replace(old, new)
    names = ("good", "slow", "broken", "browse", "outside", "machine")
    with running_nagios(
        tmp_path, {name: line(name) for name in names}, more=example,
        env={"PYTHONPATH": str(ROOT)},
    ) as nagios:  # fmt: skip
        wait_until(lambda: len(nagios.services()) == len(names) + 1, 50, "all seven checks")
        found = nagios.services()
    assert found.pop("Shop: home page")["plugin_output"].startswith("GOOD OK - ")
    states = {name: one["current_state"] for name, one in found.items()}
    assert states == {"good": "0", "slow": "1", "broken": "2", "browse": "0", "outside": "3",
                      "machine": "0"}  # fmt: skip
    assert re.fullmatch(r"GOOD OK - good in \d+ ms", found["good"]["plugin_output"].strip())
    assert re.match(r"time=0\.\d+s;5;5;0", found["good"]["performance_data"])
    assert found["slow"]["plugin_output"].startswith("SLOW WARNING - slow: took 0.0")
    assert re.match(r"time=0\.\d+s;0\.001;5;0", found["slow"]["performance_data"])
    assert found["broken"]["plugin_output"].startswith("BROKEN CRITICAL - status: ")
    assert "allow-list" in found["outside"]["plugin_output"]
    browse = found["browse"]
    assert browse["plugin_output"].startswith("BROWSE OK - 4 requests in ")
    assert "first_page=0." in browse["performance_data"]
    assert "odd-name=0." in browse["performance_data"]
    assert "first_page ok 200 in " in browse["long_plugin_output"]
    assert "'cpu_seconds_total user'=" in found["machine"]["performance_data"]


@pytest.mark.parametrize(
    ("words", "code", "beginning"),
    [
        (("good",), 0, "GOOD OK - "),
        (("slow",), 1, "SLOW WARNING - "),
        (("dead",), 2, "DEAD CRITICAL - connect: "),
        (("outside",), 3, "OUTSIDE UNKNOWN - blocked: "),
        (("nobody",), 3, "NOBODY UNKNOWN - no probe named 'nobody'"),
        ((), 3, "SRE UNKNOWN - Missing argument"),
        (("good", "--wrong"), 3, "SRE UNKNOWN - No such option"),
        (("good", "--timeout", "soon"), 3, "GOOD UNKNOWN - --timeout: expected a duration"),
        (("good", "--config", "none.yaml"), 3, "GOOD UNKNOWN - none.yaml: no such file"),
        (("long", "--timeout", "20"), 3, "LONG UNKNOWN - the journey may take"),
        (("hangs", "--timeout", "4s"), 2, "HANGS CRITICAL - timeout: "),
    ],
)
def test_every_end_has_its_code(
    home: Path, words: tuple[str, ...], code: int, beginning: str
) -> None:
    found, text = plugin(home, *words)
    assert (found, text.startswith(beginning)) == (code, True), text


def test_a_configuration_with_several_problems_is_one_line(home: Path, tmp_path: Path) -> None:
    (tmp_path / "sre.yaml").write_text("version: 1\nshop: {}\nprobes: [{kind: htp}]\n")
    code, text = plugin(tmp_path, "good")
    assert (code, len(text.splitlines())) == (3, 1)
    assert text.startswith("GOOD UNKNOWN - ")


def test_there_is_a_line_in_time_even_when_everything_hangs(home: Path, tmp_path: Path) -> None:
    """A FIFO as the configuration: reading it never ends."""
    os.mkfifo(tmp_path / "sre.yaml")
    began = time.monotonic()
    code, text = plugin(tmp_path, "good", "--timeout", "3s")
    assert (code, text) == (3, "GOOD UNKNOWN - no result within 3 s\n")
    assert time.monotonic() - began < 6
