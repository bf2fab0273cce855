"""Can the journey engine buy in a shop that nobody here wrote, and tell sold out from broken?"""

import re
import uuid

import pytest
import requests

from tests.servers.oscar import OscarShop, oscar_shop

__all__ = ["oscar_shop"]

pytestmark = pytest.mark.timeout(120)

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Guest:
    """A customer in a browser: cookies, and the token of the page last seen."""

    def __init__(self, shop: OscarShop) -> None:
        self.shop = shop
        self.http = requests.Session()
        self.email = f"guest+{uuid.uuid4().hex}@example.test"
        self.token = ""

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
    guest = Guest(oscar_shop)
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


def test_the_shop_refuses_what_it_does_not_have(oscar_shop: OscarShop) -> None:
    lamp = oscar_shop.products["out_of_stock"]
    guest = Guest(oscar_shop)
    assert "Unavailable" in guest.get(lamp.path).text
    assert "no stock available" in guest.put_in_basket(lamp.path).text
    assert oscar_shop.query("select 1 from basket_line where product_id = ?", (lamp.id,)) == []


def test_the_last_one_is_sold_once(oscar_shop: OscarShop) -> None:
    clock = oscar_shop.products["single"]
    oscar_shop.set_stock(clock, 1)
    first, second = Guest(oscar_shop), Guest(oscar_shop)
    first.put_in_basket(clock.path)
    second.put_in_basket(clock.path)
    assert first.check_out().url.endswith("/checkout/thank-you/")
    assert oscar_shop.stock(clock) == (1, 1)
    refused = second.get("/checkout/")
    assert refused.url.endswith("/basket/")
    assert "no longer available to buy (no stock available)" in refused.text
    (sold,) = oscar_shop.query(
        "select count(*) as n from order_line where product_id = ?", (clock.id,)
    )
    assert sold["n"] == 1
