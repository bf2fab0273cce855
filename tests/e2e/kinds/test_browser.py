"""Does the `browser` kind see what a real Chromium sees, stay in bounds, and leave nothing?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from sre.core.clock import Deadline, SystemClock
from sre.core.errors import UsageError
from sre.core.references import secret_from_reference
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.browser import session
from sre.probes.browser.verdict import Expect
from sre.probes.kinds.browser import BrowserProbe
from sre.probes.model import ProbeContext, Reading
from tests.servers.child import program
from tests.servers.examples import ROOT, prepared, run_example, serve_example
from tests.servers.net import Canary, free_port, wait_until
from tests.servers.oscar import OscarShop
from tests.servers.pages import GOOD, PICTURE, Pages
from tests.servers.tls import TlsServers

pytestmark = pytest.mark.chromium
Look = Callable[..., Reading]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    program("chromium", "chromium-browser", "google-chrome")
    pytest.importorskip("playwright")


def context(
    base: str, *, seconds: float = 20.0, allow: tuple[str, ...] = (), cancelled: Any = None
) -> ProbeContext:
    shop = Shop("test", base)
    return ProbeContext(
        Deadline.after(seconds),
        Guard(allow, base),
        shop,
        SystemClock(),
        cancelled=cancelled or threading.Event(),
    )


def numbers(reading: Reading) -> dict[str, float]:
    return {gauge.name.removeprefix("sre_probe_browser_"): gauge.value for gauge in reading.gauges}


def family(pid: int | None = None) -> list[psutil.Process]:
    """Our descendants that live; what is dead and not yet collected does not."""
    found = psutil.Process(pid).children(recursive=True)
    return [one for one in found if one.status() != psutil.STATUS_ZOMBIE]


def ended(before: set[int]) -> bool:
    return not {one.pid for one in family()} - before


def gone(processes: list[psutil.Process]) -> bool:
    """Wherever they were adopted: dead, or dead and not yet collected."""
    alive = [one for one in processes if one.is_running()]
    return all(one.status() == psutil.STATUS_ZOMBIE for one in alive)


@pytest.fixture(scope="module")
def readings(
    pages: Pages, tls_servers: TlsServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Reading]]:
    """All the pages, two at a time: a browser takes a second to start."""
    shots = tmp_path_factory.mktemp("shots")
    with Canary() as canary, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0)
        datagrams = f"127.0.0.1:{udp.getsockname()[1]}"
        away = f"http://127.0.0.1:{canary.port}"
        pages.extra["/tries"] = f"""{GOOD}<link rel=preconnect href='{away}'>
            <link rel=dns-prefetch href='//example.com'><img src='{away}/pixel.png'>
            <img src='http://localhost:{canary.port}/x'><iframe src='{away}/frame'></iframe>
            <img src='/to?{away}/redirected'><script>
            new WebSocket('ws://127.0.0.1:{canary.port}/'); fetch('{away}/x').catch(() => 0);
            navigator.sendBeacon('{away}/beacon', 'x');
            const call = new RTCPeerConnection({{iceServers: [{{urls: 'stun:{datagrams}'}}]}});
            call.createDataChannel('x');
            call.createOffer().then(offer => call.setLocalDescription(offer));
            try {{ new WebTransport('https://{datagrams}/').ready.catch(() => 0) }} catch (e) {{}}
            </script>"""
        plain = {
            name: {}
            for name in ("good", "moves", "errors", "odd", "file", "status/503", "tries")
        }  # fmt: skip
        cases: dict[str, dict[str, Any]] = {
            **plain,
            "late": {"url": "/late?wait=0.3"},
            "away": {"url": f"/to?{away}/"},
            "never": {"seconds": 7.0},
            "loop-later": {"seconds": 7.0, "settle": 0.5},
            "lazy": {"wait": "#products", "viewport": "phone"},
            "self-signed": {"url": f"https://localhost:{tls_servers.good}/"},
            "unverified": {"url": f"https://localhost:{tls_servers.good}/", "verify": False},
            "dead": {"url": f"http://127.0.0.1:{free_port()}/"},
        }
        allow = (f"127.0.0.1:{pages.port}", f"localhost:{tls_servers.good}")

        def look(name: str) -> Reading:
            words = {"url": f"/{name}", "settle": 0.3, "screenshots": str(shots), **cases[name]}
            seconds = words.pop("seconds", 20.0)
            dead = (f"127.0.0.1:{words['url'].rpartition(':')[2].strip('/')}",) * (name == "dead")
            return BrowserProbe(**words).check(
                context(pages.url, seconds=seconds, allow=(*allow, *dead))
            )

        with ThreadPoolExecutor(2) as pool:
            found = dict(zip(cases, pool.map(look, cases), strict=True))
        time.sleep(0.1)
        assert canary.connections == 0, "something slipped out"
        with pytest.raises(BlockingIOError):
            udp.recv(1)
    yield found
    found.clear()


def verdict(reading: Reading) -> tuple[str, str]:
    return reading.outcome.value, reading.reason.value


def test_a_good_page(readings: dict[str, Reading]) -> None:
    reading = readings["good"]
    assert (*verdict(reading), reading.message) == ("ok", "", "")
    found = numbers(reading)
    assert 0 < found["time_to_first_byte_seconds"] < found["first_contentful_paint_seconds"] < 3
    assert found["load_seconds"] == pytest.approx(reading.seconds)
    assert found["cumulative_layout_shift"] == found["script_errors"] == 0
    assert reading.steps[0].status == 200
    assert {"processing", "transfer"} <= set(reading.steps[0].phases)
    assert sum(reading.steps[0].phases.values()) <= reading.seconds + 0.002


def test_times_are_those_of_the_server(readings: dict[str, Reading]) -> None:
    reading = readings["late"]
    found = numbers(reading)
    assert 0.3 <= found["time_to_first_byte_seconds"] < 3.0
    assert 0.3 <= reading.steps[0].phases["processing"] < 3.0
    assert 0.7 <= found["largest_contentful_paint_seconds"] < 5.0
    assert found["load_seconds"] >= 0.7
    assert found["transfer_bytes"] == pytest.approx(len(PICTURE) + len(GOOD), abs=1500)


def test_shifts_and_long_tasks(readings: dict[str, Reading]) -> None:
    assert 0.1 < numbers(readings["moves"])["cumulative_layout_shift"] < 1
    assert 0.001 < numbers(readings["lazy"])["cumulative_layout_shift"] < 1, "on a phone, too"
    assert 0.15 < numbers(readings["moves"])["blocking_seconds"] < 2.0
    assert numbers(readings["good"])["blocking_seconds"] < 0.5


def test_errors_are_counted(readings: dict[str, Reading]) -> None:
    assert verdict(readings["errors"]) == ("ok", "")
    found = numbers(readings["errors"])
    assert (found["script_errors"], found["console_errors"]) == (2, 2)
    assert found["requests_failed"] == 3
    assert found["requests_blocked"] == 0


def test_what_is_not_allowed_is_counted_and_not_contacted(readings: dict[str, Reading]) -> None:
    reading = readings["tries"]
    assert verdict(reading) == ("ok", "")
    assert numbers(reading)["requests_blocked"] >= 5
    assert numbers(reading)["script_errors"] == 0, "all of the page's tricks were tried"
    assert numbers(reading)["requests_failed"] == 0
    assert verdict(readings["away"]) == ("blocked", "")
    assert "allow-list" in readings["away"].message


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("odd", ("ok", ""), ""),
        ("lazy", ("ok", ""), ""),
        ("unverified", ("ok", ""), ""),
        ("file", ("failed", "body"), "no page"),
        ("status/503", ("failed", "status"), "503"),
        ("self-signed", ("failed", "tls"), "ERR_CERT"),
        ("dead", ("failed", "connect"), "refused"),
        ("never", ("failed", "timeout"), "still loading|kept the browser busy"),
        ("loop-later", ("failed", "timeout"), "scripts|kept the browser busy"),
    ],
)
def test_each_way_has_its_reason(
    readings: dict[str, Reading], name: str, expected: tuple[str, str], words: str
) -> None:
    reading = readings[name]
    assert verdict(reading) == expected, reading.message
    assert re.search(words, reading.message)
    assert reading.reason is Reason.NONE or reading.message


def test_what_a_hostile_page_did_to_its_globals_does_not_matter(
    readings: dict[str, Reading],
) -> None:
    assert 0 < numbers(readings["odd"])["load_seconds"] < 10


def test_a_wait_is_measured(readings: dict[str, Reading]) -> None:
    found = numbers(readings["lazy"])
    assert 0.3 <= found["ready_seconds"] < 5
    assert readings["lazy"].seconds == pytest.approx(found["ready_seconds"])


def test_requests_are_marked_and_come_from_no_one_else(
    readings: dict[str, Reading], pages: Pages
) -> None:
    seen = [headers for path, headers in pages.seen if "favicon" not in path]
    assert all(headers.get("X-Synthetic", "").startswith("sre/") for headers in seen)
    assert all("sre/" in headers["User-Agent"] for headers in seen)
    assert all("Headless" not in headers["User-Agent"] for headers in seen)
    assert "/popped" not in [path for path, _ in pages.seen]
    pictures = [h for path, h in pages.seen if path == "/picture?wait=0.4"]
    assert pictures
    assert pictures[0].get("Cookie") == "basket=7"
    phone = next(h for path, h in pages.seen if path == "/lazy")
    assert "Android" in phone["User-Agent"]


def test_failures_have_a_picture(readings: dict[str, Reading]) -> None:
    message = readings["status/503"].message
    path = Path(message.partition("picture: ")[2])
    assert path.read_bytes().startswith(b"\x89PNG")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "picture" not in readings["good"].message


# --- what the configuration asks ------------------------------------------------------------


def check(pages: Pages, url: str, seconds: float = 20.0, **words: Any) -> Reading:
    return BrowserProbe(url, settle=0.2, keep=0, **words).check(context(pages.url, seconds=seconds))


def test_basic_authentication_goes_to_the_shop_alone(pages: Pages, monkeypatch: Any) -> None:
    monkeypatch.setenv("STAGING_WORD", "correct horse")
    word = secret_from_reference("${env:STAGING_WORD}", Path())
    reading = check(pages, "/private", username="staff", password=word)
    assert reading.outcome is Outcome.OK, reading.message


def test_third_parties_are_names_at_global_addresses(pages: Pages) -> None:
    """`allow` is for shops of the world: it opens no door into a network of one's own."""
    with Canary() as canary:
        pages.extra["/third"] = f"{GOOD}<img src='http://localhost:{canary.port}/x'>"
        reading = check(pages, "/third", third_party="allow")
        assert numbers(reading)["requests_blocked"] == 1
        assert canary.connections == 0


