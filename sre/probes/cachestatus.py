"""Did a cache answer, and how old is what it gave, by the headers that caches send? (pure)

`hit` and `stale` came out of a cache (what it revalidated first is a hit), `miss` came from the
origin and could be stored, `bypass` is never stored or was not looked for; `unknown` when no
header tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

__all__ = ["STATES", "age_of", "cache_state", "max_age_of"]

Headers = Sequence[tuple[str, str]]
"""(lower-case name, value), in order."""

STATES = ("hit", "stale", "miss", "bypass", "unknown")

_WORDS: Mapping[str, str] = {
    # Varnish, Fastly, Squid, CloudFront, nginx, Cloudflare, Vercel, Bunny, Google
    "hit": "hit", "cached": "hit", "refreshhit": "hit", "revalidated": "hit", "prerender": "hit",
    "stale": "stale", "updating": "stale", "stale-hit": "stale", "hit-stale": "stale",
    "miss": "miss", "expired": "miss", "refreshmiss": "miss", "error": "miss",
    "uncached": "miss", "cold": "miss",
    "bypass": "bypass", "dynamic": "bypass", "pass": "bypass", "none": "bypass",
    "uncacheable": "bypass", "disabled": "bypass", "ignored": "bypass", "synth": "bypass",
    "hitpass": "bypass", "hit-for-pass": "bypass", "hitmiss": "miss", "hit-for-miss": "miss",
    "lambdageneratedresponse": "bypass", "functiongeneratedresponse": "bypass",
    "redirect": "bypass", "deny": "bypass",
    # Squid's words, which Akamai and Azure use
    "tcp_refresh_fail_hit": "stale", "tcp_stale_hit": "stale", "tcp_refresh_miss": "miss",
    "tcp_swapfail_miss": "miss", "tcp_client_refresh_miss": "miss", "tcp_expired_miss": "miss",
    "tcp_denied": "bypass", "tcp_cookie_deny": "bypass", "config_nocache": "bypass",
    "private_nostore": "bypass", "n/a": "bypass",
}  # fmt: skip
_BEST = ("hit", "stale", "miss", "bypass")
"""Of several caches one after the other, the first of these that any of them says."""


def cache_state(headers: Headers, own: str = "") -> str:
    """One of STATES. `own` is a header of the user's that tells in one of the usual words."""
    readers: Sequence[tuple[str, Callable[[str], str]]] = (
        (own.lower(), _by_words),
        ("cache-status", _rfc9211),
        ("cf-cache-status", _by_words),
        ("x-vercel-cache", _by_words),
        ("cdn-cache", _by_words),
        ("x-cache-status", _by_words),
        ("x-proxy-cache", _by_words),
        ("x-cache", _by_words),
        ("x-77-cache", _by_words),
        ("server-timing", _server_timing),
        ("x-varnish", _varnish),
    )
    for name, reader in readers:
        state = reader(_value(headers, name)) if name else "unknown"
        if state != "unknown":
            return state
    return "hit" if (age_of(headers) or 0) > 0 else "unknown"


def age_of(headers: Headers) -> float | None:
    """Seconds that the answer spent in caches, as they say."""
    text = next((value for name, value in headers if name == "age"), "")
    return float(text) if text.isdecimal() and len(text) < 12 else None


def max_age_of(headers: Headers) -> float | None:
    """For how many seconds a shared cache may keep it: 0 if it may not; None when unsaid."""
    found: dict[str, str] = {}
    for part in _value(headers, "cache-control").lower().split(","):
        name, _, value = part.strip().partition("=")
        found[name] = value.strip('" ')
    if found.keys() & {"no-store", "private", "no-cache"}:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if found.get(name, "").isdecimal() and len(found[name]) < 12:
            return float(found[name])
    return None


def _value(headers: Headers, name: str) -> str:
    return ", ".join(value for key, value in headers if key == name)


def _by_words(text: str) -> str:
    """`HIT`, `MISS, HIT`, `Hit from cloudfront`, `TCP_MEM_HIT from a23-1 (…)`, `RefreshHit …`."""
    said = {_word(part.split()[0]) for part in text.lower().split(",") if part.split()}
    return next((state for state in _BEST if state in said), "unknown")


def _word(word: str) -> str:
    word = word.strip("\"';:()")
    known = _WORDS.get(word)
    if known is None and word.startswith(("tcp_", "udp_")):
        known = "hit" if word.endswith("_hit") else "miss" if word.endswith("miss") else "unknown"
    return known or "unknown"


def _rfc9211(text: str) -> str:
    """`Origin; fwd=miss, Edge; hit; ttl=60`: the cache nearest to the origin comes first."""
    said = set()
    quoteless = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    for member in quoteless.lower().split(","):
        parameters = {
            name.strip(): value.strip()
            for name, _, value in (part.partition("=") for part in member.split(";")[1:])
        }
        said.add(_member(parameters))
    return next((state for state in _BEST if state in said), "unknown")


def _member(parameters: Mapping[str, str]) -> str:
    if "hit" in parameters and parameters["hit"] in ("", "?1"):
        return "stale" if parameters.get("ttl", "").startswith("-") else "hit"
    forwarded = parameters.get("fwd", "")
    if forwarded in ("bypass", "method", "request"):
        return "bypass"
    if forwarded == "stale" and parameters.get("fwd-status") == "304":
        return "hit"
    return "miss" if forwarded else "unknown"


def _server_timing(text: str) -> str:
    """Akamai's `cdn-cache; desc=HIT`, and `cache;desc="hit"`."""
    match = re.search(r"(?:cdn-)?cache\s*;\s*desc=\"?([A-Za-z_-]+)", text)
    return _word(match[1].lower()) if match else "unknown"


def _varnish(text: str) -> str:
    """Two numbers: the request's and that of the one which filled the cache."""
    numbers = text.split()
    if not numbers or not all(number.isdecimal() for number in numbers):
        return "unknown"
    return "hit" if len(numbers) == 2 else "miss"
