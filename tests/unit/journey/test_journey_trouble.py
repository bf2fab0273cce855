"""When the shop does everything wrong, is the reason right, in time, and in little memory?"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sre.journey.result import Outcome, Reason
from tests.servers.hostile import Hostile
from tests.servers.hostile_bodies import HAS_BROTLI
from tests.servers.net import free_port
from tests.servers.tls import TlsServers
from tests.unit.journey.kit import Script, answer, declare, drive, failure, one, real


@pytest.mark.parametrize(
    ("path", "reasons", "bound"),
    [
        ("/drip", {"timeout"}, 1.5),
        ("/never", {"timeout"}, 1.5),
        ("/slow-headers?ms=9000", {"timeout"}, 1.5),
        ("/gigabyte", {"body"}, 5.0),
        ("/bomb", {"body"}, 5.0),
        ("/half", {"body"}, 1.0),
        ("/reset", {"protocol"}, 1.0),
        ("/garbage", {"protocol"}, 1.0),
        ("/headers-flood", {"protocol"}, 2.0),
        ("/bad-gzip", {"body"}, 1.0),
        ("/loop", {"protocol"}, 2.0),
        ("/loop-pair", {"protocol"}, 2.0),
        ("/status/500", {"status"}, 1.0),
    ],
)
def test_each_trouble_has_its_reason_in_time(
    tmp_path: Path, hostile: Hostile, path: str, reasons: set[str], bound: float
) -> None:
    timeout = "400ms" if reasons == {"timeout"} else "5s"
    settings = declare(
        tmp_path,
        f'- {{name: a, get: "{path}", timeout: {timeout}, body_limit: 1MiB}}',
        base=hostile.url,
    )
    began = time.monotonic()
    result = real(settings)
    took = time.monotonic() - began
    assert (result.outcome, result.reason in reasons) == (Outcome.FAILED, True), result
    assert took < bound, took
    if reasons == {"timeout"}:
        assert took >= 0.39
        assert "timed out" in result.message


def test_what_is_odd_but_right(tmp_path: Path, hostile: Hostile) -> None:
    steps = """
    - {name: old, get: /http10, expect: {contains: old but good}}
    - {name: latin, get: /latin1, expect: {contains: "café"}}
    - {name: empty, get: /empty-200, expect: {size: 0}}
    - {name: none, get: /status/204, expect: {status: 204}}
    - {name: head, head: /}
    - {name: options, options: /echo, expect: {json: {method: OPTIONS}}}
    - {name: gone, delete: /echo, expect: {json: {method: DELETE, body: ""}}}
    """
    result = real(declare(tmp_path, steps, base=hostile.url))
    assert result.outcome is Outcome.OK, result


def test_nobody_listens(tmp_path: Path) -> None:
    result = real(declare(tmp_path, "- {name: a, get: /}", base=f"http://127.0.0.1:{free_port()}"))
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.CONNECT)
    assert not result.ambiguous


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("good", "tls"),  # its authority is not ours
        ("expired", "tls"),
        ("self_signed", "tls"),
        ("wrong_host", "tls"),
        ("mutual", "tls"),
        ("handshake_stall", "timeout"),
    ],
)
def test_tls_troubles(tmp_path: Path, tls_servers: TlsServers, label: str, reason: str) -> None:
    settings = declare(
        tmp_path,
        "- {name: a, get: /, timeout: 500ms}",
        base=f"https://127.0.0.1:{getattr(tls_servers, label)}",
    )
    result = real(settings)
    assert (result.outcome, result.reason) == (Outcome.FAILED, reason), result
    assert "connect" in next(iter(result.rows)).phases


def test_plain_http_behind_https(tmp_path: Path, hostile: Hostile) -> None:
    settings = declare(
        tmp_path, "- {name: a, get: /, timeout: 1s}", base=f"https://{hostile.origin}"
    )
    assert real(settings).reason in ("tls", "timeout")


def test_phases_tell_where_the_time_went(tmp_path: Path, hostile: Hostile) -> None:
    steps = """
    - {name: warm, get: /}
    - {name: slow, get: "/delay?first=200&body=100"}
    """
    warm, slow = real(declare(tmp_path, steps, base=hostile.url)).rows
    assert set(warm.phases) == {"connect", "processing", "transfer"}
    assert set(slow.phases) == {"processing", "transfer"}
    assert slow.phases["processing"] == pytest.approx(0.2, abs=0.05)
    assert slow.phases["transfer"] == pytest.approx(0.1, abs=0.05)
    for row in (warm, slow):
        assert sum(row.phases.values()) == pytest.approx(row.seconds, abs=0.005)
    assert hostile.connections == 1


def test_keep_alive_can_be_turned_off(tmp_path: Path, hostile: Hostile) -> None:
    steps = "".join(f"- {{name: s{n}, get: /keepalive, keep_alive: false}}\n" for n in range(3))
    rows = list(real(declare(tmp_path, steps, base=hostile.url)).rows)
    assert hostile.connections == 3
    assert all("connect" in row.phases for row in rows)


def test_a_failed_handshake_has_no_tls_phase(tmp_path: Path, tls_servers: TlsServers) -> None:
    base = f"https://127.0.0.1:{tls_servers.expired}"
    row = next(iter(real(declare(tmp_path, "- {name: a, get: /}", base=base)).rows))
    assert set(row.phases) == {"connect"}


def test_no_file_descriptor_is_our_failure_not_the_shops(
    tmp_path: Path, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    settings = declare(tmp_path, "- {name: a, get: /}", base=hostile.url)
    monkeypatch.setattr("sre.journey.sink.raw_socket", full)
    result = real(settings)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.PROBER)
    assert "Too many open files" in result.message


@pytest.mark.parametrize(
    "path",
    [
        "/gigabyte?mb=300",
        "/bomb",
        pytest.param("/bomb-br", marks=pytest.mark.skipif(not HAS_BROTLI, reason="no brotli"))
        if HAS_BROTLI
        else "/bomb?mb=2000",
    ],
)
def test_a_bomb_takes_no_memory(tmp_path: Path, hostile: Hostile, path: str) -> None:
    declare(tmp_path, f'- {{name: a, get: "{path}", timeout: 20s}}', base=hostile.url)
    program = (
        "import resource, sys, json\n"
        "from pathlib import Path\n"
        "from sre.settings import load_settings\n"
        "from tests.unit.journey.kit import real\n"
        "settings = load_settings(Path(sys.argv[1]))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "result = real(settings)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(json.dumps([result.reason, after - before]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "sre.yaml")],
        capture_output=True, text=True, timeout=60, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    reason, kibibytes = json.loads(done.stdout)
    assert reason == "body"
    assert kibibytes < 60 * 1024, f"{kibibytes} KiB"


CHARSETS = ["idna", "punycode", "undefined", "unicode_escape", "hex", "rot13", "no-such", "utf-16"]


@pytest.mark.parametrize(
    ("kind", "seen"), [("text/html", "Größe"), ("text/html; charset=utf-8", "Gr\ufffd\ufffde")]
)
def test_a_page_may_say_its_charset_itself(tmp_path: Path, kind: str, seen: str) -> None:
    page = '<html><head><meta charset="iso-8859-1"></head>Größe'.encode("latin-1")
    said = answer(page, headers={"content-type": kind})
    result, _ = one(tmp_path, f"get: /, expect: {{contains: {seen!r}}}", said)
    assert result.outcome is Outcome.OK, result.message


@pytest.mark.parametrize("charset", CHARSETS)
def test_no_charset_breaks_the_prober(tmp_path: Path, charset: str) -> None:
    page = answer(
        b"\xff\xfe\x00abc\\u12" * 50, headers={"content-type": f"text/x; charset={charset}"}
    )
    result, _ = one(tmp_path, "get: /, expect: {contains: not there}", page)
    assert result.reason == Reason.BODY


def test_a_page_nested_without_end_is_given_up_at_once(tmp_path: Path) -> None:
    began = time.process_time()
    result, _ = one(tmp_path, "get: /, expect: {css: p}", answer(b"<div>" * 400_000))
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.BODY)
    assert "deep" in result.message
    assert time.process_time() - began < 5
    flat = answer(b"<ul>" + b"<li><p>x<br>" * 30_000 + b"</ul>")
    assert one(tmp_path, "get: /, expect: {css: {li: 30000}}", flat)[0].outcome is Outcome.OK
    wide = answer(b"<div><b>x</b></div>" * 30_000)
    assert one(tmp_path, "get: /, expect: {css: {div: 30000}}", wide)[0].outcome is Outcome.OK


@pytest.mark.parametrize(
    "expect",
    [
        '{matches: "[a-${x}]"}',
        '{header: {X: "~[b-${x}]"}}',
        '{css: "${x}["}',
        '{json: {"${x}[": 1}}',
    ],
)
def test_what_a_value_breaks_is_a_failure_not_an_exception(tmp_path: Path, expect: str) -> None:
    settings = declare(
        tmp_path,
        f"""
        - {{name: a, get: /, extract: {{x: {{json: x}}}}}}
        - {{name: b, get: /, expect: {expect}}}
        """,
    )
    result = drive(settings, Script(answer('{"x": "0"}', headers={"x": "y"})))
    assert (result.outcome, result.failed_step) == (Outcome.FAILED, "b")


@pytest.mark.parametrize("reason", ["dns", "connect", "tls", "timeout", "protocol", "body"])
def test_what_the_transport_says_is_kept(tmp_path: Path, reason: str) -> None:
    result, _ = one(tmp_path, "get: /", failure(Reason(reason)))
    assert (result.outcome, result.reason) == (Outcome.FAILED, reason)


def test_descriptors_do_not_leak(tmp_path: Path, hostile: Hostile) -> None:
    settings = declare(tmp_path, "- {name: a, get: /}", base=hostile.url)
    real(settings)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        real(settings)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5  # the server's own threads
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > before
