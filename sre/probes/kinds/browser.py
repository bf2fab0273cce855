"""How does a customer's browser see a page: how fast, how steady, with which errors?"""

from __future__ import annotations

import base64
import importlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from sre.core.errors import UsageError
from sre.core.files import state_folder
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.journey.guard import Admission, Blocked, Guard
from sre.journey.host import literal, origin_of
from sre.journey.result import Outcome, Reason, Row, StepResult
from sre.probes.browser.door import Door, Refusal
from sre.probes.browser.session import AT_ONCE, Told, executable_path, look, slot
from sre.probes.browser.shots import keep_picture
from sre.probes.browser.verdict import Expect, Verdict, Wanted, judge
from sre.probes.browser.vitals import FACTS, Limits, gauges, numbers, phases
from sre.probes.dial import Attempt, Trouble, admitted
from sre.probes.drivers import needs
from sre.probes.facts import Facts
from sre.probes.marked import Marked, check_url, marked
from sre.probes.model import ProbeContext, Reading

__all__ = ["BrowserProbe", "Viewport"]

_SETTLE = Duration(1.0)
_CROWDED = (
    f"{AT_ONCE} browsers were busy all the time; spread the probes, or give them a longer timeout"
)
_MOST = 256 * 2**20
"""Bytes that one run lets in: a page without an end fills neither disk nor memory."""


@dataclass(frozen=True)
class Viewport:
    """A window of one's own size, in CSS pixels; up to 800 wide it is a phone's."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    width: int
    height: int

    def __post_init__(self) -> None:
        if not (200 <= self.width <= 4000 and 200 <= self.height <= 4000):
            raise ValueError("width and height must be 200 to 4000")


_SIZES = {"phone": (412, 915, 2.625), "desktop": (1350, 940, 1.0)}


@dataclass(frozen=True)
class BrowserProbe:
    """Loads a page in a real, headless Chromium with an empty cache and measures what it draws.

    Whatever the page asks for goes through the allow-list: what is not on it is not contacted, and
    counted (`sre_probe_browser_requests_blocked`). All times count from the navigation's start,
    looking up the name left out. INP cannot be measured without a customer who clicks: see
    `blocking`. Starting the browser takes a second or two of `timeout`, which should be 20s or
    more; two browsers run at once, half a GiB each.

    Attributes:
        url: absolute, or relative to the shop's `base_url`.
        viewport: `phone`, `desktop`, or `{width: 800, height: 600}`.
        wait: `load`, `idle` (no request for half a second), or a CSS selector that must be visible.
        settle: seconds after that in which late paints and layout shifts still count.
        expect: what must be on the page then.
        warn: above one of these it is degraded.
        max: above one of these it has failed.
        third_party: `allow` lets the page also reach other names at global addresses, on ports 80
            and 443, as a customer's browser would; its counters there count our visits too.
        verify: whether a certificate that is not trusted fails the page.
        username: for a shop behind basic authentication; sent to the shop's own origins alone.
        password: its secret.
        screenshots: folder for pictures of failures; default `screenshots` in the state folder.
        keep: pictures of one page to keep, 0 takes none.
        executable: Chromium's path or name, if it is not found by itself.
        sandbox: false only where a container is the sandbox and Chromium can make none in it; for
            root there never is one.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    url: str
    viewport: Literal["phone", "desktop"] | Viewport = "desktop"
    wait: str = "load"
    settle: Duration = _SETTLE
    expect: Expect = field(default_factory=Expect)
    warn: Limits = field(default_factory=Limits)
    max: Limits = field(default_factory=Limits)
    third_party: Literal["block", "allow"] = "block"
    verify: bool = True
    username: str | None = None
    password: Secret | None = None
    screenshots: str | None = None
    keep: int = 20
    executable: str | None = None
    sandbox: bool = True

    def __post_init__(self) -> None:
        check_url(self.url)
        if not self.wait.strip():
            raise ValueError("wait must be load, idle or a CSS selector such as '#products'")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together; give both or none")
        if not 0 <= self.keep <= 1000:
            raise ValueError("keep must be 0 to 1000")
        if self.settle > 30:
            raise ValueError("settle must be at most 30s")

    def check(self, context: ProbeContext) -> Reading:
        """Admit, wait for a place, load, judge, and leave nothing running."""
        attempt = Attempt("page", context)
        try:
            browser = self._browser()
            target = marked(self.url, context.shop, context.clock)
            admission = admitted(attempt, *target.place)
            with slot(attempt.time_left() - 1.0) as free:
                if not free:
                    return attempt.reading(Outcome.FAILED, Reason.PROBER, _CROWDED)
                return self._look(attempt, target, admission, browser)
        except Trouble as trouble:
            return attempt.ended_by(trouble)

    def _browser(self) -> str:
        with needs("browser", "browser"):
            importlib.import_module("playwright")
        found = executable_path(self.executable)
        if found is None and self.executable is not None:
            raise UsageError(f"executable {self.executable!r} is no program that can be run")
        if found is None:
            raise UsageError(
                "no Chromium was found; install one (apt install chromium), or name it with "
                "`executable:`"
            )
        return found

    def _look(
        self, attempt: Attempt, target: Marked, admission: Admission, browser: str
    ) -> Reading:
        job = self._job(target, attempt.context, browser)
        wanted = Wanted(self.wait, self.expect, self.max, self.warn)

        def verdict(facts: Mapping[str, Any]) -> Verdict:
            return judge(facts, _found(facts, door), wanted, _troubles(facts, door))

        with Door(self._admit(attempt), attempt.context.deadline.left, _MOST) as door:
            door.expect(admission)
            job["door"] = door.port
            told = look(
                job,
                attempt.time_left(),
                attempt.context.cancelled,
                lambda facts: self.keep > 0 and verdict(facts).outcome is Outcome.FAILED,
            )
            if told.stage != "done":
                raise _unfinished(told, attempt.context, door)
            return self._reading(attempt, target, told, verdict(told.facts), door)

    def _reading(
        self, attempt: Attempt, target: Marked, told: Told, verdict: Verdict, door: Door
    ) -> Reading:
        found = _found(told.facts, door)
        timing = (told.facts.get("page") or {}).get("timing", {})
        resolve = attempt.phases.get("resolve")
        parts = phases(timing, resolve)
        message = verdict.message
        if told.picture is not None:
            message += self._kept(target, told.picture, attempt.context.clock.wall())
        outcome, reason = verdict.outcome, verdict.reason
        seconds = found.get("ready", found.get("load"))
        if seconds is None:  # it never loaded: all the time that it had
            seconds = time.monotonic() - (told.ready_at or attempt.begun)
        seconds += resolve or 0.0
        status = told.facts.get("status") or None
        row = Row("page", outcome, seconds, reason=reason, status=status, phases=parts,
                  message=message)  # fmt: skip
        step = StepResult("page", outcome, seconds, reason=reason, status=status, rows=(row,),
                          message=message)  # fmt: skip
        made = gauges(found, told.starting)
        return Reading(outcome, seconds, reason, message, (step,), made, run_id=target.run_id)

    def _job(self, target: Marked, context: ProbeContext, browser: str) -> dict[str, Any]:
        """What the child must know; the password goes there over its standard input."""
        sent = dict(target.headers)
        agent = sent.pop("User-Agent", "")
        sent.pop("Accept", None)
        own = {_origin(url) for url in (context.shop.base_url, *context.shop.origins)}
        headers = {origin: dict(sent) for origin in (own | {_origin(target.url)})}
        if self.username is not None and self.password is not None:
            pair = f"{self.username}:{self.password.reveal()}".encode()
            for origin in own:
                headers[origin]["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        return {
            "url": target.url,
            "headers": headers,
            "agent": agent,
            "executable": browser,
            "sandbox": self.sandbox and os.geteuid() != 0,
            "idle": self.wait == "idle",
            "selector": None if self.wait in ("load", "idle") else self.wait,
            "settle": float(self.settle),
            "expect": {"selector": self.expect.selector, "contains": self.expect.contains},
            "verify": self.verify,
            **_window(self.viewport),
        }

    def _admit(self, attempt: Attempt) -> Any:
        guard = attempt.context.guard

        def admit(host: str, port: int) -> Admission:
            left = max(0.05, attempt.context.deadline.left())
            try:
                return guard.admit(host, port, left)
            except Blocked:
                if self.third_party == "block" or port not in (80, 443) or literal(host):
                    raise
            return Guard((f"{host}:{port}",)).admit(host, port, left)

        return admit

    def _kept(self, target: Marked, png: bytes, now: float) -> str:
        folder = Path(self.screenshots) if self.screenshots else state_folder() / "screenshots"
        try:
            return f"; picture: {keep_picture(folder, target.url, png, self.keep, now)}"
        except OSError as error:
            return f"; no picture: {folder}: {error.strerror}"


