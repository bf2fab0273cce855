"""What do all pages and API calls of the shop share?"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from flask import current_app, request, session

from sre.demo import shop_store
from sre.demo.shop_db import Database, Session
from sre.demo.shop_faults import Faults
from sre.demo.shop_model import Cart, Order, ShopError

__all__ = ["Shop", "check_csrf", "csrf_token", "reading", "shop", "synthetic", "writing"]


@dataclass(frozen=True)
class Shop:
    """One worker's shop; hung on the Flask application."""

    database: Database
    faults: Faults
    tracking_seconds: float

    @property
    def oversells(self) -> bool:
        """Is the stock check switched off?"""
        return self.faults.on("oversell")

    @property
    def provider_down(self) -> bool:
        """Does the payment provider not answer?"""
        return self.faults.on("payment")


def shop() -> Shop:
    """The shop of the current request."""
    found: Shop = current_app.extensions["shop"]
    return found


@contextmanager
def reading() -> Iterator[Session]:
    """A database session in which each statement stands alone."""
    with shop().database.read() as db:
        yield db


@contextmanager
def writing() -> Iterator[Session]:
    """A database session that is one transaction."""
    with shop().database.transaction() as db:
        yield db


def synthetic() -> str | None:
    """The mark of a probe or a load test on this request."""
    return request.headers.get("X-Synthetic") or None


def csrf_token() -> str:
    """This browser session's token; templates put it into each form."""
    token = session.get("csrf")
    if not isinstance(token, str):
        token = session["csrf"] = secrets.token_urlsafe(16)
    return token


def check_csrf() -> None:
    """Before each request to a page: a form must carry the session's token."""
    if request.method == "POST" and not hmac.compare_digest(
        request.form.get("csrf_token", "").encode(), str(session.get("csrf") or "-").encode()
    ):
        raise ShopError("csrf", "Your session has expired. Please reload the page.", 400)


def customer_id() -> int | None:
    """Who is logged in to the pages."""
    found = session.get("customer")
    return found if isinstance(found, int) else None


def session_cart(db: Session) -> Cart | None:
    """The browser session's open cart; one that was ordered or lost counts as none."""
    if "cart" not in session:
        return None
    try:
        found = shop_store.cart(db, UUID(session["cart"]))
    except ShopError:
        return None
    return found if found.state == "open" else None


def owned(found: Order, customer: int) -> Order:
    """Raises ShopError not_found for somebody else's order: its existence is nobody's business."""
    if found.customer_id != customer:
        raise ShopError("not_found", "There is no such order.", 404)
    return found
