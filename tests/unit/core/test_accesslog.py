"""Is a line of a log read as its writer meant it, and is nothing read that must not leak?"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.accesslog import Entry, clean_path, line_parser, time_of
from sre.core.routes import OTHER, Routes

AT = datetime(2026, 11, 21, 3, 52, 44, tzinfo=UTC).timestamp()
COMBINED = (
    '203.0.113.9 - alice [21/Nov/2026:04:52:44 +0100] "GET /product/x?card=4111 HTTP/1.1" 200 1234 '
    '"https://a.example/" "Mozilla/5.0 (X)"'
)
NGINX = (
    "log_format main escape=default '$remote_addr - $remote_user [$time_local] \"$request\" '\n"
    '    \'$status $body_bytes_sent "$http_referer" "$http_user_agent" rt=$request_time \'\n'
    "    'uct=\"$upstream_connect_time\" urt=$upstream_response_time';"
)
PARSERS = [
    line_parser(),
    line_parser("json"),
    line_parser(NGINX),
    line_parser("$time_iso8601|$request_method|$uri|$status|$request_time|$http_user_agent"),
    line_parser('{"t":"$time_iso8601","u":"$request_uri","s":$status,"rt":$request_time}'),
]


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (COMBINED, None),
        (f"{COMBINED} 0.250", 0.25),
        (f"{COMBINED} rt=0.250", 0.25),
        (f'{COMBINED} "0.250" and more', 0.25),
        (f"{COMBINED}\r", None),
    ],
)
def test_combined(line: str, seconds: float | None) -> None:
    entry = line_parser()(line)
    assert entry == Entry(AT, "GET", "/product/x", 200, seconds, 1234, "Mozilla/5.0 (X)")


@pytest.mark.parametrize(
    ("request_line", "method", "path"),
    [
        ("GET / HTTP/1.1", "GET", "/"),
        ("GET http://shop.example/cart?x=1 HTTP/1.1", "GET", "/cart"),
        ("GET http://shop.example HTTP/1.1", "GET", "/"),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*"),
        ("GET /a;jsessionid=secret HTTP/1.1", "GET", "/a"),
        ("GET /a b c HTTP/1.1", "GET", "/a b c"),
        ("GET /only", "GET", "/only"),
        ("-", "", ""),
        ("", "", ""),
        (r"\x16\x03\x01\x02\x00", "", ""),
        ("CONNECT host:443 HTTP/1.1", "CONNECT", ""),
    ],
)
def test_request_lines(request_line: str, method: str, path: str) -> None:
    entry = line_parser()(f'::1 - - [21/Nov/2026:03:52:44 +0000] "{request_line}" 400 - "-" "-"')
    assert entry is not None
    assert (entry.method, entry.path, entry.status, entry.bytes) == (method, path, 400, 0)


def test_names_with_spaces_and_quotes_of_apache() -> None:
    line = r'::1 - bob smith [21/Nov/2026:04:52:44 +0100] "GET /a HTTP/1.1" 200 5 "-" "say \"hi\""'
    entry = line_parser()(line)
    assert entry is not None
    assert (entry.path, entry.agent) == ("/a", r"say \"hi\"")


def test_a_log_format_in_nginx_own_syntax() -> None:
    entry = line_parser(NGINX)(
        '1.1.1.1 - - [21/Nov/2026:03:52:44 +0000] "POST /cart HTTP/2.0" 302 12 "-" "M \\x22" '
        'rt=0.012 uct="0.001, 0.002" urt=0.100, 0.200'
    )
    assert entry == Entry(AT, "POST", "/cart", 302, 0.012, 12, "M \\x22")
    bare = line_parser("$remote_addr $time_local $request $status $upstream_response_time")
    assert bare("1.1.1.1 21/Nov/2026:03:52:44 +0000 GET /x HTTP/1.1 200 0.1, 0.2 : 0.3") == Entry(
        AT, "GET", "/x", 200, pytest.approx(0.6), 0, None
    )
    as_json = line_parser('{"t":"$time_iso8601","u":"$request_uri","s":$status,"rt":$request_time}')
    found = as_json(r'{"t":"2026-11-21T03:52:44+00:00","u":"/a?q=\"x","s":200,"rt":0.001}')
    assert found == Entry(AT, "", "/a", 200, 0.001, 0, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$remote_addr $request", "needs \\$status"),
        ("$status $remote_addr", "needs \\$status, and \\$request"),
        ("common", "neither 'combined' nor 'json'"),
        ("$status$request", "nothing stands between"),
        ("$status $request $http_user_agent $http_referer", "in quotes"),
    ],
)
def test_formats_that_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        line_parser(text)


CADDY = (
    '{"level":"info","ts":1795233164.0,"logger":"http.log.access","msg":"handled request",'
    '"request":{"remote_ip":"1.1.1.1","method":"GET","host":"shop","uri":"/x?y=1",'
    '"headers":{"User-Agent":["curl/7.82.0"],"Cookie":["REDACTED"]}},'
    '"bytes_read":0,"duration":0.25,"size":109,"status":200}'
)
TRAEFIK = (
    '{"DownstreamContentSize":109,"DownstreamStatus":200,"Duration":250000000,'
    '"RequestMethod":"GET","RequestPath":"/x?y=1","StartUTC":"2026-11-21T03:52:44.000000000Z",'
    '"request_User-Agent":"curl/7.82.0","time":"2026-11-21T03:52:45Z"}'
)
NGINX_JSON = (
    '{"time":"2026-11-21T03:52:44+00:00","request":"GET /x?y=1 HTTP/1.1","status":"200",'
    '"request_time":"0.250","body_bytes_sent":"109","http_user_agent":"curl/7.82.0"}'
)


@pytest.mark.parametrize("line", [CADDY, TRAEFIK, NGINX_JSON, f"Nov 21 host caddy: {CADDY}"])
def test_json_as_it_is_written(line: str) -> None:
    found = line_parser("json")(line)
    assert found == Entry(pytest.approx(AT), "GET", "/x", 200, 0.25, 109, "curl/7.82.0")


def test_json_with_names_of_its_own() -> None:
    fields = {"path": "http.url", "status": "http.code", "seconds": "took", "method": "verb"}
    parse = line_parser("json", fields, "ms")
    line = '{"http":{"url":"/a","code":404},"took":1500,"verb":"post","time":1795233164000}'
    assert parse(line) == Entry(AT, "POST", "/a", 404, 1.5, 0, None)
    assert parse('{"http.url":"/b","http.code":"200","took":"12"}') == Entry(
        None, "", "/b", 200, 0.012, 0, None
    )
    with pytest.raises(ValueError, match="fields has no 'ip'"):
        line_parser("json", {"ip": "remote"})
    with pytest.raises(ValueError, match="format: json"):
        line_parser("combined", {"path": "x"})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "{",
        "[1]",
        "null",
        '{"status":200}',
        '{"status":true,"uri":"/"}',
        "\x00",
        "garbage",
    ],
)
def test_lines_of_another_format(line: str) -> None:
    assert [parse(line) for parse in PARSERS] == [None] * len(PARSERS)


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    for parse in PARSERS:
        parse(text)
        parse(f"{COMBINED[:50]}{text}")
        parse(f'{{"uri":"/","status":{text},"duration":{text},"ts":{text}}}')


@given(st.integers() | st.floats() | st.text() | st.none() | st.lists(st.integers(), max_size=2))
def test_no_value_breaks_the_json_parser(value) -> None:
    import json

    keys = ("uri", "status", "duration", "ts", "size", "method", "http_user_agent")
    for key in keys:
        whole = {"uri": "/x", "status": 200} | {key: value}
        entry = line_parser("json")(json.dumps(whole))
        assert entry is None or (entry.seconds or 0) >= 0


@pytest.mark.parametrize(
    "hostile",
    [
        "1 - " + "[" * 60000,
        '1 - - [21/Nov/2026:04:52:44 +0100] "' + "\\" * 60000,
        '1 - - [21/Nov/2026:04:52:44 +0100] "GET ' + " " * 60000,
        "1 1 " * 15000,
        "9" * 60000,
        "{" * 60000,
    ],
)
def test_hostile_lines_take_no_time(hostile: str) -> None:
    began = time.process_time()
    for parse in PARSERS:
        parse(hostile)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("21/Nov/2026:04:52:44 +0100", AT),
        ("20/Nov/2026:22:52:44 -0500", AT),
        ("2026-11-21T03:52:44Z", AT),
        ("2026-11-21T04:52:44.000+01:00", AT),
        ("1795233164.000", AT),
        ("99/Foo/2026:04:52:44 +0100", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    assert time_of(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.text())
def test_a_path_holds_no_query(text: str) -> None:
    assert not set("?#;") & set(clean_path("/" + text))


def test_declared_routes_come_first() -> None:
    routes = Routes(["/product/:slug", "/product/{slug}/reviews", "/static/*", "/größe", "/"])
    for path, route in [
        ("/product/red", "/product/:slug"),
        ("/product/red/", "/product/:slug"),
        ("//product//red", "/product/:slug"),
        ("/product/red/reviews", "/product/{slug}/reviews"),
        ("/product", "/product"),
        ("/products/red", "/products/:id"),
        ("/static", "/static/*"),
        ("/static/a/b.css", "/static/*"),
        ("/gr%C3%B6%C3%9Fe", "/größe"),
        (r"/gr\xC3\xB6\xC3\x9Fe", "/größe"),
        ("/", "/"),
        ("", OTHER),
        ("*", OTHER),
    ]:
        assert routes.template(path) == route, path


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/orders/1234/items/7", "/orders/:id/items/:id"),
        ("/u/550e8400-e29b-41d4-a716-446655440000", "/u/:id"),
        ("/catalogue/the-shellcoders-handbook_209/", "/catalogue/:id"),
        ("/reset/aB3dE5fG7hIj", "/reset/:id"),
        ("/user/bob@example.com", "/user/:id"),
        ("/203.0.113.9/x", "/:id/x"),
        ("/commit/deadbeef1234", "/commit/:id"),
        ("/sku/SKU12345", "/sku/:id"),
        ("/search/red shoes", "/search/:id"),
        ("/api/v1/cart", "/api/v1/cart"),
        ("/oauth2/callback", "/oauth2/callback"),
        ("/checkout/shipping-address", "/checkout/shipping-address"),
        ("/static/css/app.3f2a1b.css", "/static/:file"),
        ("/favicon.ico", "/:file"),
        ("/users/alice/orders", "/users/:id/orders"),
        ("/user/login", "/user/login"),
        ("/search/shoes", "/search/:id"),
        ("/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f/*"),
        ("/caf%C3%A9", "/:id"),
    ],
)
def test_automatic_routes(path: str, route: str) -> None:
    assert Routes().template(path) == route


@given(st.text())
def test_a_route_is_a_short_label(path: str) -> None:
    route = Routes().template("/" + path)
    assert len(route) <= 120
    assert route.isascii()
    assert not set(" \"'@?\n") & set(route)


@pytest.mark.parametrize("text", ["cart", "/a?b", "/" + "x" * 200, '/a"b'])
def test_templates_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        Routes([text])
