"""Which pages take an order from the address to the parcel, or back?"""

from __future__ import annotations

import secrets

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from sre.demo import shop_orders, shop_payments
from sre.demo.shop_model import Address, Cart, Order, ShopError
from sre.demo.shop_web import (
    check_csrf,
    customer_id,
    reading,
    session_cart,
    shop,
    synthetic,
    writing,
)

__all__ = ["checkout_pages"]

checkout_pages = Blueprint("checkout", __name__)
checkout_pages.before_request(check_csrf)


@checkout_pages.get("/checkout")
def form() -> ResponseReturnValue:
    """Ask for the address; guests are welcome."""
    with reading() as db:
        cart = session_cart(db)
    if cart is None or not cart.lines:
        return redirect(url_for("pages.cart"), 303)
    return _form(cart)


@checkout_pages.post("/checkout")
def place() -> ResponseReturnValue:
    """Order the cart."""
    with reading() as db:
        cart = session_cart(db)
    if cart is None:
        return redirect(url_for("pages.cart"), 303)
    try:
        with writing() as db:
            number = shop_orders.place(
                db,
                cart.id,
                Address.parse(request.form),
                customer_id=customer_id(),
                synthetic=synthetic(),
                oversell=shop().oversells,
            )
    except ShopError as error:
        return _form(cart, error)
    session.pop("cart", None)
    session.pop("count", None)
    return redirect(url_for("checkout.pay_form", number=number), 303)


@checkout_pages.get("/orders/<number>/pay")
def pay_form(number: str) -> ResponseReturnValue:
    """Ask for the means of payment."""
    return _pay_form(_order(number))


@checkout_pages.post("/orders/<number>/pay")
def pay(number: str) -> ResponseReturnValue:
    """Pay with a sandbox token; a form sent twice captures once."""
    key = request.headers.get("Idempotency-Key") or request.form.get("idempotency_key", "")
    token = request.form.get("token", "")
    try:
        with writing() as db:
            down = shop().provider_down
            answer = shop_payments.pay(db, number, token, key, provider_down=down)
    except ShopError as error:
        if error.status in (404, 502):
            raise
        return _pay_form(_order(number), error.message)
    if answer.status != 200:
        return _pay_form(_order(number), answer.body["error"]["message"])
    return redirect(url_for("checkout.order", number=number), 303)


@checkout_pages.get("/orders/<number>")
def order(number: str) -> ResponseReturnValue:
    """The order's state. Its number is the key: guests have no account."""
    return _order_page(number)


@checkout_pages.get("/orders/<number>/tracking")
def tracking(number: str) -> ResponseReturnValue:
    """Where the parcel is."""
    with reading() as db:
        found = shop_orders.order(db, number)
        parcel = shop_payments.tracking(db, found, shop().tracking_seconds)
    return render_template("tracking.html", order=found, parcel=parcel)


@checkout_pages.post("/orders/<number>/refund")
def refund(number: str) -> ResponseReturnValue:
    """Send everything back."""
    try:
        with writing() as db:
            shop_payments.refund(db, number)
    except ShopError as error:
        return _order_page(number, error.message)
    return redirect(url_for("checkout.order", number=number), 303)


@checkout_pages.post("/orders/<number>/cancel")
def cancel(number: str) -> ResponseReturnValue:
    """Call off an unpaid order."""
    try:
        with writing() as db:
            shop_orders.cancel(db, number)
    except ShopError as error:
        return _order_page(number, error.message)
    return redirect(url_for("checkout.order", number=number), 303)


def _order(number: str) -> Order:
    with reading() as db:
        return shop_orders.order(db, number)


def _form(cart: Cart, error: ShopError | None = None) -> ResponseReturnValue:
    return render_template(
        "checkout.html",
        cart=cart,
        given=request.form,
        error=error.message if error else None,
        invalid=error.invalid if error else {},
    )


def _pay_form(due: Order, error: str | None = None) -> ResponseReturnValue:
    # A new key for each form: after a declined payment another attempt must not be a repetition.
    return render_template("pay.html", order=due, key=secrets.token_urlsafe(16), error=error)


def _order_page(number: str, error: str | None = None) -> ResponseReturnValue:
    with reading() as db:
        found = shop_orders.order(db, number)
        lines = shop_orders.lines(db, found.id)
    return render_template("order.html", order=found, lines=lines, error=error)
