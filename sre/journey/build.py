"""Which request does a step send, given what the run knows so far? (pure)"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, quote_plus, urldefrag, urljoin, urlsplit, urlunsplit

import orjson

from sre import __version__
from sre.journey.host import Inadmissible
from sre.journey.ids import unique_of
from sre.journey.model import Body, Field, FileField, Step
from sre.journey.shop import Shop, origin_of
from sre.journey.template import RunId, Scope, Template

__all__ = ["BadRequest", "Draft", "build", "follow", "resolve"]

USER_AGENT = f"sre/{__version__} (synthetic monitoring)"
_EVERY = {"user-agent": ("User-Agent", USER_AGENT), "accept": ("Accept", "*/*")}
CREDENTIAL_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_URL_SAFE = "%/:=&?~#+!$,;'@()*[]"
_WORD = re.compile(r"[A-Za-z0-9_.~-]*")
_PLAIN = re.compile(r"[A-Za-z0-9_.%/:=&?~+!$,;'@()*\[\]-]*")


class BadRequest(ValueError):
    """The step cannot be sent as the run stands: a line break in a header, no address, …

    `blocked`: its address is one that no allow-list could admit.
    """

    def __init__(self, message: str, *, blocked: bool = False) -> None:
        super().__init__(message)
        self.blocked = blocked


class Draft:
    """A request before it is bound to a hop: every header, and which of them are credentials."""

    __slots__ = ("body", "credentials", "headers", "method", "secrets", "url")

    def __init__(self, method: str, url: str) -> None:
        self.method = method
        self.url = url
        self.headers: dict[str, tuple[str, str]] = {}
        self.credentials = CREDENTIAL_HEADERS
        self.secrets: list[str] = []
        self.body: bytes | None = None

    def set(self, name: str, value: str, *, credential: bool = False) -> None:
        """Set a header; a later one replaces an earlier one of the same name in any case."""
        if "\r" in value or "\n" in value or "\0" in value:
            raise BadRequest(f"the value of header {name} has a line break")
        key = name.lower()
        self.headers[key] = (name, value)
        if credential:
            self.credentials |= {key}
        if key in self.credentials:
            self.secrets += [value, *(word for word in value.split() if len(word) >= 8)]

    def copy(self) -> Draft:
        """Another one that begins as this one stands."""
        made = Draft(self.method, self.url)
        made.headers, made.credentials = dict(self.headers), self.credentials
        made.secrets, made.body = list(self.secrets), self.body
        return made

    def sent_to(self, shop: Shop) -> tuple[tuple[str, str], ...]:
        """The headers for this draft's address: credentials go to the shop's own origins alone."""
        return self.sent_where(own=origin_of(self.url) in shop.trusted_origins)

    def sent_where(self, *, own: bool) -> tuple[tuple[str, str], ...]:
        """The headers for the shop's own origins, or for any other."""
        if own:
            return tuple(self.headers.values())
        return tuple(pair for key, pair in self.headers.items() if key not in self.credentials)


def resolve(template: Template, scope: Scope, last: str, shop: Shop) -> str:
    """The absolute address a step means: absolute, root-relative, or relative to the last page.

    A path that the declaration itself roots (`/cart`) begins at the shop's base address and stays
    there: no value after that slash can name another host. An address that came from a page as a
    whole is resolved against that page, as a browser would.
    """
    first = template.parts[0]
    rooted = isinstance(first, str) and first[:1] == "/" and first[:2] != "//"
    return _absolute(template.render(scope), shop.base_url if rooted else last, rooted)


@lru_cache(maxsize=2048)
def _absolute(text: str, base: str, rooted: bool) -> str:  # noqa: FBT001  a cache's key
    text = text.strip()
    return clean("/" + text.lstrip("/") if rooted else text, base)


@lru_cache(maxsize=2048)
def clean(url: str, base: str = "") -> str:
    """The absolute address without fragment, odd characters percent-encoded, the host in its one
    spelling (`canonical_host`): libcurl reads nothing else into it than we did.

    Raises:
        BadRequest: not an http or https address.
    """
    try:
        parts = urlsplit(urldefrag(urljoin(base, url.strip())).url)
        scheme, host, port = origin_of(urlunsplit((*parts[:2], "", "", "")))
    except ValueError as error:
        raise BadRequest(str(error), blocked=isinstance(error, Inadmissible)) from error
    where = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        where += f":{port}"
    path, query = _quoted_part(parts.path or "/"), _quoted_part(parts.query)
    return urlunsplit((scheme, where, path, query, ""))


