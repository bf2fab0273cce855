"""How is an order paid exactly once, sent, and refunded?"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from sre.demo import shop_orders
from sre.demo.shop_db import Session
from sre.demo.shop_model import Order, ShopError, Tracking, tracking_state

__all__ = ["Answer", "pay", "refund", "tracking"]

_SANDBOX = "tok_sandbox_"
_DECLINED = "tok_sandbox_declined"


@dataclass(frozen=True)
class Answer:
    """What a payment request gets, now and on each repetition."""

    status: int
    body: dict[str, Any]


def pay(
    session: Session, number: str, token: str, key: str, *, provider_down: bool = False
) -> Answer:
    """Capture an order's total once, however often it is asked with the same key.

    Needs a transaction. A refusal that is raised leaves no trace, so the key may be used again;
    an answer (paid, declined) is kept with the key.

    Raises:
        ShopError: invalid, idempotency_mismatch, not_found, not_payable, payment_provider.
    """
    if not key:
        raise ShopError("idempotency_key_required", "Send an idempotency key.", 422)
    if not token.startswith(_SANDBOX):
        bad = {"token": f"must start with {_SANDBOX}"}
        raise ShopError("invalid", "This shop takes sandbox tokens only.", 422, bad)
    asked = hashlib.sha256(f"{number}\0{token}".encode()).hexdigest()
    # A second request with this key waits here until the first has committed.
    if not session.run(
        "insert into idempotency (key, request_hash) values (%(key)s, %(hash)s)"
        " on conflict (key) do nothing",
        {"key": key, "hash": asked},
    ):
        return _repeated(session, key, asked)
    if provider_down:
        raise ShopError("payment_provider", "Payment provider unavailable.", 502)
    answer = _capture(session, shop_orders.order(session, number, lock=True), token)
    session.run(
        "update idempotency set status = %(status)s, answer = %(answer)s where key = %(key)s",
        {"status": answer.status, "answer": Jsonb(answer.body), "key": key},
    )
    return answer


@dataclass(frozen=True)
class _Kept:
    request_hash: str
    status: int
    answer: dict[str, Any]


def _repeated(session: Session, key: str, asked: str) -> Answer:
    kept = session.one(
        _Kept,
        "select request_hash, status, answer from idempotency where key = %(key)s",
        {"key": key},
    )
    if kept is None or kept.request_hash != asked:
        raise ShopError(
            "idempotency_mismatch", "This idempotency key belongs to another payment.", 422
        )
    return Answer(kept.status, kept.answer)


def _capture(session: Session, due: Order, token: str) -> Answer:
    if due.state != "placed":
        raise ShopError("not_payable", f"This order is {due.state}.")
    declined = token == _DECLINED
    reference = f"pay_{secrets.token_hex(8)}"
    params = {"order": due.id, "amount": due.total, "reference": reference}
    session.run(
        "insert into payments (order_id, amount, state, reference)"
        " values (%(order)s, %(amount)s, %(state)s, %(reference)s)",
        {**params, "state": "declined" if declined else "captured"},
    )
    if declined:
        message = "The payment was declined."
        return Answer(402, {"error": {"code": "payment_declined", "message": message}})
    session.run("update orders set state = 'paid' where id = %(order)s", params)
    session.run(
        "insert into shipments (order_id, tracking_code) values (%(order)s, %(code)s)",
        {**params, "code": f"TRK{secrets.token_hex(6).upper()}"},
    )
    payment = {"reference": reference, "amount": due.total, "state": "captured"}
    return Answer(200, {"number": due.number, "state": "paid", "payment": payment})


def tracking(session: Session, shipped: Order, step_seconds: float) -> Tracking:
    """Where the parcel is; raises ShopError not_shipped before payment."""
    found = session.one(
        _Shipment,
        "select tracking_code, stopped_at is not null as stopped,"
        " extract(epoch from coalesce(stopped_at, now()) - created_at)::float8 as elapsed"
        " from shipments where order_id = %(order)s",
        {"order": shipped.id},
    )
    if found is None:
        raise ShopError("not_shipped", "This order has no parcel.")
    passed = tracking_state(found.elapsed, step_seconds, found.stopped)
    return Tracking(found.tracking_code, passed[-1], passed)


@dataclass(frozen=True)
class _Shipment:
    tracking_code: str
    stopped: bool
    elapsed: float


def refund(session: Session, number: str) -> Order:
    """Give all the money back and the pieces to the stock. Needs a transaction.

    Raises ShopError: not_found, not_refundable.
    """
    paid = shop_orders.order(session, number, lock=True)
    if paid.state != "paid":
        raise ShopError("not_refundable", f"This order is {paid.state}.")
    params = {"order": paid.id, "amount": paid.total}
    session.run("insert into refunds (order_id, amount) values (%(order)s, %(amount)s)", params)
    session.run("update shipments set stopped_at = now() where order_id = %(order)s", params)
    return shop_orders.close(session, paid, "refunded")
