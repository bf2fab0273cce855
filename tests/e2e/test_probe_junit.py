"""Does a CI job find the results of `sre probe run` in its JUnit file, and never older ones?"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.servers.hostile import Hostile

ROOT = Path(__file__).parents[2]
CONFIG = """
version: 1
shop: {name: shop, base_url: "URL", environment: test}
journeys:
  browse:
    steps: [{name: home, get: /}, {name: cart, get: /status/404}]
probes:
  - {name: good, kind: http, url: /}
  - {name: slow, kind: http, url: /delay?first=20, slow: 1ms}
  - {name: outside, kind: tcp, host: 10.1.2.3, port: 80}
"""


def run(home: Path, *words: str) -> tuple[int, str]:
    argv = [sys.executable, "-m", "sre", "probe", "run", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, cwd=home, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def home(hostile: Hostile, tmp_path: Path) -> Path:
    (tmp_path / "sre.yaml").write_text(CONFIG.replace("URL", hostile.url), encoding="utf-8")
    return tmp_path


def test_the_file_tells_what_the_screen_tells(home: Path) -> None:
    path = home / "reports" / "junit.xml"
    code, screen = run(home, "--junit", "reports/junit.xml")
    assert code == 5
    assert "outside" in screen
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in path.parent.iterdir()] == ["junit.xml"]
    suite = ElementTree.parse(path).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")
    found = {case.get("name"): case for case in suite}
    assert set(found) == {"good", "slow", "outside", "browse"}
    assert found["browse"].find("failure").get("type") == "status"  # type: ignore[union-attr]
    steps = [one.get("name") for one in found["browse"].iter("property")]
    assert steps == ["run_id", "step 1 home", "step 2 cart"]
    assert found["slow"].find("system-out") is not None
    assert "allow-list" in found["outside"].find("error").get("message")  # type: ignore


def test_an_old_file_does_not_outlive_a_run_that_fails(home: Path) -> None:
    path = home / "junit.xml"
    assert run(home, "good", "--junit", "junit.xml")[0] == 0
    assert path.exists()
    (home / "sre.yaml").write_text("version: 1\nshop: {}\n", encoding="utf-8")
    assert run(home, "good", "--junit", "junit.xml")[0] == 2
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_said_before_anything_is_sent(
    home: Path, hostile: Hostile
) -> None:
    hostile.reset_counts()
    (home / "file").write_text("", encoding="utf-8")
    code, screen = run(home, "good", "--junit", "file/junit.xml")
    assert code == 2
    assert "--junit file/junit.xml: " in screen
    assert hostile.requests == []
