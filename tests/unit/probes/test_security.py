"""Are headers, cookies, files and pages judged rightly? Without a server."""

from __future__ import annotations

import pytest

from sre.journey.exchange import Response
from sre.journey.result import Outcome
from sre.probes.kinds.security import SecurityProbe
from sre.probes.security.exposed import FILES, differs, is_listing, proved
from sre.probes.security.findings import CHECKS, Findings, judge
from sre.probes.security.headers import (
    SESSION_COOKIES,
    cookies_of,
    judge_cookies,
    judge_headers,
    judge_hsts,
)
from sre.probes.security.page import judge_content, policies_of

DJANGO = (
    "csrftoken=abc; expires=Sun, 21 Nov 2027 10:00:00 GMT; Max-Age=31449600; Path=/; SameSite=Lax",
    "sessionid=xyz; HttpOnly; Path=/; SameSite=Lax",
    "oscar_history=1; Path=/",
)


def found(findings: Findings) -> set[str]:
    return {check for check, what in findings.seen.items() if what}


def answer(*headers: tuple[str, str]) -> Response:
    return Response(200, tuple((name.lower(), value) for name, value in headers))


@pytest.mark.parametrize(
    ("cookies", "https", "expected"),
    [
        pytest.param(DJANGO, False, set(), id="Django's defaults, plain http"),
        pytest.param(DJANGO, True, {"session_cookie_insecure"}, id="Django's defaults, https"),
        pytest.param(["PHPSESSID=1; path=/"], True,
                     {"session_cookie_insecure", "session_cookie_readable",
                      "session_cookie_cross_site"}, id="PHP's defaults"),
        pytest.param(["__Host-session=1; Secure; HttpOnly; SameSite=None"], True,
                     {"session_cookie_cross_site"}, id="SameSite=None"),
        pytest.param(["sessionid=; Max-Age=0; Path=/"], True, set(), id="taken back"),
        pytest.param(["sessionid=; expires=Thu, 01 Jan 1970 00:00:00 GMT"], True, set(),
                     id="expired"),
        pytest.param(["language=de; Path=/", "nonsense"], True, set(), id="no session"),
    ],
)  # fmt: skip
def test_cookies(cookies: list[str], https: bool, expected: set[str]) -> None:
    findings = Findings()
    response = answer(*(("Set-Cookie", cookie) for cookie in cookies))
    judge_cookies(findings, cookies_of(response), SESSION_COOKIES, https=https)
    assert found(findings) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {"hsts_missing"}),
        ("max-age=0", {"hsts_missing"}),
        ("includeSubDomains", {"hsts_missing"}),
        ("max-age=3600", {"hsts_short"}),
        ('Max-Age="31536000"; preload', set()),
    ],
)
def test_hsts(value: str | None, expected: set[str]) -> None:
    findings = Findings()
    headers = () if value is None else (("Strict-Transport-Security", value),)
    judge_hsts(findings, answer(*headers), 86400.0)
    assert found(findings) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("default-src 'self'; script-src 'self' 'unsafe-inline'", True),
        ("default-src 'self' 'unsafe-inline'", True),
        ("img-src 'self'", True),
        ("script-src 'nonce-abc' 'unsafe-inline'", False),
        ("script-src 'strict-dynamic' 'unsafe-inline'", False),
        ("default-src 'self'; style-src 'unsafe-inline'", False),
        ("Script-Src 'self'", False),
    ],
)
def test_policies(policy: str, expected: bool) -> None:
    findings = Findings()
    judge_headers(findings, answer(("Content-Security-Policy", policy)), "/", "")
    assert ("csp_unsafe_inline" in found(findings)) is expected
    assert "csp_missing" not in found(findings)


