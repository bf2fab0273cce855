"""What can Prometheus and a person see of a run while it goes?

The page and the metrics are those of the report, made from what has been reported so far. Nothing
is made unless somebody asks, and once a second at most.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from sre.core.clock import Clock
from sre.core.secrets import redactor
from sre.core.web.answer import Answer, Asked
from sre.loadtest.crew.model import Live, Member
from sre.loadtest.job import Job
from sre.loadtest.judge.assemble import Ran, assemble
from sre.loadtest.judge.finding import Finding
from sre.loadtest.judge.report import Facts, Report
from sre.loadtest.output.prometheus import exposition
from sre.loadtest.output.render_html import render_html
from sre.loadtest.runner import facts_of, plan_of

__all__ = ["Desk"]

_LAG = 2.0
"""Seconds that reports of workers may be behind: what was due since is not asked for yet."""

_PATHS = ("/", "/metrics", "/-/healthy", "/-/ready")
_STARTING = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="1">'
    "<title>starting</title><p>The load test is starting.</p></html>\n"
)


class Desk:
    """A Watcher and an Examiner of one run, and the pages of an HTTP server. Thread-safe."""

    def __init__(self, job: Job, workers: int, clock: Clock) -> None:
        self._job, self._workers, self._clock = job, workers, clock
        self._facts: Facts | None = None
        self._slot = 1.0
        self._live: Live | None = None
        self._seen: tuple[Live, Report] | None = None
        self._one = threading.Lock()

    def before(self, run_id: str) -> None:
        """As Examiner.before."""
        plan = plan_of(self._job, self._workers, run_id, "warning")
        started = datetime.fromtimestamp(self._clock.wall(), UTC)
        self._slot, self._facts = plan.slot, facts_of(self._job, plan, started, 0.0, None)

    def after(self, ran: Ran) -> Sequence[Finding]:
        """As Examiner.after."""
        return ()

    def look(self, live: Live) -> str | None:
        """As Watcher.look."""
        self._live = live
        return None

    def get(self, path: str, accept: str, asked: Asked | None = None) -> Answer:
        """As Pages.get."""
        match path:
            case "/":
                return self._page()
            case "/metrics":
                return self._metrics()
            case "/-/healthy":
                return Answer.text(200, "Healthy")
            case "/-/ready":
                good = self._live is not None
                return Answer.text(200 if good else 503, "Ready" if good else "Not ready")
            case _:
                return Answer.text(404, "not found")

    def post(self, path: str, *, near: bool = True) -> Answer:
        """As Pages.post: there is nothing to do here, only to see."""
        return self.unused(path)

    def unused(self, path: str) -> Answer:
        """As Pages.unused."""
        if path not in _PATHS:
            return Answer.text(404, "not found")
        return replace(Answer.text(405, "use GET"), headers=(("Allow", "GET"),))

    def _page(self) -> Answer:
        found = self._report()
        text = _STARTING if found is None else render_html(found[1], found[0].at)
        return Answer(200, redactor.mask(text).encode(), "text/html; charset=utf-8")

    def _metrics(self) -> Answer:
        found = self._report()
        if found is None:
            return Answer(200, b"", CONTENT_TYPE_LATEST)
        live, report = found
        body = exposition(report, final=False, in_flight=live.in_flight)
        return Answer(200, redactor.mask(body.decode()).encode(), CONTENT_TYPE_LATEST)

    def _report(self) -> tuple[Live, Report] | None:
        with self._one:
            live, facts = self._live, self._facts
            if live is None or facts is None:
                return None
            if self._seen is None or self._seen[0] is not live:
                until = min(max(0.0, live.at - _LAG), facts.planned_seconds)
                now = replace(facts, seconds=max(0.0, live.at), stopped=until)
                members: list[Any] = [_SoFar(member) for member in live.members]
                ran = Ran(now, members, self._slot)
                self._seen = live, assemble(self._job, ran, with_ledger=False)
            return self._seen


class _SoFar:
    """A member that has not ended: that it has not yet is no fault."""

    def __init__(self, member: Member) -> None:
        self._member = member

    @property
    def lost(self) -> str | None:
        return None if self._member.running else self._member.lost

    @property
    def adds_up(self) -> bool:
        return self._member.running or self._member.adds_up

    def __getattr__(self, name: str) -> Any:
        return getattr(self._member, name)
