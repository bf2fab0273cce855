"""Does a web server answer as a module of blackbox_exporter wants it?

Redirects are followed here, one request at a time: each hop is admitted by the allow-list of its
own, credentials go to the target's origin alone, and phases are summed as blackbox_exporter does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from sre import __version__
from sre.core.errors import MissingExtra, UsageError
from sre.journey.guard import Admission, Blocked, Unresolved
from sre.journey.host import Inadmissible, origin_of
from sre.probes.blackbox.credentials import authorization, extra_headers
from sre.probes.blackbox.httpbody import Body
from sre.probes.blackbox.httpclient import connection, name_only, proxied, proxy_url
from sre.probes.blackbox.httphop import Answer, Hop, Proxied, handle, perform
from sre.probes.blackbox.httpverdict import content_length, judge, last_modified, needs_text
from sre.probes.blackbox.model import BlackboxContext, Module
from sre.probes.blackbox.modules import HttpOptions
from sre.probes.blackbox.resolve import admit, choose
from sre.probes.blackbox.show import NAMES_A_SECRET
from sre.probes.blackbox.tlsfacts import record
from sre.probes.httpoptions import HttpOptions as Connection

__all__ = ["HttpProber"]

_REDIRECTS = 10
_TO_GET = (301, 302, 303)
_AGAIN = (307, 308)
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")
_PHASES = ("connect", "tls", "processing", "transfer")


class _Over(Exception):
    """The probe has failed, and the log says why."""


@dataclass
class _Trip:
    """One probe under way: where it is, and what it may tell whom."""

    options: HttpOptions
    context: BlackboxContext
    curl: Any
    connection: Connection
    first: str
    url: str
    method: str
    body: bytes | None = None
    repeatable: bool = True
    host: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    private: list[tuple[str, str]] = field(default_factory=list)
    referer: str = ""
    redirects: int = 0
    abandoned: bool = False

    @property
    def at_home(self) -> bool:
        """Whether the request goes to the origin that the credentials are for."""
        return origin_of(self.url) == origin_of(self.first)

    def leaves(self, answer: Answer) -> bool:
        """Whether the answer is a redirect: followed or not, its body is not read."""
        if not answer.header("location"):
            return False
        again = answer.status in _AGAIN and (self.repeatable or self.body is None)
        return answer.status in _TO_GET or again


class HttpProber:
    """blackbox_exporter's `http` prober."""

    def probe(self, target: str, module: Module, context: BlackboxContext) -> bool:
        """Ask, follow, judge."""
        metrics, options = context.metrics, module.http
        metrics.zero(
            "probe_http_content_length", "probe_http_uncompressed_body_length",
            "probe_http_redirects", "probe_http_ssl", "probe_http_status_code",
            "probe_http_version", "probe_failed_due_to_regex", "probe_failed_due_to_cel",
        )  # fmt: skip
        try:
            url = _address(target)
            admission, proxy = _reach(url, options, context)
            with handle() as curl:
                trip = _begin(curl, url, options, context)
                answer = _travel(trip, admission, proxy)
            return _conclude(trip, answer)
        except _Over as over:
            context.log("error", "Error for HTTP request", err=str(over))
        except (UsageError, MissingExtra, Unresolved) as error:
            context.log("error", "Error for HTTP request", err=str(error))
        except (Blocked, Inadmissible) as error:
            context.blocked = str(error)
            context.log("error", "Target is not allowed", err=str(error))
        return False


def _address(target: str) -> str:
    """The target as an absolute address. Raises Inadmissible or _Over."""
    url = target if target.startswith(("http://", "https://")) else f"http://{target}"
    if _UNSAFE.search(url):
        url = _UNSAFE.sub(lambda match: quote(match[0]), url)
    try:
        origin_of(url)
    except Inadmissible:
        raise
    except ValueError as error:
        raise _Over(f"could not parse target URL: {error}") from error
    return quote(url.partition("#")[0], safe="%/:=&?~+!$,;'@()*[]")


