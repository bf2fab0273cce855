"""How many connections does nginx hold and serve, and has it dropped any?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from sre.core.secrets import Secret
from sre.journey.result import Outcome, Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.facts import Facts
from sre.probes.fetch import basic, check_url, expect_ok, opened
from sre.probes.model import Gauge, ProbeContext, Reading

__all__ = ["Limits", "NginxProbe", "Status", "judge", "parse"]

FACTS = Facts(
    "nginx",
    ("active_connections", "Connections of clients that are open, idle ones included."),
    ("connections", "Open connections by what nginx does with them.", "state"),
    ("accepted_connections_total", "Connections that were accepted."),
    ("handled_connections_total", "Accepted connections that were served."),
    ("dropped_connections_total", "Accepted connections that were closed at once: no free place."),
    ("requests_total", "Requests of clients."),
)
_LIMIT = 64 * 2**10
_PAGE = re.compile(
    r"\s*Active connections:\s*(\d+)\s+"
    r"server accepts handled requests(?: request_time)?\s+(\d+)\s+(\d+)\s+(\d+)(?:\s+\d+)?\s+"
    r"Reading:\s*(\d+)\s+Writing:\s*(\d+)\s+Waiting:\s*(\d+)\s*"
)
_CURES = {
    401: "give `user` and `password`",
    403: "let nginx admit this machine's address (`allow …;` beside stub_status)",
    404: "`url` must be that of a location with `stub_status;`",
}


@dataclass(frozen=True)
class Limits:
    """How much is too much; what has no limit is only measured.

    Attributes:
        active: open connections. nginx takes worker_processes x worker_connections at most, and
            its connections to the servers behind it are among them.
        dropped: connections that nginx dropped since it was started.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    active: int | None = None
    dropped: int | None = None

    def __post_init__(self) -> None:
        if min(self.active or 0, self.dropped or 0) < 0:
            raise ValueError("limits must not be negative")

    def exceeded(self, status: Status) -> list[str]:
        """What is above its limit, for people."""
        told = []
        if self.active is not None and status.active > self.active:
            told.append(f"{status.active} active connections (limit {self.active})")
        if self.dropped is not None and status.dropped > self.dropped:
            told.append(f"{status.dropped} connections dropped since start (limit {self.dropped})")
        return told


@dataclass(frozen=True)
class Status:
    """What `stub_status` says, its words kept."""

    active: int
    accepts: int
    handled: int
    requests: int
    reading: int
    writing: int
    waiting: int

    @property
    def dropped(self) -> int:
        """Accepted and not handled: there was no free place (worker_connections)."""
        return max(0, self.accepts - self.handled)


@dataclass(frozen=True)
class NginxProbe:
    """Reads the page of nginx' `stub_status`.

    That page knows nothing of upstreams, of reloads of the configuration and of single servers;
    what the servers behind nginx do, the kinds `http` and `accesslog` tell. The API of the
    commercial nginx is not read.

    Attributes:
        url: of the location with `stub_status;`.
        user: for HTTP's basic authentication, with `password`.
        ca_file: PEM file of the authorities to trust instead of the system's.
        warn: above one of these it is degraded.
        max: above one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    url: str
    user: str = ""
    password: Secret | None = None
    ca_file: str | None = None
    warn: Limits = Limits()
    max: Limits = Limits()

    def __post_init__(self) -> None:
        check_url(self.url)
        if self.password is not None and not self.user:
            raise ValueError("password without user; give both")

    def check(self, context: ProbeContext) -> Reading:
        """Fetch the page, read it, judge it."""
        attempt = Attempt("nginx", context)
        try:
            with opened(attempt, self.url, ca_file=self.ca_file) as fetcher:
                page = fetcher.get(self.url, basic(self.user, self.password), limit=_LIMIT)
            expect_ok(page, _CURES)
            status = parse(page.body.decode(errors="replace"))
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        attempt.gauges += _gauges(status)
        return attempt.reading(*judge(status, self.warn, self.max))


def parse(text: str) -> Status:
    """The page's numbers. Raises Trouble (`body`) when it is another page."""
    match = _PAGE.fullmatch(text)
    if match is None:
        what = "the answer is not a page of stub_status; `url` must be that of such a location"
        raise Trouble(Reason.BODY, what)
    return Status(*(int(group) for group in match.groups()))


def judge(status: Status, warn: Limits, most: Limits) -> tuple[Outcome, Reason, str]:
    """The verdict on what was read (pure)."""
    bad, high = most.exceeded(status), warn.exceeded(status)
    if bad:
        return Outcome.FAILED, Reason.STATUS, "; ".join(bad)
    if high:
        return Outcome.DEGRADED, Reason.STATUS, "; ".join(high)
    return Outcome.OK, Reason.NONE, ""


def _gauges(status: Status) -> list[Gauge]:
    return [
        FACTS("active_connections", status.active),
        FACTS("connections", status.reading, state="reading"),
        FACTS("connections", status.writing, state="writing"),
        FACTS("connections", status.waiting, state="waiting"),
        FACTS("accepted_connections_total", status.accepts),
        FACTS("handled_connections_total", status.handled),
        FACTS("dropped_connections_total", status.dropped),
        FACTS("requests_total", status.requests),
    ]
