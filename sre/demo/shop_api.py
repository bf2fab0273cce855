"""How do programs use the shop? JSON under /api/v1, with a bearer token from /login."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer

from sre.demo import shop_orders, shop_payments, shop_store
from sre.demo.shop_db import Session
from sre.demo.shop_model import Address, Cart, Order, Product, ShopError
from sre.demo.shop_seed import CATEGORIES
from sre.demo.shop_web import owned, reading, shop, synthetic, writing

__all__ = ["api"]

api = Blueprint("api", __name__, url_prefix="/api/v1")

_TOKEN_SECONDS = 12 * 3600


@api.post("/customers")
def register() -> ResponseReturnValue:
    """Open an account."""
    with writing() as db:
        customer = shop_store.register(db, _text("email"), _text("name"), _text("password"))
    return jsonify(id=customer.id, email=customer.email, name=customer.name), 201


@api.post("/login")
def login() -> ResponseReturnValue:
    """A token for the header `Authorization: Bearer`. It is signed, not stored."""
    with reading() as db:
        customer = shop_store.log_in(db, _text("email"), _text("password"))
    return jsonify(token=_signer().dumps(customer.id), expires_in=_TOKEN_SECONDS)


@api.get("/categories")
def categories() -> ResponseReturnValue:
    """All categories."""
    return jsonify(categories=list(CATEGORIES))


@api.get("/products")
def products() -> ResponseReturnValue:
    """By `category`, or by words `q`."""
    term, category = request.args.get("q", "").strip(), request.args.get("category", "")
    with reading() as db:
        by_category = shop_store.by_category
        found = by_category(db, category) if category else shop_store.search(db, term)
    return jsonify(count=len(found), products=[_product(item) for item in found])


@api.get("/products/<sku>")
def product(sku: str) -> ResponseReturnValue:
    """One product."""
    with reading() as db:
        return jsonify(_product(shop_store.product_by_sku(db, sku)))


@api.post("/carts")
def new_cart() -> ResponseReturnValue:
    """An empty cart of this customer."""
    customer = _customer()
    with writing() as db:
        return jsonify(_cart(shop_store.cart(db, shop_store.new_cart(db, customer)))), 201


@api.get("/carts/<uuid:cart_id>")
def cart(cart_id: UUID) -> ResponseReturnValue:
    """What is in it and what it costs."""
    with reading() as db:
        return jsonify(_cart(_own_cart(db, cart_id)))


@api.post("/carts/<uuid:cart_id>/lines")
def add_line(cart_id: UUID) -> ResponseReturnValue:
    """Add `quantity` of `sku`."""
    with writing() as db:
        _own_cart(db, cart_id)
        wanted = shop_store.product_by_sku(db, _text("sku"))
        oversell = shop().oversells
        shop_store.add_to_cart(db, cart_id, wanted, _number("quantity"), oversell=oversell)
        return jsonify(_cart(shop_store.cart(db, cart_id))), 201


@api.patch("/carts/<uuid:cart_id>/lines/<sku>")
def change_line(cart_id: UUID, sku: str) -> ResponseReturnValue:
    """Another quantity; 0 removes the line."""
    return _set_quantity(cart_id, sku, _number("quantity"))


@api.delete("/carts/<uuid:cart_id>/lines/<sku>")
def remove_line(cart_id: UUID, sku: str) -> ResponseReturnValue:
    """Take a product out."""
    return _set_quantity(cart_id, sku, 0)


@api.post("/carts/<uuid:cart_id>/coupon")
def coupon(cart_id: UUID) -> ResponseReturnValue:
    """Use the coupon `code`."""
    with writing() as db:
        _own_cart(db, cart_id)
        shop_store.apply_coupon(db, cart_id, _text("code"))
        return jsonify(_cart(shop_store.cart(db, cart_id)))


@api.post("/orders")
def place() -> ResponseReturnValue:
    """Order the cart `cart_id` to `address`."""
    customer = _customer()
    try:
        cart_id = UUID(_text("cart_id"))
    except ValueError:
        raise ShopError("invalid", "cart_id is not a cart's id.", 422) from None
    given = _body().get("address")
    address = Address.parse(given if isinstance(given, dict) else {})
    with writing() as db:
        _own_cart(db, cart_id)
        number = shop_orders.place(
            db,
            cart_id,
            address,
            customer_id=customer,
            synthetic=synthetic(),
            oversell=shop().oversells,
        )
        return jsonify(_order(db, shop_orders.order(db, number))), 201


@api.get("/orders/<number>")
def order(number: str) -> ResponseReturnValue:
    """The order and its state."""
    with reading() as db:
        return jsonify(_order(db, _own_order(db, number)))


@api.post("/orders/<number>/pay")
def pay(number: str) -> ResponseReturnValue:
    """Pay with `token`; header Idempotency-Key makes repetitions harmless."""
    with writing() as db:
        _own_order(db, number)
        key, down = request.headers.get("Idempotency-Key", ""), shop().provider_down
        answer = shop_payments.pay(db, number, _text("token"), key, provider_down=down)
    return jsonify(answer.body), answer.status


@api.get("/orders/<number>/tracking")
def tracking(number: str) -> ResponseReturnValue:
    """Where the parcel is."""
    with reading() as db:
        parcel = shop_payments.tracking(db, _own_order(db, number), shop().tracking_seconds)
    return jsonify(code=parcel.code, state=parcel.state, passed=parcel.passed)


@api.post("/orders/<number>/refund")
def refund(number: str) -> ResponseReturnValue:
    """Send everything back."""
    with writing() as db:
        _own_order(db, number)
        return jsonify(_order(db, shop_payments.refund(db, number)))


@api.post("/orders/<number>/cancel")
def cancel(number: str) -> ResponseReturnValue:
    """Call off an unpaid order."""
    with writing() as db:
        _own_order(db, number)
        return jsonify(_order(db, shop_orders.cancel(db, number)))


def _set_quantity(cart_id: UUID, sku: str, quantity: int) -> ResponseReturnValue:
    with writing() as db:
        _own_cart(db, cart_id)
        wanted = shop_store.product_by_sku(db, sku)
        shop_store.set_quantity(db, cart_id, wanted.id, quantity)
        return jsonify(_cart(shop_store.cart(db, cart_id)))


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="api-token")


def _customer() -> int:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        return int(_signer().loads(token, max_age=_TOKEN_SECONDS))
    except (BadSignature, ValueError):
        hint = "" if scheme == "Bearer" else "; send Authorization: Bearer TOKEN"
        raise ShopError("unauthenticated", f"Please log in{hint}.", 401) from None


def _own_cart(db: Session, cart_id: UUID) -> Cart:
    customer = _customer()
    found = shop_store.cart(db, cart_id)
    if found.customer_id != customer:
        raise ShopError("not_found", "There is no such cart.", 404)
    return found


def _own_order(db: Session, number: str) -> Order:
    customer = _customer()
    return owned(shop_orders.order(db, number), customer)


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise ShopError("invalid", "The body must be a JSON object.", 422)
    return body


def _text(name: str) -> str:
    value = _body().get(name)
    if not isinstance(value, str) or not value:
        bad = {name: "is required, as text"}
        raise ShopError("invalid", f"{name} {bad[name]}.", 422, bad)
    return value


def _number(name: str) -> int:
    value = _body().get(name, 1)
    if not isinstance(value, int) or isinstance(value, bool):
        bad = {name: "must be a whole number"}
        raise ShopError("invalid", f"{name} {bad[name]}.", 422, bad)
    return value


def _product(item: Product) -> dict[str, Any]:
    return {
        "sku": item.sku,
        "slug": item.slug,
        "name": item.name,
        "category": item.category,
        "price": item.price,
        "available": item.stock > 0,
    }


def _cart(found: Cart) -> dict[str, Any]:
    sums = found.totals
    lines = [
        {"sku": line.sku, "name": line.name, "price": line.price, "quantity": line.quantity}
        for line in found.lines
    ]
    return {
        "id": str(found.id),
        "state": found.state,
        "coupon": found.coupon.code if found.coupon else None,
        "lines": lines,
        "totals": {**vars(sums), "total": sums.total},
    }


def _order(db: Session, found: Order) -> dict[str, Any]:
    lines = [
        {"sku": line.sku, "name": line.name, "price": line.price, "quantity": line.quantity}
        for line in shop_orders.lines(db, found.id)
    ]
    return {"number": found.number, "state": found.state, "total": found.total, "lines": lines}
