"""What does a person see: does the page draw, fit its window and run without errors?"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.servers.devtools import DevTools, chromium
from tests.servers.net import wait_until

__all__ = ["PageFacts", "Screenshot", "page_facts", "screenshot"]

MEASURE = """JSON.stringify({
  title: document.title, text: document.body ? document.body.innerText : "",
  scroll: document.documentElement.scrollWidth, inner: innerWidth,
  wide: [...document.querySelectorAll("body *")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)
    .slice(0, 10).map(e => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "")
      + [...e.classList].map(c => "." + c).join(""))})"""


@dataclass(frozen=True)
class PageFacts:
    """What a page is like in a window of one width."""

    title: str
    inner_text: str
    scroll_width: int
    inner_width: int
    too_wide: list[str]
    errors: list[str]
    requested: list[str]

    @property
    def overflows(self) -> bool:
        """Must a person scroll sideways?"""
        return self.scroll_width > self.inner_width


class Screenshot(Protocol):
    def __call__(
        self,
        url_or_file: str | Path,
        width: int,
        height: int | None = None,
        *,
        out: Path,
        ready: str | None = None,
        dark: bool = False,
    ) -> Path: ...


class Page:
    """One tab in a private context of its own."""

    def __init__(self, browser: DevTools, width: int, height: int) -> None:
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call(
            "Target.createTarget", url="about:blank", browserContextId=self.context
        )
        self.session: str = browser.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, session=self.session, **params)

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, url: str, ready: str | None) -> None:
        """Load, then wait until the JavaScript expression `ready` is true and twice drawn."""
        failure = self.call("Page.navigate", url=url).get("errorText")
        if failure:
            raise AssertionError(f"Chromium could not open {url}: {failure}")
        self.browser.event("Page.loadEventFired", self.session)
        if ready is not None:
            wait_until(lambda: self.evaluate(f"Boolean({ready})"), 10, f"{ready} in {url}")
        self.settle()

    def settle(self) -> None:
        self.evaluate("document.fonts.ready.then(() => new Promise(done => setTimeout(done, 30)))")

    def evaluate(self, expression: str) -> Any:
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def errors(self) -> list[str]:
        """Uncaught exceptions, console.error, and what the browser itself logs as an error."""
        of, session = self.browser.of, self.session
        thrown = [one["exceptionDetails"] for one in of("Runtime.exceptionThrown", session)]
        found = [str(one.get("exception", {}).get("description", one["text"])) for one in thrown]
        for one in of("Runtime.consoleAPICalled", session):
            if one["type"] in ("error", "assert"):
                words = (arg.get("value", arg.get("description")) for arg in one["args"])
                found.append("console: " + " ".join(str(word) for word in words))
        for one in of("Log.entryAdded", session):
            entry = one["entry"]
            if entry["level"] == "error" and not entry.get("url", "").endswith("/favicon.ico"):
                found.append(f"{entry['text']} {entry.get('url', '')}".strip())
        return found

    def requested(self) -> list[str]:
        sent = self.browser.of("Network.requestWillBeSent", self.session)
        urls = [one["request"]["url"] for one in sent]
        return [url for url in urls if not url.endswith("/favicon.ico")]

    def close(self) -> None:
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)
        self.browser.events.clear()


@contextmanager
def _page(
    browser: DevTools,
    where: str | Path,
    size: tuple[int, int],
    *,
    ready: str | None,
    dark: bool = False,
) -> Iterator[Page]:
    text = str(where)
    url = text if "://" in text or text.startswith("data:") else Path(text).resolve().as_uri()
    page = Page(browser, *size)
    try:
        if dark:
            scheme = {"name": "prefers-color-scheme", "value": "dark"}
            page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.open(url, ready)
        yield page
    finally:
        page.close()


@pytest.fixture(scope="session")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevTools]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def screenshot(_browser: DevTools) -> Screenshot:
    """screenshot(url_or_file, width, height=None, *, out) -> out, a PNG of exactly that width.

    Without a height the whole page. `ready`: a JavaScript expression to wait for.
    """

    def take(
        url_or_file: str | Path,
        width: int,
        height: int | None = None,
        *,
        out: Path,
        ready: str | None = None,
        dark: bool = False,
    ) -> Path:
        with _page(_browser, url_or_file, (width, height or 800), ready=ready, dark=dark) as page:
            if height is None:
                full = page.call("Page.getLayoutMetrics")["cssContentSize"]["height"]
                page.resize(width, max(1, min(16000, int(full))))
                page.settle()
            data = page.call("Page.captureScreenshot", format="png")["data"]
        out.write_bytes(base64.b64decode(data))
        return out

    return take


@pytest.fixture
def page_facts(_browser: DevTools) -> Callable[..., PageFacts]:
    """page_facts(url_or_file, width, *, ready=None) -> PageFacts."""

    def measure(
        url_or_file: str | Path, width: int, *, height: int = 800, ready: str | None = None
    ) -> PageFacts:
        with _page(_browser, url_or_file, (width, height), ready=ready) as page:
            facts = json.loads(page.evaluate(MEASURE))
            return PageFacts(
                title=facts["title"],
                inner_text=facts["text"],
                scroll_width=facts["scroll"],
                inner_width=facts["inner"],
                too_wide=facts["wide"],
                errors=page.errors(),
                requested=page.requested(),
            )

    return measure
