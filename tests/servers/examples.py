"""Does the example of a kind run against a real server, and is what it serves well formed?"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import requests

from sre.core.metrics import describe
from sre.probes.catalogue import metrics_of
from sre.probes.model import Check
from sre.settings import load_settings
from tests.servers.child import child, program
from tests.servers.net import wait_until

__all__ = ["EXAMPLES", "check_metrics", "prepared", "run_example", "serve_example", "serving"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "kinds"


def prepared(kind: str, home: Path, replace: Mapping[str, str]) -> Path:
    """`examples/kinds/KIND.yaml` in `home` as sre.yaml, each text of `replace` replaced.

    Every text must stand in the example: a test that replaces nothing tests something else.
    """
    text = (EXAMPLES / f"{kind}.yaml").read_text(encoding="utf-8")
    for old, new in replace.items():
        assert old in text, f"{old!r} does not stand in the example of {kind}"
        text = text.replace(old, new)
    path = home / "sre.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run_example(
    kind: str,
    home: Path,
    replace: Mapping[str, str],
    env: Mapping[str, str] | None = None,
    *names: str,
) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of `sre probe run` on the example, with ports and paths replaced."""
    config = prepared(kind, home, replace)
    words = ["probe", "run", *names, "--config", str(config), "--format", "json"]
    done = run(
        [sys.executable, "-m", "sre", *words],
        capture_output=True, text=True, cwd=home, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@contextmanager
def serve_example(
    kind: str, home: Path, replace: Mapping[str, str], env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The text of /metrics of `sre probe serve` on the example, once its probes have run.

    promtool has nothing to say about it, and every name and label set is in the catalogue.
    """
    prepared(kind, home, replace)
    with serving(home, **(env or {})) as url:

        def scraped() -> str:
            found = requests.get(f"{url}/metrics", timeout=10).text
            return found if "\nsre_probe_last_run_timestamp_seconds{" in found else ""

        metrics = wait_until(scraped, 60, "a first run of the example")
        check_metrics(metrics, _checks(home / "sre.yaml", env or {}))
        yield metrics


@contextmanager
def serving(home: Path, **env: str) -> Iterator[str]:
    """The address of `sre probe serve` on home/sre.yaml."""
    argv = [sys.executable, "-m", "sre", "probe", "serve", "--web.listen-address", "127.0.0.1:0"]
    wanted = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **env}
    with child(argv, home=home, env=wanted, grace=20) as process:
        log = home / "log"

        def listening() -> str | None:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            lines = log.read_text(encoding="utf-8").splitlines()
            return next((x.split()[-1] for x in lines if x.startswith("listening on ")), None)

        yield wait_until(listening, 20, "the address") or ""


def _checks(path: Path, env: Mapping[str, str]) -> Sequence[Check]:
    """What the example declares: some kinds let the declaration name metrics."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        return load_settings(path).probes


def check_metrics(text: str, checks: Sequence[Check] = ()) -> None:
    """promtool, and the catalogue: names, types and label sets."""
    told = run(
        [program("promtool"), "check", "metrics"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stdout + told.stderr) == (0, "")
    from prometheus_client.parser import text_string_to_metric_families

    known = metrics_of(checks)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("sre_"):
                info = describe(sample.name, known)
                labels = set(sample.labels) - {"le"}
                assert labels == set(info.labels), sample
