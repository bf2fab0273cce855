"""Which pages let a customer register, log in and out, and see past orders?"""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from sre.demo import shop_orders, shop_store
from sre.demo.shop_model import Customer, ShopError
from sre.demo.shop_web import check_csrf, customer_id, reading, writing

__all__ = ["account_pages"]

account_pages = Blueprint("account", __name__)
account_pages.before_request(check_csrf)


@account_pages.get("/register")
def register_form() -> ResponseReturnValue:
    """The form for a new account."""
    return render_template("register.html", given={}, invalid={})


@account_pages.post("/register")
def register() -> ResponseReturnValue:
    """Open an account and log in."""
    form = request.form
    email, name = form.get("email", "").strip(), form.get("name", "").strip()
    try:
        with writing() as db:
            customer = shop_store.register(db, email, name, form.get("password", ""))
    except ShopError as error:
        return render_template(
            "register.html", given=form, invalid=error.invalid, error=error.message
        )
    _enter(customer)
    return redirect(url_for("account.overview"), 303)


@account_pages.get("/login")
def login_form() -> ResponseReturnValue:
    """The form for customers with an account."""
    return render_template("login.html", given={})


@account_pages.post("/login")
def login() -> ResponseReturnValue:
    """Log in; the cart of the session stays."""
    form = request.form
    try:
        with reading() as db:
            customer = shop_store.log_in(
                db, form.get("email", "").strip(), form.get("password", "")
            )
    except ShopError as error:
        return render_template("login.html", given=form, error=error.message)
    _enter(customer)
    return redirect(url_for("account.overview"), 303)


@account_pages.post("/logout")
def logout() -> ResponseReturnValue:
    """Forget customer and cart."""
    session.clear()
    return redirect(url_for("pages.home"), 303)


@account_pages.get("/account")
def overview() -> ResponseReturnValue:
    """The customer's orders."""
    customer = customer_id()
    if customer is None:
        return redirect(url_for("account.login_form"), 303)
    with reading() as db:
        orders = shop_orders.orders_of(db, customer)
    return render_template("account.html", orders=orders)


def _enter(customer: Customer) -> None:
    # A token from before the login could be known to whoever planted the session.
    session.pop("csrf", None)
    session["customer"] = customer.id
    session["name"] = customer.name
