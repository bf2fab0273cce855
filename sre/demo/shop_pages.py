"""Which pages let a customer look around and fill a cart?"""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from sre.demo import shop_store
from sre.demo.shop_model import ShopError
from sre.demo.shop_seed import CATEGORIES
from sre.demo.shop_web import check_csrf, customer_id, reading, session_cart, shop, writing

__all__ = ["pages"]

pages = Blueprint("pages", __name__)
pages.before_request(check_csrf)


@pages.get("/")
def home() -> ResponseReturnValue:
    """What a newcomer sees first."""
    with reading() as db:
        featured = shop_store.by_category(db, CATEGORIES[0])[:6]
    return render_template("home.html", categories=CATEGORIES, featured=featured)


@pages.get("/c/<category>")
def category(category: str) -> ResponseReturnValue:
    """All products of a category."""
    if category not in CATEGORIES:
        raise ShopError("not_found", "We have no such category.", 404)
    with reading() as db:
        products = shop_store.by_category(db, category)
    return render_template("category.html", category=category, products=products)


@pages.get("/search")
def search() -> ResponseReturnValue:
    """Products that match the customer's words."""
    term = request.args.get("q", "").strip()[:100]
    with reading() as db:
        products = shop_store.search(db, term) if term else []
    return render_template("search.html", term=term, products=products)


@pages.get("/p/<slug>")
def product(slug: str) -> ResponseReturnValue:
    """One product, with the form that puts it into the cart."""
    with reading() as db:
        found = shop_store.product(db, slug)
    return render_template("product.html", product=found)


@pages.post("/p/<slug>/cart")
def add_to_cart(slug: str) -> ResponseReturnValue:
    """Put a product into the cart, which is made when there is none."""
    with writing() as db:
        found = shop_store.product(db, slug)
        try:
            quantity = _quantity()
            cart = session_cart(db)
            cart_id = cart.id if cart else shop_store.new_cart(db, customer_id())
            shop_store.add_to_cart(db, cart_id, found, quantity, oversell=shop().oversells)
        except ShopError as error:
            return render_template("product.html", product=found, error=error.message)
    session["cart"] = str(cart_id)
    session["count"] = (cart.count if cart else 0) + quantity
    return redirect(url_for("pages.cart"), 303)


@pages.get("/cart")
def cart() -> ResponseReturnValue:
    """What is in the cart and what it costs."""
    return _cart_page()


@pages.post("/cart/lines/<int:product_id>")
def change_line(product_id: int) -> ResponseReturnValue:
    """Another quantity; 0 removes the line."""
    try:
        with writing() as db:
            shop_store.set_quantity(db, _cart_id(), product_id, _quantity())
    except ShopError as error:
        return _cart_page(error.message)
    return redirect(url_for("pages.cart"), 303)


@pages.post("/cart/lines/<int:product_id>/remove")
def remove_line(product_id: int) -> ResponseReturnValue:
    """Take a product out of the cart."""
    try:
        with writing() as db:
            shop_store.set_quantity(db, _cart_id(), product_id, 0)
    except ShopError as error:
        return _cart_page(error.message)
    return redirect(url_for("pages.cart"), 303)


@pages.post("/cart/coupon")
def coupon() -> ResponseReturnValue:
    """Use a coupon for the whole cart."""
    try:
        with writing() as db:
            shop_store.apply_coupon(db, _cart_id(), request.form.get("code", ""))
    except ShopError as error:
        return _cart_page(error.message)
    return redirect(url_for("pages.cart"), 303)


def _cart_page(error: str | None = None) -> ResponseReturnValue:
    with reading() as db:
        found = session_cart(db)
    count = found.count if found else 0
    if session.get("count", 0) != count:
        session["count"] = count
    return render_template("cart.html", cart=found, error=error)


def _cart_id() -> UUID:
    if "cart" not in session:
        raise ShopError("cart_empty", "Your cart is empty.")
    return UUID(session["cart"])


def _quantity() -> int:
    try:
        return int(request.form.get("quantity", "1"))
    except ValueError:
        raise ShopError("invalid", "The quantity must be a number.", 422) from None
