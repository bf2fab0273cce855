"""Do the demo's own journeys pass on the demo shop, and do its faults show in them?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import sre.demo
from sre.journey.drive import run_once
from sre.journey.guard import Guard
from sre.journey.model import Journey
from sre.journey.result import JourneyResult, Outcome, Reason
from sre.settings import Settings, load_settings
from tests.servers.demo import DemoShop

JOURNEYS = Path(sre.demo.__file__).with_name("journeys.yaml")
STEPS = {
    "browse": ["home", "category", "product", "search"],
    "checkout": [
        "home", "search", "product", "add_to_cart", "cart", "coupon", "address_form", "checkout",
        "payment", "order",
    ],
    "api_checkout": [
        "register", "log_in", "search", "cart", "add_to_cart", "checkout", "payment", "order",
        "tracking", "refund",
    ],
    "limited": ["register", "log_in", "cart", "add_to_cart", "checkout", "payment"],
}  # fmt: skip
SEEDS = 3  # as many as there are pieces of the limited product


@pytest.fixture
def settings(demo_shop: DemoShop, tmp_path: Path) -> Settings:
    """The journeys as a user has them: included by a sre.yaml."""
    shutil.copy(JOURNEYS, tmp_path)
    declaration = tmp_path / "sre.yaml"
    declaration.write_text(
        "version: 1\ninclude: [journeys.yaml]\n"
        f"shop: {{name: demo, base_url: '{demo_shop.url}', environment: staging}}\n"
    )
    return load_settings(declaration)


def drive(settings: Settings, name: str, run_id: str = "r1", seed: int = 1) -> JourneyResult:
    guard = Guard((), settings.shop.base_url)
    journey: Journey = settings.journeys[name]
    return run_once(journey, shop=settings.shop, guard=guard, run_id=run_id, seed=seed)


def test_the_declaration_is_clean(settings: Settings) -> None:
    assert sorted(settings.journeys) == sorted(STEPS)
    assert settings.warnings == ()


@pytest.mark.parametrize("name", STEPS)
def test_a_journey_passes_step_by_step(settings: Settings, name: str) -> None:
    for seed in range(SEEDS):
        result = drive(settings, name, seed=seed)
        assert result.outcome is Outcome.OK, result
        assert [step.name for step in result.steps] == STEPS[name]


def test_the_limited_product_is_refused_until_the_shop_oversells(
    settings: Settings, demo_shop: DemoShop
) -> None:
    demo_shop.sql("update products set stock = 0 where sku = 'LTD-001'")
    refused = drive(settings, "limited")
    assert (refused.outcome, refused.steps[-1].name) == (Outcome.REFUSED, "add_to_cart")
    with demo_shop.fault("oversell"):
        for _ in range(4):
            assert drive(settings, "limited").outcome is Outcome.OK
    assert [row[0] for row in demo_shop.sql("select sku from oversold")] == ["LTD-001"]


def test_an_order_carries_the_run(settings: Settings, demo_shop: DemoShop) -> None:
    drive(settings, "checkout", run_id="run-of-mine")
    query = "select state, coupon from orders where run = 'run-of-mine'"
    assert demo_shop.sql(query) == [("paid", "WELCOME10")]


@pytest.mark.parametrize("name", ["checkout", "api_checkout"])
def test_a_dead_payment_provider_fails_the_payment_step(
    settings: Settings, demo_shop: DemoShop, name: str
) -> None:
    with demo_shop.fault("payment"):
        result = drive(settings, name)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.STATUS)
    assert result.steps[-1].name == "payment"


@pytest.mark.parametrize("name", STEPS)
def test_errors_fail_every_journey(settings: Settings, demo_shop: DemoShop, name: str) -> None:
    with demo_shop.fault("errors"):
        assert drive(settings, name).outcome is Outcome.FAILED
