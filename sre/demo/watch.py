"""Who watches the demo's shop, and when does the alert fire?

`sre probe serve` probes and serves metrics; Prometheus, where installed, scrapes it each second
and evaluates the very rules of `sre slo rules`. Without Prometheus the same burn-rate arithmetic
runs here, on the same metrics (a test of the slo wing holds the two to the same answers).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sre.core.clock import Deadline
from sre.core.errors import Transient
from sre.core.process import Child, run
from sre.demo.ports import HOST, free_port
from sre.demo.stage import Stage
from sre.slo.burn import Sample, burn_rates
from sre.slo.model import Objective

__all__ = ["Alerts", "Watch", "watching"]

_START_SECONDS = 30.0


class Alerts(Protocol):
    """Something that evaluates the alert rules."""

    name: str

    def firing(self) -> list[str]:
        """Names of the alerts that fire now and would page. Ask about once a second."""
        ...


@dataclass
class Watch:
    """The running probes, and who evaluates the alerts.

    Attributes:
        url: of `sre probe serve`: the status page is there.
        seen: (seconds since the epoch, good runs, bad runs) of checkout so far, at each look.
    """

    url: str
    alerts: Alerts
    seen: list[tuple[float, int, int]] = field(default_factory=list)

    def look(self) -> tuple[int, int]:
        """Good and bad runs of checkout so far."""
        good, bad = _counts(self.url)
        self.seen.append((time.time(), good, bad))
        return good, bad

    def wait_for_good(self, runs: int, seconds: float) -> None:
        """Until checkout has been bought `runs` more times. Raises Transient."""
        first, end = self.look()[0], time.monotonic() + seconds
        while self.look()[0] < first + runs:
            if time.monotonic() > end:
                raise Transient(f"checkout was not good {runs} times within {seconds:.0f} s")
            time.sleep(0.25)


@contextlib.contextmanager
def watching(stage: Stage, objective: Objective) -> Iterator[Watch]:
    """Start the probes and, where it is installed, Prometheus; end both on exit.

    Raises:
        Transient: one of them does not start.
    """
    with contextlib.ExitStack() as stack:
        url = _serve(stage, stack)
        program = shutil.which("prometheus")
        hidden = os.environ.get("SRE_DEMO_BUNDLED")
        alerts: Alerts
        if program and not hidden:
            alerts = _prometheus(stage, stack, program, url)
        else:
            alerts = OwnAlerts(url, objective)
        watch = Watch(url, alerts)
        done = threading.Event()
        looking = threading.Thread(target=_look, args=(watch, done), name="demo looks", daemon=True)
        looking.start()
        stack.callback(looking.join, 10)
        stack.callback(done.set)
        yield watch


def _look(watch: Watch, done: threading.Event) -> None:
    while not done.wait(0.5):
        with contextlib.suppress(OSError):
            watch.look()


def _serve(stage: Stage, stack: contextlib.ExitStack) -> str:
    log = stage.folder / "probes.log"
    log.unlink(missing_ok=True)
    address = f"{HOST}:{free_port(9115)}"
    argv = [
        sys.executable, "-m", "sre", "probe", "serve", "--web.listen-address", address,
        "--config", str(stage.config.resolve()),
    ]  # fmt: skip
    env = {"SRE_STATE": str(stage.state.resolve())}
    child = Child(argv, env=env, stdout=log, stderr=log)
    stack.enter_context(child)
    url = f"http://{address}"
    _until_answers(f"{url}/-/ready", child, log)
    return url


def _until_answers(url: str, child: Child, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and child.poll() is None:
        with contextlib.suppress(OSError):
            _get(url)
            return
        time.sleep(0.05)
    words = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
    raise Transient(f"{url} does not answer: {' | '.join(words)}")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  our own address
        body: bytes = answer.read()
        return body


def _counts(url: str) -> tuple[int, int]:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    good = bad = 0
    for family in text_string_to_metric_families(_get(f"{url}/metrics").decode()):
        for sample in family.samples if family.name == "sre_probe_attempts" else ():
            labels = sample.labels
            if sample.name != "sre_probe_attempts_total" or labels["probe"] != "checkout":
                continue
            if labels["outcome"] in ("ok", "degraded"):
                good += int(sample.value)
            elif labels["outcome"] == "failed" and labels["reason"] != "prober":
                bad += int(sample.value)
    return good, bad


class OwnAlerts:
    """The burn-rate rules of one objective, evaluated here."""

    name = "our own arithmetic (Prometheus is not installed)"

    def __init__(self, url: str, objective: Objective) -> None:
        self._url = url
        self._objective = objective
        self._samples: list[Sample] = []
        self._before = (0, 0)

    def firing(self) -> list[str]:
        good, bad = _counts(self._url)
        now = time.time()
        more_good, more_bad = good - self._before[0], bad - self._before[1]
        self._before = (good, bad)
        self._samples.append(Sample(now, more_good, more_good + more_bad))
        burns = burn_rates(self._samples, now, self._objective, every=1.0)
        return [
            f"{self._objective.name}: {burn.pair.factor}x over {burn.pair.long // 3600}h"
            for burn in burns
            if burn.fires and burn.pair.severity == "page"
        ]


class PrometheusAlerts:
    """The generated rules, evaluated by a real Prometheus."""

    name = "Prometheus"

    def __init__(self, url: str) -> None:
        self._url = url

    def firing(self) -> list[str]:
        data: dict[str, Any] = json.loads(_get(f"{self._url}/api/v1/alerts"))
        return sorted(
            {
                str(alert["labels"]["alertname"])
                for alert in data["data"]["alerts"]
                if alert["state"] == "firing" and alert["labels"].get("severity") == "page"
            }
        )


def _prometheus(
    stage: Stage, stack: contextlib.ExitStack, program: str, probes: str
) -> PrometheusAlerts:
    folder = (stage.folder / "prometheus").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    stack.callback(shutil.rmtree, folder / "data", ignore_errors=True)
    words = ["slo", "rules", "--out", str(folder), "--config", str(stage.config)]
    done = run([sys.executable, "-m", "sre", *words], Deadline.after(60))
    if not done.ok:
        raise Transient(f"sre slo rules: {done.stderr.strip()}")
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{folder}/*.rules.yml']\n"
        f"scrape_configs: [{{job_name: sre, static_configs: [{{targets: ['{probes[7:]}']}}]}}]\n"
    )
    address = f"{HOST}:{free_port()}"
    argv = [
        program, f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}", "--log.level=warn",
    ]  # fmt: skip
    child = Child(argv, cwd=folder, stdout=folder / "log", stderr=folder / "log")
    stack.enter_context(child)
    _until_answers(f"http://{address}/-/ready", child, folder / "log")
    return PrometheusAlerts(f"http://{address}")
