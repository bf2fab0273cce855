"""Which well-formed pages does the hostile server have? Redirects, templates, cookies, delays."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl

from tests.servers.hostile_exchange import Exchange

__all__ = ["PAGES", "not_found", "status"]


def home(x: Exchange) -> None:
    x.reply("<!doctype html><title>home</title><h1>hello</h1>")


def not_found(x: Exchange) -> None:
    x.reply_json({"error": "no such page", "path": x.seen.path}, 404)


def status(x: Exchange) -> None:
    """/status/NNN; 429 has Retry-After: 7; ?retry_after= and ?location= give other headers."""
    code = int(x.seen.path.rsplit("/", 1)[1])
    after = x.params.get("retry_after", "7" if code == 429 else "")
    headers = [("Retry-After", after)] if after else []
    if "location" in x.params:
        headers.append(("Location", x.params["location"]))
    if code == 401:
        headers.append(("WWW-Authenticate", 'Basic realm="hostile"'))
    x.reply_json({"status": code}, code, headers)


def echo(x: Exchange) -> None:
    """What arrived, as JSON; headers as a list in their order."""
    seen = x.seen
    x.reply_json(
        {
            "method": seen.method,
            "path": seen.path,
            "query": seen.query,
            "params": parse_qsl(seen.query, keep_blank_values=True),
            "headers": seen.headers,
            "body": seen.body.decode("utf-8", "replace"),
            "client_port": seen.client_port,
        }
    )


def redirect(x: Exchange) -> None:
    """?to=URL&code=302"""
    code = int(x.number("code", 302))
    x.reply("elsewhere", code, headers=[("Location", x.params.get("to", "/"))])


def loop(x: Exchange) -> None:
    """A redirect to itself with a query that grows."""
    n = int(x.number("n", 0)) + 1
    x.reply("", 302, headers=[("Location", f"/loop?n={n}&pad={'x' * n}")])


def loop_pair(x: Exchange) -> None:
    to = "/loop-pair-b" if x.seen.path == "/loop-pair" else "/loop-pair"
    x.reply("", 302, headers=[("Location", to)])


def delay(x: Exchange) -> None:
    """?first=ms before the first byte, then ?body=ms between it and the last."""
    data = b"0123456789" * 100
    x.pause(x.number("first", 0) / 1000)
    head = x.head(200, [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    held = x.number("body", 0) / 1000
    x.send(head + data[:10] if held else head + data)
    if held:
        x.pause(held)
        x.send(data[10:])


def slow_headers(x: Exchange) -> None:
    """The status line at once, the rest of the answer after ?ms=."""
    x.send(b"HTTP/1.1 200 OK\r\n")
    x.pause(x.number("ms", 1000) / 1000)
    x.send(b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")


def template(x: Exchange) -> None:
    """Text that looks like our own references, in every place that an extractor reads.

    ?touch=PATH is the file that a client makes if it runs the command; default /tmp/x.
    """
    command = f"${{cmd:[touch,{x.params.get('touch', '/tmp/x')}]}}"
    values = {
        "cmd": command,
        "env": "${env:HOME}",
        "uuid": "${uuid}",
        "file": "${file:/etc/passwd}",
    }
    headers = [("X-Template", values["env"]), ("Set-Cookie", f"template={values['uuid']}")]
    if x.params.get("as") == "json":
        x.reply_json(values, headers=headers)
        return
    hidden = "".join(f'<input type="hidden" name="{n}" value="{v}">\n' for n, v in values.items())
    blob = json.dumps({"state": values})
    x.reply(
        f'<!doctype html><p id="text">{" ".join(values.values())}</p>\n<form>{hidden}</form>\n'
        f'<script type="application/json" id="state">{blob}</script>\n',
        headers=headers,
    )


def set_cookies(x: Exchange) -> None:
    """?name=value...: one Set-Cookie for each."""
    pairs = parse_qsl(x.seen.query, keep_blank_values=True)
    x.reply_json(dict(pairs), headers=[("Set-Cookie", f"{n}={v}; Path=/") for n, v in pairs])


def cookies(x: Exchange) -> None:
    """The cookies that the client sent."""
    jar = SimpleCookie(x.seen.header("cookie") or "")
    x.reply_json({name: morsel.value for name, morsel in jar.items()})


def big(x: Exchange) -> None:
    """?kb=320: a page of about so many KiB with a JSON blob in a script near its end."""
    size = int(x.number("kb", 320)) * 1024
    blob = json.dumps({"state": {"token": "tok-1234", "items": [{"id": n} for n in range(20)]}})
    tail = (
        f'<script>window.__STATE__ = {blob};</script>\n<a class="last" href="/end">end</a>\n'
        "</body></html>"
    )
    row = '<div class="row"><a class="product" href="/p/{:06d}">a product</a> some words</div>\n'
    page = ["<!doctype html><html><head><title>big</title></head><body>\n"]
    left, n = size - len(tail) - len(page[0]), 0
    while left > 0:
        page.append(row.format(n))
        left -= len(page[-1])
        n += 1
    x.reply("".join(page) + tail)


def as_json(x: Exchange) -> None:
    """?a=1&b=x&c={"d":[2]}: an object; values that are JSON are taken as such."""
    answer: dict[str, object] = {}
    for name, text in parse_qsl(x.seen.query, keep_blank_values=True):
        try:
            answer[name] = json.loads(text)
        except ValueError:
            answer[name] = text
    x.reply_json(answer)


def until(x: Exchange) -> None:
    """?key=K&n=3: {"state": "PENDING"} until it has been asked n times, then "PAID"."""
    asked = x.server.poll_number(x.params.get("key", ""))
    x.reply_json({"state": "PAID" if asked >= x.number("n", 3) else "PENDING", "asked": asked})


def keepalive(x: Exchange) -> None:
    """On which connection, and the how manyth request on it?"""
    x.reply_json({"connection": x.seen.connection, "request": x.turn})


PAGES: dict[str, Callable[[Exchange], None]] = {
    "/": home,
    "/big": big,
    "/cookies": cookies,
    "/cookies/set": set_cookies,
    "/delay": delay,
    "/echo": echo,
    "/json": as_json,
    "/keepalive": keepalive,
    "/loop": loop,
    "/loop-pair": loop_pair,
    "/loop-pair-b": loop_pair,
    "/redirect": redirect,
    "/slow-headers": slow_headers,
    "/template": template,
    "/until": until,
}