def _quoted_part(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_URL_SAFE, errors="replace")


def build(step: Step, scope: Scope, last: str, shop: Shop, key: str, *, referer: str = "") -> Draft:
    """The first request of a step.

    Args:
        last: address of the last page of this run, or the shop's own before there is one.
        referer: the last page's address; empty before there is one.
        key: this run's own random name; idempotency keys derive from it and the step.

    Raises:
        MissingVariable: a variable has no value.
        BadRequest: the result cannot be sent.
        UsageError: an environment variable or a secret cannot be read.
    """
    try:
        return _build(step, scope, last, shop, key, referer)
    except (UnicodeError, orjson.JSONEncodeError) as error:
        raise BadRequest(f"a value cannot be encoded: {type(error).__name__}") from None


def _build(step: Step, scope: Scope, last: str, shop: Shop, key: str, referer: str) -> Draft:
    draft = Draft(step.method, _with_query(resolve(step.url, scope, last, shop), step, scope))
    draft.headers = dict(_EVERY)
    if referer and origin_of(referer) == origin_of(draft.url):
        draft.headers["referer"] = ("Referer", referer)
    _set_body(draft, step.body, scope)
    for field in step.headers:
        known = scope.steady.get(id(field))
        if known is not None:
            draft.headers[known[0]] = known[1]
            continue
        values = [t.render(scope) for t in field.values if not t.left_out(scope.values)]
        if values:
            text = values[0] if len(values) == 1 else ", ".join(values)
            draft.set(field.name, text, credential=field.secret)
            if _is_steady(field, draft):
                scope.steady[id(field)] = (field.name.lower(), (field.name, text))
    if step.idempotency_header:
        name = unique_of(key)
        draft.set(step.idempotency_header, name, credential=True)
    return draft


def _is_steady(field: Field, draft: Draft) -> bool:
    """It says the same in each request of a run, and is no credential."""
    parts = (part for template in field.values for part in template.parts)
    same = all(isinstance(part, str | RunId) for part in parts)
    return same and field.name.lower() not in draft.credentials


def _with_query(url: str, step: Step, scope: Scope) -> str:
    if not step.query:
        return url
    extra = _encoded(_values(step.query, scope))
    parts = urlsplit(url)
    joined = "&".join(part for part in (parts.query, extra) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, joined, ""))


def _encoded(pairs: list[tuple[str, str]]) -> str:
    """As urllib's urlencode, which looks at plain words far too long."""
    return "&".join([f"{_encoded_word(name)}={_encoded_word(value)}" for name, value in pairs])


def _encoded_word(text: str) -> str:
    return text if _WORD.fullmatch(text) else quote_plus(text)


def _values(fields: Iterable[Field], scope: Scope) -> list[tuple[str, str]]:
    known = scope.values
    return [
        (field.name, template.render(scope))
        for field in fields
        for template in field.values
        if not (template.optional and template.left_out(known))
    ]


def _set_body(draft: Draft, body: Body, scope: Scope) -> None:
    if body.form is not None:
        draft.body = _encoded(_values(body.form, scope)).encode()
        draft.headers["content-type"] = ("Content-Type", "application/x-www-form-urlencoded")
    elif body.json is not None:
        draft.body = orjson.dumps(body.json.fill(scope))
        draft.headers["content-type"] = ("Content-Type", "application/json")
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


def _as_sent(location: str) -> str:
    """Headers come as latin-1; an address that is not ASCII was most likely sent as UTF-8."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def follow(draft: Draft, status: int, location: str) -> Draft:
    """The next hop of a redirect, as browsers do it: a POST turns into a GET on 301 and 302, any
    method but HEAD on 303; 307 and 308 keep method and body (RFC 9110, 15.4; WHATWG fetch, 4.4).

    Raises:
        BadRequest: Location is not an http or https address.
    """
    url = clean(_as_sent(location), draft.url)
    changes = status == 303 or (status in (301, 302) and draft.method == "POST")
    keep = not changes or draft.method in ("GET", "HEAD")
    hop = draft.copy()
    hop.url, hop.secrets = url, []
    if not keep:
        hop.method, hop.body = "GET", None
    if not keep:
        for name in ("content-type", "content-encoding", "content-language"):
            hop.headers.pop(name, None)
    referer = hop.headers.get("referer")
    if referer is not None and origin_of(referer[1]) != origin_of(url):
        del hop.headers["referer"]
    return hop
