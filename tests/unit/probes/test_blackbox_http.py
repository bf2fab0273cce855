"""Do proxies, tokens, files and bad servers do in an http module what they should?"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.journey.guard import Guard
from sre.probes.blackbox.clientoptions import Base2Size, BasicAuth, HeaderValues, OAuth2
from sre.probes.blackbox.http import HttpProber
from sre.probes.blackbox.model import BlackboxContext, HttpOptions, Module
from tests.servers.hostile import Hostile
from tests.servers.net import Canary


class _Recorder(BaseHTTPRequestHandler):
    """Remembers each request, and answers what its server says for the path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server.heard.append((self.command, self.path, dict(self.headers), body))
        status, text = server.answers.pop(0) if server.answers else (200, b"hello")
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PUT = do_CONNECT = do_GET

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        """Say nothing."""


@contextmanager
def recorder(*answers: tuple[int, bytes]) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Recorder)
    server.daemon_threads = True
    server.heard, server.answers = [], list(answers)
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def probe(
    target: str, options: HttpOptions, *allow: str, seconds: float = 5.0
) -> tuple[bool, BlackboxContext]:
    context = BlackboxContext(Deadline.after(seconds), Guard(allow or ("127.0.0.1:*",)))
    return HttpProber().probe(target, Module("http", http=options), context), context


def said(context: BlackboxContext) -> str:
    return "\n".join(f"{line.message} {dict(line.fields)}" for line in context.lines)


def test_a_proxy_is_asked_for_the_address_and_told_the_name() -> None:
    with recorder() as proxy:
        options = HttpOptions(proxy_url=proxy.url, preferred_ip_protocol="ip4")
        good, context = probe("http://localhost:81/a", options, "localhost:81", "127.0.0.1:*")
        assert good, said(context)
    [(_, path, headers, _)] = proxy.heard
    assert path == "http://127.0.0.1:81/a"
    assert headers["Host"] == "localhost:81"


def test_a_proxy_that_resolves_is_asked_for_the_name() -> None:
    with recorder() as proxy:
        options = HttpOptions(proxy_url=proxy.url, skip_resolve_phase_with_proxy=True)
        assert probe("http://shop.test/a", options, "shop.test:80", "127.0.0.1:*")[0]
        good, context = probe("http://evil.test/a", options, "shop.test:80", "127.0.0.1:*")
    assert not good
    assert "evil.test:80" in context.blocked
    assert [path for _, path, _, _ in proxy.heard] == ["http://shop.test/a"]
    assert context.metrics.get("probe_ip_protocol") is None


def test_a_proxy_must_be_allowed_itself(canary: Canary) -> None:
    options = HttpOptions(proxy_url=canary.url)
    _, context = probe("http://127.0.0.1:81/", options, "127.0.0.1:81")
    assert context.blocked
    assert canary.connections == 0


def test_a_tunnel_is_asked_for_with_the_headers_of_the_module() -> None:
    with recorder((407, b"")) as proxy:
        options = HttpOptions(
            proxy_url=proxy.url,
            proxy_connect_header={"X-Ticket": (Secret.literal("ticket-of-the-proxy"),)},
        )
        good, context = probe("https://127.0.0.1:444/", options)
    assert not good
    [(method, path, headers, _)] = proxy.heard
    assert (method, path) == ("CONNECT", "127.0.0.1:444")
    assert headers["X-Ticket"] == "ticket-of-the-proxy"
    assert "ticket-of-the-proxy" not in said(context)


def test_no_proxy_goes_around_it() -> None:
    with recorder() as proxy, recorder() as web:
        options = HttpOptions(proxy_url=proxy.url, no_proxy="127.0.0.1")
        assert probe(web.url, options)[0]
    assert (len(proxy.heard), len(web.heard)) == (0, 1)


def test_the_environments_proxy_is_used_where_the_module_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with recorder() as proxy, recorder() as web:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert probe(web.url, HttpOptions())[0]
        assert probe(web.url, HttpOptions(proxy_from_environment=True))[0]
    assert (len(proxy.heard), len(web.heard)) == (1, 1)


def oauth(url: str) -> HttpOptions:
    secret = Secret.literal("secret-of-the-client")
    return HttpOptions(
        oauth2=OAuth2("shop", client_secret=secret, token_url=f"{url}/token", scopes=("a", "b"))
    )


def test_a_token_is_fetched_and_sent() -> None:
    with recorder((200, b'{"access_token": "token-from-the-server"}')) as login, recorder() as web:
        assert probe(web.url, oauth(login.url))[0]
    [(method, _, headers, body)] = login.heard
    assert method == "POST"
    assert base64.b64decode(headers["Authorization"].split()[1]) == b"shop:secret-of-the-client"
    assert body == b"grant_type=client_credentials&scope=a+b"
    assert web.heard[0][2]["Authorization"] == "Bearer token-from-the-server"


