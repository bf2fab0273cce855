"""Is the built wheel, with its extra `all`, enough for the demo on a machine without servers?"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*argv: str | Path, cwd: Path, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """A command in an environment that knows nothing of this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={**kept, "SRE_DEMO_BUNDLED": "1", "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def build(folder: Path) -> Path:
    pip = (sys.executable, "-m", "pip")
    built = run(*pip, "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("sre-*.whl")
    return wheel


def test_the_wheel_has_what_is_not_code(tmp_path: Path) -> None:
    names = zipfile.ZipFile(build(tmp_path)).namelist()
    for part in (
        "sre/data/dashboards/prometheus/", "sre/data/dashboards/grafana/", "sre/data/examples/",
        "sre/runbooks/", "sre/demo/templates/", "sre/demo/schema.sql", "sre/demo/declaration.yaml",
        "sre/loadtest/output/schema.json",
    ):  # fmt: skip
        assert any(name.startswith(part) for name in names), part
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


@pytest.mark.long
@pytest.mark.quiet
@pytest.mark.timeout(600)
def test_the_wheel_alone_plays_the_demo(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    wheel = build(private)
    assert run(sys.executable, "-m", "venv", private / "venv", cwd=private).returncode == 0
    python, sre = private / "venv/bin/python", private / "venv/bin/sre"
    done = run(python, "-m", "pip", "install", "-q", f"{wheel}[all]", cwd=private)
    assert done.returncode == 0, done.stderr
    before = {path.name for path in private.iterdir()}
    for _ in range(3):
        told = run(sre, "demo", "--once", "--dir", private / "demo", cwd=private)
        if "verdict: invalid" not in told.stdout:
            break
    assert told.returncode == 0, told.stdout + told.stderr
    assert "PostgreSQL 16" in told.stdout, "the system's server was to be hidden"
    assert "The loop held" in told.stdout
    assert "at step payment: status" in told.stdout
    assert "our own arithmetic" in told.stdout, "Prometheus was to be hidden"
    assert "passed: " in told.stdout, "the runbook restores"
    assert "RTO" in told.stdout
    assert (private / "demo" / "report.html").read_text().count("as planned") >= 9
    assert {path.name for path in private.iterdir()} == before | {"demo"}
