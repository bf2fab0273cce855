"""What is the demo shop as a WSGI application?"""

from __future__ import annotations

import hmac
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import psycopg_pool
from flask import Flask, Response, current_app, jsonify, render_template, request, session
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from sre.demo.shop_account_pages import account_pages
from sre.demo.shop_api import api
from sre.demo.shop_checkout_pages import checkout_pages
from sre.demo.shop_db import Database
from sre.demo.shop_faults import FAULTS, Faults
from sre.demo.shop_model import ShopError
from sre.demo.shop_pages import pages
from sre.demo.shop_web import Shop, csrf_token, reading, shop

__all__ = ["CONFIG_VARIABLE", "ShopConfig", "create_app", "from_environment"]

CONFIG_VARIABLE = "SRE_SHOP_CONFIG"
_LATENCY_SECONDS = 1.5
_SLOW_PAGES = {
    "pages.product", "checkout.form", "checkout.place", "api.product", "api.place",
}  # fmt: skip
_UNTOUCHED = {"healthz", "readyz", "fault_state", "switch_fault"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"
    ),
}


@dataclass(frozen=True)
class ShopConfig:
    """What a worker must know; travels in a file that only its owner can read."""

    dsn: str
    secret_key: str
    fault_token: str
    folder: str
    tracking_seconds: float = 5.0
    threads: int = 8


def from_environment() -> Flask:
    """The application that a worker serves; its configuration file is named by SRE_SHOP_CONFIG."""
    text = Path(os.environ[CONFIG_VARIABLE]).read_text(encoding="utf-8")
    return create_app(ShopConfig(**json.loads(text)))


def create_app(config: ShopConfig) -> Flask:
    """The shop. Opens its own connections, so it must be made after a worker has forked."""
    app = Flask("sre.demo")
    app.secret_key = config.secret_key
    app.config.update(
        SESSION_COOKIE_NAME="shop",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=256 * 1024,
        FAULT_TOKEN=config.fault_token,
    )
    faults = Faults(Path(config.folder) / "faults")
    database = Database(config.dsn, lambda: faults.on("slow-db"), size=config.threads)
    app.extensions["shop"] = Shop(database, faults, config.tracking_seconds)
    app.jinja_env.filters["money"] = lambda cents: f"€ {cents / 100:,.2f}"
    app.jinja_env.globals["csrf_token"] = csrf_token
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.before_request(_misbehave)
    app.after_request(_secure)
    for blueprint in (pages, checkout_pages, account_pages, api):
        app.register_blueprint(blueprint)
    _operations(app)
    _errors(app)
    return app


def _misbehave() -> ResponseReturnValue | None:
    """The faults that need no database."""
    faults = shop().faults
    if request.endpoint in _UNTOUCHED:
        return None
    if faults.on("errors") and faults.every_third():
        return _refuse("internal", "Something went wrong.", 500)
    if request.endpoint in _SLOW_PAGES and faults.on("latency"):
        time.sleep(_LATENCY_SECONDS)
    return None


def _secure(response: Response) -> Response:
    response.headers.extend(_HEADERS)
    if session.accessed or request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _operations(app: Flask) -> None:
    app.add_url_rule("/healthz", "healthz", lambda: jsonify(status="ok"))
    app.add_url_rule("/readyz", "readyz", _readyz)
    app.add_url_rule("/__faults", "fault_state", _fault_state)
    app.add_url_rule("/__faults/<name>", "switch_fault", _switch_fault, methods=["POST"])


def _readyz() -> ResponseReturnValue:
    with reading() as db:
        db.value("select count(*) from coupons")
    return jsonify(status="ready")


def _fault_state() -> ResponseReturnValue:
    _check_fault_token()
    return jsonify(faults=shop().faults.state(), worker=os.getpid())


def _switch_fault(name: str) -> ResponseReturnValue:
    _check_fault_token()
    given = request.get_json(silent=True) if request.is_json else request.form
    state = given.get("state") if isinstance(given, dict) else None
    if name not in FAULTS:
        raise ShopError("not_found", f"Faults are: {', '.join(FAULTS)}.", 404)
    if state not in ("on", "off"):
        raise ShopError("invalid", "state must be on or off.", 422)
    shop().faults.switch(name, state == "on")
    return _fault_state()


def _check_fault_token() -> None:
    expected = str(current_app.config["FAULT_TOKEN"])
    given = request.headers.get("X-Fault-Token", "")
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise ShopError("forbidden", "The header X-Fault-Token is wrong.", 403)


def _errors(app: Flask) -> None:
    def refused(error: ShopError) -> ResponseReturnValue:
        return _refuse(error.code, error.message, error.status, error.invalid)

    def http(error: HTTPException) -> ResponseReturnValue:
        name = error.name.lower().replace(" ", "_")
        return _refuse(name, error.description or error.name, error.code or 500)

    def unreachable(error: Exception) -> ResponseReturnValue:
        app.logger.error("database: %s", type(error).__name__)
        return _refuse("unavailable", "The shop is busy. Please try again.", 503)

    app.register_error_handler(ShopError, refused)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(psycopg.OperationalError, unreachable)
    app.register_error_handler(psycopg_pool.PoolTimeout, unreachable)


def _refuse(
    code: str, message: str, status: int, invalid: dict[str, str] | None = None
) -> ResponseReturnValue:
    """The same refusal as JSON for programs and as a page for people."""
    if request.path.startswith(("/api/", "/__faults", "/readyz")):
        error: dict[str, object] = {"code": code, "message": message}
        return jsonify(error={**error, "fields": invalid} if invalid else error), status
    return render_template("message.html", code=code, message=message, status=status), status
