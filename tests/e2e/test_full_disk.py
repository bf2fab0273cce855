"""When the disk is full, does each command say so, and leave nothing that looks whole?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.servers.examples import serving
from tests.servers.net import wait_until

CONFIG = """
version: 1
shop: {name: shop, base_url: "http://127.0.0.1:9", environment: staging}
journeys: {home: {steps: [{name: home, get: /}]}}
objectives: [{name: home-up, journey: home, target: 99%, owner: shop, runbook: checkout-failing}]
loadtests: {smoke: {mix: {home: 30/s}, stages: [{hold: 1s}], thresholds: ["home.failed < 1%"]}}
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk without a byte to spare."""
    (tmp_path / "sre.yaml").write_text(CONFIG)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], check=True)
    try:
        _fill(disk / "fill")
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["slo", "rules", "--tests", "--out"], 2, id="rules"),
        pytest.param(["dashboards", "build", "--out"], 2, id="dashboards"),
        pytest.param(["backup", "keys", "new", "--out"], 2, id="keys"),
        pytest.param(["loadtest", "run", "smoke", "--out"], 1, id="loadtest"),  # no shop
        pytest.param(["demo", "--once", "--dir"], 4, id="demo"),
    ],
)
def test_a_full_disk_is_named_and_nothing_looks_whole(
    full: Path, words: list[str], code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sre", *words, str(full / "out")],
        cwd=full.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-1]
    left = [p.name for p in full.rglob("*") if p.is_file() and p.name not in ("fill", "lock")]
    assert [name for name in left if not name.endswith(".log")] == []


def test_the_watch_goes_on_where_its_state_cannot_be_kept(full: Path) -> None:
    text = f"{CONFIG}probes: [{{name: m, kind: host, every: 1s}}]\n"
    (full.parent / "sre.yaml").write_text(text)
    with serving(full.parent, SRE_STATE=str(full / "state")) as url:

        def shown(path: str, words: str) -> bool:
            return words in requests.get(f"{url}{path}", timeout=5).text

        wait_until(lambda: shown("/metrics", 'sre_probe_up{probe="m"} 1'), 20, "a verdict")
        wait_until(lambda: shown("/", "history cannot be saved"), 20, "the page's own word")


def test_a_junit_file_that_cannot_be_written_is_named(full: Path) -> None:
    (full.parent / "sre.yaml").write_text(f"{CONFIG}probes: [{{name: m, kind: host}}]\n")
    done = subprocess.run(
        [sys.executable, "-m", "sre", "probe", "run", "m", "--junit", str(full / "j.xml")],
        cwd=full.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr
    assert [path.name for path in full.iterdir()] == ["fill"]