def _reach(
    url: str, options: HttpOptions, context: BlackboxContext
) -> tuple[Admission | None, Proxied | None]:
    """The admitted address of the target, and the proxy on the way, if there is one."""
    scheme, host, port = origin_of(url)
    via = proxy_url(options, scheme, host)
    skip = bool(via and options.skip_resolve_phase_with_proxy and options.proxy_url)
    if skip:
        name_only(context.guard, host, port, context.deadline.left())
        admission = None
    else:
        fallback = options.ip_protocol_fallback
        admission = choose(context, host, port, options.preferred_ip_protocol, fallback=fallback)
        seconds = context.metrics.get("probe_dns_lookup_time_seconds") or 0.0
        context.metrics.add("probe_http_duration_seconds", seconds, phase="resolve")
        if admission is None:
            raise _Over(context.blocked or "error resolving address")
    for phase in _PHASES:
        context.metrics.zero("probe_http_duration_seconds", phase=phase)
    return admission, proxied(options, via, context) if via else None


def _begin(curl: Any, url: str, options: HttpOptions, context: BlackboxContext) -> _Trip:
    headers = [(n, v) for n, v in options.headers.items() if n.lower() != "host"]
    host = next((v for n, v in options.headers.items() if n.lower() == "host"), None)
    private = [(n, v) for n, v in headers if NAMES_A_SECRET.search(n)]
    public = [(n, v) for n, v in headers if not NAMES_A_SECRET.search(n)]
    for name, default in (("User-Agent", f"Blackbox Exporter/0.28.0 (sre/{__version__})"),):
        if name.lower() not in {n.lower() for n, _ in headers}:
            public.append((name, default))
    private += extra_headers(options)
    value = authorization(options, context)
    if value is not None and not any(n.lower() == "authorization" for n, _ in private):
        private.append(("Authorization", value))
    body: bytes | None = options.body.encode() if options.body else None
    if options.body_file:
        try:
            body = Path(options.body_file).read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {options.body_file}: {error.strerror}") from error
    link = connection(
        options.tls_config,
        http2=options.enable_http2,
        http3=options.enable_http3,
        brotli=options.compression.lower() == "br",
    )
    return _Trip(
        options, context, curl, link, url, url, options.method or "GET", body,
        repeatable=not options.body_file, host=host, headers=public, private=private,
    )  # fmt: skip


def _travel(trip: _Trip, admission: Admission | None, proxy: Proxied | None) -> Answer:
    """Follow redirects until there is an answer to judge. Raises _Over, Blocked, Unresolved."""
    while True:
        answer = _ask(trip, admission, proxy)
        if not trip.leaves(answer):
            return answer
        trip.redirects += 1
        trip.context.metrics.set("probe_http_redirects", trip.redirects)
        trip.context.log("info", "Received redirect", location=answer.header("location"))
        if trip.redirects > _REDIRECTS or not trip.options.follows:
            trip.context.log("info", "Not following redirect")
            trip.abandoned = True
            return answer
        came_from = origin_of(trip.url)
        _turn(trip, answer)
        if origin_of(trip.url) != came_from:
            admission = _next_admission(trip)


def _ask(trip: _Trip, admission: Admission | None, proxy: Proxied | None) -> Answer:
    hop = _hop(trip, admission, proxy)
    context, options = trip.context, trip.options
    context.log("info", "Making HTTP request", url=trip.url, host=trip.host or "")
    body = Body(options.compression, options.body_size_limit, keep=needs_text(options))
    answer = perform(trip.curl, hop, context.deadline.left(), body, trip.leaves)
    for phase, seconds in answer.phases.items():
        if phase != "transfer" or not trip.leaves(answer):  # the last answer alone has one
            context.metrics.add("probe_http_duration_seconds", seconds, phase=phase)
    times = {name: f"{seconds:.6f}" for name, seconds in answer.phases.items()}
    context.log("info", "Response timings for roundtrip", roundtrip=trip.redirects, **times)
    if not answer.status:
        raise _Over(answer.error or "no answer")
    packed = answer.header("content-encoding") or ""
    if options.compression.lower() == "br" and body.size and "br" not in packed.lower():
        answer.error = answer.error or "the body is not compressed with br"
    return answer


