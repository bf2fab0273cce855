"""What happens in the tab while a page loads? Listens to the DevTools protocol and marks requests.

Requests to the shop's own origins get the synthetic header one by one: set for all of them at
once, it would reach other origins too and break their CORS rules.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Watcher"]

Event = dict[str, Any]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_MAX_ROWS = 200
_ICON = ("/favicon.ico", "Other")
"""Asked for by the browser itself, not by the page."""

_MEASURE = """async (asked) => {
  const seen = {"largest-contentful-paint": [], "layout-shift": [], longtask: [], paint: []};
  for (const type of Object.keys(seen)) {
    try {
      new PerformanceObserver(list => seen[type].push(...list.getEntries()))
        .observe({type, buffered: true});
    } catch (error) {}
  }
  await new Promise(done => setTimeout(done, 50));
  const nav = performance.getEntriesByType("navigation")[0];
  const shown = selector => {
    const found = document.querySelector(selector);
    return found !== null && found.getClientRects().length > 0;
  };
  const tried = selector => { try { return shown(selector); } catch (error) { return null; } };
  const largest = seen["largest-contentful-paint"].at(-1);
  const first = seen.paint.find(entry => entry.name === "first-contentful-paint");
  return {
    timing: nav ? nav.toJSON() : {},
    lcp: largest ? largest.startTime : null,
    fcp: first ? first.startTime : null,
    // Nobody touches the page: hadRecentInput comes from setting up a phone's screen alone.
    shifts: seen["layout-shift"].map(entry => [entry.startTime, entry.value]),
    tasks: seen.longtask.map(entry => [entry.startTime, entry.duration]),
    title: document.title.slice(0, 500),
    selector: asked.selector ? tried(asked.selector) : null,
    contains: asked.contains
      ? (document.body ? document.body.innerText : "").includes(asked.contains) : null,
  };
}"""


class Watcher:
    """Counts and facts of one tab, from before its first request.

    Attributes:
        stage: `load`, `wait` or `ready`; `late` is the stage that took too long.
        error: Chromium's code (`ERR_...`) when the page could not be opened.
    """

    def __init__(self, session: Any, job: dict[str, Any]) -> None:
        self._session, self._job = session, job
        self._sizes: dict[str, float] = {}
        self._urls: dict[str, str] = {}
        self._failed: Counter[tuple[str, int, str]] = Counter()
        self._document = ""
        self._requests = self._bad = self._exceptions = self._complaints = 0
        self._status = 0
        self._frame = ""
        self._ready: float | None = None
        self.stage, self.late, self.error = "load", "", ""
        self.crashed = self.downloaded = False
        self.over = asyncio.Event()

    async def start(self) -> None:
        """Listen to everything, and stop each request to the shop to mark it."""
        heard = {
            "Network.requestWillBeSent": self._sent,
            "Network.responseReceived": self._answered,
            "Network.dataReceived": self._data,
            "Network.loadingFinished": self._finished,
            "Network.loadingFailed": self._lost,
            "Runtime.exceptionThrown": self._thrown,
            "Runtime.consoleAPICalled": self._complained,
            "Fetch.requestPaused": self._paused,
        }
        for name, handler in heard.items():
            self._session.on(name, handler)
        tree = await self._session.send("Page.getFrameTree")
        self._frame = tree["frameTree"]["frame"]["id"]
        await self._session.send("Network.enable")
        await self._session.send("Runtime.enable")
        patterns = [{"urlPattern": f"{origin}/*"} for origin in self._job["headers"]]
        await self._session.send("Fetch.enable", {"patterns": patterns})

    def crash(self) -> None:
        """The tab is gone."""
        self.crashed = True
        self.over.set()

    def download(self) -> None:
        """It was no page but a file."""
        self.downloaded = True

    async def mark_ready(self, seconds: float) -> None:
        """Note the page's own time of now."""
        if self._job["idle"] or self._job["selector"]:
            self._ready = await self._evaluated("performance.now()", seconds)

    async def report(self, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Everything, JSON-ready. A page whose scripts never rest answers nothing: `stuck`."""
        facts = await self._measured(asked, seconds)
        failed = [[*place, count] for place, count in self._failed.most_common(_MAX_ROWS)]
        return {
            "stuck": facts is None and not self.crashed and not self.error,
            "crashed": self.crashed,
            "downloaded": self.downloaded,
            "late": self.late,
            "error": self.error,
            "status": self._status,
            "document": self._document,
            "ready": self._ready,
            "requests": self._requests,
            "failed": failed,
            "bad": self._bad,
            "bytes": sum(self._sizes.values()),
            "script_errors": self._exceptions,
            "console_errors": self._complaints,
            "page": facts or {},
        }

    async def _measured(self, asked: dict[str, Any], seconds: float) -> Any:
        """In a world of our own: what the page did to its globals does not matter."""
        if self.crashed or (self.error and not self._status):
            return None
        with contextlib.suppress(Exception):
            async with asyncio.timeout(seconds):
                world = await self._session.send(
                    "Page.createIsolatedWorld", {"frameId": self._frame}
                )
                answer = await self._session.send(
                    "Runtime.callFunctionOn",
                    {
                        "functionDeclaration": _MEASURE,
                        "executionContextId": world["executionContextId"],
                        "arguments": [{"value": asked}],
                        "awaitPromise": True,
                        "returnByValue": True,
                    },
                )
            return answer["result"].get("value")
        return None

    async def _evaluated(self, expression: str, seconds: float) -> Any:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.1, seconds)):
                told = await self._session.send(
                    "Runtime.evaluate", {"expression": expression, "returnByValue": True}
                )
                return told["result"].get("value")
        return None

    def _sent(self, event: Event) -> None:
        url, number = event["request"]["url"], event["requestId"]
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or (parts.path, event.get("type")) == _ICON:
            return
        hop = event.get("redirectResponse")
        if hop is not None:  # the same number again: what the hop weighed is kept
            self._sizes[f"{number} {self._requests}"] = hop.get("encodedDataLength", 0)
            self._sizes.pop(number, None)
        self._requests += 1
        self._urls[number] = url
        if self._is_document(event):
            self._document = url

    def _is_document(self, event: Event) -> bool:
        return event.get("type") == "Document" and event.get("frameId") == self._frame

    def _answered(self, event: Event) -> None:
        answer = event["response"]
        if event["requestId"] not in self._urls:
            return
        if self._is_document(event):
            self._status = answer["status"]
        elif answer["status"] >= 400:
            self._bad += 1

    def _data(self, event: Event) -> None:
        if event["requestId"] in self._urls:
            known = self._sizes.get(event["requestId"], 0.0)
            self._sizes[event["requestId"]] = known + event["encodedDataLength"]

    def _finished(self, event: Event) -> None:
        if event["requestId"] in self._urls:
            self._sizes[event["requestId"]] = event["encodedDataLength"]

    def _lost(self, event: Event) -> None:
        url = self._urls.get(event["requestId"])
        if url is None or event.get("canceled") or event.get("errorText") == "net::ERR_ABORTED":
            return
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        self._failed[parts.hostname or "", port, event.get("errorText", "")] += 1

    def _thrown(self, _event: Event) -> None:
        self._exceptions += 1

    def _complained(self, event: Event) -> None:
        self._complaints += event["type"] in ("error", "assert")

    def _paused(self, event: Event) -> None:
        asyncio.ensure_future(self._mark(event))  # noqa: RUF006  awaited by nobody, as any event

    async def _mark(self, event: Event) -> None:
        request = event["request"]
        where = urlsplit(request["url"])
        ours = self._job["headers"].get(f"{where.scheme}://{where.netloc}", {})
        headers = {**request["headers"], **ours}
        pairs = [{"name": name, "value": value} for name, value in headers.items()]
        with contextlib.suppress(Exception):
            await self._session.send(
                "Fetch.continueRequest", {"requestId": event["requestId"], "headers": pairs}
            )
