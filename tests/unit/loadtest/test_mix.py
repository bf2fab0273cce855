"""Does a log become the mix and the curve that made it?"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.core.errors import UsageError
from sre.journey.model import Journey
from sre.journey.template import Template
from sre.loadtest.mix.curve import Bin, bursts, knots_of, legs_of
from sre.loadtest.mix.estimate import estimate
from sre.loadtest.mix.fit import fit, nnls
from sre.loadtest.mix.model import Ask, Estimate
from sre.loadtest.mix.pattern import pattern_of
from sre.loadtest.mix.steps import map_of
from sre.loadtest.mix.survey import Survey
from sre.loadtest.mix.tally import Tally
from tests.unit.loadtest.mixed import BASE, JOURNEYS, SHOP, add, journeys_of, tally_of


@pytest.fixture
def declared(tmp_path: Path) -> dict[str, Journey]:
    return journeys_of(tmp_path, JOURNEYS)


def traffic(tally: Tally, rng: random.Random, seconds: int, browse: float, buy: float) -> None:
    """Customers who come at these rates, each from an address of their own."""
    for number in range(int(browse * seconds)):
        at, who = rng.uniform(0, seconds), f"b{number}"
        add(tally, at, "GET /", who)
        for _ in range(rng.randint(2, 4)):
            add(tally, at, f"GET /p/{rng.choice(['mug', 'shirt', 'lamp', 'item-7'])}", who)
    for number in range(int(buy * seconds)):
        at, who = rng.uniform(0, seconds), f"c{number}"
        for page, status in (("GET /p/shirt", 200), ("POST /cart", 302), ("GET /cart", 200)):
            add(tally, at, page, who, status)
        add(tally, at, "POST /checkout", who)


def test_rates_come_back(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP))
    traffic(tally, random.Random(1), 3600, browse=2.0, buy=0.1)
    found = estimate(tally, Survey(), Ask(level="mean"))
    rates = {one.name: one.rate for one in found.journeys}
    assert rates["browse"] == pytest.approx(2.0, rel=0.03)
    assert rates["checkout"] == pytest.approx(0.1, rel=0.03)
    assert found.explained > 0.97


def test_abandoned_carts_and_curious_customers_do_not_become_orders(
    declared: dict[str, Journey],
) -> None:
    tally = tally_of(map_of(declared, SHOP))
    traffic(tally, random.Random(2), 3600, browse=1.0, buy=0.05)
    for number in range(2000):
        add(tally, number, "GET /p/extra", f"x{number}")
        add(tally, number, "POST /cart", f"x{number}", 302)
    found = estimate(tally, Survey(), Ask(level="mean"))
    rates = {one.name: one.rate for one in found.journeys}
    assert rates["checkout"] == pytest.approx(0.05, rel=0.25)
    assert found.unexplained[0].label == "POST /cart"
    assert "POST /cart" in [row.label for row in found.poor]


@pytest.mark.parametrize(
    ("url", "path", "label"),
    [
        ("/", "/", "/"),
        ("/p/mug", "/p/lamp/", "/p/:id"),
        ("/p/${slug}?page=${n}", "/p/a%20b", "/p/:id"),
        ("/search?q=${term}", "/search", "/search"),
        ("/${choice:about,contact}", "/contact", "/(about|contact)"),
        ("${product}/cart", "/catalogue/mug_1/cart", "…/cart"),
        ("${base}/cart", "/cart", "…/cart"),
        ("reviews", "/p/mug/reviews", "…/reviews"),
        ("../reviews#top", "/p/mug/reviews", "…/reviews"),
        ("/basket/add/${id}/", "/basket/add/5/", "/basket/add/:id"),
        ("/item-${id}.html", "/item-77.html", "/item-:id.html"),
        (f"{SHOP}/cart", "/cart", "/cart"),
        (f"{SHOP}:443/cart", "/cart", "/cart"),
        ("${known}/x", "/shop/x", "/shop/x"),
    ],
)
def test_paths_of_a_step(url: str, path: str, label: str) -> None:
    import re

    from sre.core.routes import normal_path

    found, _ = pattern_of(Template.parse(url), {"known": Template.parse("/shop")}, SHOP)
    assert found is not None
    assert found.label == label
    assert re.fullmatch(found.expression, normal_path(path))


@pytest.mark.parametrize(
    "url", ["${product}", "/${slug}", "?page=2", "https://other.example.com/x", "${a}${b}", "./"]
)
def test_addresses_that_nobody_can_recognise(url: str) -> None:
    found, why = pattern_of(Template.parse(url), {}, SHOP)
    assert found is None
    assert why


def test_the_more_literal_step_gets_the_request(tmp_path: Path) -> None:
    text = (
        'journeys: {a: {steps: [{name: one, get: "/orders/${id}"}, {name: all, get: /orders/list},'
        ' {name: cart, get: "${x}/cart"}, {name: mine, get: /cart}]}}'
    )
    text = text.replace("a: {steps", 'a: {vars: {id: "${int:1..9}", x: "${uuid}"}, steps')
    found = map_of(journeys_of(tmp_path, text), SHOP)
    label = {p: found.routes[n].label for p in ("/orders/7", "/orders/list", "/cart", "/a/cart")
             if (n := found.find("GET", p)) is not None}  # fmt: skip
    assert label["/orders/7"] == "GET /orders/:id"
    assert label["/orders/list"] == "GET /orders/list"
    assert label["/cart"] == "GET /cart"


def test_journeys_that_look_the_same_share_and_are_named() -> None:
    found = fit({"a": {0: 1}, "b": {0: 1}, "c": {0: 1, 1: 1}}, {0: 300, 1: 100})
    assert found.customers == pytest.approx({"a": 100, "b": 100, "c": 100}, rel=1e-6)
    assert found.alike == (("a", "b"),)


def test_a_journey_whose_own_steps_are_not_in_the_log_has_no_rate() -> None:
    found = fit({"browse": {0: 1, 1: 3}, "buy": {1: 1, 2: 1}}, {0: 1000, 1: 4000})
    assert found.customers["buy"] == 0
    assert "alone" in found.unseen["buy"]


def test_one_step_that_is_spelt_differently_does_not_hide_a_journey() -> None:
    found = fit({"buy": {0: 1, 1: 1, 2: 1}}, {0: 100, 2: 100})
    assert found.customers["buy"] == pytest.approx(100)


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=5),
    st.lists(st.integers(0, 1000), min_size=5, max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_nnls_is_as_good_as_it_can_be(columns: list[list[int]], wanted: list[int]) -> None:
    found = nnls(columns, wanted)
    rest = [
        value - sum(x * column[i] for x, column in zip(found, columns, strict=True))
        for i, value in enumerate(wanted)
    ]
    for x, column in zip(found, columns, strict=True):  # the conditions of Karush, Kuhn and Tucker
        slope = sum(a * b for a, b in zip(column, rest, strict=True))
        assert x >= 0
        assert slope <= 1e-4 * (1 + max(wanted))
        assert x == 0 or abs(slope) <= 1e-4 * (1 + max(wanted))


def bins_of(rates: Sequence[float], rng: random.Random) -> list[Bin]:
    return [Bin(60, max(0, round(rng.gauss(r * 60, math.sqrt(r * 60))))) for r in rates]


def test_a_steady_hour_is_one_line() -> None:
    for seed in range(20):
        knots = knots_of(bins_of([20.0] * 60, random.Random(seed)))
        assert len(knots) <= 3
        assert all(knot.rate == pytest.approx(20, rel=0.06) for knot in knots)


def test_a_curve_keeps_its_area_and_its_peak() -> None:
    rates = [40 * (0.25 + 0.75 * math.exp(-(((i - 33) / 15) ** 2))) for i in range(60)]
    bins = bins_of(rates, random.Random(4))
    knots = knots_of(bins)
    area = sum((b.at - a.at) * (a.rate + b.rate) / 2 for a, b in pairwise(knots))
    assert area == pytest.approx(sum(one.requests for one in bins), rel=0.01)
    assert max(knot.rate for knot in knots) == pytest.approx(40, rel=0.07)
    legs = legs_of(knots, 1200, max(knot.rate for knot in knots))
    assert sum(leg.seconds for leg in legs) == 1200
    assert max(leg.level for leg in legs) == 1.0
    assert len(legs) <= 11


def test_a_curve_through_few_and_clumped_requests_keeps_its_area() -> None:
    rng = random.Random(11)
    for _ in range(20):
        counts = [5 * sum(rng.random() < 0.05 for _ in range(60)) for _ in range(60)]
        knots = knots_of([Bin(60, count) for count in counts])
        area = sum((b.at - a.at) * (a.rate + b.rate) / 2 for a, b in pairwise(knots))
        assert area == pytest.approx(sum(counts), rel=0.01)
        assert max(knot.rate for knot in knots) >= sum(counts) / 3600


def test_a_cliff_is_a_cliff() -> None:
    knots = knots_of(bins_of([10.0] * 30 + [60.0] * 30, random.Random(5)))
    legs = legs_of(knots, 600, 60.0)
    assert legs[0].level == pytest.approx(0.17, abs=0.03)
    assert legs[-1].level == pytest.approx(1.0, abs=0.06)


def minutes_of(times: Sequence[float]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for at in times:
        found.setdefault(int(at) // 60, [0] * 60)[int(at) % 60] += 1
    return found


def test_bursts_are_told_from_chance_and_from_a_metronome() -> None:
    rng = random.Random(6)
    chance = bursts(minutes_of([rng.uniform(0, 3600) for _ in range(7200)]), 0, 3600)
    clock = bursts(minutes_of([n / 2 for n in range(7200)]), 0, 3600)
    crowd = bursts(minutes_of([rng.randrange(0, 3600) for _ in range(720)] * 5), 0, 3600)
    assert chance is not None
    assert clock is not None
    assert crowd is not None
    assert chance.dispersion == pytest.approx(1, abs=0.1)
    assert clock.dispersion < 0.1
    assert crowd.dispersion > 3
    assert bursts(minutes_of([5.0]), 0, 3600) is None


def test_the_window_is_where_the_traffic_is(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP))
    for second in range(0, 7200, 10):
        add(tally, second, "GET /")
    for number in range(900):
        add(tally, 3000 + number % 300, "GET /", f"v{number}")
    found: Estimate = estimate(tally, Survey(), Ask(window=300))
    assert found.window.start == BASE + 3000
    assert found.window.seconds == 300
    chosen = estimate(tally, Survey(), Ask(at=(BASE + 60, BASE + 120)))
    assert (chosen.window.start, chosen.window.seconds) == (BASE + 60, 60)
    with pytest.raises(UsageError, match="--at"):
        estimate(tally, Survey(), Ask(at=(BASE + 90_000, None)))
