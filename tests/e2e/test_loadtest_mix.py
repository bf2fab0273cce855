"""Does a log that a real nginx wrote become the mix that made it, ready to run?"""

from __future__ import annotations

import gzip
import http.client
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.child import clean_environment
from tests.servers.net import wait_until
from tests.servers.nginx import Nginx, running_nginx

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/124.0 Safari/537.36"
CUSTOM = '$remote_addr "$request" $status t=$msec "$http_user_agent"'
LOGS = f"""
log_format custom '{CUSTOM}';
log_format shop escape=json '{{"time_iso8601":"$time_iso8601","msec":"$msec",'
  '"remote_addr":"$remote_addr","request_method":"$request_method","request_uri":"$request_uri",'
  '"status":"$status","request_time":"$request_time","http_user_agent":"$http_user_agent"}}';
access_log {{home}}/combined.log combined;
access_log {{home}}/custom.log custom;
access_log {{home}}/shop.json shop;
"""
SERVERS = """server { listen 127.0.0.1:{port};
  location = /cart { if ($request_method = POST) { return 302 /cart; } return 200 "cart"; }
  location = /checkout { return 302 /thanks; }
  location / { default_type text/html; return 200 "hello"; } }"""
CONFIG = """version: 1
shop: {name: shop, base_url: "%s", environment: test}
journeys:
  browse:
    steps:
      - {name: home, get: /}
      - {name: product, get: "/p/${choice:mug,shirt}", repeat: 1..3}
  check-out:
    side_effects: order
    budget: 60/h
    steps:
      - {name: product, get: /p/mug}
      - {name: add, post: /cart, form: {sku: mug}, follow: false, expect: {status: 302}}
      - {name: cart, get: /cart}
      - {name: pay, sandbox: true, post: /checkout, form: {card: test}, follow: false}
  never: {steps: [{name: returns, get: /returns}]}
"""
SECONDS = 5.0
BROWSE, BUY = 200, 50


