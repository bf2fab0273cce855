"""Can the journey engine buy in a shop that nobody here wrote, and tell sold out from broken?"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from sre.core.clock import SystemClock
from sre.journey.drive import run_once
from sre.journey.exchange import Request, Response, TransportFailure
from sre.journey.guard import Guard
from sre.journey.result import JourneyResult, Outcome, Reason
from sre.journey.transport import CurlTransport
from sre.settings import Settings, load_settings
from tests.servers.net import wait_until
from tests.servers.oscar import OscarShop, Product

# libcurl copies the socket that the allow-list opens for it; the first is collected unclosed.
pytestmark = pytest.mark.oscar

EXAMPLE = Path(__file__).parents[2] / "examples" / "django-oscar.yaml"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Guest:
    """A customer in a browser: cookies, and the token of the page last seen."""

    def __init__(self, shop: OscarShop) -> None:
        self.shop = shop
        self.http = requests.Session()
        self.email = f"guest+{uuid.uuid4().hex}@example.test"
        self.token = ""

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def get(self, path: str, **query: str) -> requests.Response:
        return self._seen(self.http.get(self.shop.base_url + path, params=query, timeout=10))

    def post(self, path: str, *, follow: bool = True, **form: str) -> requests.Response:
        form["csrfmiddlewaretoken"] = self.token
        url = self.shop.base_url + path
        return self._seen(self.http.post(url, data=form, timeout=10, allow_redirects=follow))

    def _seen(self, answer: requests.Response) -> requests.Response:
        if found := TOKEN.search(answer.text):
            self.token = found.group(1)
        return answer

    def put_in_basket(self, path: str) -> requests.Response:
        page = self.get(path)
        product = re.search(r"_(\d+)/$", page.url)
        assert product is not None
        return self.post(f"/basket/add/{product.group(1)}/", quantity="1")

    def check_out(self) -> requests.Response:
        """From the basket to the answer to "place order", which may be a refusal."""
        self.get("/checkout/")
        page = self.post("/checkout/", username=self.email, options="anonymous")
        assert page.url.endswith("/checkout/shipping-address/")
        page = self.post(
            "/checkout/shipping-address/",
            first_name="Ada",
            last_name="Probe",
            line1="1 Test Street",
            line4="London",
            postcode="N1 9GU",
            country="GB",
        )
        assert page.url.endswith("/checkout/payment-details/")
        assert self.get("/checkout/preview/").status_code == 200
        return self.post("/checkout/preview/", action="place_order")


def test_a_guest_orders_by_hand(oscar_shop: OscarShop) -> None:
    """Proves the shop itself: every step that the journeys take, with another HTTP client."""
    mug = oscar_shop.products["plenty"]
    before = oscar_shop.stock(mug)
    with Guest(oscar_shop) as guest:
        assert guest.get("/").url.endswith("/catalogue/")
        found = guest.get("/search/", q="Mug")
        assert "Found <strong>4</strong> results" in found.text
        assert mug.path in found.text
        assert "has been added to your basket" in guest.put_in_basket(mug.path).text
        assert mug.title in guest.get("/basket/").text
        thanks = guest.check_out()
    assert thanks.url.endswith("/checkout/thank-you/")
    number = re.search(r"order number is\s*<strong>(\d+)</strong>", thanks.text)
    assert number is not None

    (order,) = [o for o in oscar_shop.orders() if o["number"] == number.group(1)]
    assert (order["guest_email"], order["status"]) == (guest.email, "Pending")
    (line,) = oscar_shop.lines(order["number"])
    assert (line["product_id"], line["quantity"]) == (mug.id, 1)
    assert oscar_shop.stock(mug) == (before[0], before[1] + 1)


def test_the_last_one_is_sold_once(oscar_shop: OscarShop) -> None:
    clock = oscar_shop.products["single"]
    oscar_shop.set_stock(clock, 1)
    before = _lines_of(oscar_shop, clock)
    with Guest(oscar_shop) as first, Guest(oscar_shop) as second:
        first.put_in_basket(clock.path)
        second.put_in_basket(clock.path)
        assert first.check_out().url.endswith("/checkout/thank-you/")
        refused = second.get("/checkout/")
    assert refused.url.endswith("/basket/")
    assert "no longer available to buy (no stock available)" in refused.text
    assert oscar_shop.stock(clock) == (1, 1)
    assert _lines_of(oscar_shop, clock) == before + 1


def _lines_of(shop: OscarShop, product: Product) -> int:
    return len(shop.query("select 1 from order_line where product_id = ?", (product.id,)))


@pytest.fixture
def settings(oscar_shop: OscarShop, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The example as it stands, told only where the shop is and who may log in."""
    email, password = oscar_shop.member
    monkeypatch.setenv("SHOP_URL", oscar_shop.base_url)
    monkeypatch.setenv("MEMBER_EMAIL", email)
    monkeypatch.setenv("MEMBER_PASSWORD", password)
    return load_settings(EXAMPLE)


Perform = Callable[[Request], Response]


@pytest.fixture
def perform(settings: Settings) -> Iterator[Perform]:
    """The probe's own transport, for tests that meddle with one request."""
    transport = CurlTransport(_guard(settings), SystemClock().now)
    yield transport.perform
    transport.close()


def _guard(settings: Settings) -> Guard:
    return Guard(settings.targets.allow, settings.shop.base_url)


def _run(settings: Settings, name: str, perform: Perform | None = None) -> JourneyResult:
    return run_once(
        settings.journeys[name], shop=settings.shop, guard=_guard(settings), perform=perform
    )


def _places_order(request: Request) -> bool:
    return request.body is not None and b"action=place_order" in request.body


