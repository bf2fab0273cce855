"""Does the edge answer from its cache, fast, fresh, and with what the origin has?"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from sre.core.units import Size
from sre.journey.host import canonical_host
from sre.journey.result import Outcome, Reason
from sre.probes.cachestatus import age_of, cache_state, max_age_of
from sre.probes.cdnjudge import FACTS, Limits, Seen, gauges_of, judge
from sre.probes.dial import Attempt, Trouble
from sre.probes.facts import Facts
from sre.probes.fetch import Fetcher, Page, check_url, opened
from sre.probes.model import ProbeContext, Reading

__all__ = ["CdnProbe", "Origin"]

_NONE = Limits()


@dataclass(frozen=True)
class Origin:
    """Where the edge gets its pages from.

    Attributes:
        url: its address, without path.
        host: the name that it is asked for, and that stands in its certificate, if it is not the
            one in `url`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    url: str
    host: str = ""

    def __post_init__(self) -> None:
        check_url(self.url)
        if self.host:
            canonical_host(self.host.rpartition(":")[0] or self.host)


@dataclass(frozen=True)
class CdnProbe:
    """Fetches pages from the edge several times, and from the origin once, without cookies.

    Understood are Cache-Status (RFC 9211) and the headers of Cloudflare, Fastly, CloudFront,
    Akamai (send `Pragma: akamai-x-cache-on` by `headers`), Azure, Vercel, Varnish, Squid and nginx
    (`add_header X-Cache-Status $upstream_cache_status`).

    Attributes:
        url: the shop as its customers reach it.
        origin: the origin's address, or `{url, host}`; also to be on the allow-list.
        paths: pages to fetch, up to 10; unless told, the one of `url`.
        fetches: of each page from the edge, 1 to 20.
        headers: sent to both.
        status_header: a header of your own that says HIT, MISS, STALE or BYPASS.
        same: edge and origin must give the same bytes.
        ca_file: PEM file of the authorities to trust instead of the system's.
        body_limit: bytes of a page after decompression.
        warn: beyond one of these it is degraded.
        max: beyond one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    url: str
    origin: str | Origin | None = None
    paths: tuple[str, ...] = ()
    fetches: int = 3
    headers: dict[str, str] = field(default_factory=dict)
    status_header: str = ""
    same: bool = False
    ca_file: str | None = None
    body_limit: Size = Size(10 * 2**20)
    warn: Limits = _NONE
    max: Limits = _NONE

    def __post_init__(self) -> None:
        check_url(self.url)
        if isinstance(self.origin, str):
            check_url(self.origin)
        if self.same and self.origin is None:
            raise ValueError("same needs an origin to compare with")
        if not 1 <= self.fetches <= 20 or len(self.paths) > 10:
            raise ValueError("fetches must be 1 to 20, and paths at most 10; use two probes")
        if any(not path.startswith("/") for path in self.paths):
            raise ValueError("each of paths must begin with /")
        if len({path.partition("?")[0] for path in self.paths}) < len(self.paths):
            raise ValueError("paths must differ before the ?; they become labels")
        if any(set(f"{name}{value}") & set("\r\n\0") for name, value in self.headers.items()):
            raise ValueError("a header must not hold a line break")

    def check(self, context: ProbeContext) -> Reading:
        """Fetch, compare, judge."""
        attempt, aside = Attempt("cdn", context), Attempt("origin", context)
        seen: list[Seen] = []
        trouble: Trouble | None = None
        try:
            with ExitStack() as stack:
                edge = stack.enter_context(opened(attempt, self.url, ca_file=self.ca_file))
                source, trouble = self._source(aside, stack)
                for path in self._paths():
                    pages = self._from_edge(edge, path)
                    page, trouble = self._from_origin(source, path, trouble)
                    seen.append(_seen(path, pages, page, self.status_header))
        except Trouble as ended:
            return attempt.ended_by(ended)
        attempt.gauges += gauges_of(seen)
        return attempt.reading(*judge(seen, self.warn, self.max, same=self.same, origin=trouble))

    def _paths(self) -> tuple[str, ...]:
        parts = urlsplit(self.url)
        own = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return self.paths or (own,)

    def _source(self, attempt: Attempt, stack: ExitStack) -> tuple[Fetcher | None, Trouble | None]:
        """The origin; one that is not allowed ends the probe before anything is sent."""
        where = Origin(self.origin) if isinstance(self.origin, str) else self.origin
        if where is None:
            return None, None
        try:
            named = opened(attempt, where.url, named=where.host, ca_file=self.ca_file)
            return stack.enter_context(named), None
        except Trouble as trouble:
            if trouble.outcome is Outcome.BLOCKED:
                raise
            return None, trouble

    def _from_edge(self, edge: Fetcher, path: str) -> list[Page]:
        pages = []
        for _ in range(self.fetches):
            page = edge.get(
                _join(self.url, path), tuple(self.headers.items()), limit=self.body_limit
            )
            _expect_good(page, f"the edge answered {path} with")
            pages.append(page)
        return pages

    def _from_origin(
        self, source: Fetcher | None, path: str, before: Trouble | None
    ) -> tuple[Page | None, Trouble | None]:
        if source is None or before is not None:
            return None, before
        base = self.origin.url if isinstance(self.origin, Origin) else str(self.origin)
        try:
            page = source.get(_join(base, path), tuple(self.headers.items()), limit=self.body_limit)
            _expect_good(page, f"it answered {path} with")
        except Trouble as trouble:
            return None, trouble
        return page, None


def _seen(path: str, pages: Sequence[Page], origin: Page | None, own: str) -> Seen:
    last = pages[-1]
    ages = [age for page in pages if (age := age_of(page.headers)) is not None]
    return Seen(
        path=path,
        states=tuple(cache_state(page.headers, own) for page in pages),
        first_byte=statistics.median(page.phases.get("processing", 0.0) for page in pages),
        wire=last.wire,
        size=len(last.body),
        age=max(ages, default=None),
        max_age=max_age_of(last.headers),
        origin_first_byte=None if origin is None else origin.phases.get("processing"),
        same=None if origin is None else _digest(origin) == _digest(last),
    )


def _digest(page: Page) -> bytes:
    return hashlib.sha256(page.body).digest()


def _expect_good(page: Page, what: str) -> None:
    if not 200 <= page.status < 300:
        to = page.header("location")
        cure = "; ask for the page that it leads to" if to else ""
        raise Trouble(Reason.STATUS, f"{what} {page.status}{cure}")


def _join(base: str, path: str) -> str:
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}{path}"
