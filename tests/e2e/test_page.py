"""Does the status page of a real `sre probe serve` tell the truth, alive and without JavaScript?"""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import requests
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from sre.core.facts import Facts
from sre.page.model import StatusPage
from sre.page.render_html import render_html
from tests.servers.child import child
from tests.servers.chromium import PageFacts, Screenshot, _page
from tests.servers.demo import DemoShop
from tests.servers.devtools import DevTools
from tests.servers.net import wait_until
from tests.unit.page.story import a_bad_day

EVERY = 2.0


@dataclass
class Service:
    """A running `sre probe serve`."""

    url: str
    process: subprocess.Popen[str]

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=5, **options)

    def data(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.get("/-/status.json").json()
        return answer

    def one(self, name: str) -> dict[str, Any]:
        return next(one for one in self.data()["components"] if one["name"] == name)

    def sentence(self) -> str:
        node = HTMLParser(self.get("/").text).css_first("h1#sentence")
        assert node is not None
        return node.text()

    def knows_all(self) -> bool:
        return all(one["last_run"] for one in self.data()["components"])


def declare(home: Path, shop: DemoShop, *more: str, without: tuple[str, ...] = ()) -> None:
    """The demo's own checkout and browse, each two seconds, and two single probes."""
    journeys = (resources.files("sre.demo") / "journeys.yaml").read_text("utf-8")
    journeys = re.sub(
        r"every: \d+s", f"every: {EVERY:g}s", journeys.partition("  api_checkout:")[0]
    )
    journeys = journeys.replace("budget: 600/h", "budget: 7200/h")
    if "browse" in without:
        journeys = "journeys:\n  checkout:" + journeys.partition("  checkout:")[2]
    lines = (
        "version: 1",
        f'shop: {{name: demo, base_url: "{shop.url}", environment: staging}}',
        "probes:",
        f"  - {{name: home, kind: http, url: /, every: {EVERY:g}s}}",
        f"  - {{name: ready, kind: http, url: /readyz, every: {EVERY:g}s}}",
        "objectives:",
        "  - {name: checkout-available, journey: checkout, target: 99%, owner: shop, "
        "runbook: checkout-failing}",
        "  - {name: checkout-fast, journey: checkout, below: 2s, target: 99%, owner: shop, "
        "severity: ticket}",
        *more,
    )
    (home / "sre.yaml").write_text("\n".join(lines) + "\n" + journeys, encoding="utf-8")


@contextmanager
def serving(home: Path, *options: str) -> Iterator[Service]:
    argv = [sys.executable, "-m", "sre", "probe", "serve", "--web.listen-address", "127.0.0.1:0"]
    env = {"PYTHONPATH": str(Path.cwd()), "PYTHONUNBUFFERED": "1"}
    log = home / "log"
    log.unlink(missing_ok=True)
    with child([*argv, *options], home=home, env=env, grace=20) as process:

        def listening() -> str | None:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            lines = log.read_text(encoding="utf-8").splitlines()
            return next((x.split()[-1] for x in lines if x.startswith("listening on ")), None)

        yield Service(wait_until(listening, 20, "the address") or "", process)
    assert "Traceback" not in log.read_text(encoding="utf-8")


def written(kept: Path) -> set[str]:
    """The probes in the state file."""
    return (
        set(json.loads(gzip.decompress(kept.read_bytes()))["standings"]) if kept.exists() else set()
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watch")


@pytest.fixture(scope="module")
def service(home: Path, demo_shop: DemoShop) -> Iterator[Service]:
    """One service for the tests that do not stop it."""
    declare(home, demo_shop)
    with serving(home) as running:
        wait_until(running.knows_all, 30, "the first runs")
        yield running


def test_it_turns_to_failing_with_step_and_reason_and_back(service: Service, demo_shop: DemoShop):
    wait_until(lambda: service.sentence() == "Everything works", 20, "health")
    with demo_shop.fault("payment"):
        before = service.one("checkout")
        wait_until(lambda: service.one("checkout")["state"] == "failing", 20, "the failure")
        seen = service.one("checkout")
        page = service.get("/").text
    assert seen["last_day_total"] - before["last_day_total"] <= 2, "two intervals"
    assert (seen["step"], seen["reason"]) == ("payment", "status")
    assert seen["since"] > before["since"]
    assert re.search(r"Checkout is failing since \d\d:\d\d \(payment: status\)", page)
    assert "Payment: unexpected status 50" in page, "in words too"
    worst = service.one("checkout")
    wait_until(lambda: service.one("checkout")["state"] == "works", 20, "recovery")
    again = service.one("checkout")
    assert again["since"] >= seen["since"]
    assert again["last_day_total"] - worst["last_day_total"] <= 2, "two intervals"
    wait_until(lambda: service.sentence() == "Everything works", 20, "the sentence")
    available = next(o for o in service.data()["objectives"] if o["name"] == "checkout-available")
    assert available["bad"] >= 1
    assert available["budget_left"] < 1


def test_without_javascript_everything_is_there(service: Service, home: Path):
    Facts(home / ".sre").publish("backup.orders", {"id": "b-1", "level": 3, "rto_seconds": 41.2})
    wait_until(lambda: "b-1" in service.get("/").text, 5, "the published backup")
    answer = service.get("/")
    tree = HTMLParser(answer.text)
    for node in tree.css("script"):
        node.decompose()
    text = tree.body.text(separator=" ")
    for words in (
        "checkout", "browse", "home", "ready", "24 h:", "last hour", "steps of the last run",
        "checkout-available", "99% of checkout runs good, over 30 days", "good within 2 s",
        "burn rate", "orders", "Restored and checked", "checkout-failing", "None yet",
        "times are UTC",
    ):  # fmt: skip
        assert words in text, words
    assert tree.css_first("noscript meta[http-equiv=refresh]") is not None
    assert [len(tree.css(one)) for one in ("main", "h1", "footer", "[aria-live=polite]")] == [1] * 4
    titles = {node.text() for node in tree.css("h2")}
    assert titles >= {"Journeys", "Probes", "Objectives", "Backups", "Runbooks"}
    assert tree.css("[style],[onclick],[src]") == []


def test_the_browser_may_load_nothing_else(service: Service):
    answer = service.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    data = service.get("/-/status.json")
    assert data.headers["Content-Type"] == "application/json"
    assert data.json()["schema"] == "sre.status/1"
    assert requests.post(service.url + "/", timeout=5).status_code == 405
    assert requests.head(service.url + "/", timeout=5).text == ""


@pytest.mark.chromium
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_it_fits_and_asks_nobody_else(
    width: int, service: Service, page_facts: Callable[..., PageFacts]
):
    facts = page_facts(f"{service.url}/", width)
    assert not facts.overflows, facts.too_wide
    assert facts.too_wide == []
    assert facts.errors == []
    assert facts.requested
    assert all(url.startswith(service.url) for url in facts.requested)


@pytest.mark.chromium
def test_an_open_page_follows_without_a_reload(
    service: Service,
    demo_shop: DemoShop,
    _browser: DevTools,  # noqa: PT019  its value is used
):
    wait_until(lambda: service.sentence() == "Everything works", 20, "health")
    with _page(_browser, f"{service.url}/", (1280, 900), ready="document.body") as page:
        read = "document.getElementById('sentence').textContent"
        page.evaluate("window.mark = document.getElementById('sentence'); window.same = 1")
        page.evaluate("document.querySelector('[data-key=browse] details').open = true")
        assert page.evaluate(read) == "Everything works"
        with demo_shop.fault("payment"):
            wait_until(
                lambda: page.evaluate(read).startswith("Checkout is failing since"), 20, "the news"
            )
            assert "(payment: status)" in page.evaluate(read)
            assert page.evaluate("document.title").startswith("Checkout is failing")
            first = page.evaluate("document.querySelector('.component h3').textContent")
            assert first == "checkout", "the worst comes first"
        wait_until(lambda: page.evaluate(read) == "Everything works", 20, "recovery")
        assert page.evaluate("window.same") == 1, "never reloaded"
        assert page.evaluate("mark === document.getElementById('sentence')"), (
            "the live region stays"
        )
        assert page.evaluate("document.querySelector('[data-key=browse] details').open")
        assert page.evaluate("document.querySelectorAll('.component').length") == 4
        assert page.errors() == []


@pytest.mark.chromium
def test_an_open_page_says_when_it_is_left_alone(
    demo_shop: DemoShop,
    tmp_path: Path,
    _browser: DevTools,  # noqa: PT019  its value is used
):
    declare(tmp_path, demo_shop)
    with (
        serving(tmp_path) as service,
        _page(_browser, f"{service.url}/", (400, 800), ready="document.body") as page,
    ):
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 143
        lost = "document.getElementById('lost').textContent"
        wait_until(lambda: page.evaluate(lost).startswith("Not up to date"), 20, "the warning")


def test_a_restart_forgets_nothing_and_a_reload_drops_what_is_gone(
    demo_shop: DemoShop, tmp_path: Path
):
    declare(tmp_path, demo_shop)
    with serving(tmp_path) as service:
        wait_until(service.knows_all, 30, "the first runs")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 143
    with serving(tmp_path) as service:
        again = service.data()
        assert again["components"][0]["since"] is not None, "known before the first run"
        since = {one["name"]: one["since"] for one in again["components"]}
        runs = service.one("home")["last_day_total"]
        assert runs >= 1
        wait_until(lambda: service.one("home")["last_day_total"] > runs, 20, "a new run")
        assert service.one("home")["since"] == since["home"]
        declare(tmp_path, demo_shop, without=("browse",))
        assert requests.post(f"{service.url}/-/reload", timeout=5).status_code == 200
        assert "browse" not in {one["name"] for one in service.data()["components"]}
        assert service.one("home")["last_day_total"] > runs, "the others keep their history"


def test_a_killed_service_keeps_what_was_written(demo_shop: DemoShop, tmp_path: Path):
    declare(tmp_path, demo_shop)
    kept = tmp_path / ".sre" / "status" / "history.json.gz"
    with serving(tmp_path) as service:
        wait_until(service.knows_all, 30, "the first runs")
        wait_until(lambda: written(kept) >= {"ready", "home"}, 20, "a written history")
        since = service.one("ready")["since"]
        service.process.kill()
        service.process.wait(5)
    with serving(tmp_path) as service:
        assert service.one("ready")["since"] == since
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 143
    kept.write_bytes(kept.read_bytes()[:100])
    with serving(tmp_path) as service:
        page = service.get("/").text
        assert "The history was damaged" in page
        wait_until(service.knows_all, 30, "the first runs")
        assert service.one("ready")["since"] != since, "nothing of the damaged history is believed"
        assert (kept.parent / "history.damaged").exists()


@pytest.mark.chromium
@pytest.mark.parametrize("width", [320, 400, 700, 1280])
def test_the_fullest_and_the_strangest_page_fit_too(
    width: int, page_facts: Callable[..., PageFacts], tmp_path: Path
):
    """What `docs/status-page-*.png` show, and names as long as they may be."""
    for number, page in enumerate((a_bad_day(), strange())):
        file = tmp_path / f"{number}.html"
        file.write_text(render_html(page), encoding="utf-8")
        facts = page_facts(file, width)
        assert (facts.too_wide, facts.errors, facts.overflows) == ([], [], False)


def strange() -> StatusPage:
    """Long names without a space, and markup where it does not belong."""
    page = a_bad_day()
    evil = "<img src=x onerror=alert(1)>" + "w" * 300
    rows = [
        replace(one, name=f"{one.name}_{'n' * 50}", why=evil, detail=evil, note=evil)
        for one in page.components
    ]
    many = {"bad": 10**9, "total": 10**9}
    budgets = [replace(one, name="o" * 63, promise=evil, **many) for one in page.budgets[:1]]
    proofs = [replace(one, name="p" * 63, id=evil, words=evil) for one in page.proofs[:1]]
    return replace(
        page, shop=evil, sentence=evil, details=(evil,), notes=(evil,), components=tuple(rows),
        budgets=tuple(budgets), proofs=tuple(proofs),
    )  # fmt: skip


@pytest.mark.chromium
def test_it_draws_in_light_and_in_dark(screenshot: Screenshot, tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text(render_html(a_bad_day()), encoding="utf-8")
    drawn = {
        (width, dark): screenshot(file, width, out=tmp_path / f"{width}{dark}.png", dark=dark)
        for width in (400, 1280)
        for dark in (False, True)
    }
    assert len({path.read_bytes() for path in drawn.values()}) == 4
