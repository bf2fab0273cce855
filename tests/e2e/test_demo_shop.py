"""Does the demo shop do what a customer and a load test expect, on the real server and database?"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from psycopg.conninfo import conninfo_to_dict
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from sre.core.errors import Transient
from sre.demo.postgres import EmbeddedPostgres
from sre.demo.server import ShopServer
from sre.demo.shop_seed import create_database
from tests.servers.demo import ADDRESS, PASSWORD, ApiClient, DemoShop, error_of

SCARCE = "LTD-001"


ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import os, sys
from pathlib import Path
from sre.demo.server import ShopServer
with ShopServer(os.environ["DSN"], None, Path(sys.argv[1])) as shop:
    print(shop.url, flush=True)
    sys.stdin.read()
"""


def password_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["password"])


def every_process() -> Iterator[psutil.Process]:
    return psutil.process_iter(["cmdline"])


def css(answer: requests.Response, selector: str) -> list[str]:
    return [node.text(strip=True) for node in HTMLParser(answer.text).css(selector)]


def attribute(answer: requests.Response, selector: str, name: str) -> str:
    node = HTMLParser(answer.text).css_first(selector)
    assert node is not None, f"no {selector} in {answer.text[:500]}"
    return str(node.attributes[name])


def restock(shop: DemoShop, sku: str) -> None:
    """Close every order of the product and fill the shelf, so that tests do not depend on order."""
    shop.sql(
        "update orders set state = 'cancelled' where id in (select order_id from order_lines l"
        " join products p on p.id = l.product_id where p.sku = %s)",
        sku,
    )
    shop.sql("update products set stock = initial_stock where sku = %s", sku)


def together(count: int, work: object) -> list[requests.Response]:
    """Run `work(i)` in `count` threads that start at the same moment."""
    barrier = threading.Barrier(count)

    def one(index: int) -> requests.Response:
        barrier.wait(60)
        return work(index)  # type: ignore[operator,no-any-return]

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


class TestLookingAround:
    def test_home_shows_categories_and_products(self, demo_shop: DemoShop) -> None:
        page = demo_shop.browser().get("/")
        assert page.status_code == 200
        assert len(css(page, "a.category")) == 7
        assert len(css(page, "a.product")) == 6

    def test_a_category_lists_products_with_prices(self, demo_shop: DemoShop) -> None:
        page = demo_shop.browser().get("/c/shirts")
        assert len(css(page, "a.product")) == len(css(page, ".price")) == 20

    def test_search_finds_by_words_and_says_how_many(self, demo_shop: DemoShop) -> None:
        page = demo_shop.browser().get("/search", params={"q": "striped"})
        assert css(page, "#results") == ["6 results for “striped”"]

    def test_percent_signs_are_no_wildcards(self, demo_shop: DemoShop) -> None:
        assert "0 results" in demo_shop.browser().get("/search", params={"q": "%"}).text

    def test_the_visitors_words_are_escaped(self, demo_shop: DemoShop) -> None:
        page = demo_shop.browser().get("/search", params={"q": "<script>alert(1)</script>"})
        assert "<script>" not in page.text

    @pytest.mark.parametrize("path", ["/p/none", "/c/none", "/orders/NONE", "/nowhere"])
    def test_what_is_not_there_is_404(self, demo_shop: DemoShop, path: str) -> None:
        assert demo_shop.browser().get(path).status_code == 404

    def test_answers_carry_security_headers_and_cookie_flags(self, demo_shop: DemoShop) -> None:
        page = demo_shop.browser().get("/p/plain-mug")
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        cookie = page.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie

    def test_health_needs_no_database_and_readiness_does(self, demo_shop: DemoShop) -> None:
        assert demo_shop.browser().get("/healthz").json() == {"status": "ok"}
        assert demo_shop.browser().get("/readyz").json() == {"status": "ready"}