@pytest.mark.oscar
def test_a_shop_that_nobody_here_wrote(oscar_shop: OscarShop) -> None:
    base = oscar_shop.base_url
    probe = BrowserProbe(
        "/catalogue/", viewport="phone", wait="article.product_pod", keep=0, settle=0.3,
        expect=Expect(contains="Add to basket"),
    )  # fmt: skip
    reading = probe.check(context(base))
    assert reading.outcome is Outcome.OK, reading.message
    found = numbers(reading)
    assert found["requests"] > 5
    assert found["transfer_bytes"] > 20_000
    assert 0 < found["first_contentful_paint_seconds"] <= found["largest_contentful_paint_seconds"]


# --- faults ---------------------------------------------------------------------------------


def running(pages: Pages, seconds: float) -> tuple[ThreadPoolExecutor, Any, list[psutil.Process]]:
    """A look at a page that never loads, once the browser has asked for it."""
    before = {one.pid for one in family()}
    pages.seen.clear()
    pool = ThreadPoolExecutor(1)
    future = pool.submit(check, pages, "/never", seconds)
    wait_until(lambda: any("/picture" in path for path, _ in pages.seen), 15, "the browser")
    return pool, future, [one for one in family() if one.pid not in before]


def test_a_browser_that_is_stopped_ends_with_everything_in_time(pages: Pages) -> None:
    before = {one.pid for one in family()}
    began = time.monotonic()
    pool, future, started = running(pages, 7.0)
    for one in started:
        one.send_signal(signal.SIGSTOP)
    reading = future.result(12)
    assert time.monotonic() - began < 7.6
    assert verdict(reading) == ("failed", "timeout")
    wait_until(lambda: ended(before), 3, "the end of all processes")
    pool.shutdown()


