"""In which order is a step judged, what may it send again, and who gets the credentials?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sre.journey.exchange import Response
from sre.journey.result import Outcome, Reason
from tests.unit.journey.kit import BASE, Script, answer, declare, drive, one


@pytest.mark.parametrize(
    ("keys", "given", "outcome", "reason"),
    [
        ("get: /", answer(status=200), Outcome.OK, ""),
        ("get: /, follow: false", answer(status=399), Outcome.OK, ""),
        ("get: /", answer(status=400), Outcome.FAILED, "status"),
        ("get: /", answer(status=199), Outcome.FAILED, "status"),
        ("get: /, expect: {status: 404}", answer(status=404), Outcome.OK, ""),
        ("get: /, expect: {status: [201, '400..404']}", answer(status=403), Outcome.OK, ""),
        ("get: /, expect: {status: [0xC9, 0o312]}", answer(status=202), Outcome.OK, ""),
        ("get: /, expect: {status: '200..299'}", answer(status=300), Outcome.FAILED, "status"),
        # throttled before refused before expect
        (
            "get: /, refused: {status: 429}, expect: {contains: x}",
            answer(status=429),
            Outcome.THROTTLED,
            "",
        ),
        ("get: /, expect: {status: 429}", answer(status=429), Outcome.OK, ""),
        (
            "get: /, refused: {contains: sold}, expect: {contains: sold}",
            answer("sold out"),
            Outcome.REFUSED,
            "",
        ),
        ("get: /, refused: {status: 409, contains: sold}", answer("sold"), Outcome.REFUSED, ""),
        ("get: /, refused: {status: 409, contains: sold}", answer(status=409), Outcome.REFUSED, ""),
        ("get: /, refused: {json: {code: gone}}", answer("no json"), Outcome.OK, ""),
        # expect before extract
        (
            "get: /, expect: {contains: x}, extract: {v: {json: v}}",
            answer("{}"),
            Outcome.FAILED,
            "body",
        ),
        ("get: /, extract: {v: {json: v}}", answer("{}"), Outcome.FAILED, "extract"),
        ("get: /, extract: {v: {json: v, required: false}}", answer("{}"), Outcome.OK, ""),
        ("get: /, expect: {below: 1s}", answer(seconds=1.0), Outcome.FAILED, "slow"),
        ("get: /, expect: {below: 1s}", answer(seconds=0.99), Outcome.OK, ""),
        ("get: /, expect: {slow: 500ms}", answer(seconds=0.5), Outcome.DEGRADED, "slow"),
        ("get: /, expect: {slow: 500ms}", answer(seconds=0.4), Outcome.OK, ""),
        ("get: /, expect: {header: {X: '~^a'}}", answer(headers={"x": "ab"}), Outcome.OK, ""),
        (
            "get: /, expect: {header: {X: a}}",
            answer(headers={"x": "ab"}),
            Outcome.FAILED,
            "header",
        ),
        ("get: /, expect: {header: {X: a}}", answer(), Outcome.FAILED, "header"),
        ("get: /, expect: {size: {min: 3, max: 4}}", answer("abc"), Outcome.OK, ""),
        ("get: /, expect: {size: {max: 1KiB}}", answer(b"x" * 1025), Outcome.FAILED, "body"),
        ("get: /, expect: {matches: 'a.*b'}", answer("xa\nb"), Outcome.OK, ""),
        ("get: /, expect: {contains: [a, b]}", answer("a"), Outcome.FAILED, "body"),
    ],
)
def test_judging_one_answer(
    tmp_path: Path, keys: str, given: Response, outcome: Outcome, reason: str
) -> None:
    result, _ = one(tmp_path, keys, given)
    assert (result.outcome, result.reason) == (outcome, reason), result.message


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"retry-after": "7"}, 7.0),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "9" * 500}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
                "date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            30.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
    ],
)
def test_retry_after_is_kept(tmp_path: Path, headers: dict[str, str], after: float | None) -> None:
    result, _ = one(tmp_path, "get: /", answer(status=429, headers=headers))
    assert result.outcome is Outcome.THROTTLED
    assert result.steps[0].retry_after == after


def to(location: str, status: int = 302) -> Response:
    return answer(status=status, headers={"location": location})


@pytest.mark.parametrize(
    ("method", "status", "then", "body"),
    [
        ("post", 301, "GET", None),
        ("post", 302, "GET", None),
        ("post", 303, "GET", None),
        ("put", 303, "GET", None),
        ("put", 302, "PUT", b"a=1"),
        ("post", 307, "POST", b"a=1"),
        ("post", 308, "POST", b"a=1"),
    ],
)
def test_what_a_redirect_does_to_the_method(
    tmp_path: Path, method: str, status: int, then: str, body: bytes | None
) -> None:
    result, script = one(tmp_path, f"{method}: /, form: {{a: '1'}}", to("/next", status), answer())
    assert [r.method for r in script.requests] == [method.upper(), then]
    assert script.requests[1].body == body
    assert (script.sent("content-type")[1] is None) == (body is None)
    assert [row.hop for row in result.rows] == [0, 1]


def test_ten_hops_are_followed_and_no_more(tmp_path: Path) -> None:
    hops = [to(f"/{n}") for n in range(10)]
    result, script = one(tmp_path, "get: /", *hops, answer("end"))
    assert result.outcome is Outcome.OK
    assert [row.hop for row in result.rows] == list(range(11))
    result, script = one(tmp_path, "get: /", to("/loop"))
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.PROTOCOL)
    assert len(script.requests) == 11
    result, script = one(tmp_path, "get: /, follow: false", to("/loop"))
    assert (len(script.requests), result.steps[0].status) == (1, 302)


CREDENTIALS = """
headers: {Authorization: Bearer abcdefgh, Cookie: a=b, X-Pin: {secret: true, value: '${env:PIN}'}}
"""


def test_credentials_go_to_the_shop_and_its_origins_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIN", "s3cret-pin")
    steps = """
    steps:
      - {name: a, post: /, idempotency_key: {header: Idempotency-Key}, headers: {X-Open: "1"}}
    """
    script = Script(
        to("http://evil.test/x", 307), to("https://shop.test/y", 307), to("//id.test/", 307),
        to("http://id.test:81/", 307), to(BASE + "/back", 307), answer(),
    )  # fmt: skip
    settings = declare(
        tmp_path,
        CREDENTIALS + "\n".join(line[4:] for line in steps.splitlines()),
        base=f"{BASE}\n  origins: ['https://id.test']",
    )
    assert drive(settings, script).outcome is Outcome.OK
    own = [True, False, False, True, False, True]
    assert [request.credentials for request in script.requests] == own
    for name in ("Authorization", "Cookie", "X-Pin", "Idempotency-Key"):
        assert [value is not None for value in script.sent(name)] == own, name
    assert script.sent("X-Open") == ["1"] * 6
    assert None not in script.sent("X-Synthetic")


def test_the_referer_is_the_last_page_of_the_same_origin(tmp_path: Path) -> None:
    settings = declare(
        tmp_path,
        """
        - {name: a, get: /}
        - {name: b, get: /b}
        - {name: c, get: "http://other.test/c"}
        - {name: d, get: "http://other.test/d"}
        - {name: e, get: /e}
        """,
        base=f"{BASE}/",
    )
    script = Script(answer())
    drive(settings, script)
    assert script.sent("referer") == [
        None, f"{BASE}/", None, "http://other.test/c", None
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "found", "sent"),
    [
        ("${x}", "/p/1", f"{BASE}/p/1"),
        ("${x}", "p/1", f"{BASE}/dir/p/1"),
        ("${x}", "../p", f"{BASE}/p"),
        ("${x}", "?q=1", f"{BASE}/dir/page?q=1"),
        ("${x}", "", f"{BASE}/dir/page"),
        ("${x}", "#top", f"{BASE}/dir/page"),
        ("${x}", "http://other.test:81/p#f", "http://other.test:81/p"),
        ("${x}", "//other.test/p", "http://other.test/p"),
        ("${x}/cart", "/p/1", f"{BASE}/p/1/cart"),
        ("/${x}", "/p/1", f"{BASE}/p/1"),
        ("/${x}", "/evil.test/p", f"{BASE}/evil.test/p"),
        ("/o/${x}", "a b/ü?#", f"{BASE}/o/a%20b/%C3%BC"),
        ("/o/${x:urlencode}", "a b/ü?#", f"{BASE}/o/a%20b%2F%C3%BC%3F%23"),
        ("/${x}", "100%", f"{BASE}/100%"),
        ("/${x}", 'a"<b>\\^`{|}', f"{BASE}/a%22%3Cb%3E%5C%5E%60%7B%7C%7D"),
        ("/${x}", "a\r\nHost: evil", f"{BASE}/aHost:%20evil"),
        ("${x}", "http://Bücher.TEST/ä", "http://xn--bcher-kva.test/%C3%A4"),
        ("${x}", "http://пример.рф:8080/", "http://xn--e1afmkfd.xn--p1ai:8080/"),
        ("${x}", "HTTP://SHOP.test./x", f"{BASE}/x"),
    ],
)
def test_where_an_address_leads(tmp_path: Path, url: str, found: str, sent: str) -> None:
    settings = declare(
        tmp_path,
        f"""
        - {{name: a, get: /dir/page, extract: {{x: {{json: x}}}}}}
        - {{name: b, get: "{url}"}}
        """,
    )
    script = Script(answer(json.dumps({"x": found})))
    drive(settings, script)
    assert script.urls[1] == sent


def test_a_location_in_raw_utf8_is_understood(tmp_path: Path) -> None:
    raw = "/caf\u00e9".encode().decode("latin-1")
    _, script = one(tmp_path, "get: /", to(raw), answer())
    assert script.urls[1] == f"{BASE}/caf%C3%A9"


def test_a_query_joins_the_one_that_is_there(tmp_path: Path) -> None:
    keys = "get: '/s?a=1', query: {q: 'x y&z', n: [1, 2], gone: null}"
    _, script = one(tmp_path, keys, answer())
    assert script.urls == [f"{BASE}/s?a=1&q=x+y%26z&n=1&n=2"]


def test_a_header_with_several_values_is_one_line(tmp_path: Path) -> None:
    _, script = one(tmp_path, "get: /, headers: {Accept: [a/b, c/d]}", answer())
    assert script.sent("accept") == ["a/b, c/d"]


@pytest.mark.parametrize("location", ["http://[", "http://shop.test:99999/", "http://h:0/"])
def test_a_redirect_to_nonsense_is_a_failure(tmp_path: Path, location: str) -> None:
    result, script = one(tmp_path, "get: /", to(location), answer())
    assert result.outcome in (Outcome.FAILED, Outcome.BLOCKED)
    assert len(script.requests) == 1 or script.urls[1].startswith(BASE)
