"""Which products, customers and carts does the shop have?"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from werkzeug.security import check_password_hash, generate_password_hash

from sre.demo.shop_db import Session
from sre.demo.shop_model import Cart, CartLine, Coupon, Customer, Product, ShopError, is_email

__all__ = [
    "add_to_cart",
    "apply_coupon",
    "by_category",
    "cart",
    "log_in",
    "new_cart",
    "product",
    "product_by_sku",
    "register",
    "search",
    "set_quantity",
]

MAX_QUANTITY = 99
# A real shop spends 100 ms of CPU on a password. Here load tests log in, and their numbers shall
# be about the shop's pages, not about PBKDF2.
_HASHING = "pbkdf2:sha256:1000"
_SHORTEST_PASSWORD = 8


def by_category(session: Session, category: str) -> list[Product]:
    """A category's products by name."""
    return session.all(
        Product,
        "select id, sku, slug, name, category, description, price, stock from products"
        " where category = %(category)s order by name",
        {"category": category},
    )


def search(session: Session, term: str, limit: int = 40) -> list[Product]:
    """Products with `term` in their name or category."""
    pattern = "%" + term.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    return session.all(
        Product,
        "select id, sku, slug, name, category, description, price, stock from products"
        " where name ilike %(pattern)s or category ilike %(pattern)s"
        " order by name limit %(limit)s",
        {"pattern": pattern, "limit": limit},
    )


def product(session: Session, slug: str) -> Product:
    """Raises ShopError not_found."""
    return _found(
        session.one(
            Product,
            "select id, sku, slug, name, category, description, price, stock from products"
            " where slug = %(slug)s",
            {"slug": slug},
        )
    )


def product_by_sku(session: Session, sku: str) -> Product:
    """Raises ShopError not_found."""
    return _found(
        session.one(
            Product,
            "select id, sku, slug, name, category, description, price, stock from products"
            " where sku = %(sku)s",
            {"sku": sku},
        )
    )


def register(session: Session, email: str, name: str, password: str) -> Customer:
    """Raises ShopError: invalid, email_taken."""
    bad = {} if is_email(email) else {"email": "is not an email address"}
    if not name:
        bad["name"] = "is required"
    if len(password) < _SHORTEST_PASSWORD:
        bad["password"] = f"needs {_SHORTEST_PASSWORD} characters or more"
    if bad:
        raise ShopError("invalid", "Please check the marked fields.", 422, bad)
    hashed = generate_password_hash(password, method=_HASHING)
    found = session.one(
        Customer,
        "insert into customers (email, name, password_hash)"
        " values (lower(%(email)s), %(name)s, %(hashed)s) on conflict (email) do nothing"
        " returning id, email, name, password_hash",
        {"email": email, "name": name, "hashed": hashed},
    )
    if found is None:
        raise ShopError("email_taken", "This email address has an account already.")
    return found


def log_in(session: Session, email: str, password: str) -> Customer:
    """Raises ShopError wrong_password, whichever of the two is wrong."""
    found = session.one(
        Customer,
        "select id, email, name, password_hash from customers where email = lower(%(email)s)",
        {"email": email},
    )
    if found is None or not check_password_hash(found.password_hash, password):
        raise ShopError("wrong_password", "Email address or password is wrong.", 401)
    return found


def new_cart(session: Session, customer_id: int | None) -> UUID:
    """An empty cart."""
    cart_id = uuid4()
    session.run(
        "insert into carts (id, customer_id) values (%(id)s, %(customer)s)",
        {"id": cart_id, "customer": customer_id},
    )
    return cart_id


@dataclass(frozen=True)
class _CartRow:
    id: UUID
    customer_id: int | None
    state: str
    coupon: str | None


def cart(session: Session, cart_id: UUID, *, lock: bool = False) -> Cart:
    """With its lines in the order of product ids; raises ShopError not_found.

    `lock` keeps other requests from changing or ordering it until the transaction ends.
    """
    params = {"id": cart_id}
    row = (
        session.one(
            _CartRow,
            "select id, customer_id, state, coupon from carts where id = %(id)s for update",
            params,
        )
        if lock
        else session.one(
            _CartRow, "select id, customer_id, state, coupon from carts where id = %(id)s", params
        )
    )
    if row is None:
        raise ShopError("not_found", "There is no such cart.", 404)
    lines = session.all(
        CartLine,
        "select l.product_id, p.sku, p.slug, p.name, p.price, l.quantity"
        " from cart_lines l join products p on p.id = l.product_id"
        " where l.cart_id = %(id)s order by l.product_id",
        params,
    )
    coupon = _coupon(session, row.coupon) if row.coupon else None
    return Cart(row.id, row.customer_id, row.state, coupon, tuple(lines))


def add_to_cart(
    session: Session, cart_id: UUID, wanted: Product, quantity: int, *, oversell: bool = False
) -> None:
    """Raises ShopError: invalid, out_of_stock, cart_closed."""
    _check_quantity(quantity, least=1)
    if wanted.stock < quantity and not oversell:
        raise ShopError("out_of_stock", f"{wanted.name} is out of stock.")
    touched = session.run(
        "insert into cart_lines (cart_id, product_id, quantity)"
        " select id, %(product)s, %(quantity)s from carts where id = %(cart)s and state = 'open'"
        " on conflict (cart_id, product_id) do update"
        " set quantity = least(cart_lines.quantity + excluded.quantity, %(most)s)",
        {"cart": cart_id, "product": wanted.id, "quantity": quantity, "most": MAX_QUANTITY},
    )
    if not touched:
        raise ShopError("cart_closed", "This cart has been ordered already.")


def set_quantity(session: Session, cart_id: UUID, product_id: int, quantity: int) -> None:
    """0 removes the line. Raises ShopError: invalid, not_found."""
    _check_quantity(quantity, least=0)
    params = {"cart": cart_id, "product": product_id, "quantity": quantity}
    if quantity:
        touched = session.run(
            "update cart_lines set quantity = %(quantity)s"
            " where cart_id = %(cart)s and product_id = %(product)s",
            params,
        )
    else:
        touched = session.run(
            "delete from cart_lines where cart_id = %(cart)s and product_id = %(product)s", params
        )
    if not touched:
        raise ShopError("not_found", "This product is not in the cart.", 404)


def apply_coupon(session: Session, cart_id: UUID, code: str) -> None:
    """Raises ShopError: coupon_unknown, coupon_expired."""
    coupon = _coupon(session, code.strip().upper())
    if coupon is None:
        raise ShopError("coupon_unknown", "We do not know this coupon.")
    if coupon.expired:
        raise ShopError("coupon_expired", "This coupon has expired.")
    session.run(
        "update carts set coupon = %(code)s where id = %(id)s and state = 'open'",
        {"code": coupon.code, "id": cart_id},
    )


def _coupon(session: Session, code: str) -> Coupon | None:
    return session.one(
        Coupon,
        "select code, kind, percent, coalesce(expires_at < now(), false) as expired"
        " from coupons where code = %(code)s",
        {"code": code},
    )


def _check_quantity(quantity: int, least: int) -> None:
    if not least <= quantity <= MAX_QUANTITY:
        bad = {"quantity": f"must be from {least} to {MAX_QUANTITY}"}
        raise ShopError("invalid", f"The quantity {bad['quantity']}.", 422, bad)


def _found(found: Product | None) -> Product:
    if found is None:
        raise ShopError("not_found", "We do not sell this.", 404)
    return found