@pytest.mark.parametrize(
    ("which", "expected"),
    [("--type=renderer", ("failed", "body")), ("--headless", ("failed", "prober"))],
)
def test_a_process_of_the_browser_that_is_killed(
    pages: Pages, which: str, expected: tuple[str, str]
) -> None:
    before = {one.pid for one in family()}
    began = time.monotonic()
    pool, future, started = running(pages, 20.0)
    for one in started:
        try:
            words = one.cmdline()
        except psutil.ZombieProcess:
            continue
        if which in words and (which.startswith("--type") or "--type=" not in " ".join(words)):
            one.kill()
    reading = future.result(20)
    assert verdict(reading) == expected, reading.message
    assert time.monotonic() - began < 12, "it did not wait for the deadline"
    wait_until(lambda: ended(before), 3, "the end of all processes")
    pool.shutdown()


def test_a_run_that_is_cancelled_ends_at_once(pages: Pages) -> None:
    before = {one.pid for one in family()}
    cancelled = threading.Event()
    threading.Timer(1.0, cancelled.set).start()
    began = time.monotonic()
    reading = BrowserProbe("/never").check(context(pages.url, cancelled=cancelled))
    assert verdict(reading) == ("failed", "prober")
    assert time.monotonic() - began < 5
    wait_until(lambda: ended(before), 3, "the end of all processes")