@dataclass
class Shop:
    """A shop that customers have been at."""

    nginx: Nginx
    home: Path

    def mix(self, *argv: str | Path, stdin: bytes | None = None) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "sre", "loadtest", *map(str, argv)],
            cwd=self.home,
            env=clean_environment(self.home),
            input=stdin,
            capture_output=True,
            timeout=60,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def found(self, *argv: str | Path, stdin: bytes | None = None) -> dict[str, Any]:
        code, said, complained = self.mix("mix-from-log", *argv, "--format", "json", stdin=stdin)
        assert code == 0, complained
        answer: dict[str, Any] = json.loads(said)
        return answer


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Two hundred look around and fifty buy, within five seconds; and some who are no customers."""
    home = tmp_path_factory.mktemp("mix")
    with running_nginx(home / "nginx", SERVERS, http=LOGS.replace("{home}", str(home))) as nginx:
        wait_until(lambda: (home / "shop.json").read_text(), 5, "its first line")
        for name in ("combined.log", "custom.log", "shop.json"):
            (home / name).write_text("")  # nginx appends
        drive(nginx.port)
        total = BROWSE * 3 + BUY * 4 + 60
        wait_until(lambda: len((home / "shop.json").read_text().splitlines()) >= total, 5, "lines")
        (home / "sre.yaml").write_text(CONFIG % nginx.url)
        yield Shop(nginx, home)


def drive(port: int) -> None:
    """Known traffic: arrivals by chance, each customer from an address of their own."""
    rng = random.Random(7)
    visits: list[tuple[float, str, list[tuple[str, str]]]] = []
    for number in range(BROWSE):
        count = (1, 2, 3)[number % 3] if number < BROWSE - 2 else 2
        pages = [("GET", "/"), *[("GET", f"/p/{rng.choice(['mug', 'tea'])}?u={number}")] * count]
        visits.append((rng.uniform(0, SECONDS), AGENT, pages))
    buy = [("GET", "/p/mug"), ("POST", "/cart"), ("GET", "/cart"), ("POST", "/checkout")]
    visits += [(rng.uniform(0, SECONDS), AGENT, buy) for _ in range(BUY)]
    visits += [(rng.uniform(0, SECONDS), "Googlebot/2.1", [("GET", "/p/mug")]) for _ in range(20)]
    visits += [(rng.uniform(0, SECONDS), AGENT, [("GET", "/static/a.css")]) for _ in range(20)]
    visits += [(rng.uniform(0, SECONDS), "kube-probe/1.29", [("GET", "/healthz")])] * 10
    visits += [(rng.uniform(0, SECONDS), "sre/0.1.0 (synthetic monitoring)", [("GET", "/")])] * 10
    begun = time.monotonic()
    for number, (due, agent, pages) in enumerate(sorted(visits, key=lambda visit: visit[0])):
        time.sleep(max(0.0, begun + due - time.monotonic()))
        source = f"127.9.{number // 250}.{number % 250 + 1}", 0
        connection = http.client.HTTPConnection("127.0.0.1", port, source_address=source)
        for method, path in pages:
            connection.request(method, path, headers={"User-Agent": agent})
            connection.getresponse().read()
        connection.close()


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("combined.log", []),
        ("shop.json", []),
        ("custom.log", ["--lines", CUSTOM]),
        ("shop.json", ["--field", "time=msec", "--field", "visitor=remote_addr"]),
    ],
)
def test_the_mix_that_was_driven_comes_back(shop: Shop, file: str, more: list[str]) -> None:
    found = shop.found(file, *more, "--level", "mean")
    customers = {name: one["customers"] for name, one in found["journeys"].items()}
    assert customers["browse"] == pytest.approx(BROWSE, rel=0.04)
    assert customers["check-out"] == pytest.approx(BUY, rel=0.04)
    assert customers["never"] == 0
    assert found["journeys"]["never"]["why_not"]
    seconds = found["window"]["seconds"]
    assert SECONDS <= seconds <= SECONDS + 6
    rate = found["journeys"]["check-out"]["rate_per_second"]
    assert rate == pytest.approx(BUY / seconds, rel=0.04)
    assert found["left_out"] == {
        "ours": 10, "bots": 30, "health": 0, "assets": 20, "redirects": 0
    }  # fmt: skip
    assert found["explained"] > 0.97
    assert found["window"]["requests"] == BROWSE * 3 + BUY * 4


def test_compressed_rotated_and_piped_logs_are_the_same(shop: Shop) -> None:
    lines = (shop.home / "combined.log").read_bytes().splitlines(keepends=True)
    (shop.home / "rotated.log.1.gz").write_bytes(gzip.compress(b"".join(lines[:300])))
    (shop.home / "rotated.log").write_bytes(b"\0garbage\xff\n" + b"".join(lines[300:]))
    plain = shop.found("combined.log")
    split = shop.found("rotated.log", "rotated.log.1.gz")
    piped = shop.found("-", stdin=gzip.compress(b"".join(reversed(lines))))
    assert split["log"]["unread"] == 1
    assert split["journeys"] == plain["journeys"] == piped["journeys"]
    assert split["stages"] == plain["stages"] == piped["stages"]


def test_the_entry_is_ready_for_sre_yaml(shop: Shop) -> None:
    code, said, complained = shop.mix("mix-from-log", "combined.log", "--name", "evening")
    assert code == 0, complained
    for personal in ("127.9.", "?u=", "Mozilla"):
        assert personal not in said + complained
    (shop.home / "evening.yaml").write_text(said)
    (shop.home / "pasted.yaml").write_text((shop.home / "sre.yaml").read_text() + said)
    (shop.home / "included.yaml").write_text(
        (shop.home / "sre.yaml").read_text() + "include: [evening.yaml]\n"
    )
    for config in ("pasted.yaml", "included.yaml"):
        code, said, complained = shop.mix("plan", "evening", "--config", config, "--format", "json")
        assert code == 0, complained
        planned = json.loads(said)
        assert planned["schema"].startswith("sre.loadtest-plan/")


def test_a_chosen_window_is_by_the_log_s_own_clock(shop: Shop) -> None:
    whole = shop.found("shop.json")
    start = whole["window"]["from"]
    part = shop.found("shop.json", "--at", start.removesuffix("Z"), "--window", "2s")
    assert part["window"]["from"] == start
    assert part["window"]["seconds"] == 2
    assert 0 < part["window"]["requests"] < whole["window"]["requests"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["combined.log", "--journeys", "nope"], "journeys: browse, check-out, never"),
        (["combined.log", "--journeys", "never"], "Declare journeys for what"),
        (["combined.log", "--lines", "json"], "the first is line 1; name the format: --lines"),
        (["combined.log", "--lines", "wrong"], "neither 'combined' nor 'json'"),
        (["combined.log", "--at", "yesterday"], "FROM..TO"),
        (["combined.log", "--at", "2001-01-01T00:00"], "--at: no journey's request"),
        (["combined.log", "--window", "soon"], "--window: expected a duration"),
        (["combined.log", "--interval", "1h"], "--interval must be"),
        (["combined.log", "--field", "status"], "WHAT=NAME"),
        (["shop.json", "--field", "nonsense=x"], "fields has no 'nonsense'"),
        (["combined.log", "--name", "two words"], "--name"),
        (["gone.log"], "cannot read gone.log"),
        (["/dev/null"], "there is no line"),
    ],
)
def test_what_cannot_work_is_told_with_its_cure(shop: Shop, argv: list[str], said: str) -> None:
    code, out, complained = shop.mix("mix-from-log", *argv)
    assert code == 2, complained
    assert said in complained
    assert out == ""


def test_a_log_of_bots_alone_says_how_to_count_them(shop: Shop) -> None:
    lines = (shop.home / "combined.log").read_text().splitlines(keepends=True)
    (shop.home / "bots.log").write_text("".join(line for line in lines if "Googlebot" in line))
    code, _, complained = shop.mix("mix-from-log", "bots.log")
    assert code == 2
    assert "--keep-bots" in complained
    found = shop.found("bots.log", "--keep-bots", "--journeys", "browse")
    assert found["log"]["requests"] == 20
