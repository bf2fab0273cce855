"""Three shapes of shop, each with its journey in YAML: is ok ok, refused refused, failed failed?"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from sre.core.secrets import MASK
from sre.journey.drive import run_once
from sre.journey.guard import Guard
from sre.journey.result import JourneyResult
from sre.settings import load_settings


@dataclass
class Ask:
    """One request, read."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body).items()}


@dataclass
class Shop:
    """A small shop; `trouble` is what it does wrong: "", "sold out" or "broken"."""

    answer: Callable[[Shop, Ask], tuple[int, dict[str, str], str]]
    trouble: str = ""
    seen: list[Ask] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    url: str = ""


@pytest.fixture
def open_shop() -> Iterator[Callable[[Any], Shop]]:
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Any) -> Shop:
        shop = Shop(answer)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                size = int(self.headers.get("content-length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                ask = Ask(self.command, self.path, headers, self.rfile.read(size).decode())
                shop.seen.append(ask)
                status, more, text = shop.answer(shop, ask)
                data = text.encode()
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = serve

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        shop.url = f"http://127.0.0.1:{server.server_address[1]}"
        return shop

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def buy(folder: Path, shop: Shop, trouble: str, journey: str) -> JourneyResult:
    shop.trouble = trouble
    shop.seen.clear()
    path = folder / "sre.yaml"
    path.write_text(
        f"version: 1\nshop: {{name: t, base_url: '{shop.url}', environment: test}}\n{journey}"
    )
    settings = load_settings(path)
    guard = Guard(settings.targets.allow, settings.shop.base_url)
    return run_once(settings.journeys["buy"], shop=settings.shop, guard=guard)


TROUBLES = [("", "ok"), ("sold out", "refused"), ("broken", "failed")]


def server_rendered(shop: Shop, ask: Ask) -> tuple[int, dict[str, str], str]:
    """Forms with a CSRF token and a session cookie; success is 302, failure a page with 200."""
    form = '<form><input type="hidden" name="csrf" value="c-{}"></form>'
    if ask.method == "GET":
        n = shop.counts["csrf"] = shop.counts.get("csrf", 0) + 1
        cookie = {} if "cookie" in ask.headers else {"Set-Cookie": "session=s-42-long; HttpOnly"}
        shown = (
            "<h1>Thank you</h1><b id=number>A-17</b>" if ask.path == "/done" else "<h1>Cart</h1>"
        )
        return 200, cookie, shown + form.format(n)
    good = ask.form.get("csrf") == f"c-{shop.counts['csrf']}"
    if shop.trouble == "broken" or not good or "session=s-42" not in ask.headers.get("cookie", ""):
        return 200, {}, '<ul class="errorlist"><li>Session expired</li></ul>' + form.format(0)
    if shop.trouble == "sold out":
        return 200, {}, '<p class="alert">Sorry, out of stock</p>' + form.format(0)
    return 302, {"Location": "done" if ask.path == "/pay" else "/pay"}, ""


SERVER_RENDERED = """
journeys:
  buy:
    every: 1m
    side_effects: order
    budget: 60/h
    steps:
      - name: product
        get: /product
        extract: {csrf: {css: "input[name=csrf]", attr: value}}
      - name: add
        post: /cart
        form: {csrf: "${csrf}", quantity: 1}
        refused: {contains: out of stock}
        expect: {css: {".errorlist": {count: 0}, h1: Cart}}
        extract: {csrf: {css: "input[name=csrf]", attr: value}}
      - name: pay
        post: /pay
        sandbox: true
        form: {csrf: "${csrf}"}
        follow: false
        expect: {status: 302, header: {Location: "~^done$"}}
      - name: done
        get: done
        expect: {css: {h1: Thank you}}
        extract: {number: {css: "#number"}}
"""


@pytest.mark.parametrize(("trouble", "outcome"), TROUBLES)
def test_a_server_rendered_shop(tmp_path: Path, open_shop: Any, trouble: str, outcome: str) -> None:
    shop = open_shop(server_rendered)
    result = buy(tmp_path, shop, trouble, SERVER_RENDERED)
    assert result.outcome == outcome, result
    if not trouble:
        assert result.values["number"] == "A-17"
        assert [row.status for row in result.rows] == [200, 302, 200, 302, 200]
    else:
        assert result.failed_step == "add"
        assert result.reason == ("body" if trouble == "broken" else "")
    assert "s-42-long" not in repr(result)


def graphql(shop: Shop, ask: Ask) -> tuple[int, dict[str, str], str]:
    """One address; failures are 200 too; the session's token comes in a header of the first."""
    query = json.loads(ask.body)["query"]
    as_json = {"Content-Type": "application/json"}
    known = ask.headers.get("authorization") == "Bearer gql-token-123456"
    if "addItem" in query:
        if shop.trouble == "sold out":
            added: dict[str, Any] = {"__typename": "InsufficientStockError", "message": "none left"}
        else:
            added = {"__typename": "Order", "code": "G-1", "total": 1250}
        token = {} if known else {"auth-token": "gql-token-123456"}
        return 200, {**as_json, **token}, json.dumps({"data": {"add": added}})
    if not known or shop.trouble == "broken":
        return 200, as_json, json.dumps({"errors": [{"message": "FORBIDDEN"}], "data": None})
    state = "PaymentSettled" if "pay" in query else "Shipped"
    return 200, as_json, json.dumps({"data": {"pay": {"__typename": "Order", "state": state}}})


GRAPHQL = """
defaults: {expect: {status: 200, json: {errors: {exists: false}}}}
journeys:
  buy:
    headers: {Authorization: "Bearer ${token?}"}
    steps:
      - name: add
        post: /shop-api
        json: {query: "mutation { addItem }", variables: {quantity: "${int:1..3}"}}
        refused: {json: {data.add.__typename: InsufficientStockError}}
        expect: {json: {data.add.__typename: Order, data.add.total: {min: 1}}}
        extract:
          token: {header: auth-token}
          code: {json: data.add.code}
      - name: pay
        post: /shop-api
        json: {query: "mutation { pay }", variables: {code: "${code}"}}
        expect: {json: {"data.pay.state": PaymentSettled}}
      - name: shipped
        post: /shop-api
        json: {query: "{ order }", variables: {code: "${code}"}}
        until: {expect: {json: {"data.pay.state": Shipped}}, every: 10ms, within: 2s}
"""


@pytest.mark.parametrize(("trouble", "outcome"), TROUBLES)
def test_a_graphql_shop(tmp_path: Path, open_shop: Any, trouble: str, outcome: str) -> None:
    shop = open_shop(graphql)
    result = buy(tmp_path, shop, trouble, GRAPHQL)
    assert result.outcome == outcome, result
    assert "authorization" not in shop.seen[0].headers
    assert "gql-token" not in repr(result)
    assert MASK not in repr(result.values)
    if not trouble:
        assert result.values == {"code": "G-1"}
    elif trouble == "broken":
        assert (result.failed_step, result.reason) == ("pay", "body")
        assert "FORBIDDEN" in result.message


def rest(shop: Shop, ask: Ask) -> tuple[int, dict[str, str], str]:
    """A cart API behind a large page; refusals are 500 with a code; three requests an address."""
    client = ask.headers.get("x-forwarded-for", "?")
    shop.counts[client] = shop.counts.get(client, 0) + 1
    if shop.counts[client] > 4:
        return 429, {"Retry-After": "30"}, "slow down"
    as_json = {"Content-Type": "application/json"}
    if ask.path == "/":
        state = json.dumps({"api": {"nonce": "n-77", "root": "/wp-json"}})
        filler = "<div class=row><a href=#>x</a> words</div>\n" * (320 * 1024 // 43)
        return 200, {}, f"<html>{filler}<script id=boot>{state}</script></html>"
    if ask.headers.get("x-nonce") != "n-77":
        return 403, as_json, '{"code": "bad_nonce"}'
    if ask.path == "/wp-json/cart" and shop.trouble == "sold out":
        return 500, as_json, '{"code": "product_out_of_stock", "message": "none"}'
    if ask.path == "/wp-json/checkout":
        if shop.trouble == "broken":
            return 500, as_json, '{"code": "internal_error"}'
        return 200, as_json, json.dumps({"redirect": f"{shop.url}/received/9001?key=k"})
    if ask.path.startswith("/received/"):
        return 200, {}, "<li>Order number: <strong>9001</strong></li>"
    return 201, as_json, json.dumps({"items": [{"sku": "mug", "quantity": 1}]})


REST = r"""
journeys:
  buy:
    vars: {client: "10.${int:0..255}.${int:0..255}.${int:1..254}", email: "p+${uuid}@x.test"}
    headers: {X-Forwarded-For: "${client}", X-Nonce: "${nonce?}"}
    defaults:
      refused: {json: {code: "~^product_"}}
    steps:
      - name: home
        get: /
        extract: {nonce: {css: "script#boot", json: api.nonce}}
      - name: cart
        post: /wp-json/cart
        json: {sku: mug, quantity: 1}
        expect: {status: 201, json: {items: {count: 1}, "items[0].sku": mug}}
      - name: checkout
        post: /wp-json/checkout
        json: {email: "${email}"}
        expect: {status: 200}
        extract: {next: {json: redirect}}
      - name: received
        get: "${next}"
        extract:
          order: {css: "li strong", regex: '^(\d+)$'}
          same: {url: 'received/(\d+)'}
"""


@pytest.mark.parametrize(("trouble", "outcome"), TROUBLES)
def test_a_rest_shop(tmp_path: Path, open_shop: Any, trouble: str, outcome: str) -> None:
    shop = open_shop(rest)
    result = buy(tmp_path, shop, trouble, REST)
    assert result.outcome == outcome, result
    if not trouble:
        assert (result.values["order"], result.values["same"]) == ("9001", "9001")
        assert next(iter(result.rows)).received_bytes > 300_000
    elif trouble == "broken":
        assert (result.failed_step, result.reason) == ("checkout", "status")
    else:
        assert (result.failed_step, result.steps[-1].status) == ("cart", 500)
    for _run in range(5):  # each run is another customer to the rate limit
        assert buy(tmp_path, shop, "", REST).outcome == "ok"
    fixed = REST.replace("${int:0..255}", "1").replace("${int:1..254}", "1")
    assert buy(tmp_path, shop, "", fixed).outcome == "ok"
    throttled = buy(tmp_path, shop, "", fixed)
    assert (throttled.outcome, throttled.steps[0].retry_after) == ("throttled", 30.0)