def test_no_free_place_is_our_own_failure(pages: Pages) -> None:
    with session.slot(1), session.slot(1):
        reading = check(pages, "/good", seconds=1.3)
    assert verdict(reading) == ("failed", "prober")
    assert "busy" in reading.message


def test_no_browser_is_one_clear_line(pages: Pages) -> None:
    with pytest.raises(UsageError, match="no program"):
        check(pages, "/good", executable="/nowhere/chromium")


def test_the_example(pages: Pages, tmp_path: Path) -> None:
    before = {one.pid for one in family()}
    at = {"http://127.0.0.1:18080": pages.url, "url: /": "url: /errors"}
    code, data = run_example("browser", tmp_path, at)
    assert (code, data["results"][0]["outcome"]) == (3, "degraded"), data
    assert "script errors 2 (limit 0)" in data["results"][0]["message"]
    at = {"http://127.0.0.1:18080": pages.url, "url: /": "url: /good", "every: 5m": "every: 4s"}
    with serve_example("browser", tmp_path, at) as metrics:
        assert 'sre_probe_up{probe="home_on_a_phone"} 1' in metrics
        assert "sre_probe_browser_largest_contentful_paint_seconds{" in metrics
    wait_until(lambda: ended(before), 3, "the end of all processes")


def test_nothing_is_left_when_we_are_killed(pages: Pages, tmp_path: Path) -> None:
    at = {"http://127.0.0.1:18080": pages.url, "url: /": "url: /never"}
    config = prepared("browser", tmp_path, at)
    pages.seen.clear()
    folder = Path(session._folder())
    before = set(folder.glob("sre-browser-*"))
    argv = [sys.executable, "-m", "sre", "probe", "run", "--config", str(config)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(argv, cwd=tmp_path, env=env)
    wait_until(lambda: any(path == "/never" for path, _ in pages.seen), 20, "the browser")
    started = family(process.pid)
    assert len(started) > 4
    process.kill()
    process.wait(5)
    wait_until(lambda: gone(started), 10, "the end of all processes")
    for home in set(folder.glob("sre-browser-*")) - before:
        shutil.rmtree(home, ignore_errors=True)  # a later run of ours would, in an hour