def _window(viewport: str | Viewport) -> dict[str, Any]:
    if isinstance(viewport, Viewport):
        phone = viewport.width <= 800
        return {"size": [viewport.width, viewport.height, 2.0 if phone else 1.0], "phone": phone}
    return {"size": list(_SIZES[viewport]), "phone": viewport == "phone"}


def _origin(url: str) -> str:
    """As Chromium writes it: without the port that its scheme has anyway."""
    scheme, host, port = origin_of(url)
    where = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[scheme] == port
    return f"{scheme}://{where}" if usual else f"{scheme}://{where}:{port}"


def _found(facts: Mapping[str, Any], door: Door) -> dict[str, float]:
    blocked = sum(
        count
        for host, port, _, count in facts.get("failed", ())
        if (refusal := door.refusal(host.strip("[]"), port)) is not None and refusal.blocked
    )
    return numbers(facts, blocked)


def _troubles(facts: Mapping[str, Any], door: Door) -> Refusal | None:
    """Why the page's own document found no connection."""
    document = facts.get("document") or ""
    if not document:
        return None
    _, host, port = origin_of(document)
    return door.refusal(host, port)


def _unfinished(told: Told, context: ProbeContext, door: Door) -> Trouble:
    """The child said no last word: whose fault was it?"""
    if context.cancelled.is_set():
        return Trouble(Reason.PROBER, "cancelled")
    if told.stage == "loading":
        refusals = [refusal for refusal in door.places.values() if refusal is not None]
        if refusals and len(door.places) == 1:
            return Trouble(refusals[0].reason, refusals[0].message, refusals[0].outcome)
        return Trouble(Reason.TIMEOUT, "the page kept the browser busy until the time was over")
    why = (
        re.sub(r"\s+", " ", told.why)[:300] or "it was not ready in time; give it a longer timeout"
    )
    return Trouble(Reason.PROBER, f"the browser could not be used: {why}")
