"""What does one `http` probe mean for one shop, once it has been compiled?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sre.core.errors import UsageError
from sre.journey.build import CREDENTIAL_HEADERS, BadRequest, Draft, build
from sre.journey.exchange import Request
from sre.journey.expect import TemplateTree
from sre.journey.model import Body, Field, Step
from sre.journey.shop import Shop, origin_of
from sre.journey.template import RunId, Scope, Template
from sre.journey.transport import header_lines
from sre.probes.httpauth import Auth, instant
from sre.probes.httphop import Hop
from sre.probes.httpoptions import HttpOptions
from sre.probes.httpwire import opening_of

__all__ = ["Opening", "Script"]


class Opening:
    """The first request of a run, the part of it that never changes made once for all runs."""

    __slots__ = ("_more", "_secretive", "base", "headers", "lines")

    def __init__(
        self,
        draft: Draft,
        headers: tuple[tuple[str, str], ...],
        lines: list[bytes] | None = None,
    ) -> None:
        self.base, self._more = draft, list[tuple[str, str, bool]]()
        self.headers, self.lines = headers, lines
        self._secretive = bool(draft.secrets)

    @property
    def url(self) -> str:
        """Its address."""
        return self.base.url

    @property
    def method(self) -> str:
        """Its method."""
        return self.base.method

    @property
    def body(self) -> bytes | None:
        """Its body."""
        return self.base.body

    @property
    def secrets(self) -> list[str]:
        """Values that no message may show."""
        return self.draft().secrets if self._secretive else []

    def add(self, name: str, value: str, *, secret: bool, own: bool) -> None:
        """One header more; credentials only where the address is the shop's `own`."""
        if "\r" in value or "\n" in value or "\0" in value:
            raise BadRequest(f"the value of header {name} has a line break")
        self._more.append((name, value, secret))
        secret = secret or name.lower() in CREDENTIAL_HEADERS
        self._secretive = self._secretive or secret
        if own or not secret:
            self.headers = (*self.headers, (name, value))
            if self.lines is not None:
                line = f"{name}: {value}" if value else f"{name};"
                self.lines = [*self.lines, line.encode()]

    def draft(self) -> Draft:
        """The whole of it, for the next hop."""
        made = self.base.copy()
        for name, value, secret in self._more:
            made.set(name, value, credential=secret)
        return made


