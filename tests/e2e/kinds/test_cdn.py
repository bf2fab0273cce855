"""Does the `cdn` probe tell a hit from a miss at a real caching edge, and old pages from fresh?"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sre.core.units import Duration, Share, Size
from sre.journey.result import Outcome, Reason
from sre.probes.cdnjudge import Limits
from sre.probes.kinds.cdn import CdnProbe, Origin
from sre.probes.model import Reading
from tests.contracts.test_probe import context
from tests.servers.examples import run_example, serve_example
from tests.servers.net import Canary, free_port
from tests.servers.nginx import Nginx, running_nginx

EDGE = """
upstream origin { server 127.0.0.1:ORIGIN; }
gzip on; gzip_types text/css; gzip_min_length 1; gzip_proxied any;
server {
    listen 127.0.0.1:{port};
    proxy_set_header Host $host;
    proxy_cache edge;
    proxy_cache_valid 200 1m;
    proxy_cache_key $host$request_uri;
    proxy_cache_use_stale error timeout http_500;
    add_header X-Cache-Status $upstream_cache_status always;
    location / { proxy_pass http://origin; }
    location /short/ { proxy_pass http://origin; }
    location /private/ { proxy_cache_bypass 1; proxy_pass http://origin; }
    location /aged/ { add_header Age 300; proxy_pass http://origin; }
    location /silent/ { proxy_cache off; add_header X-Nothing here; proxy_pass http://origin; }
    location /host { proxy_set_header Host shop.example.com; proxy_pass http://origin; }
    location /moved { return 301 /; }
}
"""
ORIGIN = """
server {
    listen 127.0.0.1:{port};
    root HOME/pages; default_type text/css;
    gzip on; gzip_types text/css; gzip_min_length 1;
    location / { add_header Cache-Control "public, s-maxage=120, max-age=60"; }
    location /host { default_type text/plain; return 200 "$host"; }
}
"""


@dataclass(frozen=True)
class Pair:
    edge: Nginx
    origin: Nginx

    @property
    def pages(self) -> Path:
        return self.origin.home / "pages"

    def purge(self) -> None:
        for one in (self.edge.home / "cache").iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    home = tmp_path_factory.mktemp("cdn")
    for name in ("", "short", "private", "aged", "silent"):
        folder = home / "origin" / "pages" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "style.css").write_text("body { color: red } /* padding */\n" * 200)
    (home / "origin" / "pages" / "index.html").write_text("hello")
    with running_nginx(home / "origin", ORIGIN.replace("HOME", str(home / "origin"))) as origin:
        cache = f"proxy_cache_path {home}/edge/cache keys_zone=edge:1m;"
        servers = EDGE.replace("ORIGIN", str(origin.port))
        with running_nginx(home / "edge", servers, http=cache) as edge:
            yield Pair(edge, origin)


def look(probe: CdnProbe, seconds: float = 5) -> Reading:
    return probe.check(context({}, seconds=seconds))


def numbers(reading: Reading, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in gauge.labels): gauge.value
        for gauge in reading.gauges
        if gauge.name == f"sre_probe_cdn_{name}"
    }


def states(reading: Reading) -> dict[str, float]:
    return {labels[-1]: count for labels, count in numbers(reading, "fetches").items() if count}


def test_the_example_runs_and_serves(pair: Pair, tmp_path: Path) -> None:
    at = {
        "127.0.0.1:18080": f"127.0.0.1:{pair.edge.port}",
        "127.0.0.1:18081": f"127.0.0.1:{pair.origin.port}",
        "kind: cdn": "kind: cdn\n    every: 1s",
    }
    code, told = run_example("cdn", tmp_path, at)
    assert (code, told["results"][0]["outcome"]) == (0, "ok"), told
    with serve_example("cdn", tmp_path, at) as metrics:
        assert 'sre_probe_cdn_content_same{path="/style.css",probe="edge"} 1.0' in metrics


def test_misses_hits_and_a_purge(pair: Pair) -> None:
    pair.purge()
    probe = CdnProbe(pair.edge.url, pair.origin.url, paths=("/style.css",), fetches=4, same=True)
    cold = look(probe)
    assert (cold.outcome, cold.message) == (Outcome.OK, "")
    assert states(cold) == {"miss": 1, "hit": 3}
    assert numbers(cold, "hit_ratio") == {(): 0.75}
    assert states(look(probe)) == {"hit": 4}
    pair.purge()
    assert states(look(probe)) == {"miss": 1, "hit": 3}


def test_what_is_measured(pair: Pair) -> None:
    reading = look(CdnProbe(pair.edge.url, pair.origin.url, paths=("/style.css",)))
    page = ("/style.css",)
    size = (pair.pages / "style.css").stat().st_size
    assert numbers(reading, "page_bytes")[page] == size
    assert 0 < numbers(reading, "page_wire_bytes")[page] < size / 5
    assert numbers(reading, "max_age_seconds")[page] == 120
    edge = numbers(reading, "edge_first_byte_seconds")[page]
    origin = numbers(reading, "origin_first_byte_seconds")[page]
    assert 0 < edge < 1
    assert numbers(reading, "edge_to_origin_ratio")[page] == pytest.approx(edge / origin)
    assert reading.seconds == pytest.approx(sum(reading.steps[0].phases.values()))


def test_limits(pair: Pair) -> None:
    pair.purge()
    cold = CdnProbe(
        pair.edge.url, paths=("/style.css",), fetches=2, max=Limits(hit_ratio=Share(0.9))
    )
    reading = look(cold)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
    assert reading.message == "50% of the answers came from the cache (limit 90%)"
    assert look(cold).outcome is Outcome.OK
    limits = Limits(latency=Duration(0.0), age=Duration(60.0), page_weight=Size(10))
    heavy = look(CdnProbe(pair.edge.url, paths=("/aged/style.css",), warn=limits))
    assert heavy.outcome is Outcome.DEGRADED
    for words in ("first byte from the edge after", "300 s old (limit 60 s)", "bytes on the wire"):
        assert words in heavy.message


def test_bypass_and_an_edge_that_does_not_tell(pair: Pair) -> None:
    assert states(look(CdnProbe(f"{pair.edge.url}/private/style.css"))) == {"bypass": 3}
    probe = CdnProbe(f"{pair.edge.url}/silent/style.css", warn=Limits(hit_ratio=Share(0.5)))
    reading = look(probe)
    assert (reading.outcome, states(reading)) == (Outcome.DEGRADED, {"unknown": 3})
    assert "no header tells what the cache did" in reading.message
    assert numbers(reading, "hit_ratio") == {}


def test_other_content_than_the_origin(pair: Pair) -> None:
    probe = CdnProbe(pair.edge.url, pair.origin.url, paths=("/style.css",), same=True)
    assert look(probe).outcome is Outcome.OK
    page = pair.pages / "style.css"
    before = page.read_text()
    page.write_text("body { color: blue }")
    try:
        reading = look(probe)
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
        assert reading.message == "/style.css: the edge has other content than the origin"
        assert look(CdnProbe(pair.edge.url, pair.origin.url, paths=("/style.css",))).message == ""
        pair.purge()
        assert look(probe).outcome is Outcome.OK
    finally:
        page.write_text(before)
        pair.purge()


def test_an_edge_lives_on_without_its_origin(tmp_path: Path) -> None:
    """Stale pages are served while the origin is away; one never fetched cannot be."""
    port, cache = free_port(), f"proxy_cache_path {tmp_path}/edge/cache keys_zone=edge:1m;"
    pages = tmp_path / "origin" / "pages" / "short"
    pages.mkdir(parents=True)
    (pages / "style.css").write_text("x")
    (pages.parent / "index.html").write_text("hello")
    source = ORIGIN.replace("HOME", str(tmp_path / "origin"))
    with running_nginx(tmp_path / "edge", EDGE.replace("ORIGIN", str(port)), http=cache) as edge:
        probe = CdnProbe(edge.url, f"http://127.0.0.1:{port}", paths=("/short/style.css",))
        with running_nginx(
            tmp_path / "origin", source.replace("s-maxage=120", "s-maxage=1"), port=port
        ) as origin:
            assert look(probe).outcome is Outcome.OK
            time.sleep(1.5)  # the page's time in the cache is over
            with origin.frozen():
                slow = look(CdnProbe(edge.url, f"http://127.0.0.1:{port}", fetches=1), seconds=0.5)
                assert (slow.outcome, slow.reason) == (Outcome.FAILED, Reason.TIMEOUT)
        alone = look(probe)
        assert (alone.outcome, alone.reason) == (Outcome.DEGRADED, Reason.CONNECT)
        assert alone.message.startswith("origin: ")
        assert states(alone) == {"stale": 3}
        never = look(CdnProbe(f"{edge.url}/short/other.css"))
        assert (never.outcome, never.reason) == (Outcome.FAILED, Reason.STATUS)
        assert never.message == "the edge answered /short/other.css with 502"


def test_a_redirect_is_no_page(pair: Pair) -> None:
    reading = look(CdnProbe(f"{pair.edge.url}/moved"))
    assert reading.message == (
        "the edge answered /moved with 301; ask for the page that it leads to"
    )


def test_the_origin_under_another_name(pair: Pair) -> None:
    """The edge asks for the shop by its public name; so must we, to be given the same page."""
    named = Origin(pair.origin.url, host="shop.example.com")
    assert look(CdnProbe(f"{pair.edge.url}/host", named, same=True)).outcome is Outcome.OK
    plain = look(CdnProbe(f"{pair.edge.url}/host", pair.origin.url, same=True))
    assert (plain.outcome, "other content" in plain.message) == (Outcome.FAILED, True)


def test_an_origin_that_is_not_allowed_ends_it_before_anything_is_sent() -> None:
    with Canary() as edge, Canary() as origin:
        probe = CdnProbe(edge.url, origin.url)
        allow = (f"127.0.0.1:{edge.port}",)
        reading = probe.check(context({}, allow=allow))
        assert reading.outcome is Outcome.BLOCKED
        assert (edge.connections, origin.connections) == (0, 0)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"url": "/x"}, "absolute"),
        ({"url": "http://a", "same": True}, "needs an origin"),
        ({"url": "http://a", "fetches": 0}, "fetches must be"),
        ({"url": "http://a", "paths": ("x",)}, "begin with /"),
        ({"url": "http://a", "paths": ("/x?1", "/x?2")}, "differ before"),
        ({"url": "http://a", "headers": {"A": "b\r\nC: d"}}, "line break"),
        ({"url": "http://a", "origin": "a"}, "absolute"),
    ],
)
def test_what_is_refused(config, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        CdnProbe(**config)
