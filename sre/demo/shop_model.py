"""What is a product, a cart, an order, and what does a cart cost?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

__all__ = [
    "Address",
    "Cart",
    "CartLine",
    "Coupon",
    "Customer",
    "Line",
    "Order",
    "Product",
    "ShopError",
    "Totals",
    "Tracking",
    "totals",
]

SHIPPING = 490
FREE_SHIPPING_FROM = 10_000
TRACKING_STATES = ("label_created", "picked_up", "in_transit", "out_for_delivery", "delivered")


class ShopError(Exception):
    """A request that the shop will not fulfil: a code for programs, a sentence for people."""

    def __init__(
        self, code: str, message: str, status: int = 409, invalid: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.invalid = dict(invalid or {})


@dataclass(frozen=True)
class Product:
    """Something to buy; `price` in cents."""

    id: int
    sku: str
    slug: str
    name: str
    category: str
    description: str
    price: int
    stock: int


@dataclass(frozen=True)
class Customer:
    """A registered customer."""

    id: int
    email: str
    name: str
    password_hash: str


@dataclass(frozen=True)
class CartLine:
    """So many of one product, at today's price."""

    product_id: int
    sku: str
    slug: str
    name: str
    price: int
    quantity: int


@dataclass(frozen=True)
class Coupon:
    """`percent` off, or free shipping."""

    code: str
    kind: str
    percent: int
    expired: bool


@dataclass(frozen=True)
class Totals:
    """What a cart or an order costs, in cents."""

    subtotal: int
    discount: int
    shipping: int

    @property
    def total(self) -> int:
        """What the customer pays."""
        return self.subtotal - self.discount + self.shipping


@dataclass(frozen=True)
class Cart:
    """What a customer is about to buy."""

    id: UUID
    customer_id: int | None
    state: str
    coupon: Coupon | None
    lines: tuple[CartLine, ...]

    @property
    def totals(self) -> Totals:
        """The cost of all lines with the coupon."""
        return totals(self.lines, self.coupon)

    @property
    def count(self) -> int:
        """Pieces in the cart."""
        return sum(line.quantity for line in self.lines)


@dataclass(frozen=True)
class Address:
    """Who gets the parcel, and where."""

    email: str
    name: str
    street: str
    postcode: str
    city: str
    country: str

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> Address:
        """Raises ShopError `invalid` that names every bad field."""
        values = {field.name: str(given.get(field.name) or "").strip() for field in fields(cls)}
        bad = {name: "is required" for name, value in values.items() if not value}
        bad |= {name: "is too long" for name, value in values.items() if len(value) > 200}
        if "email" not in bad and not is_email(values["email"]):
            bad["email"] = "is not an email address"
        if bad:
            raise ShopError("invalid", "Please complete the address.", 422, bad)
        return cls(**values)


@dataclass(frozen=True)
class Line:
    """One product of an order."""

    product_id: int
    sku: str
    name: str
    price: int
    quantity: int
    taken: int


@dataclass(frozen=True)
class Order:
    """A placed order."""

    id: int
    number: str
    customer_id: int | None
    email: str
    state: str
    coupon: str | None
    subtotal: int
    discount: int
    shipping: int
    total: int
    created_at: datetime


@dataclass(frozen=True)
class Tracking:
    """Where a parcel is."""

    code: str
    state: str
    passed: tuple[str, ...]


def totals(lines: Sequence[CartLine], coupon: Coupon | None) -> Totals:
    """Percentages round down; shipping is free from 100.00 after the discount."""
    subtotal = sum(line.price * line.quantity for line in lines)
    percent = coupon.percent if coupon and coupon.kind == "percent" else 0
    discount = subtotal * percent // 100
    free = subtotal - discount >= FREE_SHIPPING_FROM or (coupon and coupon.kind == "shipping")
    return Totals(subtotal, discount, 0 if free or not lines else SHIPPING)


def tracking_state(elapsed: float, step_seconds: float, stopped: bool) -> tuple[str, ...]:
    """The states that a parcel has passed through `elapsed` seconds after payment."""
    reached = min(len(TRACKING_STATES), 1 + int(max(0.0, elapsed) / step_seconds))
    passed = TRACKING_STATES[:reached]
    return (*passed, "returned") if stopped else passed


def is_email(text: str) -> bool:
    """Good enough for a form: something@host.tld without blanks."""
    return re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", text) is not None