def test_a_server_that_wants_the_secret_in_the_form_gets_it() -> None:
    token = b'{"access_token": "token-from-the-server"}'
    with recorder((401, b""), (200, token)) as login, recorder() as web:
        assert probe(web.url, oauth(login.url))[0]
    assert "Authorization" not in login.heard[1][2]
    assert b"client_secret=secret-of-the-client" in login.heard[1][3]


@pytest.mark.parametrize("answer", [(500, b""), (200, b"no json"), (200, b"{}"), (200, b"[1]")])
def test_without_a_token_the_target_hears_nothing(answer: tuple[int, bytes]) -> None:
    with recorder(answer) as login, recorder() as web:
        good, context = probe(web.url, oauth(login.url))
    assert not good
    assert web.heard == []
    assert "oauth2: no token from 127.0.0.1" in said(context)
    assert "secret-of-the-client" not in said(context)


def test_a_secret_that_cannot_be_read_is_told_and_nothing_sent(tmp_path: Path) -> None:
    with recorder() as web:
        for options in (
            HttpOptions(bearer_token_file=str(tmp_path / "none")),
            HttpOptions(body_file=str(tmp_path / "none")),
            HttpOptions(basic_auth=BasicAuth("u", password=Secret.from_env("SRE_NOT_SET"))),
        ):
            good, context = probe(web.url, options)
            assert not good
            assert "cannot read" in said(context) or "SRE_NOT_SET is not set" in said(context)
    assert web.heard == []


def test_bodies_and_headers_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\0\1 any bytes")
    (tmp_path / "header").write_text("value-of-the-file\n", encoding="utf-8")
    headers = HeaderValues(
        values=("one",), secrets=(Secret.literal("two"),), files=(str(tmp_path / "header"),)
    )
    with recorder() as web:
        options = HttpOptions(
            method="PUT", body_file=str(tmp_path / "body"), http_headers={"X-Many": headers}
        )
        assert probe(web.url, options)[0]
    [(method, _, sent, body)] = web.heard
    assert (method, body) == ("PUT", b"\0\1 any bytes")
    assert "X-Many" in sent


def test_a_header_with_a_line_break_is_refused() -> None:
    with recorder() as web:
        good, context = probe(web.url, HttpOptions(headers={"X-A": "b\r\nX-C: d"}))
    assert not good
    assert web.heard == []
    assert "line break" in said(context)


@pytest.mark.parametrize(
    "target",
    ["", "http://", "http://127.0.0.1:99999/", "http://[::1", "http://a b/", "ftp://127.0.0.1/",
     "http://\x00/", "https://user:pw@127.0.0.1/", "http://" + "a" * 300 + "/", "http://ü.test/"],
)  # fmt: skip
def test_an_odd_target_is_a_failure_with_a_word_and_no_crash(target: str) -> None:
    good, context = probe(target, HttpOptions())
    assert not good
    assert context.lines[-1].level == "error"


BROTLI = HttpOptions(compression="br", headers={"Accept-Encoding": "br"})
GZIP = HttpOptions(compression="gzip", headers={"Accept-Encoding": "gzip"})
MATCHING = HttpOptions(fail_if_body_matches_regexp=("no such thing",))


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("/drip", HttpOptions(), "timed out"),
        ("/never", HttpOptions(), "timed out"),
        ("/gigabyte", MATCHING, "larger than 16777216 bytes"),
        ("/gigabyte", HttpOptions(body_size_limit=Base2Size(1000)), "larger than 1000 bytes"),
        ("/bomb", GZIP, ""),
        ("/bomb-br", replace(BROTLI, body_size_limit=Base2Size(1000)), "larger than 1000 bytes"),
        ("/big", BROTLI, "not compressed with br"),
        ("/bad-gzip", GZIP, "decompress"),
        ("/garbage", HttpOptions(), "HTTP/0.9"),
        ("/headers-flood", HttpOptions(), ""),
        ("/half", HttpOptions(), ""),
        ("/reset", HttpOptions(), "reset"),
        ("/loop", HttpOptions(), "Not following redirect"),
    ],
)
def test_a_bad_server_is_a_failure_in_time(
    hostile: Hostile, path: str, options: HttpOptions, words: str
) -> None:
    began, held = time.monotonic(), psutil.Process().memory_info().rss
    good, context = probe(hostile.url + path, options, seconds=1.0)
    assert not good, said(context)
    assert words in said(context)
    assert time.monotonic() - began < 4
    assert psutil.Process().memory_info().rss - held < 100 * 2**20


def test_a_latin_1_page_can_be_matched(hostile: Hostile) -> None:
    good, context = probe(f"{hostile.url}/latin1", MATCHING)
    assert good, said(context)


def test_an_old_protocol_is_told(hostile: Hostile) -> None:
    good, context = probe(f"{hostile.url}/http10", HttpOptions())
    assert good, said(context)
    assert context.metrics.get("probe_http_version") == 1.0
