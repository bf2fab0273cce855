"""Which request does a step send, given what the run knows so far? (pure)"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from urllib.parse import quote, urldefrag, urlencode, urljoin, urlsplit, urlunsplit

import orjson

from sre import __version__
from sre.journey.model import Body, Field, FileField, Step
from sre.journey.shop import Shop, origin_of
from sre.journey.template import Scope, Template

__all__ = ["BadRequest", "Draft", "build", "follow", "resolve"]

USER_AGENT = f"sre/{__version__} (synthetic monitoring)"
CREDENTIAL_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_URL_SAFE = "%/:=&?~#+!$,;'@()*[]"


class BadRequest(ValueError):
    """The step cannot be sent as the run stands: a line break in a header, no address, …"""


class Draft:
    """A request before it is bound to a hop: every header, and which of them are credentials."""

    __slots__ = ("body", "credentials", "headers", "method", "secrets", "url")

    def __init__(self, method: str, url: str) -> None:
        self.method = method
        self.url = url
        self.headers: dict[str, tuple[str, str]] = {}
        self.credentials: set[str] = set(CREDENTIAL_HEADERS)
        self.secrets: list[str] = []
        self.body: bytes | None = None

    def set(self, name: str, value: str, *, credential: bool = False) -> None:
        """Set a header; a later one replaces an earlier one of the same name in any case."""
        if any(char in value for char in "\r\n\0"):
            raise BadRequest(f"the value of header {name} has a line break")
        key = name.lower()
        self.headers[key] = (name, value)
        if credential:
            self.credentials.add(key)
        if key in self.credentials:
            self.secrets.append(value)

    def sent_to(self, shop: Shop) -> tuple[tuple[str, str], ...]:
        """The headers for this draft's address: credentials go to the shop's own origins alone."""
        own = origin_of(self.url) in shop.trusted_origins
        return tuple(
            pair for key, pair in self.headers.items() if own or key not in self.credentials
        )


def resolve(template: Template, scope: Scope, last: str, shop: Shop) -> str:
    """The absolute address a step means: absolute, root-relative, or relative to the last page.

    A path that the declaration itself roots (`/cart`) begins at the shop's base address; one that
    came from a page is resolved against that page, as a browser would.
    """
    text = template.render(scope).strip()
    rooted = isinstance(template.parts[0], str) and template.parts[0].startswith("/")
    base = shop.base_url if rooted and not text.startswith("//") else last
    return clean(urljoin(base, text))


def clean(url: str) -> str:
    """The address without fragment, its odd characters percent-encoded, its host in ASCII.

    Raises:
        BadRequest: not an http or https address.
    """
    parts = urlsplit(urldefrag(url.strip()).url)
    try:
        origin_of(url)
        host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    except (ValueError, UnicodeError) as error:
        raise BadRequest(str(error)) from error
    path, query = quote(parts.path or "/", safe=_URL_SAFE), quote(parts.query, safe=_URL_SAFE)
    return urlunsplit((parts.scheme, host, path, query, ""))


def build(step: Step, scope: Scope, last: str, shop: Shop, key: str) -> Draft:
    """The first request of a step.

    Args:
        last: address of the last page of this run.
        key: this run's own random name; idempotency keys derive from it and the step.

    Raises:
        MissingVariable: a variable has no value.
        BadRequest: the result cannot be sent.
    """
    draft = Draft(step.method, _with_query(resolve(step.url, scope, last, shop), step, scope))
    draft.set("User-Agent", USER_AGENT)
    draft.set("Accept", "*/*")
    if origin_of(last) == origin_of(draft.url) and last != shop.base_url:
        draft.set("Referer", last)
    _set_body(draft, step.body, scope)
    for field in step.headers:
        for _, value in _values((field,), scope):
            draft.set(field.name, value, credential=field.secret)
    if step.idempotency_header:
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, key))
        draft.set(step.idempotency_header, name, credential=True)
    return draft


def _with_query(url: str, step: Step, scope: Scope) -> str:
    if not step.query:
        return url
    extra = urlencode(_values(step.query, scope))
    parts = urlsplit(url)
    joined = "&".join(part for part in (parts.query, extra) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, joined, ""))


def _values(fields: Iterable[Field], scope: Scope) -> list[tuple[str, str]]:
    return [
        (field.name, template.render(scope))
        for field in fields
        for template in field.values
        if not template.left_out(scope.values)
    ]


def _set_body(draft: Draft, body: Body, scope: Scope) -> None:
    if body.form is not None:
        draft.body = urlencode(_values(body.form, scope)).encode()
        draft.set("Content-Type", "application/x-www-form-urlencoded")
    elif body.json is not None:
        draft.body = orjson.dumps(body.json.fill(scope))
        draft.set("Content-Type", "application/json")
    elif body.text is not None:
        draft.body = body.text.render(scope).encode()
    elif body.multipart is not None:
        boundary = uuid.uuid4().hex
        draft.body = _multipart(body.multipart, scope, boundary)
        draft.set("Content-Type", f"multipart/form-data; boundary={boundary}")
    elif draft.method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
        draft.body = b""


def _multipart(fields: Iterable[FileField], scope: Scope, boundary: str) -> bytes:
    out: list[bytes] = []
    for field in fields:
        if field.template is not None and field.template.left_out(scope.values):
            continue
        content = field.template.render(scope).encode() if field.template else field.content
        name = f'; filename="{_quoted(field.filename)}"' if field.filename else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(field.name)}"{name}'
        if field.content_type or field.filename:
            head += f"\r\nContent-Type: {field.content_type or 'application/octet-stream'}"
        out += [head.encode(), b"\r\n\r\n", content, b"\r\n"]
    return b"".join([*out, f"--{boundary}--\r\n".encode()])


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def follow(draft: Draft, status: int, location: str) -> Draft:
    """The next hop of a redirect, as browsers do it: a POST turns into a GET on 301 and 302, any
    method but HEAD on 303; 307 and 308 keep method and body (RFC 9110, 15.4; WHATWG fetch, 4.4).

    Raises:
        BadRequest: Location is not an http or https address.
    """
    url = clean(urljoin(draft.url, location))
    changes = status == 303 or (status in (301, 302) and draft.method == "POST")
    keep = not changes or draft.method in ("GET", "HEAD")
    hop = Draft(draft.method if keep else "GET", url)
    hop.credentials = set(draft.credentials)
    hop.headers = dict(draft.headers)
    hop.body = draft.body if keep else None
    if not keep:
        for name in ("content-type", "content-encoding", "content-language"):
            hop.headers.pop(name, None)
    hop.headers.pop("referer", None)
    return hop
