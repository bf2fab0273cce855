"""Does a log become the mix and the curve that made it?"""

from __future__ import annotations

import bz2
import gzip
import math
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.core.accesslog import Entry
from sre.core.errors import UsageError
from sre.core.logvisitor import visitor_reader
from sre.journey.model import Journey
from sre.journey.template import Template
from sre.loadtest.mix.curve import Bin, bursts, knots_of, legs_of
from sre.loadtest.mix.estimate import estimate
from sre.loadtest.mix.fit import fit, nnls
from sre.loadtest.mix.model import Ask, Estimate
from sre.loadtest.mix.pattern import pattern_of
from sre.loadtest.mix.steps import Map, map_of
from sre.loadtest.mix.survey import Format, Survey, survey
from sre.loadtest.mix.tally import Rules, Tally
from sre.settings import load_settings

SHOP = "https://shop.example.com"
JOURNEYS = """
journeys:
  browse:
    steps:
      - {name: home, get: /}
      - {name: product, get: "/p/${choice:mug,shirt}", repeat: 2..4}
  checkout:
    steps:
      - {name: product, get: /p/mug}
      - {name: add, post: /cart, form: {sku: mug}, follow: false, expect: {status: 302}}
      - {name: cart, get: /cart}
      - {name: pay, post: /checkout, form: {card: test}}
"""
BASE = 1_763_800_000


@pytest.fixture
def declared(tmp_path: Path) -> dict[str, Journey]:
    return journeys_of(tmp_path, JOURNEYS)


def journeys_of(folder: Path, text: str) -> dict[str, Journey]:
    (folder / "sre.yaml").write_text(f"version: 1\nshop: {{name: s, base_url: {SHOP}}}\n{text}")
    return dict(load_settings(folder / "sre.yaml").journeys)


def tally_of(found: Map, **rules: bool) -> Tally:
    wanted = frozenset(pair for pairs in found.pauses().values() for pair in pairs)
    return Tally(found, Rules(**rules), b"k" * 32, visitor_reader("combined"), wanted)


def add(tally: Tally, at: float, page: str, who: str = "1.2.3.4", status: int = 200) -> None:
    method, path = page.split()
    tally.add(Entry(BASE + at, method, path, status, None, 1, "Mozilla/5.0"), BASE + at, f"{who} -")


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


def test_what_no_customer_asked_for_is_left_out(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP))
    agents = {
        "sre/0.1.0 (synthetic monitoring)": "ours",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "bots",
        "Mozilla/5.0 (compatible; bingbot/2.0)": "bots",
        "UptimeRobot/2.0": "bots",
        "kube-probe/1.29": "bots",
    }
    for agent in agents:
        tally.add(Entry(BASE, "GET", "/", 200, None, 1, agent), BASE, "h -")
    for page in ("GET /healthz", "GET /static/app.js", "GET /favicon.ico", "OPTIONS /cart"):
        add(tally, 1, page)
    assert (tally.left.ours, tally.left.bots) == (1, 4)
    assert (tally.left.health, tally.left.assets) == (1, 3)
    assert tally.requests == 0
    for agent in ("Mozilla/5.0 (X11; CUBOT X19)", "okhttp/4.9", "curl/8.5", "-", ""):
        tally.add(Entry(BASE, "GET", "/", 200, None, 1, agent), BASE, "h -")
    assert tally.requests == 5
    assert tally.left.bots == 4


def test_kept_bots_count(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP), keep_bots=True, keep_synthetic=True)
    for agent in ("Googlebot/2.1", "sre/0.1.0 (synthetic monitoring)"):
        tally.add(Entry(BASE, "GET", "/", 200, None, 1, agent), BASE, "h -")
    assert tally.requests == 2


def test_the_end_of_a_redirect_that_we_follow_is_no_visit(tmp_path: Path) -> None:
    text = (
        "journeys: {a: {steps: [{name: add, post: /cart, form: {a: b}}, {name: see, get: /seen},"
        " {name: view, get: /cart}]}}"
    )
    tally = tally_of(map_of(journeys_of(tmp_path, text), SHOP))
    add(tally, 0, "POST /cart", status=303)
    add(tally, 0, "GET /cart")
    add(tally, 9, "GET /cart")
    assert tally.left.redirects == 1
    assert tally.requests == 2


