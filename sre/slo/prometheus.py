"""What does a Prometheus answer, in bounded time, and what is said when it does not?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from sre.core.clock import Deadline, SystemClock
from sre.core.errors import Transient, UsageError

__all__ = ["Point", "Prometheus"]

_LARGEST = 16 * 2**20


@dataclass(frozen=True)
class Point:
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """A Prometheus, or what speaks its HTTP API; user and password may stand in the address.

    Raises:
        UsageError: not an http or https address.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("--prometheus must be an address such as http://127.0.0.1:9090")
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._name = f"Prometheus at {parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._timeout = timeout

    def query(self, expression: str) -> list[Point]:
        """The vector that an instant query returns.

        Raises:
            Transient: unreachable, too slow, overloaded.
            UsageError: it refuses the question, or something else answers there.
        """
        status, body = self._ask(expression)
        try:
            answer = json.loads(body)
            if answer["status"] == "success":
                return [Point(one["metric"], float(one["value"][1])) for one in _vector(answer)]
            said = str(answer.get("error", "no reason given"))[:200]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            said = f"HTTP {status}, which is not its API"
        if status == 429 or status >= 500:
            raise Transient(f"{self._name}: {said}; try again later")
        raise UsageError(f"{self._name}: {said}; check the address and who may ask")

    def _ask(self, expression: str) -> tuple[int, bytes]:
        deadline = Deadline.after(self._timeout, SystemClock())
        body = bytearray()
        try:
            with (
                requests.Session() as session,
                session.post(
                    self._url, data={"query": expression}, timeout=self._timeout, stream=True
                ) as answer,
            ):
                for chunk in answer.iter_content(2**16):
                    body += chunk
                    if deadline.passed() or len(body) > _LARGEST:
                        raise Transient(f"{self._name}: the answer is too slow or too long")
                return answer.status_code, bytes(body)
        except requests.RequestException as error:
            why = type(error).__name__
            raise Transient(f"{self._name} does not answer ({why}); does it run?") from error


def _vector(answer: dict[str, Any]) -> list[dict[str, Any]]:
    data = answer["data"]
    if data["resultType"] != "vector":
        raise ValueError(data["resultType"])
    return list(data["result"])
