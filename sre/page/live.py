"""Who listens to the probes, remembers, and answers whoever opens the page?

One object for the life of `sre probe serve`. Every method may be called from any thread; nothing
here may hold up or end a probe.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from sre.core.clock import Clock, SystemClock
from sre.core.errors import SreError
from sre.core.facts import Fact, Facts
from sre.core.web.answer import Answer
from sre.journey.result import StepResult
from sre.page.build import Moment, build
from sre.page.history import History, Subject, plain, subject_of
from sre.page.keep import Keeper, encoded
from sre.page.model import Declared, StatusPage
from sre.page.proofs import TOPICS
from sre.page.render_html import CONTENT_SECURITY_POLICY, render_html
from sre.page.render_json import render_json
from sre.probes.runner import Result

__all__ = ["LiveStatus"]

log = logging.getLogger(__name__)

SAVE_EVERY = 5.0
"""Seconds between two writes: what a crash may cost. A clean end costs nothing."""

SAVE_SHARE = 0.02
"""Share of the time that writing may take: with hundreds of probes it is done less often."""

FRESH = 1.0
"""Seconds for which a page is shown again rather than built anew, if nothing happened."""

PAGE_SHARE = 0.05
"""Share of the time that making pages may take: of ten thousand probes one takes seconds, and
those who look at it must not hold up the probes."""

LONGEST = 20.0
"""Seconds for which a page is shown at most, however much it costs."""

_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
)


class LiveStatus:
    """The status page of one running service.

    Use it as a context; feed it with `adopt` (each time the declaration was read) and `hear`.

    Args:
        folder: the state folder; default $SRE_STATE, else ./.sre.
    """

    def __init__(self, folder: Path | None = None, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._facts = Facts(folder, self._clock)
        self._keeper = Keeper(folder)
        self._lock = threading.Lock()
        self._history = History()
        self._declared: Declared | None = None
        self._subjects: tuple[Subject, ...] = ()
        self._names: frozenset[str] = frozenset()
        self._steps: dict[str, tuple[StepResult, ...]] = {}
        self._page: tuple[float, StatusPage] | None = None
        self._changed = True
        self._cost = 0.0
        self._drawing = threading.Lock()
        self._drawn: dict[str, tuple[StatusPage, bytes]] = {}
        self._news = threading.Event()
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write, name="status-page", daemon=True)

    def __enter__(self) -> LiveStatus:
        """Remember what was before, begin to write down what comes."""
        self._history = self._keeper.open()
        self._writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write everything down."""
        self._ended.set()
        self._news.set()
        self._writer.join(10)
        if self._declared is not None:
            self.save()
        self._keeper.close()

    @property
    def routes(self) -> Mapping[str, Callable[[], Answer]]:
        """What the HTTP server shows of it."""
        return {"/": self._html, "/-/status.json": self._json}

    def adopt(self, declared: Declared) -> None:
        """Take over a declaration: a probe that it no longer has is no longer shown."""
        names = {check.name for check in declared.checks}
        subjects = tuple(dict.fromkeys(subject_of(one) for one in declared.objectives))
        watched = (*subjects, *(plain(name) for name in names))
        with self._lock:
            self._declared, self._subjects, self._page = declared, subjects, None
            self._names = frozenset(names)
            self._steps = {name: s for name, s in self._steps.items() if name in names}
            self._history.forget(watched, names, self._clock.wall())
            self._history.fit(len(names), subjects)

    def hear(self, result: Result) -> None:
        """A run has ended."""
        with self._lock:
            if result.probe not in self._names:
                return
            self._history.add(result, self._clock.wall(), self._subjects)
            if result.reading.journey is not None:
                self._steps[result.probe] = result.reading.steps
            self._changed = True
        self._news.set()

    def page(self) -> StatusPage | None:
        """The page as it is now; None before the first declaration."""
        with self._lock:
            if self._declared is None:
                return None
            began = self._clock.now()
            least = min(LONGEST, self._cost / PAGE_SHARE)
            lasts = least if self._changed else max(FRESH, least)
            if self._page is None or not 0 <= began - self._page[0] < lasts:
                self._changed = False
                page = self._build(self._declared)
                self._page = (self._clock.now(), page)
                self._cost = self._page[0] - began
            return self._page[1]

    def save(self) -> None:
        """Write the history down now."""
        self._news.clear()
        with self._lock:
            data = encoded(self._history)
        self._keeper.save(data)

    def _build(self, declared: Declared) -> StatusPage:
        facts, trouble = self._published()
        notes = (*self._keeper.notes, *trouble)
        now = self._clock.wall()
        return build(declared, Moment(now, self._history, self._steps, facts, notes))

    def _published(self) -> tuple[list[Fact], list[str]]:
        found: list[Fact] = []
        trouble: list[str] = []
        topics = (*TOPICS, "incident", "degrade")
        for name in (name for topic in topics for name in self._facts.names(topic)):
            try:
                fact = self._facts.read(name)
            except SreError:
                trouble.append(f"The fact {name} cannot be read.")
                continue
            if fact is not None:
                found.append(fact)
        return found, trouble

    def _write(self) -> None:
        while not self._ended.is_set():
            self._news.wait()
            began = self._clock.now()
            try:
                if not self._ended.is_set():
                    self.save()
            except Exception:
                log.exception("the page's history was not saved this time, a bug of ours")
            self._ended.wait(max(SAVE_EVERY, (self._clock.now() - began) / SAVE_SHARE))

    def _html(self) -> Answer:
        return self._draw("text/html; charset=utf-8", render_html)

    def _json(self) -> Answer:
        return self._draw("application/json", render_json)

    def _draw(self, kind: str, render: Callable[[StatusPage], str]) -> Answer:
        """The page in one of its forms; however many ask, it is drawn once."""
        page = self.page()
        if page is None:
            return Answer.text(503, "the declaration is being read")
        with self._drawing:
            of, body = self._drawn.get(kind, (None, b""))
            if of is not page:
                began = self._clock.now()
                body = render(page).encode()
                self._drawn[kind] = (page, body)
                self._cost += self._clock.now() - began
        return Answer(200, body, kind, _HEADERS)
