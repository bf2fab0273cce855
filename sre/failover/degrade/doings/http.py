"""How does a level tell somebody's API, and take it back?"""

from __future__ import annotations

import json as json_
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sre.core.secrets import Secret
from sre.failover.degrade.model import Spot
from sre.failover.degrade.places.request import SENT, Request, Sent
from sre.journey.host import origin_of

__all__ = ["HttpDoing", "Undoing"]

_STRICT: dict[str, object] = {"extra": "forbid"}
Method = Literal["PUT", "POST", "DELETE", "PATCH", "GET"]
_TOKEN = "!#$%&'*+-.^_`|~"  # noqa: S105  the signs of a header's name


@dataclass(frozen=True)
class Undoing:
    """How a request is taken back; what is not said is as in the request itself, but the body."""

    __pydantic_config__: ClassVar = _STRICT
    http: Method
    url: str = ""
    body: str = ""
    json: Any = None

    def __post_init__(self) -> None:
        if self.url:
            _check_url(self.url)
        _one_body(self.body, self.json)


@dataclass(frozen=True)
class HttpDoing:
    """`{http: PUT, url: URL, body: TEXT, undo: {http: DELETE}}`; it wants a 2xx.

    Attributes:
        http: the method. The request and its undoing may come twice: they bring about a state.
        url: absolute; its host stands in `targets.allow`. Redirects are not followed.
        body, json: what is sent.
        headers: plain ones. secret_headers: references, never noted, read when it is sent.
        undo: needed unless the level's own `undo:` is manual.
    """

    __pydantic_config__: ClassVar = _STRICT
    http: Method
    url: str
    body: str = ""
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    secret_headers: dict[str, Secret] = field(default_factory=dict)
    undo: Undoing | None = None

    def __post_init__(self) -> None:
        _check_url(self.url)
        _one_body(self.body, self.json)
        for name in (*self.headers, *self.secret_headers):
            if not name or not all(c.isascii() and (c.isalnum() or c in _TOKEN) for c in name):
                raise ValueError(f"{name!r} is not a header's name")
        for name, value in self.headers.items():
            if not value.isprintable():
                raise ValueError(f"the header {name} is one line")

    def spots(self, sockets: tuple[str, ...]) -> tuple[Spot, ...]:
        plain: tuple[tuple[str, str | Secret], ...] = tuple(self.headers.items())
        headers = (*plain, *self.secret_headers.items())
        if self.json is not None and "content-type" not in {n.lower() for n, _ in headers}:
            headers = (("Content-Type", "application/json"), *headers)
        do = Request(self.http, self.url, _body(self.body, self.json), headers)
        undo = None
        if self.undo is not None:
            body = _body(self.undo.body, self.undo.json)
            undo = Request(self.undo.http, self.undo.url or self.url, body, headers)
        return (Spot(Sent(do, undo), SENT),)


def _check_url(url: str) -> None:
    origin_of(url)
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("url has signs that an address cannot have; percent-encode them")


def _one_body(body: str, json: Any) -> None:
    if body and json is not None:
        raise ValueError("say one of body: and json:")


def _body(body: str, json: Any) -> str:
    return body if json is None else json_.dumps(json)