class Script:
    """A compiled probe. What does not change from run to run is built once.

    Attributes:
        step: the request and what is expected of its answer, as in a journey.
        versions: of HTTP, one of which the answer must have; empty when any will do.
        must_be_tls: whether the last answer must have come over TLS, or must not; None: either.
        instant: whether a run waits for nothing but the network: no secret file, program or proxy.
        easy: the rule for the status, where nothing else is expected.
    """

    def __init__(
        self,
        step: Step,
        shop: Shop,
        options: HttpOptions,
        auth: Auth,
        *,
        versions: tuple[str, ...] = (),
        must_be_tls: bool | None = None,
        body_file: str | None = None,
    ) -> None:
        self.step, self.shop, self.options, self.auth = step, shop, options, auth
        self.versions, self.must_be_tls = versions, must_be_tls
        self._body_file = body_file
        self.keep_body = step.expect.needs_body
        self.easy = step.expect.status_only
        self.token_options = replace(options, tls=replace(options.tls, server_name=None))
        varying = tuple(one for one in step.headers if not _constant_field(one))
        self._varying = varying
        rest = replace(step, headers=tuple(one for one in step.headers if one not in varying))
        self._fixed = rest if all(part.constant for part in _texts(rest)) else None
        self.instant = self._is_instant()
        self._prepared: Opening | None = None
        self._trusted = False
        self._plain: tuple[Request, list[bytes], tuple[str, ...], bytes] | None = None

    def open(self, scope: Scope, key: str) -> Opening:
        """The first request of a run.

        Raises:
            BadRequest, MissingVariable, UsageError: as `build` does.
        """
        if self._fixed is None or self._body_file is not None:
            draft = build(self.step, scope, self.shop.base_url, self.shop, key)
            if self._body_file is not None:
                draft.body = _content(self._body_file)
            return Opening(draft, draft.sent_to(self.shop))
        fixed = self._prepared or self._prepare(self._fixed, scope, key)
        opening = Opening(fixed.base, fixed.headers, fixed.lines)
        for one in self._varying:
            values = [v.render(scope) for v in one.values if not v.left_out(scope.values)]
            if values:
                opening.add(one.name, ", ".join(values), secret=one.secret, own=self._trusted)
        return opening

    def plain(self, run_id: str, seconds: float) -> Hop | None:
        """The first hop of the commonest probe: nothing in it changes but its run's own mark.

        None where there is more to it.
        """
        if self._plain is None:
            return None
        request, lines, mark, opening = self._plain
        wire = b""
        if mark:
            marked = run_id.join(mark).encode()
            lines = [*lines, marked]
            if opening:
                wire = b"%s%s\r\n\r\n" % (opening, marked)
        elif opening:
            wire = opening + b"\r\n"
        return Hop(request, self.options, self.keep_body, lines, seconds, wire)

    def _find_plain(self, fixed: Opening) -> None:
        asks = self.auth != Auth() or self.versions or self.must_be_tls is not None
        mark = _mark(self._varying)
        if asks or self.easy is None or fixed.secrets or fixed.lines is None or mark is None:
            return
        request = Request(
            method=fixed.method,
            url=fixed.url,
            headers=fixed.headers,
            body=fixed.body,
            body_limit=self.step.body_limit,
            keep_alive=self.options.keep_alive,
        )
        whole = [*fixed.lines, "0".join(mark).encode()]
        fits = opening_of(request, self.options, whole if mark else fixed.lines) is not None
        opening = opening_of(request, self.options, fixed.lines) if fits else None
        self._plain = (request, fixed.lines, mark, opening or b"")

    def _prepare(self, step: Step, scope: Scope, key: str) -> Opening:
        draft = build(step, scope, self.shop.base_url, self.shop, key)
        replaced = {one.name.lower() for one in self._varying}
        headers = tuple(
            (name, value)
            for name, value in draft.sent_to(self.shop)
            if name.lower() not in replaced
        )
        lines = header_lines(Request(draft.method, draft.url, headers))
        self._trusted = origin_of(draft.url) in self.shop.trusted_origins
        self._prepared = Opening(draft, headers, lines)
        self._find_plain(self._prepared)
        return self._prepared

    def _is_instant(self) -> bool:
        tls_key = self.options.tls.key
        quick = (tls_key is None or instant(tls_key)) and self._body_file is None
        return quick and self.auth.instant and self.options.proxy is None and not self._reads()

    def _reads(self) -> bool:
        """A header is a secret that is read from a file or from a program."""
        texts = (part for one in self.step.headers for value in one.values for part in value.parts)
        found = (getattr(part, "secret", None) for part in texts)
        return any(secret is not None and not instant(secret) for secret in found)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _mark(varying: tuple[Field, ...]) -> tuple[str, ...] | None:
    """The one header line that changes, cut where the run's own name stands; None: more."""
    if not varying:
        return ()
    values = varying[0].values
    parts = values[0].parts
    known = all(isinstance(part, (str, RunId)) for part in parts)
    if len(varying) > 1 or len(values) > 1 or varying[0].secret or not known:
        return None
    if varying[0].name.lower() in CREDENTIAL_HEADERS:
        return None
    pieces = [f"{varying[0].name}: "]
    for part in parts:
        if isinstance(part, str):
            pieces[-1] += part
        else:
            pieces.append("")
    return tuple(pieces)


def _constant_field(one: Field) -> bool:
    return all(value.constant for value in one.values)


def _texts(step: Step) -> Iterator[Template]:
    """Every template of the request."""
    body: Body = step.body
    yield step.url
    for one in (*step.headers, *step.query, *(body.form or ())):
        yield from one.values
    if body.text is not None:
        yield body.text
    if isinstance(body.json, TemplateTree):
        yield from _leaves(body.json.value)


def _leaves(value: Any) -> Iterator[Template]:
    if isinstance(value, Template):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(key)
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
