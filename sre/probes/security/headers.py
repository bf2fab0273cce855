"""What do the headers and cookies of an answer lack? (pure)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sre.journey.exchange import Response
from sre.probes.security.findings import Findings

__all__ = [
    "SESSION_COOKIES",
    "Cookie",
    "cookies_of",
    "judge_cookies",
    "judge_headers",
    "judge_hsts",
]

SESSION_COOKIES = (
    "*sess*", "sid", "*.sid", "*_sid", "auth*", "*_auth", "remember*", "*logged_in*", "*login*",
    "prestashop-*", "frontend", "adminhtml", "jwt*", "access_token", "refresh_token",
)  # fmt: skip
"""Names (in any case) of cookies that stand for a customer; a CSRF token is not among them."""

_DEAD = re.compile(r"(?i)max-age=(0|-\d+)$|expires=.*\b(1969|1970|1980)\b")


@dataclass(frozen=True)
class Cookie:
    """A cookie as it was set: its name and its attributes, in small letters."""

    name: str
    attributes: dict[str, str]


def cookies_of(response: Response) -> list[Cookie]:
    """The cookies that an answer sets; one that it takes back is none."""
    found = []
    for line in response.header_values("set-cookie"):
        pair, *rest = (part.strip() for part in line.split(";"))
        name, equals, _ = pair.partition("=")
        if not equals or any(_DEAD.match(part) for part in rest):
            continue
        pairs = (part.partition("=") for part in rest)
        found.append(Cookie(name.strip(), {key.lower(): value.lower() for key, _, value in pairs}))
    return found


def judge_cookies(
    findings: Findings, cookies: Sequence[Cookie], names: Sequence[str], *, https: bool
) -> None:
    """Flags of the cookies that stand for a session. `Secure` says nothing without TLS."""
    findings.looked("session_cookie_readable", "session_cookie_cross_site")
    if https:
        findings.looked("session_cookie_insecure")
    for cookie in cookies:
        if not any(fnmatchcase(cookie.name.lower(), name.lower()) for name in names):
            continue
        if https and "secure" not in cookie.attributes:
            findings.found("session_cookie_insecure", f"{cookie.name} without Secure")
        if "httponly" not in cookie.attributes:
            findings.found("session_cookie_readable", f"{cookie.name} without HttpOnly")
        site = cookie.attributes.get("samesite", "")
        if site not in ("lax", "strict"):
            how = "SameSite=None" if site == "none" else "no SameSite"
            findings.found("session_cookie_cross_site", f"{cookie.name} with {how}")


def judge_hsts(findings: Findings, response: Response, least: float) -> None:
    """Only over https: browsers do not believe it elsewhere."""
    findings.looked("hsts_missing", "hsts_short")
    value = response.header("strict-transport-security")
    age = re.search(r'(?i)\bmax-age\s*=\s*"?(\d+)', value or "")
    if age is None or int(age[1]) == 0:
        findings.found("hsts_missing", "no Strict-Transport-Security")
    elif int(age[1]) < least:
        findings.found("hsts_short", f"max-age={age[1]}, at least {least:.0f} is asked for")


def judge_headers(findings: Findings, response: Response, where: str, metas: str) -> None:
    """What protects the page itself. `metas`: policies that its HTML declares."""
    policies = response.header_values("content-security-policy")
    _policies(findings, policies, where, metas)
    findings.looked(
        "framing_allowed", "nosniff_missing", "referrer_policy_missing",
        "permissions_policy_missing", "version_banner",
    )  # fmt: skip
    framed = (response.header("x-frame-options") or "").strip().upper()
    if framed not in ("DENY", "SAMEORIGIN") and not any("frame-ancestors" in p for p in policies):
        findings.found("framing_allowed", f"{where}: no X-Frame-Options, no frame-ancestors")
    if (response.header("x-content-type-options") or "").strip().lower() != "nosniff":
        findings.found("nosniff_missing", f"{where}: no X-Content-Type-Options: nosniff")
    if (response.header("referrer-policy") or "unsafe-url").strip().lower() == "unsafe-url":
        findings.found("referrer_policy_missing", f"{where}: no Referrer-Policy that limits")
    if not response.header("permissions-policy"):
        findings.found("permissions_policy_missing", f"{where}: no Permissions-Policy")
    _banners(findings, response)


def _policies(findings: Findings, policies: Sequence[str], where: str, metas: str) -> None:
    findings.looked("csp_missing", "csp_unsafe_inline")
    every = [*policies, *([metas] if metas else [])]
    if not every:
        findings.found("csp_missing", f"{where}: no Content-Security-Policy")
    elif all(_allows_inline(policy) for policy in every):
        findings.found("csp_unsafe_inline", f"{where}: scripts may be 'unsafe-inline'")


def _allows_inline(policy: str) -> bool:
    """Whether scripts written into the page run; a nonce or a hash takes 'unsafe-inline' back."""
    rules: dict[str, list[str]] = {}
    for rule in policy.split(";"):
        name, *values = rule.lower().split()[:200] or [""]
        rules.setdefault(name, values)
    if "script-src" not in rules and "default-src" not in rules:
        return True
    values = rules.get("script-src", rules.get("default-src", []))
    strict = any(value.startswith(("'nonce-", "'sha256-", "'sha384-", "'sha512-"))
                 for value in values)  # fmt: skip
    return "'unsafe-inline'" in values and not strict and "'strict-dynamic'" not in values


def _banners(findings: Findings, response: Response) -> None:
    for name in ("server", "x-powered-by", "x-aspnet-version", "x-generator"):
        value = response.header(name) or ""
        if re.search(r"\d+\.\d+", value):
            findings.found("version_banner", f"{name}: {value[:60]}")