def test_the_example_is_clean(settings: Settings) -> None:
    assert settings.warnings == ()


def test_a_guest_orders(oscar_shop: OscarShop, settings: Settings) -> None:
    before = {order["number"] for order in oscar_shop.orders()}
    result = _run(settings, "guest_order")
    assert (result.outcome, result.message) == (Outcome.OK, "")
    assert [step.name for step in result.steps] == [
        step.name for step in settings.journeys["guest_order"].steps
    ]

    (order,) = [o for o in oscar_shop.orders() if o["number"] not in before]
    assert result.values["order"] == order["number"]
    assert order["guest_email"].startswith("probe+")
    (line,) = oscar_shop.lines(order["number"])
    (product,) = [p for p in oscar_shop.all_products if p.path == result.values["product"]]
    assert (line["product_id"], line["quantity"]) == (product.id, 1)


def test_the_shop_saw_what_the_rows_say(oscar_shop: OscarShop, settings: Settings) -> None:
    """Its access log is the oracle: each request and hop once, in order, and marked."""
    result = _run(settings, "guest_order")
    rows = [row.status for row in result.rows]
    mark = f"sre/{result.run_id}"
    wait_until(
        lambda: len(oscar_shop.requests_of(mark)) >= len(rows), 5, "the last line of the log"
    )
    seen = oscar_shop.requests_of(mark)
    assert sorted(status for _, _, status in seen) == sorted(s for s in rows if s is not None)
    assert [m for m, path, _ in seen if path == "/checkout/preview/"] == ["GET", "POST"]
    hops = {step.name: len(step.rows) for step in result.steps if len(step.rows) > 1}
    assert hops == {
        "home": 2, "add_to_basket": 2, "shipping_method": 3, "order_status": 2, "order_seen": 2,
    }  # fmt: skip


def test_sold_out_is_refused_not_failed(oscar_shop: OscarShop, settings: Settings) -> None:
    lamp = oscar_shop.products["out_of_stock"]
    orders, baskets = len(oscar_shop.orders()), oscar_shop.query("select id from basket_line")
    result = _run(settings, "sold_out")
    assert (result.outcome, result.reason) == (Outcome.REFUSED, Reason.NONE)
    assert result.failed_step == "add_to_basket"
    assert result.values["id"] == str(lamp.id)
    assert len(oscar_shop.orders()) == orders
    assert oscar_shop.query("select id from basket_line") == baskets


def test_an_oversale_does_not_pass_for_a_refusal(
    oscar_shop: OscarShop, settings: Settings, perform: Perform
) -> None:
    """The negative control: the page says unavailable, and the basket takes it all the same."""
    lamp = oscar_shop.products["out_of_stock"]

    def let_it_pass(request: Request) -> Response:
        oscar_shop.set_stock(lamp, 5 if request.method == "POST" else 0)
        return perform(request)

    try:
        result = _run(settings, "sold_out", let_it_pass)
    finally:
        oscar_shop.set_stock(lamp, 0)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.BODY)
    assert result.failed_step == "add_to_basket"


@pytest.mark.parametrize("step", ["product", "place_order"])
def test_an_order_that_comes_too_late_is_refused(
    oscar_shop: OscarShop, settings: Settings, perform: Perform, step: str
) -> None:
    """Everything sells out before the customer comes, or while the order is being previewed."""
    offered = [p for p in oscar_shop.all_products if re.search("mug|shirt", p.slug)]
    stock = {product.slug: oscar_shop.stock(product) for product in offered}
    orders = len(oscar_shop.orders())

    def sell_out_first(request: Request) -> Response:
        if _places_order(request) or step == "product":
            for product in offered:
                oscar_shop.set_stock(product, 0)
        return perform(request)

    try:
        result = _run(settings, "guest_order", sell_out_first)
    finally:
        for product in offered:
            oscar_shop.set_stock(product, *stock[product.slug])
    assert (result.outcome, result.failed_step) == (Outcome.REFUSED, step)
    assert len(oscar_shop.orders()) == orders


def test_an_order_whose_answer_is_lost_is_ambiguous(
    oscar_shop: OscarShop, settings: Settings, perform: Perform
) -> None:
    """The shop took the order and we cannot know: failed, yes, but not "nothing happened"."""
    orders = len(oscar_shop.orders())

    def lose_the_answer(request: Request) -> Response:
        answer = perform(request)
        if not _places_order(request):
            return answer
        lost = TransportFailure(Reason.TIMEOUT, "no answer in time", sent=True)
        return replace(answer, status=0, headers=(), body=b"", failure=lost)

    result = _run(settings, "guest_order", lose_the_answer)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert (result.failed_step, result.ambiguous) == ("place_order", True)
    assert "order" not in result.values
    assert len(oscar_shop.orders()) == orders + 1


def test_a_forged_token_fails_with_its_status(settings: Settings, perform: Perform) -> None:
    """Django's check is real here: the cookie and the hidden field must agree."""

    def forge(request: Request) -> Response:
        body = re.sub(b"(?<=csrfmiddlewaretoken=)[^&]+", b"x" * 64, request.body or b"")
        return perform(replace(request, body=body or None))

    result = _run(settings, "guest_order", forge)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.STATUS)
    assert (result.failed_step, result.steps[-1].status) == ("add_to_basket", 403)


def test_a_member_logs_in(settings: Settings) -> None:
    assert _run(settings, "member").outcome is Outcome.OK


def test_a_wrong_password_fails_and_is_not_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMBER_PASSWORD", "wrong-and-unmistakable")
    result = _run(settings, "member")
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.STATUS)
    assert result.failed_step == "log_in"
    assert "wrong-and-unmistakable" not in repr(result)
