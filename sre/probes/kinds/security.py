"""Which weaknesses does the shop show to anybody who asks for a page?"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from urllib.parse import urljoin, urlsplit

from sre.core.units import Duration
from sre.journey.exchange import Response
from sre.journey.host import literal, origin_of
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.facts import Facts
from sre.probes.marked import check_url, marked
from sre.probes.model import ProbeContext, Reading
from sre.probes.security.exposed import FILES, FOLDERS, differs, is_listing, proved
from sre.probes.security.fetch import Asker
from sre.probes.security.findings import CHECKS, FACTS, Findings, Level, judge
from sre.probes.security.headers import (
    SESSION_COOKIES,
    cookies_of,
    judge_cookies,
    judge_headers,
    judge_hsts,
)
from sre.probes.security.page import judge_content, policies_of
from sre.probes.wire import check_port

__all__ = ["SecurityProbe"]

_HALF_A_YEAR = Duration(180 * 86400.0)
_THERE = (200, 206)
_STRANGER = "https://stranger.invalid"


@dataclass(frozen=True)
class SecurityProbe:
    """Asks for a page or a few, for files that nobody should get, and for old TLS; judges it all.

    About forty small requests over one connection, marked as ours: tell a firewall that bans who
    asks for `/.env`. `sre_probe_security_finding` is 1 for each weakness that was seen. Failed
    logins and floods of 4xx are not seen from outside: the kind `accesslog` reads them from the
    log.

    Attributes:
        url: absolute, or relative to the shop's `base_url`.
        paths: further pages, whose headers, cookies and content are judged too.
        ignore: checks that are left out, by name.
        fail_on: findings as bad as this fail the probe: `high`, `medium`, `low` or `never`.
        degrade_on: findings as bad as this degrade it.
        session_cookies: names that stand for a customer, `*` for anything.
        exposed: further paths that must not be there, each with a text that proves it; with an
            empty text anything proves it that is not this shop's page for what does not exist.
        hsts: the least age of Strict-Transport-Security.
        min_tls: the oldest protocol that the server may accept.
        http_port: where plain http is looked for, which must lead to https; it must be on the
            allow-list, or it is not looked at.
        verify: whether a certificate that is not trusted fails the probe.
        ca_file: PEM file of the authorities to trust instead of the system's.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    url: str
    paths: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Level = "high"
    degrade_on: Level = "medium"
    session_cookies: tuple[str, ...] = SESSION_COOKIES
    exposed: dict[str, str] = field(default_factory=dict)
    hsts: Duration = _HALF_A_YEAR
    min_tls: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    http_port: int = 80
    verify: bool = True
    ca_file: str | None = None

    def __post_init__(self) -> None:
        for url in (self.url, *self.paths):
            check_url(url)
        unknown = sorted(set(self.ignore) - set(CHECKS))
        if unknown:
            raise ValueError(f"ignore: there is no {unknown[0]!r}; known: {', '.join(CHECKS)}")
        if len(self.paths) > 10 or len(self.exposed) > 50:
            raise ValueError("at most 10 paths and 50 exposed; use two probes")
        wrong = [path for path in self.exposed if not path.startswith("/")]
        if wrong:
            raise ValueError(f"exposed: {wrong[0]!r} must begin with /")
        check_port(self.http_port, "http_port")

    def check(self, context: ProbeContext) -> Reading:
        """Ask, judge, hang up."""
        attempt = Attempt("security", context)
        findings = Findings(frozenset(self.ignore))
        try:
            target = marked(self.url, context.shop, context.clock)
            with Asker(attempt, target.headers, verify=self.verify, ca_file=self.ca_file) as asker:
                self._look(attempt, asker, target.url, findings)
                attempt.gauges.append(FACTS("requests_sent", asker.count))
        except Trouble as trouble:
            attempt.gauges += findings.gauges()
            return attempt.ended_by(trouble)
        attempt.gauges += findings.gauges()
        return attempt.reading(*judge(findings, self.fail_on, self.degrade_on))

    def _look(self, attempt: Attempt, asker: Asker, url: str, findings: Findings) -> None:
        address, answers = asker.page(url)
        attempt.phases.update(answers[-1].phases)
        self._page(findings, address, answers)
        for path in self.paths:
            further = marked(path, attempt.context.shop, attempt.context.clock).url
            self._page(findings, *asker.page(further))
        self._cross_origin(asker, address, findings)
        self._files(asker, urljoin(address, "/"), findings)
        self._extra(asker, urljoin(address, "/"), findings)
        self._encryption(asker, address, findings)

    def _page(self, findings: Findings, address: str, answers: list[Response]) -> None:
        """One page with the redirects that led there."""
        scheme, host, _ = origin_of(address)
        https, last = scheme == "https", answers[-1]
        where = urlsplit(address).path[:60]
        if last.status >= 400:
            raise Trouble(Reason.STATUS, f"{where} answered with status {last.status}")
        if _is_public(host):
            findings.looked("plain_http")
            if not https:
                findings.found("plain_http", f"{where} comes without encryption")
        cookies = [cookie for answer in answers for cookie in cookies_of(answer)]
        judge_cookies(findings, cookies, self.session_cookies, https=https)
        is_html = "html" in (last.header("content-type") or "").lower()
        judge_headers(findings, last, where, policies_of(last.body) if is_html else "")
        if https:
            judge_hsts(findings, last, self.hsts)
            if is_html:
                judge_content(findings, last.body, where)

    def _cross_origin(self, asker: Asker, address: str, findings: Findings) -> None:
        """May the page of a stranger read answers that belong to a customer?"""
        answer = asker.get(address, origin=_STRANGER)
        if answer.failure is not None and not answer.headers:
            findings.unchecked("cors_credentials")
            return
        findings.looked("cors_credentials")
        admitted_origin = (answer.header("access-control-allow-origin") or "").strip()
        credentials = (answer.header("access-control-allow-credentials") or "").strip().lower()
        if credentials == "true" and admitted_origin in ("*", "null", _STRANGER):
            findings.found("cors_credentials", f"allows {admitted_origin} with credentials")

    def _files(self, asker: Asker, origin: str, findings: Findings) -> None:
        for one in FILES:
            if one.check in findings.ignore:
                continue
            answer = asker.get(urljoin(origin, one.path))
            if not _answered(answer):
                findings.unchecked(one.check)
                continue
            findings.looked(one.check)
            if proved(one, answer.status, answer.body):
                findings.found(one.check, one.path)
        for path in FOLDERS if "directory_listing" not in findings.ignore else ():
            answer = asker.get(urljoin(origin, path))
            findings.looked("directory_listing")
            if is_listing(answer.status, answer.body):
                findings.found("directory_listing", path)

    def _extra(self, asker: Asker, origin: str, findings: Findings) -> None:
        """The configured paths, beside what this shop shows for paths that nobody ever made."""
        if not self.exposed or "exposed_extra" in findings.ignore:
            return
        findings.looked("exposed_extra")
        paths = [f"/{uuid.uuid4().hex}{end}" for end in ("", ".bak")]
        strange = [(path, asker.get(urljoin(origin, path))) for path in paths]
        nothing = [(path, one.body) for path, one in strange if one.status in _THERE]
        for path, text in self.exposed.items():
            answer = asker.get(urljoin(origin, path))
            if answer.status not in _THERE:
                continue
            if text.encode() in answer.body if text else differs(path, answer.body, nothing):
                findings.found("exposed_extra", path)

    def _encryption(self, asker: Asker, address: str, findings: Findings) -> None:
        scheme, host, _ = origin_of(address)
        if scheme != "https":
            return
        try:
            findings.looked("tls_outdated")
            if asker.accepts_old_tls(address, self.min_tls):
                findings.found("tls_outdated", f"accepts a protocol older than {self.min_tls}")
        except Trouble:
            findings.seen.pop("tls_outdated", None)
            findings.unchecked("tls_outdated")
        where = f"[{host}]" if ":" in host else host
        plain = f"http://{where}:{self.http_port}/" if self.http_port != 80 else f"http://{where}/"
        try:
            answer = asker.get(plain)
        except Trouble as trouble:
            if trouble.reason is Reason.TIMEOUT:
                raise
            findings.unchecked("http_not_redirected")
            return
        findings.looked("http_not_redirected")
        if answer.failure is None and not _leads_to_https(answer):
            findings.found("http_not_redirected", f"{plain} answers {answer.status}")


def _leads_to_https(answer: Response) -> bool:
    location = (answer.header("location") or "").lower()
    return answer.status in (301, 302, 303, 307, 308) and location.startswith("https://")


def _answered(answer: Response) -> bool:
    """A body that was cut at our limit is an answer too."""
    return answer.failure is None or answer.failure.reason is Reason.BODY


def _is_public(host: str) -> bool:
    """Whether others can listen on the way there."""
    address = literal(host)
    return not (host == "localhost" or (address is not None and address.is_loopback))
