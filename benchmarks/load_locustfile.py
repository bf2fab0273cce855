"""The journey of seven as a Locust user writes it by hand: FastHttpUser, selectolax, no frills.

The same requests, checks and extractions as `load_pages.JOURNEYS`.
"""

from __future__ import annotations

import random
import uuid
from typing import Any

from locust import FastHttpUser, task
from selectolax.lexbor import LexborHTMLParser

MARK = {"X-Synthetic": "locust"}


class Buyer(FastHttpUser):
    """One customer after the other; a new one has no cookies."""

    @task
    def buy(self) -> None:
        client: Any = self.client
        client.cookiejar.clear()
        email = f"load+{uuid.uuid4()}@example.test"
        with client.get("/", headers=MARK, name="home", catch_response=True) as r:
            tree = LexborHTMLParser(r.text)
            field = tree.css_first("input[name=csrf]")
            if r.status_code != 200 or "Welcome" not in r.text or field is None:
                return r.failure("home")
            csrf = field.attributes["value"]
        with client.get("/search?q=mug", headers=MARK, name="search", catch_response=True) as r:
            links = LexborHTMLParser(r.text).css("a.product")
            if r.status_code != 200 or len(links) < 12:
                return r.failure("search")
            product = random.choice(links).attributes["href"]
        with client.get(product, headers=MARK, name="product", catch_response=True) as r:
            node = LexborHTMLParser(r.text).css_first("[data-sku]")
            if r.status_code != 200 or "In stock" not in r.text or node is None:
                return r.failure("product")
            sku = node.attributes["data-sku"]
        form = {"sku": sku, "quantity": "1", "csrf": csrf}
        with client.post("/cart", data=form, headers=MARK, name="add", catch_response=True) as r:
            found = r.json()
            if r.status_code != 200 or found["ok"] is not True or found["count"] != 1:
                return r.failure("add")
            cart = found["cart"]["id"]
        path = f"/api/cart/{cart}"
        with client.get(path, headers=MARK, name="cart", catch_response=True) as r:
            found = r.json()
            if r.status_code != 200 or found["items"][0]["quantity"] != 1:
                return r.failure("cart")
            total = found["total"]
        wish = {"cart": cart, "total": total, "email": email}
        headers = {**MARK, "Idempotency-Key": str(uuid.uuid4())}
        path = "/api/checkout"
        with client.post(path, json=wish, headers=headers, name="pay", catch_response=True) as r:
            found = r.json()
            if r.status_code != 201 or found["state"] != "accepted":
                return r.failure("pay")
            order = found["order"]
        path = f"/api/orders/{order}"
        with client.get(path, headers=MARK, name="order", catch_response=True) as r:
            found = r.json()
            if r.status_code != 200 or found["order"] != order or found["state"] != "paid":
                return r.failure("order")
        return None


class Page(FastHttpUser):
    """Plain requests."""

    @task
    def page(self) -> None:
        self.client.get("/page")