def test_a_proxy_s_address_is_not_taken_for_one_visitor(tmp_path: Path) -> None:
    text = "journeys: {a: {steps: [{name: add, post: /cart, form: {a: b}}, {name: v, get: /cart}]}}"
    tally = tally_of(map_of(journeys_of(tmp_path, text), SHOP))
    for number in range(1000):
        add(tally, number / 20, "POST /cart", "10.0.0.1", 303)
        add(tally, number / 20, "GET /cart", "10.0.0.1")
    assert tally.left.redirects <= 60
    assert sum(len(gaps) for gaps in tally.gaps.values()) <= 60


def test_pauses_are_those_of_each_visitor(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP))
    for number in range(100):
        for at, page in ((0, "GET /"), (7, "GET /p/mug"), (11, "GET /p/shirt")):
            add(tally, at + number, page, f"10.0.0.{number}")
    found = {(p.journey, p.step): p for p in estimate(tally, Survey(), Ask()).pauses}
    assert found["browse", "home"].median == 7
    assert found["browse", "product"].median == 4
    assert ("checkout", "cart") not in found


def test_nothing_that_comes_out_names_a_visitor(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP))
    for number in range(50):
        add(tally, number, "GET /", "203.0.113.77")
        add(tally, number, "GET /account/jane.doe@example.com", "203.0.113.77")
    told = repr(estimate(tally, Survey(), Ask()))
    assert "203.0.113" not in told + repr(tally)
    assert "jane" not in told


def test_buckets_grow_with_the_log(declared: dict[str, Journey]) -> None:
    import sre.loadtest.mix.tally as module

    patch = pytest.MonkeyPatch()
    with patch.context() as inner:
        inner.setattr(module, "_MAX_COUNTS", 500)
        tally = tally_of(map_of(declared, SHOP))
        for second in range(0, 7200, 2):
            add(tally, second, "GET /")
            add(tally, second, "GET /p/mug", "other")
            add(tally, second, "GET /p/mug", "third")
            add(tally, second, "GET /p/mug", "fourth")
    assert tally.unit == 60
    assert sum(tally.counts.values()) == tally.requests == 14_400
    found = estimate(tally, Survey(), Ask(window=3600, level="mean"))
    assert found.window.seconds == 3600
    assert {one.name: one.rate for one in found.journeys}["browse"] == pytest.approx(0.5, rel=0.03)


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


LINE = '1.2.3.4 - - [22/Nov/2026:10:00:{:02d} +0100] "GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'


def read(tally: Tally, *paths: Path, text: str = "") -> Survey:
    return survey([str(path) for path in paths], Format(text), tally, lambda _seen: None)


def test_compressed_files_and_odd_lines_are_read(
    tmp_path: Path, declared: dict[str, Journey]
) -> None:
    tally = tally_of(map_of(declared, SHOP))
    lines = "".join(LINE.format(n) for n in range(60)).encode()
    (tmp_path / "a.log").write_bytes(
        lines + b"\0\xff\xfe garbage\n" + b"x" * 2_000_000 + b"\n" + lines
    )
    (tmp_path / "b.log.1.gz").write_bytes(gzip.compress(lines) + gzip.compress(lines))
    (tmp_path / "c.log.bz2").write_bytes(bz2.compress(lines.rstrip()))
    (tmp_path / "d.log").write_bytes(b"")
    found = read(tally, *sorted(tmp_path.glob("*.log*")))
    assert tally.requests == 300
    assert found.unread == 2
    assert found.offset == 3600


def test_another_format_is_told_with_the_line_and_the_cure(
    tmp_path: Path, declared: dict[str, Journey]
) -> None:
    secret = "alice 203.0.113.9"
    (tmp_path / "a.log").write_text(LINE.format(1) + f"{secret}\n" * 3)
    with pytest.raises(UsageError, match=r"3 of 4 lines .* line 2; .*--lines") as told:
        read(tally_of(map_of(declared, SHOP)), tmp_path / "a.log")
    assert secret not in str(told.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no line"),
        (b"\n\n", "no line"),
        (gzip.compress(b"x" * 99)[:20], "damaged"),
        (None, "cannot read"),
    ],
)
def test_files_of_no_use_are_named(
    tmp_path: Path, declared: dict[str, Journey], content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "a.log").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read(tally_of(map_of(declared, SHOP)), tmp_path / "a.log")


def test_a_log_without_times_says_so(tmp_path: Path, declared: dict[str, Journey]) -> None:
    (tmp_path / "a.log").write_text('1.2.3.4 "GET / HTTP/1.1" 200\n')
    with pytest.raises(UsageError, match="do not tell when"):
        read(
            tally_of(map_of(declared, SHOP)),
            tmp_path / "a.log",
            text='$remote_addr "$request" $status',
        )


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
