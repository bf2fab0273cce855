"""How is pymongo asked over a direct connection, within the deadline, its errors in our words?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.mongoparts import Denied

__all__ = ["Link", "Settings", "linked"]

_UNAUTHORIZED = 13
_WRONG_LOGIN = frozenset({11, 18, 334})
_SPARE = 0.03


@dataclass(frozen=True)
class Settings:
    """How to connect; values, so it lives no longer than a run."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    auth_source: str = "admin"
    tls: Mapping[str, Any] = field(default_factory=dict)


class Link:
    """One server, asked directly: no other member is ever contacted."""

    def __init__(self, client: MongoClient[dict[str, Any]]) -> None:
        self._client = client

    def command(self, name: str) -> dict[str, Any]:
        """What the server answers to a command without arguments.

        Raises:
            Denied: not allowed, or not known.
            Trouble: `timeout`, `status` or `protocol`.
        """
        with _translated():
            return self._client.admin.command(name)

    def oplog(self) -> tuple[float, float] | None:
        """When the oldest and the newest write of the oplog were made. Raises as `command`."""
        with _translated():
            log = self._client.local["oplog.rs"]
            found = [log.find_one({}, {"ts": 1}, sort=[("$natural", order)]) for order in (1, -1)]
            times = [float(one["ts"].time) for one in found if one is not None]
            return (times[0], times[1]) if len(times) == 2 else None


@contextmanager
def linked(attempt: Attempt, settings: Settings) -> Iterator[Link]:
    """A client for the time of one run.

    Raises:
        Trouble: `timeout`, `status` (login refused) or `protocol`.
    """
    milliseconds = max(1, int((attempt.time_left() - _SPARE) * 1000))
    login: dict[str, Any] = {}
    if settings.username is not None:
        login = {
            "username": settings.username,
            "password": settings.password,
            "authSource": settings.auth_source,
        }
    with _translated():
        client: MongoClient[dict[str, Any]] = MongoClient(
            settings.host,
            settings.port,
            directConnection=True,
            timeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
            heartbeatFrequencyMS=600_000,
            serverMonitoringMode="poll",
            maxPoolSize=1,
            retryReads=False,
            appname="sre-probe",
            unicode_decode_error_handler="replace",
            **login,
            **settings.tls,
        )
    try:
        yield Link(client)
    finally:
        client.close()


@contextmanager
def _translated() -> Iterator[None]:
    """pymongo's exceptions as ours; none of them is shown as it is, they hold addresses."""
    try:
        yield
    except (ExecutionTimeout, NetworkTimeout) as error:
        raise _late() from error
    except ServerSelectionTimeoutError as error:
        raise _unselected(str(error)) from error
    except OperationFailure as error:
        raise _refused(error) from error
    except ConfigurationError as error:
        raise Trouble(
            Reason.STATUS, "the server's version, or a setting, does not suit the official client"
        ) from error
    except ConnectionFailure as error:
        raise _late() if error.timeout else _closed() from error
    except (PyMongoError, BSONError, AttributeError, KeyError, TypeError) as error:
        raise Trouble(Reason.PROTOCOL, "it answered, but not as a MongoDB server does") from error


def _late() -> Trouble:
    return Trouble(Reason.TIMEOUT, "connected, but no answer came in time")


def _closed() -> Trouble:
    return Trouble(Reason.PROTOCOL, "closed without an answer; does the server want tls: true?")


def _unselected(text: str) -> Trouble:
    """pymongo tries again until the time is up; what it says last is why."""
    if "SSL" in text or "certificate" in text:
        return Trouble(Reason.TLS, "no TLS session with the server")
    return _late() if "timed out" in text else _closed()


def _refused(error: OperationFailure) -> Exception:
    if error.code in _WRONG_LOGIN:
        return Trouble(Reason.STATUS, "the login was refused: user, password or auth_source")
    if error.code == _UNAUTHORIZED:
        return Denied("not allowed")
    return Denied(f"refused with code {error.code}")
