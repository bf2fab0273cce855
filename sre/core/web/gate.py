"""Who may talk to our HTTP server, and how often?"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping

from sre.core.clock import Clock
from sre.core.errors import MissingExtra

__all__ = ["Pace", "Users"]

_NOBODY = "pb5k5p1DygKp812RREkfi.pOBODcSxm2ExDki9SSH9a6EtdbdMPEi"
_REMEMBERED = 1000


class Users:
    """Lets known users in. A good password is checked once: bcrypt takes 70 ms on purpose.

    A name that does not exist costs what some name that exists costs, always the same: it cannot be
    told from a wrong password.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        try:
            import bcrypt  # noqa: PLC0415  an extra that only servers with users need
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "basic_auth_users needs the package 'bcrypt': pip install 'sre[web]'"
            ) from error
        self._check = bcrypt.checkpw
        self._users = dict(users)
        self._costs = sorted(hashed.split("$")[2] for hashed in users.values())
        self._salt = secrets.token_bytes(32)
        self._known: set[bytes] = set()
        self._one = threading.Lock()

    def admits(self, header: str | None) -> bool:
        """Whether an `Authorization` header names a user with that user's password."""
        scheme, _, encoded = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, colon, password = b64decode(encoded, validate=True).decode().partition(":")
        except (NotBase64, UnicodeDecodeError, ValueError):
            return False
        if not colon or "\0" in password:
            return False
        proof = self._digest(f"{user}\0{password}")
        if proof in self._known:
            return True
        hashed = self._users.get(user) or self._nobody(user)
        with self._one:  # one at a time: guessing does not take all processors
            good = self._check(password.encode()[:72], hashed.encode()) and user in self._users
        if good and len(self._known) < _REMEMBERED:
            self._known.add(proof)
        return good

    def _nobody(self, user: str) -> str:
        cost = self._costs[int.from_bytes(self._digest(user)[:4], "big") % len(self._costs)]
        return f"$2b${cost}${_NOBODY}"

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._salt, text.encode(), hashlib.sha256)


class Pace:
    """A token bucket: one request in each `interval`, and `burst` at once. Thread-safe."""

    def __init__(self, interval: float, burst: int, clock: Clock) -> None:
        self._interval, self._burst, self._clock = interval, burst, clock
        self._tokens, self._at = float(burst), clock.now()
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Whether one more request may be answered now."""
        with self._lock:
            now = self._clock.now()
            self._tokens = min(self._burst, self._tokens + (now - self._at) / self._interval)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