def _hop(trip: _Trip, admission: Admission | None, proxy: Proxied | None) -> Hop:
    """The request as libcurl needs it: the URL's host is the name that TLS asks for."""
    parts = urlsplit(trip.url)
    _, host, port = origin_of(trip.url)
    name, sent_host = host, trip.host
    if parts.scheme == "https" and trip.at_home:
        wanted = trip.options.tls_config.server_name or _bare(trip.host or "")
        name = wanted or host
    elif parts.scheme == "http" and proxy is not None and admission is not None:
        name = admission.address  # asked of the proxy by address, as blackbox_exporter does
    if name != host and not sent_host:
        sent_host = parts.netloc
    authority = f"[{name}]" if ":" in name else name
    url = f"{parts.scheme}://{authority}:{port}{parts.path or '/'}"
    url += f"?{parts.query}" if parts.query else ""
    marks = trip.context.marks(trip.url)
    headers: Sequence[tuple[str, str]] = [*marks, *trip.headers, ("Connection", "close")]
    headers = [*headers, *(trip.private if trip.at_home else ())]
    if sent_host:
        headers = [*headers, ("Host", sent_host)]
    if trip.referer:
        kept = [(name, value) for name, value in headers if name.lower() != "referer"]
        headers = [*kept, ("Referer", trip.referer)]
    if any("\r" in v or "\n" in v or "\0" in v for pair in headers for v in pair):
        raise UsageError("a header holds a line break; check headers and secrets of the module")
    pinned = None if proxy is not None and parts.scheme == "http" else admission
    return Hop(url, pinned, trip.method, headers, trip.body, trip.connection, proxy)


def _bare(host: str) -> str:
    """A Host header's name without its port."""
    return urlsplit(f"//{host}").hostname or "" if host else ""


def _turn(trip: _Trip, answer: Answer) -> None:
    """Go where a redirect points, as a browser would. Raises _Over or Inadmissible."""
    location = _as_sent(answer.header("location") or "")
    before = trip.url
    trip.url = _address(urljoin(before, location))
    if answer.status in _TO_GET and trip.method not in ("GET", "HEAD"):
        trip.method = "GET"
    if answer.status in _TO_GET:
        trip.body = None
    if urlsplit(location).netloc:
        trip.host = None  # a custom Host stays for relative redirects alone, as in Go
    to_plain = before.startswith("https:") and trip.url.startswith("http:")
    trip.referer = "" if to_plain else before


def _as_sent(location: str) -> str:
    """The bytes of a Location beyond ASCII, which came in as Latin-1, percent-encoded as they are.

    Most are UTF-8; encoded again they would be another address.
    """
    return "".join(one if one.isascii() else f"%{ord(one):02X}" for one in location)


def _next_admission(trip: _Trip) -> Admission:
    _, host, port = origin_of(trip.url)
    context, options = trip.context, trip.options
    found = admit(context, host, port, options.preferred_ip_protocol)
    seconds = found.seconds or 0.0
    context.metrics.add("probe_http_duration_seconds", seconds, phase="resolve")
    return replace(found, seconds=seconds)


def _conclude(trip: _Trip, answer: Answer) -> bool:
    """Judge the last answer and record what it says of itself."""
    metrics, context = trip.context.metrics, trip.context
    verdict = judge(trip.options, answer, abandoned=trip.abandoned)
    for level, message, fields in verdict.said:
        context.log(level, message, **fields)
    if verdict.regex is not None:
        metrics.set("probe_failed_due_to_regex", verdict.regex)
    if verdict.cel is not None:
        metrics.set("probe_failed_due_to_cel", verdict.cel)
    metrics.set("probe_http_status_code", answer.status)
    metrics.set("probe_http_version", float(answer.protocol.removeprefix("HTTP/") or 0))
    metrics.set("probe_http_content_length", content_length(answer, trip.method))
    metrics.set("probe_http_uncompressed_body_length", 0 if trip.abandoned else answer.body.size)
    metrics.set("probe_http_ssl", answer.tls)
    modified = last_modified(answer)
    if modified is not None:
        metrics.set("probe_http_last_modified_timestamp_seconds", modified)
    if answer.tls:
        record(metrics, answer.chain, trip.options.tls_config, answer.session)
    return verdict.good
