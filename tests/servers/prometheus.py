"""What does a real Prometheus make of our metrics, and promtool of our rules?"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Prometheus", "Scraping", "prometheus", "prometheus_scraping", "promtool"]

Scraping = Callable[..., AbstractContextManager["Prometheus"]]


class Prometheus:
    """A running Prometheus that one may ask."""

    def __init__(self, port: int, home: Path) -> None:
        self.port = port
        self.home = home
        self.url = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query: [{"metric": {...}, "value": [time, "text"]}, ...]."""
        answer = self._get("query", query=expression)
        if answer["resultType"] in ("scalar", "string"):
            return [{"metric": {}, "value": answer["result"]}]
        return list(answer["result"])

    def value(self, expression: str) -> float:
        """The number of a query that has exactly one result."""
        result = self.query(expression)
        if len(result) != 1:
            raise AssertionError(f"{expression}: one result expected, found {result}")
        return float(result[0]["value"][1])

    def wait_for(self, expression: str, seconds: float = 10) -> list[dict[str, Any]]:
        """The first result that is not empty; a comparison filters, so `x > 3` waits for it."""
        return wait_until(lambda: self.query(expression), seconds, f"a result of {expression}")

    def targets(self) -> list[dict[str, Any]]:
        """The scraped targets with health and lastError."""
        return list(self._get("targets", state="active")["activeTargets"])

    def rules(self) -> list[dict[str, Any]]:
        """Every rule of every group with health, lastError and, for alerts, state."""
        groups = self._get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def metadata(self) -> dict[str, Any]:
        """By metric name: type and help as they were scraped."""
        return dict(self._get("metadata"))

    def ready(self) -> bool:
        return requests.get(f"{self.url}/-/ready", timeout=2).status_code == 200

    def _get(self, what: str, **params: str) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{what}", params=params, timeout=5).json()
        if answer.get("status") != "success":
            raise AssertionError(f"Prometheus said {answer}")
        return answer["data"]


def _configuration(
    targets: Sequence[str], interval: str, scrape: Mapping[str, Any], rules: Sequence[Path]
) -> dict[str, Any]:
    job = {"job_name": "test", "static_configs": [{"targets": list(targets)}], **scrape}
    return {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "rule_files": [str(path.resolve()) for path in rules],
        "scrape_configs": [job],
    }


@contextmanager
def _running(
    home: Path,
    *targets: str,
    interval: str = "1s",
    scrape: Mapping[str, Any] | None = None,
    rules: Sequence[Path] = (),
) -> Iterator[Prometheus]:
    binary = program("prometheus")
    home.mkdir(parents=True, exist_ok=True)
    config = home / "prometheus.yml"
    # JSON is YAML: no writer of our own is needed.
    made = _configuration(targets, interval, scrape or {}, rules)
    config.write_text(json.dumps(made), encoding="utf-8")
    port = free_port()
    argv = [
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
        # Discovery tells of its targets only every 5 s; at least do not wait for two such ticks.
        "--scrape.discovery-reload-interval=100ms",
        "--storage.tsdb.retention.time=1h",
    ]
    with child(argv, home=home) as process:
        server = Prometheus(port, home)

        def up() -> bool:
            if process.poll() is not None:
                log = (home / "log").read_text(encoding="utf-8", errors="replace")
                pytest.fail(f"prometheus ended with {process.returncode}:\n{log[-3000:]}")
            return server.ready()

        wait_until(up, 20, "prometheus to be ready")
        yield server


@pytest.fixture
def prometheus_scraping(tmp_path_factory: pytest.TempPathFactory) -> Scraping:
    """`with prometheus_scraping("127.0.0.1:PORT", interval="1s") as prom:` as often as wanted.

    Ready in 0.1 s, but the first scrape comes after 5 s, fixed in Prometheus itself.
    Further: several targets, scrape={"metrics_path": ..., "params": ...}, rules=[files].
    """
    program("prometheus")

    def start(*targets: str, **options: Any) -> AbstractContextManager[Prometheus]:
        return _running(tmp_path_factory.mktemp("prometheus"), *targets, **options)

    return start


@pytest.fixture
def prometheus(prometheus_scraping: Scraping) -> Scraping:
    """The same factory under its short name."""
    return prometheus_scraping


def promtool(
    *arguments: str,
    input: str | None = None,  # noqa: A002 - as in subprocess.run
) -> subprocess.CompletedProcess[str]:
    """Run promtool; `promtool("check", "metrics", input=text)` reads the exposition from input."""
    started = time.monotonic()
    done = subprocess.run(
        [program("promtool"), *arguments],
        input=input if input is not None else "",
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if done.returncode < 0:
        seconds = time.monotonic() - started
        raise AssertionError(f"promtool was killed by {-done.returncode} after {seconds:.1f} s")
    return done
