"""How often was which route asked for, and when? (pure)

Counts of routes by time, in buckets that grow with the length of the log. Visitors are told apart
by a keyed hash of address and agent, with a key that is made for one run and never leaves it; they
give the times between steps, and tell a page from the redirect that led there.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import blake2b

from sre.core.accesslog import Entry
from sre.core.logvisitor import Reader
from sre.core.routes import Routes
from sre.loadtest.mix.steps import Map

__all__ = ["BOTS", "UNITS", "Left", "Rules", "Tally"]

UNITS = (1, 10, 60, 300, 900, 3600, 86400)
"""Seconds of a bucket; the first that keeps the counts small enough."""

BOTS = re.compile(
    r"(?<!cu)bots?\b|crawl|spider|slurp|archiver|scanner|facebookexternalhit|preview"
    r"|headlesschrome|lighthouse|pingdom|uptime|statuscake|site24x7|monitor|healthcheck"
    r"|kube-probe|googlehc|elb-health|blackbox|prometheus|zabbix|nagios|check_http|scrapy"
    r"|nmap|nikto|sqlmap|zgrab|masscan",
    re.IGNORECASE,
)
"""Agents that say themselves that no customer is behind them (a CUBOT is a telephone)."""

_OURS = re.compile(r"\bsre/\d")
_HEALTH = re.compile(
    r"(?:.*/)?(?:healthz?|healthcheck|health[-_]check|livez|readyz|live|ready|ping|heartbeat"
    r"|nginx_status|server-status|stub_status|metrics)|/-/.*",
    re.IGNORECASE,
)
_FILES = frozenset({"/robots.txt", "/favicon.ico", "/sitemap.xml", "/ads.txt"})
_MAX_ROUTES = 1000
_MAX_COUNTS = 400_000
_MAX_MINUTES = 250_000
_MAX_KNOWN = 100_000
_MAX_VISITORS = 200_000
_MAX_GAPS = 20_000
_SESSION = 600.0
_HOP = 3.0
_CROWD = 60
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ASSET, _CHECK, _OURSELVES, _BOT = -1, -2, -3, -4
_REASONS = {_ASSET: "assets", _CHECK: "health", _OURSELVES: "ours", _BOT: "bots"}


@dataclass(frozen=True)
class Rules:
    """What is counted although it looks like no customer."""

    keep_bots: bool = False
    keep_synthetic: bool = False


@dataclass
class Left:
    """Requests that were left out, by reason."""

    ours: int = 0
    bots: int = 0
    health: int = 0
    assets: int = 0
    redirects: int = 0


@dataclass
class Tally:
    """Counts requests; `add` is called for each.

    Attributes:
        key: of the hashes; made for one run.
        reader: reads a visitor's address, if the log has it.
        wanted: pairs of routes whose distance in time is kept.
        labels: of routes that no journey has; their numbers follow those of the map's routes.
        counts: (bucket, route) as one number -> requests.
        entries: minute -> requests of each of its seconds at routes where journeys begin.
        gaps: (route, next route) -> seconds between them, of one visitor.
    """

    map: Map
    rules: Rules
    key: bytes
    reader: Reader | None = None
    wanted: Collection[tuple[int, int]] = ()
    labels: list[str] = field(default_factory=list)
    left: Left = field(default_factory=Left)
    unit: int = 1
    counts: dict[int, int] = field(default_factory=dict)
    entries: dict[int, array[int]] = field(default_factory=dict)
    gaps: dict[tuple[int, int], array[float]] = field(default_factory=dict)
    requests: int = 0
    first: float = float("inf")
    last: float = float("-inf")

    def __post_init__(self) -> None:
        self._base = len(self.map.routes)
        self._entry = frozenset(n for n, route in enumerate(self.map.routes) if route.entry)
        self._follow = frozenset(n for n, route in enumerate(self.map.routes) if route.follow)
        self._known: dict[tuple[str, str], int] = {}
        self._agents: dict[str | None, int] = {}
        self._numbers: dict[str, int] = {}
        self._routes = Routes()
        self._visitors: dict[bytes, list[float]] = {}

    def add(self, entry: Entry, at: float, line: str) -> None:
        """Count one request, made at `at`; of its line the visitor's address is read, no more."""
        agent = entry.agent
        kind = self._agents.get(agent)
        if kind is None:
            kind = self._agent(agent)
        page = entry.method, entry.path
        route = self._known.get(page)
        if route is None:
            route = self._route(page)
        if kind or route < 0:
            self._leave(kind or route)
        elif route < self._base and self.reader is not None and self._hop(entry, at, route, line):
            self.left.redirects += 1
        else:
            self._count(route, int(at))

    def _count(self, route: int, second: int) -> None:
        self.requests += 1
        try:
            self.counts[second // self.unit * 4096 + route] += 1
        except KeyError:
            self._opened(second, route)
        if route in self._entry:
            cells = self.entries.get(second // 60)
            if cells is not None or (cells := self._minute(second)) is not None:
                cells[second % 60] += 1

    def _opened(self, second: int, route: int) -> None:
        """Count the first request of a bucket."""
        self.first = min(self.first, second)
        self.last = max(self.last, second)
        self.counts[second // self.unit * 4096 + route] = 1
        if len(self.counts) > _MAX_COUNTS:
            self._coarser()

    def _minute(self, second: int) -> array[int] | None:
        if len(self.entries) >= _MAX_MINUTES:
            return None
        cells = self.entries[second // 60] = array("L", bytes(60 * array("L").itemsize))
        return cells

    def _agent(self, agent: str | None) -> int:
        kind = 0
        if agent and not self.rules.keep_synthetic and _OURS.search(agent):
            kind = _OURSELVES
        elif agent and not self.rules.keep_bots and BOTS.search(agent):
            kind = _BOT
        if len(self._agents) < _MAX_KNOWN:
            self._agents[agent] = kind
        return kind

    def _leave(self, why: int) -> None:
        name = _REASONS[why]
        setattr(self.left, name, getattr(self.left, name) + 1)

    def _route(self, page: tuple[str, str]) -> int:
        method, path = page
        found = self.map.find(method, path)
        if found is None:
            found = self._other(method, path)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[page] = found
        return found

    def _other(self, method: str, path: str) -> int:
        """The number of a route that no journey has."""
        label = self._routes.template(path)
        if label.endswith(":file") or path in _FILES or method == "OPTIONS":
            return _ASSET
        if method in ("GET", "HEAD") and _HEALTH.fullmatch(path):
            return _CHECK
        label = f"{method} {label}" if method else "no request"
        if label not in self._numbers:
            if len(self.labels) >= _MAX_ROUTES:
                label = "others"
            if label not in self._numbers:
                self._numbers[label] = self._base + len(self.labels)
                self.labels.append(label)
        return self._numbers[label]

    def _coarser(self) -> None:
        wider = UNITS[min(UNITS.index(self.unit) + 1, len(UNITS) - 1)]
        merged: dict[int, int] = {}
        for number, count in self.counts.items():
            bucket, route = divmod(number, 4096)
            into = bucket * self.unit // wider * 4096 + route
            merged[into] = merged.get(into, 0) + count
        self.counts, self.unit = merged, wider

    def _hop(self, entry: Entry, at: float, route: int, line: str) -> bool:
        """Note what a visitor does; whether this is but the end of a redirect that we follow."""
        address = self.reader(line) if self.reader is not None else None
        if not address or address == "-":
            return False
        text = f"{address} {entry.agent}".encode("utf-8", "replace")
        name = blake2b(text, digest_size=8, key=self.key).digest()
        before = self._visitors.get(name)
        minute = at // 60
        if before is None:
            if len(self._visitors) >= _MAX_VISITORS:
                self._forget(at)
            self._visitors[name] = [route, at, entry.status, minute, 1]
            return False
        came, then, status, its_minute, number = before
        number = number + 1 if its_minute == minute or number > _CROWD else 1
        crowd = number > _CROWD  # a proxy, an office: not one person
        hop = (
            not crowd
            and status in _REDIRECTS
            and came in self._follow
            and (entry.method in ("GET", "HEAD") or status in (307, 308))
            and -1 <= at - then <= _HOP
        )
        if not crowd and not hop:
            self._gap((int(came), route), at - (entry.seconds or 0.0) - then)
        before[:] = (came if hop else route), at, entry.status, minute, number
        return hop

    def _gap(self, pair: tuple[int, int], seconds: float) -> None:
        if pair in self.wanted and -1.0 <= seconds <= _SESSION:
            kept = self.gaps.setdefault(pair, array("d"))
            if len(kept) < _MAX_GAPS:
                kept.append(max(0.0, seconds))

    def _forget(self, now: float) -> None:
        """Visitors who have left make room; should there be none, all are forgotten."""
        self._visitors = {n: v for n, v in self._visitors.items() if now - v[1] < _SESSION}
        if len(self._visitors) > _MAX_VISITORS * 3 // 4:
            self._visitors.clear()
