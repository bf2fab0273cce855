"""Is each line of a log counted as what it was, and nobody named?"""

from __future__ import annotations

import bz2
import gzip
import time
from pathlib import Path

import pytest

from sre.core.accesslog import Entry
from sre.core.errors import UsageError
from sre.journey.model import Journey
from sre.loadtest.mix.estimate import estimate
from sre.loadtest.mix.model import Ask
from sre.loadtest.mix.render import to_yaml
from sre.loadtest.mix.steps import map_of
from sre.loadtest.mix.survey import Format, Survey, survey
from sre.loadtest.mix.tally import Tally
from tests.unit.loadtest.mixed import BASE, JOURNEYS, SHOP, add, journeys_of, tally_of


@pytest.fixture
def declared(tmp_path: Path) -> dict[str, Journey]:
    return journeys_of(tmp_path, JOURNEYS)


def test_what_no_customer_asked_for_is_left_out(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP))
    agents = {
        "sre/0.1.0 (synthetic monitoring)": "ours",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "bots",
        "Mozilla/5.0 (compatible; bingbot/2.0)": "bots",
        "UptimeRobot/2.0": "bots",
        "kube-probe/1.29": "bots",
    }
    for agent in agents:
        tally.add(Entry(BASE, "GET", "/", 200, None, 1, agent), BASE, "h -")
    for page in ("GET /healthz", "GET /static/app.js", "GET /favicon.ico", "OPTIONS /cart"):
        add(tally, 1, page)
    assert (tally.left.ours, tally.left.bots) == (1, 4)
    assert (tally.left.health, tally.left.assets) == (1, 3)
    assert tally.requests == 0
    for agent in ("Mozilla/5.0 (X11; CUBOT X19)", "okhttp/4.9", "curl/8.5", "-", ""):
        tally.add(Entry(BASE, "GET", "/", 200, None, 1, agent), BASE, "h -")
    assert tally.requests == 5
    assert tally.left.bots == 4


def test_kept_bots_count(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP), keep_bots=True, keep_synthetic=True)
    for agent in ("Googlebot/2.1", "sre/0.1.0 (synthetic monitoring)"):
        tally.add(Entry(BASE, "GET", "/", 200, None, 1, agent), BASE, "h -")
    assert tally.requests == 2


def test_the_end_of_a_redirect_that_we_follow_is_no_visit(tmp_path: Path) -> None:
    text = (
        "journeys: {a: {steps: [{name: add, post: /cart, form: {a: b}}, {name: see, get: /seen},"
        " {name: view, get: /cart}]}}"
    )
    tally = tally_of(map_of(journeys_of(tmp_path, text), SHOP))
    add(tally, 0, "POST /cart", status=303)
    add(tally, 0, "GET /cart")
    add(tally, 9, "GET /cart")
    assert tally.left.redirects == 1
    assert tally.requests == 2


def test_a_proxy_s_address_is_not_taken_for_one_visitor(tmp_path: Path) -> None:
    text = "journeys: {a: {steps: [{name: add, post: /cart, form: {a: b}}, {name: v, get: /cart}]}}"
    tally = tally_of(map_of(journeys_of(tmp_path, text), SHOP))
    for number in range(1000):
        add(tally, number / 20, "POST /cart", "10.0.0.1", 303)
        add(tally, number / 20, "GET /cart", "10.0.0.1")
    assert tally.left.redirects <= 60
    assert sum(len(gaps) for gaps in tally.gaps.values()) <= 60


def test_pauses_are_those_of_each_visitor(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP))
    for number in range(100):
        for at, page in ((0, "GET /"), (7, "GET /p/mug"), (11, "GET /p/shirt")):
            add(tally, at + number, page, f"10.0.0.{number}")
    whole = estimate(tally, Survey(), Ask())
    found = {(p.journey, p.step): p for p in whole.pauses}
    assert "browse/product  pause: 4s  (100 seen)" in to_yaml("x", whole)
    assert "browse/home  pause: 7s  (100 seen)" in to_yaml("x", whole)
    assert found["browse", "home"].median == 7
    assert found["browse", "product"].median == 4
    assert ("checkout", "cart") not in found


def test_nothing_that_comes_out_names_a_visitor(declared: dict[str, Journey]) -> None:
    tally = tally_of(map_of(declared, SHOP))
    for number in range(50):
        add(tally, number, "GET /", "203.0.113.77")
        add(tally, number, "GET /account/jane.doe@example.com", "203.0.113.77")
    told = repr(estimate(tally, Survey(), Ask()))
    assert "203.0.113" not in told + repr(tally)
    assert "jane" not in told


