"""What does Chromium see of one page? Runs in a child process: a JSON job in, JSON lines out.

A line says how far it is (`starting`, `loading`, `done`, `lost`, `picture`), so whoever ends this
process knows what it was about. It adopts all its descendants, and ends them before itself: a
browser that was stopped or whose driver was killed is not left behind.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import json
import os
import re
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil

from sre.probes.browser.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import FrameType

    from playwright.async_api import BrowserContext, Page, Playwright

__all__ = ["FLAGS", "main"]

Job = dict[str, Any]

FLAGS = (
    "--disable-quic",
    "--no-pings",
    "--dns-prefetch-disable",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disk-cache-size=67108864",
)
"""No DNS, no UDP, no reports beside the door; playwright's own flags switch off the rest."""

_RESERVE = 1.5
_SUBREAPER = 36


def main() -> None:
    """Read the job, look, tell, and end with everything that was started."""
    job: Job = json.loads(sys.stdin.readline())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, _asked)
    limit = threading.Timer(job["seconds"], _end)
    limit.daemon = True
    limit.start()
    try:
        asyncio.run(_look(job))
    except Exception as error:  # noqa: BLE001  told to the parent, which judges
        _say("lost", why=_why(error))
    finally:
        _end()


def _why(error: Exception) -> str:
    """The error's first line, and the last one that the browser itself complained in."""
    lines = str(error).splitlines() or [""]
    said = [
        line.partition("[err]")[2]
        for line in lines
        if "[err]" in line and ("FATAL" in line or "No usable sandbox" in line)
    ] or [line.partition("[err]")[2] for line in lines if "[err]" in line and "ERROR" in line]
    return ": ".join([type(error).__name__, lines[0][:200], *(one.strip() for one in said[-1:])])


def _asked(_number: int, _frame: FrameType | None) -> None:
    _end()


def _end() -> None:
    """Kill all descendants, collect them, and go."""
    me = psutil.Process()
    until = time.monotonic() + 2.0
    while (victims := me.children(recursive=True)) and time.monotonic() < until:
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    os._exit(0)


def _say(at: str, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"at": at, **facts}) + "\n")
    sys.stdout.flush()


async def _look(job: Job) -> None:
    from playwright.async_api import async_playwright  # noqa: PLC0415  in the child alone

    ends = time.monotonic() + job["seconds"] - min(_RESERVE, job["seconds"] * 0.2)
    began = time.monotonic()
    _say("starting")
    async with async_playwright() as driver:
        context = await _context(driver, job)
        page = await context.new_page()
        watcher = Watcher(await context.new_cdp_session(page), job)
        await watcher.start()
        page.on("crash", lambda _page: watcher.crash())
        page.on("download", lambda _download: watcher.download())
        page.on("dialog", lambda dialog: asyncio.ensure_future(_dismiss(dialog)))
        context.on("page", lambda other: asyncio.ensure_future(other.close()))
        _say("loading", started=time.monotonic() - began)
        await _unless_over(_load(page, watcher, job, ends), watcher)
        asked = {**job["expect"], "wait": job["selector"]}
        facts = await watcher.report(asked, max(0.3, ends + _RESERVE / 2 - time.monotonic()))
        _say("done", **facts)
        if sys.stdin.readline().strip() == "picture":
            picture = await page.screenshot(timeout=3000, animations="allow", caret="initial")
            _say("picture", png=base64.b64encode(picture).decode())


async def _unless_over(work: Coroutine[Any, Any, None], watcher: Watcher) -> None:
    """A tab that crashed ends the wait: some of playwright's own calls would go on waiting."""
    tasks = (asyncio.ensure_future(work), asyncio.ensure_future(watcher.over.wait()))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if tasks[0].done():
        tasks[0].result()
    for task in tasks:
        task.cancel()


async def _dismiss(dialog: Any) -> None:
    """An alert would hold up the page; nobody is there to press the button."""
    with contextlib.suppress(Exception):
        await dialog.dismiss()


async def _context(driver: Playwright, job: Job) -> BrowserContext:
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    browser = await driver.chromium.launch(
        executable_path=job["executable"],
        headless=True,
        chromium_sandbox=job["sandbox"],
        args=FLAGS,
        ignore_default_args=["--disable-popup-blocking"],
        proxy={"server": f"socks5://127.0.0.1:{job['door']}"},
        env={name: os.environ[name] for name in kept if name in os.environ},  # noqa: TID251
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
        timeout=job["seconds"] * 1000,
    )
    width, height, scale = job["size"]
    phone = job["phone"]
    return await browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        is_mobile=phone,
        has_touch=phone,
        user_agent=_user_agent(browser.version, job["agent"], phone=phone),
        ignore_https_errors=not job["verify"],
        accept_downloads=False,
        service_workers="block",
    )


def _user_agent(version: str, agent: str, *, phone: bool) -> str:
    """A customer's, with our name at its end; some shops refuse a headless browser."""
    system = "Linux; Android 10; K" if phone else "X11; Linux x86_64"
    mobile = " Mobile" if phone else ""
    return (
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{version.partition('.')[0]}.0.0.0{mobile} Safari/537.36 {agent}"
    )


async def _load(page: Page, watcher: Watcher, job: Job, ends: float) -> None:
    """Open it and wait as asked; whatever goes wrong stands in the watcher."""
    from playwright.async_api import Error  # noqa: PLC0415  in the child alone
    from playwright.async_api import TimeoutError as TooLate  # noqa: PLC0415

    def left() -> float:
        return max(1.0, (ends - time.monotonic()) * 1000)

    try:
        await page.goto(job["url"], wait_until="load", timeout=left())
        watcher.stage = "wait"
        if job["idle"]:
            await page.wait_for_load_state("networkidle", timeout=left())
        elif job["selector"]:
            await page.wait_for_selector(f"css={job['selector']}", timeout=left())
        watcher.stage = "ready"
        await watcher.mark_ready(left() / 1000)
        await asyncio.sleep(min(job["settle"], left() / 1000))
    except TooLate:
        watcher.late = watcher.stage
    except Error as error:
        if "has been closed" in error.message and not watcher.crashed:
            raise
        code = re.search(r"net::(ERR_\w+)", error.message)
        watcher.error = code[1] if code else error.message.splitlines()[0][:200]


if __name__ == "__main__":
    main()
