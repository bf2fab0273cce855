"""Are the words of each maker of caches understood as that maker means them?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.probes.cachestatus import STATES, age_of, cache_state, max_age_of


def headers(text: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in text.strip().splitlines() if line.strip())
    return [(name.strip().lower(), value.strip()) for name, _, value in pairs]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        pytest.param("CF-Cache-Status: HIT\nAge: 12", "hit", id="cloudflare"),
        pytest.param("CF-Cache-Status: MISS", "miss", id="cloudflare"),
        pytest.param("CF-Cache-Status: EXPIRED", "miss", id="cloudflare"),
        pytest.param("CF-Cache-Status: REVALIDATED", "hit", id="cloudflare"),
        pytest.param("CF-Cache-Status: UPDATING", "stale", id="cloudflare"),
        pytest.param("CF-Cache-Status: STALE", "stale", id="cloudflare"),
        pytest.param("CF-Cache-Status: DYNAMIC", "bypass", id="cloudflare"),
        pytest.param("CF-Cache-Status: BYPASS", "bypass", id="cloudflare"),
        pytest.param("X-Cache: MISS, HIT\nX-Served-By: cache-a, cache-b", "hit", id="fastly"),
        pytest.param("X-Cache: HIT, MISS\nX-Cache-Hits: 3, 0", "hit", id="fastly shield"),
        pytest.param("X-Cache: MISS, MISS\nAge: 0", "miss", id="fastly"),
        pytest.param("X-Cache: Hit from cloudfront\nVia: 1.1 x (CloudFront)", "hit", id="aws"),
        pytest.param("X-Cache: Miss from cloudfront", "miss", id="aws"),
        pytest.param("X-Cache: RefreshHit from cloudfront", "hit", id="aws"),
        pytest.param("X-Cache: Error from cloudfront", "miss", id="aws"),
        pytest.param("X-Cache: FunctionGeneratedResponse from cloudfront", "bypass", id="aws"),
        pytest.param("X-Cache: TCP_MEM_HIT from a23-1.deploy (AkamaiGHost/1)", "hit", id="akamai"),
        pytest.param("X-Cache: TCP_MISS from a23-1.deploy (AkamaiGHost/1)", "miss", id="akamai"),
        pytest.param("X-Cache: TCP_REFRESH_HIT from a23", "hit", id="akamai"),
        pytest.param("X-Cache: TCP_REFRESH_MISS from a23", "miss", id="akamai"),
        pytest.param("X-Cache: TCP_REFRESH_FAIL_HIT from a23", "stale", id="akamai"),
        pytest.param("X-Cache: TCP_DENIED from a23", "bypass", id="akamai"),
        pytest.param("Server-Timing: cdn-cache; desc=HIT, edge; dur=1", "hit", id="akamai"),
        pytest.param("X-Cache: CONFIG_NOCACHE", "bypass", id="azure"),
        pytest.param("X-Cache: TCP_REMOTE_HIT", "hit", id="azure"),
        pytest.param("X-Varnish: 32770 3\nAge: 5", "hit", id="varnish"),
        pytest.param("X-Varnish: 32770\nAge: 0", "miss", id="varnish"),
        pytest.param("X-Cache: HIT from squid.example\nX-Cache: MISS from b", "hit", id="squid"),
        pytest.param("X-Cache-Status: HIT", "hit", id="nginx"),
        pytest.param("X-Cache-Status: BYPASS", "bypass", id="nginx"),
        pytest.param("X-Cache-Status: EXPIRED", "miss", id="nginx"),
        pytest.param("X-Proxy-Cache: STALE", "stale", id="nginx"),
        pytest.param("x-vercel-cache: PRERENDER", "hit", id="vercel"),
        pytest.param("CDN-Cache: HIT", "hit", id="bunny"),
        pytest.param("Cache-Status: ExampleCache; hit; ttl=376", "hit", id="rfc"),
        pytest.param("Cache-Status: ExampleCache; hit; ttl=-41", "stale", id="rfc"),
        pytest.param("Cache-Status: Edge; fwd=uri-miss; stored", "miss", id="rfc"),
        pytest.param("Cache-Status: Edge; fwd=stale; fwd-status=304", "hit", id="rfc"),
        pytest.param("Cache-Status: Edge; fwd=stale; fwd-status=200", "miss", id="rfc"),
        pytest.param("Cache-Status: Edge; fwd=bypass", "bypass", id="rfc"),
        pytest.param("Cache-Status: Origin; hit; ttl=1100, Edge; fwd=uri-miss", "hit", id="rfc"),
        pytest.param('Cache-Status: "a, b; hit"; fwd=miss; detail="x;hit"', "miss", id="rfc"),
        pytest.param('Cache-Status: "Netlify Edge"; hit', "hit", id="netlify"),
        pytest.param("Age: 30\nVia: 1.1 google", "hit", id="age alone"),
        pytest.param("Age: 0\nVia: 1.1 google", "unknown", id="age alone"),
        pytest.param("Via: 1.1 varnish", "unknown", id="via alone"),
        pytest.param("", "unknown", id="nothing"),
        pytest.param("X-Cache: whatever", "unknown", id="nothing"),
        pytest.param("X-Cache-Status:", "unknown", id="nginx without cache"),
    ],
)
def test_what_each_maker_says(text: str, state: str) -> None:
    assert cache_state(headers(text)) == state


def test_a_header_of_ones_own_comes_first() -> None:
    found = headers("X-My: miss\nX-Cache: HIT")
    assert (cache_state(found), cache_state(found, "X-My")) == ("hit", "miss")
    assert cache_state(headers("X-Cache: HIT"), "X-My") == "hit"


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("max-age=60", 60),
        ("public, s-maxage=300, max-age=60", 300),
        ("no-store, max-age=60", 0),
        ("private, max-age=60", 0),
        ('max-age="5"', 5),
        ("public", None),
        ("max-age=abc", None),
        ("", None),
    ],
)
def test_how_long_it_may_be_kept(control: str, seconds: float | None) -> None:
    assert max_age_of([("cache-control", control)]) == seconds


def test_ages_that_are_none() -> None:
    assert [age_of([("age", text)]) for text in ("7", "-1", "x", "", "9" * 50)] == [
        7, None, None, None, None,
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["x-cache", "cache-status", "age", "x-varnish", "server-timing"]),
            st.text(),
        )
    )
)
def test_no_header_breaks_it(found) -> None:
    assert cache_state(found) in STATES
    max_age_of(found)