def test_buckets_grow_with_the_log(declared: dict[str, Journey]) -> None:
    import sre.loadtest.mix.tally as module

    patch = pytest.MonkeyPatch()
    with patch.context() as inner:
        inner.setattr(module, "_MAX_COUNTS", 500)
        tally = tally_of(map_of(declared, SHOP))
        for second in range(0, 7200, 2):
            add(tally, second, "GET /")
            add(tally, second, "GET /p/mug", "other")
            add(tally, second, "GET /p/mug", "third")
            add(tally, second, "GET /p/mug", "fourth")
    assert tally.unit == 60
    assert sum(tally.counts.values()) == tally.requests == 14_400
    found = estimate(tally, Survey(), Ask(window=3600, level="mean"))
    assert found.window.seconds == 3600
    assert {one.name: one.rate for one in found.journeys}["browse"] == pytest.approx(0.5, rel=0.03)


LINE = '1.2.3.4 - - [22/Nov/2026:10:00:{:02d} +0100] "GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'


def read(tally: Tally, *paths: Path, text: str = "") -> Survey:
    return survey([str(path) for path in paths], Format(text), tally, lambda _seen: None)


def test_compressed_files_and_odd_lines_are_read(
    tmp_path: Path, declared: dict[str, Journey]
) -> None:
    tally = tally_of(map_of(declared, SHOP))
    lines = "".join(LINE.format(n) for n in range(60)).encode()
    (tmp_path / "a.log").write_bytes(
        lines + b"\0\xff\xfe garbage\n" + b"x" * 2_000_000 + b"\n" + lines
    )
    (tmp_path / "b.log.1.gz").write_bytes(gzip.compress(lines) + gzip.compress(lines))
    (tmp_path / "c.log.bz2").write_bytes(bz2.compress(lines.rstrip()))
    (tmp_path / "d.log").write_bytes(b"")
    found = read(tally, *sorted(tmp_path.glob("*.log*")))
    assert tally.requests == 300
    assert found.unread == 2
    assert found.offset == 3600


def test_another_format_is_told_with_the_line_and_the_cure(
    tmp_path: Path, declared: dict[str, Journey]
) -> None:
    secret = "alice 203.0.113.9"
    (tmp_path / "a.log").write_text(LINE.format(1) + f"{secret}\n" * 3)
    with pytest.raises(UsageError, match=r"3 of 4 lines .* line 2; .*--lines") as told:
        read(tally_of(map_of(declared, SHOP)), tmp_path / "a.log")
    assert secret not in str(told.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no line"),
        (b"\n\n", "no line"),
        (gzip.compress(b"x" * 99)[:20], "damaged"),
        (None, "cannot read"),
    ],
    ids=["empty", "blank", "cut short", "absent"],
)
def test_files_of_no_use_are_named(
    tmp_path: Path, declared: dict[str, Journey], content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "a.log").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read(tally_of(map_of(declared, SHOP)), tmp_path / "a.log")


def test_a_log_without_times_says_so(tmp_path: Path, declared: dict[str, Journey]) -> None:
    (tmp_path / "a.log").write_text('1.2.3.4 "GET / HTTP/1.1" 200\n')
    with pytest.raises(UsageError, match="do not tell when"):
        read(
            tally_of(map_of(declared, SHOP)),
            tmp_path / "a.log",
            text='$remote_addr "$request" $status',
        )


def test_a_big_log_is_read_fast(tmp_path: Path, declared: dict[str, Journey]) -> None:
    """Measured: 100,000 to 180,000 lines per CPU second; the limit allows for a busy machine."""
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/124.0 Safari/537.36"
    lines = (
        f"10.0.{n % 250}.{n % 199} - - [22/Nov/2026:10:{n // 1000 % 60:02d}:{n // 17 % 60:02d} "
        f'+0100] "GET /p/item{n % 500}?ref={n} HTTP/1.1" 200 5120 "-" "{agent}"\n'
        for n in range(60_000)
    )
    (tmp_path / "big.log").write_text("".join(lines))
    tally = tally_of(map_of(declared, SHOP))
    begun = time.process_time()
    read(tally, tmp_path / "big.log")
    assert tally.requests == 60_000
    assert time.process_time() - begun < 2.0
