"""How does a cart become an order that leaves the stock, and how is it called off?"""

from __future__ import annotations

import secrets
from uuid import UUID

from sre.demo import shop_store
from sre.demo.shop_db import Session
from sre.demo.shop_model import Address, Cart, CartLine, Line, Order, ShopError

__all__ = ["cancel", "close", "lines", "order", "orders_of", "place"]

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_SYNTHETIC_PREFIX = "sre/"


def place(
    session: Session,
    cart_id: UUID,
    address: Address,
    *,
    customer_id: int | None = None,
    synthetic: str | None = None,
    oversell: bool = False,
) -> str:
    """Order a cart; answers the order's number. Needs a transaction.

    Raises:
        ShopError: cart_closed, cart_empty, out_of_stock.
    """
    cart = shop_store.cart(session, cart_id, lock=True)
    if cart.state != "open":
        raise ShopError("cart_closed", "This cart has been ordered already.")
    if not cart.lines:
        raise ShopError("cart_empty", "Your cart is empty.")
    # In the order of product ids, which is the same for everyone: no deadlocks.
    taken = [_take(session, line, oversell) for line in cart.lines]
    number, order_id = _insert(session, cart, address, customer_id, synthetic)
    session.run(
        "insert into order_lines (order_id, product_id, quantity, taken, price)"
        " select %(order)s, * from unnest(%(ids)s::int[], %(quantities)s::int[], %(taken)s::int[],"
        " %(prices)s::int[])",
        {
            "order": order_id,
            "ids": [line.product_id for line in cart.lines],
            "quantities": [line.quantity for line in cart.lines],
            "taken": taken,
            "prices": [line.price for line in cart.lines],
        },
    )
    session.run("update carts set state = 'ordered' where id = %(id)s", {"id": cart.id})
    return number


def _take(session: Session, line: CartLine, oversell: bool) -> int:
    """Pieces that left the stock: all of them, or fewer when the shop oversells."""
    params = {"product": line.product_id, "quantity": line.quantity}
    touched = session.run(
        "update products set stock = stock - %(quantity)s"
        " where id = %(product)s and stock >= %(quantity)s",
        params,
    )
    if touched:
        return line.quantity
    if not oversell:
        raise ShopError("out_of_stock", f"{line.name} is out of stock.")
    left = session.value("select stock from products where id = %(product)s for update", params)
    session.run("update products set stock = 0 where id = %(product)s", params)
    return int(left)


def _insert(
    session: Session, cart: Cart, address: Address, customer_id: int | None, synthetic: str | None
) -> tuple[str, int]:
    number = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    totals = cart.totals
    mark = synthetic[:200] if synthetic else None
    run = (
        mark.removeprefix(_SYNTHETIC_PREFIX)
        if mark and mark.startswith(_SYNTHETIC_PREFIX)
        else None
    )
    order_id = session.value(
        "insert into orders (number, cart_id, customer_id, email, name, street, postcode, city,"
        " country, coupon, subtotal, discount, shipping, total, synthetic, run)"
        " values (%(number)s, %(cart)s, %(customer)s, %(email)s, %(name)s, %(street)s,"
        " %(postcode)s, %(city)s, %(country)s, %(coupon)s, %(subtotal)s, %(discount)s,"
        " %(shipping)s, %(total)s, %(synthetic)s, %(run)s) returning id",
        {
            **vars(address),
            "number": number,
            "cart": cart.id,
            "customer": customer_id,
            "coupon": cart.coupon.code if cart.coupon else None,
            "subtotal": totals.subtotal,
            "discount": totals.discount,
            "shipping": totals.shipping,
            "total": totals.total,
            "synthetic": mark,
            "run": run,
        },
    )
    return number, int(order_id)


def order(session: Session, number: str, *, lock: bool = False) -> Order:
    """Raises ShopError not_found."""
    if lock:
        session.run("select from orders where number = %(n)s for update", {"n": number})
    found = session.one(
        Order,
        "select id, number, customer_id, email, state, coupon, subtotal, discount, shipping,"
        " total, created_at from orders where number = %(number)s",
        {"number": number},
    )
    if found is None:
        raise ShopError("not_found", "There is no such order.", 404)
    return found


def orders_of(session: Session, customer_id: int) -> list[Order]:
    """A customer's orders, newest first."""
    return session.all(
        Order,
        "select id, number, customer_id, email, state, coupon, subtotal, discount, shipping,"
        " total, created_at from orders where customer_id = %(customer)s"
        " order by id desc limit 50",
        {"customer": customer_id},
    )


def lines(session: Session, order_id: int) -> list[Line]:
    """An order's lines in the order of product ids."""
    return session.all(
        Line,
        "select l.product_id, p.sku, p.name, l.price, l.quantity, l.taken"
        " from order_lines l join products p on p.id = l.product_id"
        " where l.order_id = %(order)s order by l.product_id",
        {"order": order_id},
    )


def cancel(session: Session, number: str) -> Order:
    """Call off an unpaid order. Needs a transaction.

    Raises ShopError: not_found, not_cancellable.
    """
    placed = order(session, number, lock=True)
    if placed.state != "placed":
        raise ShopError("not_cancellable", f"This order is {placed.state}.")
    return close(session, placed, "cancelled")


def close(session: Session, closed: Order, state: str) -> Order:
    """Give an order's pieces back to the stock. Needs a transaction and the order's lock."""
    session.run(
        "update orders set state = %(state)s where id = %(order)s",
        {"state": state, "order": closed.id},
    )
    for line in lines(session, closed.id):
        session.run(
            "update products set stock = stock + %(taken)s where id = %(product)s",
            {"taken": line.taken, "product": line.product_id},
        )
    return order(session, closed.number)
