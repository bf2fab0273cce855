"""Which pages does the canned shop of the load benchmark have, and what is its journey of seven?"""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["JOURNEYS", "write"]

JOURNEYS = """
journeys:
  buy:
    timeout: 30s
    side_effects: order
    budget: 60/h
    vars: {email: "load+${uuid}@example.test"}
    steps:
      - name: home
        get: /
        expect: {status: 200, contains: Welcome}
        extract: {csrf: {css: "input[name=csrf]", attr: value}}
      - name: search
        get: /search?q=mug
        expect: {status: 200, css: {"a.product": {count: {min: 12}}}}
        extract: {product: {css: a.product, attr: href, pick: random}}
      - name: product
        get: "${product}"
        expect: {status: 200, contains: In stock}
        extract: {sku: {css: "[data-sku]", attr: data-sku}}
      - name: add
        post: /cart
        form: {sku: "${sku}", quantity: 1, csrf: "${csrf}"}
        expect: {status: 200, json: {ok: true, count: 1}}
        extract: {cart: {json: cart.id}}
      - name: cart
        get: "/api/cart/${cart}"
        expect: {status: 200, json: {"items[0].quantity": 1}}
        extract: {total: {json: total}}
      - name: pay
        post: /api/checkout
        sandbox: true
        json: {cart: "${cart}", total: "${total}", email: "${email}"}
        idempotency_key: {header: Idempotency-Key}
        expect: {status: 201, json: {state: accepted}}
        extract: {order: {json: order}}
      - name: order
        get: "/api/orders/${order}"
        expect: {status: 200, json: {order: "${order}", state: paid}}
  page:
    steps:
      - {name: page, get: /page, repeat: 100}
"""

_ROUTES = (
    ("GET", "/", "home"),
    ("GET", "/search", "search"),
    ("GET", "/p/*", "product"),
    ("POST", "/cart", "add"),
    ("GET", "/api/cart/*", "cart"),
    ("POST", "/api/checkout", "pay"),
    ("GET", "/api/orders/*", "order"),
    ("GET", "/page", "page"),
)


def write(folder: Path) -> None:
    """The answers, and which request gets which."""
    folder.mkdir(parents=True)
    session = "Set-Cookie: session=3f2b9c51d07e4a68; Path=/; HttpOnly; SameSite=Lax\r\n"
    _answer(folder / "home", _html("Welcome", _FORM + _listing(6)), extra=session)
    _answer(folder / "search", _html("24 mugs", _listing(24)))
    _answer(folder / "product", _html("A mug", _PRODUCT + _listing(4)))
    _answer(folder / "add", _json({"ok": True, "count": 1, "cart": {"id": "c-7a41f3"}}), "json")
    _answer(folder / "cart", _json(_CART), "json")
    paid = {"state": "accepted", "order": "A-100042", "total": 19.9}
    _answer(folder / "pay", _json(paid), "json", status="201 Created")
    order = {"order": "A-100042", "state": "paid", **_CART}
    _answer(folder / "order", _json(order), "json")
    _answer(folder / "page", b"<html>" + b"x" * 2035 + b"</html>")
    lines = [" ".join(route) for route in _ROUTES]
    (folder / "routes").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _answer(
    path: Path, body: bytes, kind: str = "html", *, status: str = "200 OK", extra: str = ""
) -> None:
    mime = "application/json" if kind == "json" else "text/html; charset=utf-8"
    head = (
        f"HTTP/1.1 {status}\r\nServer: canned\r\nDate: Sun, 22 Nov 2026 08:00:00 GMT\r\n"
        f"Content-Type: {mime}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n{extra}\r\n"
    )
    path.write_bytes(head.encode() + body)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


_FORM = (
    '<form action="/search"><input name="q">'
    '<input type="hidden" name="csrf" value="tok-51f7a0c2"></form>'
)
_PRODUCT = '<div id="p" data-sku="mug-07"><b class="price">19.90</b> <i>In stock</i></div>'
_CART = {
    "id": "c-7a41f3",
    "total": 19.9,
    "currency": "EUR",
    "items": [
        {"sku": f"mug-{n:02d}", "quantity": 1, "price": 19.9, "tags": ["mug", "blue"]}
        for n in range(8)
    ],
}


def _listing(count: int) -> str:
    row = (
        '<li class="card"><a class="product" href="/p/mug-{n:02d}"><img src="/i/{n}.jpg" alt="mug">'
        '<span class="name">Mug number {n}</span></a><span class="price">19.90 EUR</span>'
        '<p class="text">Stoneware, holds a third of a litre, may go into the dishwasher.</p></li>'
    )
    return f'<ul class="grid">{"".join(row.format(n=n) for n in range(count))}</ul>'


def _html(title: str, body: str) -> bytes:
    menu = "".join(f'<li><a href="/c/{n}">Category {n}</a></li>' for n in range(12))
    return (
        f"<!doctype html><html><head><title>{title}</title><link rel=stylesheet href=/s.css></head>"
        f"<body><nav><ul>{menu}</ul></nav><main><h1>{title}</h1>{body}</main>"
        "<footer><p>Imprint, terms, privacy</p></footer></body></html>"
    ).encode()