class TestAccounts:
    def test_register_log_out_and_in_again(self, demo_shop: DemoShop) -> None:
        browser, email = demo_shop.browser(), f"{uuid.uuid4().hex}@example.test"
        browser.get("/register")
        done = browser.submit("/register", email=email, name="Pat", password=PASSWORD)
        assert (done.status_code, done.headers["Location"]) == (303, "/account")
        assert css(browser.get("/account"), "#account") == ["Pat"]
        assert browser.submit("/logout").status_code == 303
        assert browser.get("/account", allow_redirects=False).headers["Location"] == "/login"
        browser.get("/login")
        wrong = browser.submit("/login", email=email, password="wrong password")
        assert (wrong.status_code, error_of(wrong)) == (200, "Email address or password is wrong.")
        assert browser.submit("/login", email=email, password=PASSWORD).status_code == 303

    def test_a_bad_registration_shows_the_form_again(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        browser.get("/register")
        page = browser.submit("/register", email="nonsense", name="", password="short")
        assert page.status_code == 200
        assert len(css(page, "span.error")) == 3
        assert attribute(page, "input[name=email]", "value") == "nonsense"

    def test_an_email_address_registers_once(self, demo_shop: DemoShop) -> None:
        customer = demo_shop.customer()
        again = {"email": customer.email.upper(), "name": "Pat", "password": PASSWORD}
        answer = customer.post("/customers", json=again)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "email_taken")

    def test_orders_of_a_customer_are_listed(self, demo_shop: DemoShop) -> None:
        browser, email = demo_shop.browser(), f"{uuid.uuid4().hex}@example.test"
        browser.get("/register")
        browser.submit("/register", email=email, name="Pat", password=PASSWORD)
        number = browser.paid_order()
        assert attribute(browser.get("/account"), "tr.order", "data-number") == number

    def test_a_form_without_its_token_is_refused(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        assert browser.submit("/login", email="a@b.test", password="x").status_code == 400
        browser.get("/p/plain-mug")
        browser.csrf = "forged"
        assert browser.submit("/p/plain-mug/cart", quantity=1).status_code == 400


class TestCart:
    def test_add_change_and_remove(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        assert browser.fill_cart("plain-mug", 2).headers["Location"] == "/cart"
        page = browser.get("/cart")
        product = attribute(page, "tr.line", "data-product")
        assert attribute(page, "#cart", "data-count") == "2"
        assert css(page, "#cart-count") == ["2"]
        browser.submit(f"/cart/lines/{product}", quantity=5)
        assert attribute(browser.get("/cart"), "tr.line", "data-quantity") == "5"
        browser.submit(f"/cart/lines/{product}/remove")
        assert css(browser.get("/cart"), "#empty") == ["Your cart is empty."]

    def test_a_coupon_takes_ten_percent(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        browser.fill_cart("plain-mug", 2)
        before = int(attribute(browser.get("/cart"), "#subtotal", "data-cents"))
        assert browser.submit("/cart/coupon", code="welcome10").status_code == 303
        page = browser.get("/cart")
        assert css(page, "#coupon") == ["WELCOME10"]
        assert int(attribute(page, "#discount", "data-cents")) == before // 10

    @pytest.mark.parametrize(("code", "why"), [("EXPIRED", "has expired"), ("NO", "do not know")])
    def test_bad_coupons_say_why(self, demo_shop: DemoShop, code: str, why: str) -> None:
        browser = demo_shop.browser()
        browser.fill_cart()
        page = browser.submit("/cart/coupon", code=code)
        assert page.status_code == 200
        assert why in error_of(page)

    def test_free_shipping(self, demo_shop: DemoShop) -> None:
        customer = demo_shop.customer()
        cart_id = customer.cart()
        assert customer.get(f"/carts/{cart_id}").json()["totals"]["shipping"] == 490
        answer = customer.post(f"/carts/{cart_id}/coupon", json={"code": "FREESHIP"})
        assert answer.json()["totals"]["shipping"] == 0

    def test_what_is_sold_out_stays_out(self, demo_shop: DemoShop) -> None:
        page = demo_shop.browser().fill_cart("founders-clock")
        assert page.status_code == 200
        assert error_of(page) == "Founders Clock is out of stock."

    @pytest.mark.parametrize("quantity", [0, -1, 100, "many"])
    def test_bad_quantities_show_the_form(self, demo_shop: DemoShop, quantity: int) -> None:
        page = demo_shop.browser().fill_cart("plain-mug", quantity)
        assert page.status_code == 200
        assert "quantity" in error_of(page)


class TestOrder:
    def test_a_guest_orders_pays_tracks_and_refunds(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        number = browser.paid_order("striped-mug", 3)
        page = browser.get(f"/orders/{number}")
        assert css(page, "#order-number") == [number]
        assert css(page, "#order-state") == ["paid"]
        seen = []
        for _ in range(6):
            parcel = browser.get(f"/orders/{number}/tracking")
            seen.append(attribute(parcel, "#tracking-state", "data-state"))
            demo_shop.sql(
                "update shipments set created_at = created_at - interval '1000 seconds' where"
                " order_id = (select id from orders where number = %s)",
                number,
            )
        states = ["label_created", "picked_up", "in_transit", "out_for_delivery", "delivered"]
        assert seen == [*states, "delivered"]
        browser.get(f"/orders/{number}")
        assert browser.submit(f"/orders/{number}/refund").status_code == 303
        assert css(browser.get(f"/orders/{number}"), "#order-state") == ["refunded"]

    def test_the_stock_goes_down_and_comes_back(self, demo_shop: DemoShop) -> None:
        def stock() -> int:
            return int(demo_shop.sql("select stock from products where slug = 'dotted-mug'")[0][0])

        browser, full = demo_shop.browser(), stock()
        number = browser.paid_order("dotted-mug", 4)
        assert stock() == full - 4
        browser.get(f"/orders/{number}")
        browser.submit(f"/orders/{number}/refund")
        assert stock() == full
        number = browser.order("dotted-mug", 2)
        assert stock() == full - 2
        browser.submit(f"/orders/{number}/cancel")
        assert stock() == full
        again = browser.submit(f"/orders/{number}/cancel")
        assert (again.status_code, error_of(again)) == (200, "This order is cancelled.")
        assert demo_shop.sql("select * from stock_mismatch") == []

    def test_a_bad_address_shows_the_form_again(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        browser.fill_cart()
        page = browser.submit("/checkout", **{**ADDRESS, "city": "", "email": "nonsense"})
        assert page.status_code == 200
        assert len(css(page, "span.error")) == 2
        assert attribute(page, "input[name=street]", "value") == ADDRESS["street"]

    def test_an_empty_cart_cannot_be_ordered(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        assert browser.get("/checkout", allow_redirects=False).headers["Location"] == "/cart"

    def test_a_declined_card_shows_the_form_and_another_pays(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        number = browser.order()
        path = f"/orders/{number}/pay"
        page = browser.submit(path, token="tok_sandbox_declined", idempotency_key=uuid.uuid4().hex)
        assert (page.status_code, error_of(page)) == (200, "The payment was declined.")
        key = attribute(page, "input[name=idempotency_key]", "value")
        assert browser.submit(path, token="tok_sandbox_visa", idempotency_key=key).ok
        assert css(browser.get(f"/orders/{number}"), "#order-state") == ["paid"]

    def test_real_cards_are_not_taken(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        number = browser.order()
        page = browser.submit(f"/orders/{number}/pay", token="tok_live_1", idempotency_key="k")
        assert "sandbox" in error_of(page)

    def test_the_synthetic_mark_is_kept_with_the_order(self, demo_shop: DemoShop) -> None:
        marks = {"sre/run-7": "run-7", "other": None}
        for mark, run in marks.items():
            browser = demo_shop.browser()
            browser.headers["X-Synthetic"] = mark
            number = browser.order()
            found = demo_shop.sql("select synthetic, run from orders where number = %s", number)
            assert found == [(mark, run)]


class TestApi:
    def test_the_whole_way(self, demo_shop: DemoShop) -> None:
        customer = demo_shop.customer()
        found = customer.get("/products", params={"q": "mug"}).json()["products"]
        cart_id = customer.cart(found[0]["sku"], 2)
        placed = customer.place(cart_id, headers={"X-Synthetic": "sre/api-run"})
        assert (placed.status_code, placed.json()["state"]) == (201, "placed")
        number = placed.json()["number"]
        paid = customer.pay(number, uuid.uuid4().hex)
        assert (paid.status_code, paid.json()["state"]) == (200, "paid")
        assert customer.get(f"/orders/{number}").json()["state"] == "paid"
        assert customer.get(f"/orders/{number}/tracking").json()["state"] == "label_created"
        assert customer.post(f"/orders/{number}/refund").json()["state"] == "refunded"
        assert customer.get(f"/orders/{number}/tracking").json()["state"] == "returned"
        assert demo_shop.sql("select count(*) from orders where run = 'api-run'") == [(1,)]

    def test_lines_change_and_go(self, demo_shop: DemoShop) -> None:
        customer = demo_shop.customer()
        cart_id = customer.cart("MUG-001", 1)
        line = f"/carts/{cart_id}/lines/MUG-001"
        assert customer.patch(line, json={"quantity": 3}).json()["lines"][0]["quantity"] == 3
        assert customer.delete(line).json()["lines"] == []
        assert customer.delete(line).status_code == 404

    def test_without_a_token_nobody_gets_in(self, demo_shop: DemoShop) -> None:
        for token in ("", "Bearer", "Bearer forged.token.here"):
            answer = requests.post(
                f"{demo_shop.url}/api/v1/carts", headers={"Authorization": token}, timeout=10
            )
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")

    def test_what_belongs_to_others_does_not_exist(self, demo_shop: DemoShop) -> None:
        owner, other = demo_shop.customer(), demo_shop.customer()
        cart_id = owner.cart()
        assert other.get(f"/carts/{cart_id}").status_code == 404
        assert other.place(cart_id).status_code == 404
        number = owner.place(cart_id).json()["number"]
        for method, path in (("GET", ""), ("GET", "/tracking"), ("POST", "/refund")):
            assert other.request(method, f"/orders/{number}{path}").status_code == 404
        assert other.pay(number, "k").status_code == 404

    @pytest.mark.parametrize("body", [None, [], {"sku": 5}, {"sku": "MUG-001", "quantity": "2"}])
    def test_bad_bodies_are_422(self, demo_shop: DemoShop, body: object) -> None:
        customer = demo_shop.customer()
        cart_id = customer.post("/carts").json()["id"]
        answer = customer.post(f"/carts/{cart_id}/lines", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")

    def test_a_bad_address_names_its_fields(self, demo_shop: DemoShop) -> None:
        customer = demo_shop.customer()
        body = {"cart_id": customer.cart(), "address": {"email": "a@b.test"}}
        answer = customer.post("/orders", json=body)
        assert answer.status_code == 422
        assert "street" in answer.json()["error"]["fields"]

    def test_refusals_of_the_business_are_409(self, demo_shop: DemoShop) -> None:
        customer = demo_shop.customer()
        cart_id = customer.cart()
        sold_out = customer.post(f"/carts/{cart_id}/lines", json={"sku": "LTD-003", "quantity": 1})
        number = customer.place(cart_id).json()["number"]
        answers = [sold_out, customer.place(cart_id), customer.post(f"/orders/{number}/refund")]
        codes = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
        assert codes == [(409, "out_of_stock"), (409, "cart_closed"), (409, "not_refundable")]


class TestPayingTwice:
    @pytest.fixture
    def due(self, demo_shop: DemoShop) -> tuple[ApiClient, str]:
        customer = demo_shop.customer()
        return customer, customer.place(customer.cart()).json()["number"]

    def captures(self, shop: DemoShop, number: str) -> int:
        query = (
            "select count(*) from payments p join orders o on o.id = p.order_id"
            " where o.number = %s and p.state = 'captured'"
        )
        return int(shop.sql(query, number)[0][0])

    def test_same_key_same_answer_one_capture(
        self, demo_shop: DemoShop, due: tuple[ApiClient, str]
    ) -> None:
        customer, number = due
        key = uuid.uuid4().hex
        answers = together(8, lambda _: customer.pay(number, key))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["payment"]["reference"] for answer in answers}) == 1
        assert self.captures(demo_shop, number) == 1

    def test_other_keys_capture_nothing_more(
        self, demo_shop: DemoShop, due: tuple[ApiClient, str]
    ) -> None:
        customer, number = due
        answers = together(8, lambda index: customer.pay(number, f"{number}-{index}"))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] + [409] * 7
        assert self.captures(demo_shop, number) == 1

    def test_same_key_other_body_is_422(self, due: tuple[ApiClient, str]) -> None:
        customer, number = due
        key = uuid.uuid4().hex
        assert customer.pay(number, key).status_code == 200
        answer = customer.pay(number, key, token="tok_sandbox_other")
        assert answer.json()["error"]["code"] == "idempotency_mismatch"
        assert answer.status_code == 422

    def test_a_key_is_needed(self, due: tuple[ApiClient, str]) -> None:
        customer, number = due
        assert customer.pay(number, "").status_code == 422

    def test_a_declined_payment_is_402_again_with_its_key(
        self, demo_shop: DemoShop, due: tuple[ApiClient, str]
    ) -> None:
        customer, number = due
        for _ in range(2):
            answer = customer.pay(number, f"d-{number}", token="tok_sandbox_declined")
            assert answer.status_code == 402
            assert answer.json()["error"]["code"] == "payment_declined"
        assert customer.pay(number, f"e-{number}").status_code == 200
        assert self.captures(demo_shop, number) == 1


class TestTheLastPieces:
    def rush(self, shop: DemoShop, count: int) -> list[requests.Response]:
        """So many customers order one piece of the scarce product at the same moment."""
        customer = shop.customer()
        carts = [customer.cart(SCARCE) for _ in range(count)]
        clients = [ApiClient(shop.url) for _ in range(count)]
        for client in clients:
            client.headers.update(customer.headers)
        return together(count, lambda index: clients[index].place(carts[index]))

    def test_thirty_want_three(self, demo_shop: DemoShop) -> None:
        restock(demo_shop, SCARCE)
        answers = self.rush(demo_shop, 30)
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [201] * 3 + [409] * 27
        refused = {a.json()["error"]["code"] for a in answers if a.status_code == 409}
        assert refused == {"out_of_stock"}
        assert demo_shop.sql("select stock from products where sku = %s", SCARCE) == [(0,)]
        assert demo_shop.sql("select * from oversold") == []
        assert demo_shop.sql("select * from stock_mismatch") == []

    def test_overselling_is_visible_in_the_books(self, demo_shop: DemoShop) -> None:
        restock(demo_shop, SCARCE)
        with demo_shop.fault("oversell"):
            answers = self.rush(demo_shop, 8)
        assert [answer.status_code for answer in answers] == [201] * 8
        assert demo_shop.sql("select stock from products where sku = %s", SCARCE) == [(0,)]
        assert demo_shop.sql("select * from oversold") == [(SCARCE, 3, 8)]
        assert demo_shop.sql("select * from stock_mismatch") == []
        restock(demo_shop, SCARCE)
        assert demo_shop.sql("select * from oversold") == []


class TestFaults:
    def workers(self, shop: DemoShop) -> dict[int, dict[str, bool]]:
        """What each worker says of the faults; asks on new connections until both have spoken."""
        headers = {"X-Fault-Token": shop.server.fault_token}
        said: dict[int, dict[str, bool]] = {}
        for _ in range(500):
            answer = requests.get(f"{shop.url}/__faults", headers=headers, timeout=10).json()
            said[answer["worker"]] = answer["faults"]
            if len(said) == 2:
                break
        return said

    @pytest.mark.parametrize("name", ["latency", "errors", "slow-db", "oversell", "payment"])
    def test_on_and_off_reach_every_worker(self, demo_shop: DemoShop, name: str) -> None:
        with demo_shop.fault(name):
            said = self.workers(demo_shop)
            assert len(said) == 2
            assert all(state[name] and sum(state.values()) == 1 for state in said.values())
        assert not any(any(state.values()) for state in self.workers(demo_shop).values())

    def test_latency_slows_product_and_checkout_alone(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        browser.fill_cart()
        with demo_shop.fault("latency"):
            assert browser.get("/p/plain-mug").elapsed.total_seconds() >= 1.5
            assert browser.get("/checkout").elapsed.total_seconds() >= 1.5
            assert browser.get("/").elapsed.total_seconds() < 1.4
        assert browser.get("/p/plain-mug").elapsed.total_seconds() < 1.4

    def test_errors_hit_exactly_every_third_request(self, demo_shop: DemoShop) -> None:
        with demo_shop.fault("errors"):
            statuses = [
                requests.get(f"{demo_shop.url}/c/mugs", timeout=10).status_code for _ in range(12)
            ]
            assert requests.get(f"{demo_shop.url}/healthz", timeout=10).status_code == 200
        assert statuses == [200, 200, 500] * 4
        assert requests.get(f"{demo_shop.url}/c/mugs", timeout=10).status_code == 200

    def test_a_slow_database_slows_every_query(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        with demo_shop.fault("slow-db"):
            assert browser.get("/p/plain-mug").elapsed.total_seconds() >= 0.3
            assert browser.get("/healthz").elapsed.total_seconds() < 0.3
        assert browser.get("/p/plain-mug").elapsed.total_seconds() < 0.3

    def test_a_dead_payment_provider(self, demo_shop: DemoShop) -> None:
        browser, customer = demo_shop.browser(), demo_shop.customer()
        page_order = browser.order()
        number = customer.place(customer.cart()).json()["number"]
        key = uuid.uuid4().hex
        with demo_shop.fault("payment"):
            page = browser.submit(
                f"/orders/{page_order}/pay", token="tok_sandbox_visa", idempotency_key=key
            )
            assert page.status_code == 502
            assert "Payment provider unavailable" in page.text
            answer = customer.pay(number, f"api-{key}")
            assert answer.status_code == 502
            assert answer.json()["error"]["code"] == "payment_provider"
        assert customer.pay(number, f"api-{key}").status_code == 200

    def test_the_switch_needs_its_token_and_a_known_name(self, demo_shop: DemoShop) -> None:
        url, token = f"{demo_shop.url}/__faults", demo_shop.server.fault_token
        assert requests.get(url, timeout=10).status_code == 403
        wrong = requests.post(f"{url}/errors", data={"state": "on"}, timeout=10)
        assert wrong.status_code == 403
        headers = {"X-Fault-Token": token}
        unknown = requests.post(f"{url}/none", json={"state": "on"}, headers=headers, timeout=10)
        assert unknown.status_code == 404
        bad = requests.post(f"{url}/errors", json={"state": "x"}, headers=headers, timeout=10)
        assert bad.status_code == 422
        form = requests.post(f"{url}/errors", data={"state": "off"}, headers=headers, timeout=10)
        assert form.json()["faults"]["errors"] is False


class TestServing:
    def test_the_configuration_is_private_and_no_secret_is_in_an_argument(
        self, demo_shop: DemoShop
    ) -> None:
        config = demo_shop.server.folder / "shop.json"
        assert config.stat().st_mode & 0o777 == 0o600
        password = password_of(demo_shop.dsn)
        lines = [" ".join(process.info["cmdline"] or []) for process in every_process()]
        assert any("sre.demo.shop" in line for line in lines)
        for text in (demo_shop.server.log_path.read_text(), *lines):
            assert demo_shop.server.fault_token not in text
            assert password not in text

    def test_all_workers_die_with_the_parent(self, demo_shop: DemoShop, tmp_path: Path) -> None:
        folder = tmp_path / "shop"
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DSN": demo_shop.dsn},
        ) as holder:
            assert holder.stdout is not None
            url = holder.stdout.readline().strip()
            assert requests.get(f"{url}/healthz", timeout=10).ok
            family = psutil.Process(holder.pid).children(recursive=True)
            assert len(family) == 4  # the guard, gunicorn's master, two workers
            holder.kill()
        _, left = psutil.wait_procs(family, timeout=10)
        # Where nobody reaps orphans they stay as zombies.
        assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []

    def test_one_failed_request_for_each_worker_after_a_restart_of_the_database(
        self, tmp_path: Path
    ) -> None:
        with EmbeddedPostgres() as server:
            dsn = create_database(server.dsn, "shop")
            with ShopServer(dsn, None, tmp_path / "shop") as shop:

                def visit(_: int) -> requests.Response:
                    return requests.get(f"{shop.url}/p/plain-mug", timeout=30)

                assert {answer.status_code for answer in together(32, visit)} == {200}
                server.restart()
                statuses = [visit(0).status_code for _ in range(40)]
        assert statuses.count(503) <= 2
        assert statuses.count(200) == 40 - statuses.count(503)

    def test_a_port_that_is_taken_is_said(self, demo_shop: DemoShop, tmp_path: Path) -> None:
        with pytest.raises(Transient, match=f"port {demo_shop.server.port}"):
            ShopServer(demo_shop.dsn, demo_shop.server.port, tmp_path / "other").start()

    def test_a_form_sent_twice_is_one_order(self, demo_shop: DemoShop) -> None:
        browser = demo_shop.browser()
        browser.fill_cart("plain-bag")
        cookies, csrf = browser.cookies.copy(), browser.csrf

        def send(_: int) -> requests.Response:
            form = {"csrf_token": csrf, **ADDRESS}
            url = f"{demo_shop.url}/checkout"
            return requests.post(url, data=form, cookies=cookies, allow_redirects=False, timeout=30)

        answers = together(6, send)
        placed = [a for a in answers if a.headers.get("Location", "").startswith("/orders/")]
        assert len(placed) == 1
