"""How does a test get a PostgreSQL of its own and a demo shop on it, both real?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import requests
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from sre.demo.postgres import EmbeddedPostgres
from sre.demo.server import ShopServer
from sre.demo.shop_seed import create_database

__all__ = ["ApiClient", "Browser", "DemoShop", "demo_shop", "embedded_postgres"]

ADDRESS = {
    "email": "pat@example.test",
    "name": "Pat Probe",
    "street": "1 Harbour Lane",
    "postcode": "10115",
    "city": "Berlin",
    "country": "DE",
}
PASSWORD = "correct horse"
TRACKING_SECONDS = 1000.0  # parcels move when a test turns the clock back in the database


class Browser(requests.Session):
    """Follows links and fills forms; every path is one of the shop's."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.base_url = base_url
        self.csrf = ""

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("timeout", 30)
        answer = super().request(method, f"{self.base_url}{url!s}", *args, **kwargs)
        token = HTMLParser(answer.text).css_first("input[name=csrf_token]")
        if token is not None:
            self.csrf = str(token.attributes["value"])
        return answer

    def submit(self, path: str, **form: object) -> requests.Response:
        """Post a form with the token of the last page; redirects are not followed."""
        data = {"csrf_token": self.csrf, **form}
        answer: requests.Response = self.post(path, data=data, allow_redirects=False)
        return answer

    def fill_cart(self, slug: str = "plain-mug", quantity: int = 1) -> requests.Response:
        """Put a product into the cart."""
        self.get(f"/p/{slug}")
        return self.submit(f"/p/{slug}/cart", quantity=quantity)

    def order(self, slug: str = "plain-mug", quantity: int = 1) -> str:
        """Order as a guest; the number of the unpaid order."""
        assert self.fill_cart(slug, quantity).status_code == 303
        placed = self.submit("/checkout", **ADDRESS)
        assert placed.status_code == 303, error_of(placed)
        return placed.headers["Location"].split("/")[2]

    def paid_order(self, slug: str = "plain-mug", quantity: int = 1) -> str:
        """Order and pay as a guest."""
        number = self.order(slug, quantity)
        paid = self.submit(
            f"/orders/{number}/pay", token="tok_sandbox_visa", idempotency_key=uuid.uuid4().hex
        )
        assert paid.status_code == 303, error_of(paid)
        return number


class ApiClient(requests.Session):
    """A registered customer of the JSON API."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.base_url = f"{base_url}/api/v1"
        self.email = f"{uuid.uuid4().hex}@example.test"

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("timeout", 30)
        return super().request(method, f"{self.base_url}{url!s}", *args, **kwargs)

    def enter(self) -> ApiClient:
        """Register and log in."""
        account = {"email": self.email, "name": "Pat", "password": PASSWORD}
        assert self.post("/customers", json=account).status_code == 201
        answer = self.post("/login", json={"email": self.email, "password": PASSWORD})
        self.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return self

    def cart(self, sku: str = "MUG-001", quantity: int = 1) -> str:
        """The id of a new cart with one line."""
        cart_id: str = self.post("/carts").json()["id"]
        added = self.post(f"/carts/{cart_id}/lines", json={"sku": sku, "quantity": quantity})
        assert added.status_code == 201, added.text
        return cart_id

    def place(self, cart_id: str, **kwargs: Any) -> requests.Response:
        """Order a cart."""
        body = {"cart_id": cart_id, "address": ADDRESS}
        answer: requests.Response = self.post("/orders", json=body, **kwargs)
        return answer

    def pay(self, number: str, key: str, token: str = "tok_sandbox_visa") -> requests.Response:
        """Pay an order."""
        headers = {"Idempotency-Key": key}
        body = {"token": token}
        answer: requests.Response = self.post(f"/orders/{number}/pay", json=body, headers=headers)
        return answer


@dataclass(frozen=True)
class DemoShop:
    """A running shop with a database of its own."""

    server: ShopServer
    dsn: str

    @property
    def url(self) -> str:
        return self.server.url

    def browser(self) -> Browser:
        """A new visitor."""
        return Browser(self.url)

    def customer(self) -> ApiClient:
        """A new customer of the API, logged in."""
        return ApiClient(self.url).enter()

    def sql(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Rows of a query, or none of a change."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), params)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """A fault for the length of a block."""
        self.server.fault(name, on=True)
        try:
            yield
        finally:
            self.server.fault(name, on=False)


def error_of(answer: requests.Response) -> str:
    """The error that a page shows."""
    found = HTMLParser(answer.text).css_first("p.error")
    return found.text(strip=True) if found else ""


@pytest.fixture(scope="session")
def embedded_postgres() -> Iterator[EmbeddedPostgres]:
    """One server for all tests; each makes a database of its own in it."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture(scope="module")
def demo_shop(
    embedded_postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DemoShop]:
    """A shop with a database of its own, for one module."""
    dsn = create_database(embedded_postgres.dsn, f"shop_{uuid.uuid4().hex[:8]}")
    folder = tmp_path_factory.mktemp("shop")
    with ShopServer(dsn, None, folder, tracking_seconds=TRACKING_SECONDS) as server:
        yield DemoShop(server, dsn)