def test_a_policy_may_stand_in_the_page() -> None:
    html = b'<meta http-equiv="content-security-policy" content="default-src \'self\'">'
    findings = Findings()
    judge_headers(findings, answer(), "/", policies_of(html))
    assert "csp_missing" not in found(findings)
    assert "framing_allowed" in found(findings), "a page cannot say who may frame it"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/.git/HEAD", b"ref: refs/heads/main\n", True),
        ("/.git/HEAD", b"0123456789abcdef0123456789abcdef01234567\n", True),
        ("/.git/HEAD", b"<!doctype html><title>Not found</title>ref: refs/", False),
        ("/.env", b"\n# x\nAPP_KEY=base64:abc=\n", True),
        ("/.env", b"export DB_HOST=db\n", True),
        ("/.env", b"<html class=no-js>", False),
        ("/.env", b"window.config = {}; <html>", False),
        ("/backup.sql", b"-- MySQL dump 10.13\n", True),
        ("/backup.sql", b"-- MariaDB dump 10.19\n", True),
        ("/backup.sql", b"<p>CREATE TABLE is a statement</p>", False),
        ("/backup.zip", b"PK\x03\x04rest", True),
        ("/backup.zip", b"<html>PK\x03\x04", False),
        ("/server-status", b"<h1>Apache Server Status for shop</h1>", True),
        ("/nginx_status", b"Active connections: 1 \nserver accepts", True),
        ("/phpinfo.php", b"<title>phpinfo()</title>", True),
        ("/.svn/entries", b"12\n", True),
        ("/.svn/entries", b"12 kettles\n", False),
    ],
)
def test_content_proves_a_file(path: str, body: bytes, expected: bool) -> None:
    exposure = next(one for one in FILES if one.path == path)
    assert proved(exposure, 200, body) is expected
    assert not proved(exposure, 403, body)


def test_a_page_for_everything_is_no_file() -> None:
    page = b"<h1>Sorry</h1><p>/%s was not found. Reference %s</p>"
    other = ("/d41d8cd98f00b204", page % (b"d41d8cd98f00b204", b"a8f3k2l9dk3j"))
    assert not differs("/export.csv", page % (b"export.csv", b"m2kd83hq0xlw"), [other])
    assert differs("/export.csv", b"id,mail\n1,a@example.com", [other])
    assert differs("/export.csv", b"anything", [])


def test_listings() -> None:
    assert is_listing(200, b"<html><head><title>Index of /media/</title>")
    assert is_listing(200, b"<title>Directory listing for /media/</title>")
    assert not is_listing(200, b"<title>Our index of teas</title>")


def test_mixed_content() -> None:
    html = b"""<script src="HTTP://cdn.test/a.js"></script><link rel=Stylesheet href=http://c/a.css>
      <img src=http://c/a.png><a href=http://c/>a link is fine</a><link rel=canonical href=http://c>
      <script src=https://c/a.js></script><img src=/a.png><form action=http://c/pay></form>"""
    findings = Findings()
    judge_content(findings, html, "/")
    assert findings.seen["mixed_content_active"] == [
        "/: 1 script over http", "/: 1 form over http", "/: 1 stylesheet over http"
    ]  # fmt: skip
    assert findings.seen["mixed_content_passive"] == ["/: 1 img over http"]


def test_the_verdict_goes_by_severity() -> None:
    findings = Findings()
    findings.looked(*CHECKS)
    findings.found("version_banner", "nginx/1")
    assert judge(findings, "high", "medium") == (Outcome.OK, "", "")
    assert judge(findings, "high", "low")[0] is Outcome.DEGRADED
    for number in range(5):
        findings.found("csp_missing", f"/{number}")
    outcome, _, message = judge(findings, "high", "medium")
    assert outcome is Outcome.DEGRADED
    assert message == "csp_missing (medium): /0, /1, /2 and 2 more"
    assert judge(findings, "medium", "low")[0] is Outcome.FAILED
    assert len(list(findings.gauges())) == len(CHECKS) + 1


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"ignore": ("csp",)}, "there is no 'csp'; known: plain_http"),
        ({"exposed": {"x": ""}}, "must begin with /"),
        ({"http_port": 0}, "1 to 65535"),
        ({"paths": ("/",) * 11}, "at most 10"),
    ],
)
def test_a_wrong_declaration_is_refused(words: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SecurityProbe("/", **words)  # type: ignore[arg-type]
