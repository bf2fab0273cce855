"""Does every query of every panel return data, from a real Prometheus that scrapes a real shop?"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from sre.cli.slo import promises_of, slo
from sre.settings import load_settings
from sre.slo.rules import rule_file
from tests.e2e.test_slo_cli import call
from tests.servers.child import child
from tests.servers.demo import DemoShop
from tests.servers.net import wait_until
from tests.servers.prometheus import Prometheus, Scraping
from tests.unit.slo.demo_settings import write_demo

pytestmark = pytest.mark.prometheus

COMMITTED = Path(__file__).parents[2] / "dashboards"


@contextmanager
def probing(home: Path) -> Iterator[str]:
    """`sre probe serve` on the declaration in `home`; HOST:PORT of its metrics."""
    argv = [sys.executable, "-m", "sre", "probe", "serve", "--web.listen-address", "127.0.0.1:0"]
    env = {"PYTHONPATH": str(Path.cwd()), "PYTHONUNBUFFERED": "1"}
    with child(argv, home=home, env=env, grace=30) as process:
        log = home / "log"

        def listening() -> str | None:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            words = log.read_text(encoding="utf-8").split()
            return next((word for word in words if word.startswith("http://")), None)

        yield (wait_until(listening, 30, "the address") or "").removeprefix("http://")


@dataclass(frozen=True)
class Watched:
    """The demo's shop, probed each second or two, and where its metrics are."""

    config: Path
    rules: Path
    metrics: str


@pytest.fixture
def watched(demo_shop: DemoShop, tmp_path: Path) -> Iterator[Watched]:
    port = int(conninfo_to_dict(demo_shop.dsn)["port"] or 0)
    config = write_demo(tmp_path, fast=True, shop=demo_shop.url, database_port=port)
    rules = tmp_path / "demo.rules.yml"
    rules.write_text(rule_file(promises_of(load_settings(config))), encoding="utf-8")
    with probing(tmp_path) as metrics:
        yield Watched(config, rules, metrics)


def queries() -> Iterator[tuple[str, str]]:
    """Where each query stands, and its PromQL; there are no variables but the data source."""
    for path in sorted((COMMITTED / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                assert "$" not in target["expr"]
                yield f"{path.name}: {panel['title']}: {target['legendFormat']}", target["expr"]


def has_number(prom: Prometheus, expr: str) -> bool:
    return any(not math.isnan(float(row["value"][1])) for row in prom.query(expr))


@pytest.mark.parametrize("loaded", [True, False], ids=["rules", "no rules"])
def test_every_query_of_every_panel_returns_data(
    watched: Watched, prometheus_scraping: Scraping, loaded: bool
):
    asked = list(queries())
    assert len(asked) > 40
    rules = [watched.rules] if loaded else []
    with prometheus_scraping(watched.metrics, rules=rules) as prom:
        prom.wait_for("increase(sre_probe_attempts_total[1m]) > 0", 60)
        for where, expr in asked:
            wait_until(lambda expr=expr: has_number(prom, expr), 30, where)
        assert [rule for rule in prom.rules() if rule["health"] == "err"] == []


def status(watched: Watched, prom: Prometheus, *words: str) -> tuple[int, str]:
    return call(slo, "status", "--config", str(watched.config), "--prometheus", prom.url, *words)


def test_a_broken_checkout_pages_with_production_windows(
    watched: Watched, prometheus_scraping: Scraping, demo_shop: DemoShop
):
    left = 'slo:period_error_budget_remaining:ratio{sloth_slo="checkout-available"}'
    page = 'ALERTS{sloth_slo="checkout-available",window="1h",alertstate="firing"}'
    with prometheus_scraping(watched.metrics, rules=[watched.rules]) as prom:
        prom.wait_for(f"{left} == 1", 60)
        for about in ("checkout-fast", "api-checkout-available"):
            for record in ("period_error_budget_remaining:ratio", "sli_error:ratio_rate5m"):
                prom.wait_for(f'slo:{record}{{sloth_slo="{about}"}}', 60)
        code, said = status(watched, prom, "--format", "json")
        assert code == 0, said
        one = json.loads(said)["objectives"][0]
        assert (one["name"], one["state"], one["sli"]) == ("checkout-available", "ok", 1.0)
        with demo_shop.fault("payment"):
            (alert,) = prom.wait_for(page, 60)
        assert alert["metric"]["severity"] == "page"
        assert alert["metric"]["journey"] == "checkout"
        code, said = status(watched, prom)
        assert code == 1
        assert "firing: CheckoutAvailableBudgetBurn (page, 1h)" in said
        assert not prom.query('ALERTS{alertname="CheckoutAvailableNoData"}')
