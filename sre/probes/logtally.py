"""What do the lines of a log add up to: requests, errors and times by route? (pure)

Totals only grow and are kept from look to look; times for quantiles are those of one look.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sre.core.accesslog import MAX_LINE, Entry, Parser
from sre.core.routes import OTHER, Routes

__all__ = ["Look", "RouteTotals", "Tally", "quantile"]

_OPENING = (302, 303, 304, 307)
"""With 2xx and 5xx the answers that may open a route: a scanner's paths are answered by others."""

_LOGINS = frozenset(
    {
        "login", "log-in", "signin", "sign-in", "sign_in", "session", "sessions", "token", "auth",
        "authenticate", "wp-login.php",
    }
)  # fmt: skip


@dataclass
class RouteTotals:
    """One route since the beginning; `timed` of its requests told how long they took."""

    classes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    timed: int = 0

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.classes.values())


@dataclass
class Look:
    """What one look found.

    Attributes:
        times: seconds of the requests, by route.
        newest: time of the newest line, seconds since the epoch.
        oldest: the same of the oldest.
    """

    requests: int = 0
    errors: int = 0
    client_errors: int = 0
    failed_logins: int = 0
    unparsed: int = 0
    times: dict[str, array[float]] = field(default_factory=dict)
    newest: float | None = None
    oldest: float | None = None

    def quantile(self, share: float) -> float | None:
        """Of the times of all routes together."""
        return quantile([each for times in self.times.values() for each in times], share)


class Tally:
    """Adds lines to totals.

    Args:
        kept: what `to_json` made of an earlier one.
        logins: templates of the routes at which people log in; () recognises them by name.
        max_routes: how many routes are told apart, beside `other`.
    """

    def __init__(
        self,
        kept: Mapping[str, Any],
        parse: Parser,
        routes: Routes,
        *,
        logins: Routes,
        max_routes: int,
    ) -> None:
        self.look = Look()
        self.routes = {
            str(name): RouteTotals(dict(one["classes"]), float(one["seconds"]), int(one["timed"]))
            for name, one in dict(kept.get("routes", {})).items()
        }
        self.bytes, self.unparsed, self.failed_logins, self.gaps = (
            int(kept.get(name, 0)) for name in ("bytes", "unparsed", "failed_logins", "gaps")
        )
        self._parse, self._routes, self._logins, self._most = parse, routes, logins, max_routes
        for name in (*routes.declared, OTHER):
            self.routes.setdefault(name, RouteTotals())

    def to_json(self) -> dict[str, Any]:
        """The totals, as plain JSON."""
        return {
            "routes": {
                name: {"classes": one.classes, "seconds": one.seconds, "timed": one.timed}
                for name, one in self.routes.items()
            },
            "bytes": self.bytes,
            "unparsed": self.unparsed,
            "failed_logins": self.failed_logins,
            "gaps": self.gaps,
        }

    def add(self, text: str) -> None:
        """Count the lines of a text."""
        parse, add = self._parse, self._add
        unparsed = 0
        for line in text.split("\n"):
            entry = parse(line.lstrip("\0")) if len(line) <= MAX_LINE else None
            if entry is not None:
                add(entry)
            elif line.strip("\0\r\t "):
                unparsed += 1
        self.add_unparsed(unparsed)

    def add_unparsed(self, lines: int) -> None:
        """Count lines that could not be read."""
        self.unparsed += lines
        self.look.unparsed += lines

    def _add(self, entry: Entry) -> None:
        look, status = self.look, entry.status
        name = self._routes.template(entry.path)
        totals = self.routes.get(name)
        if totals is None:
            name, totals = self._opened(name, status)
        kind = _CLASS[status // 100] if 100 <= status < 600 else "none"
        totals.classes[kind] = totals.classes.get(kind, 0) + 1
        self.bytes += entry.bytes
        look.requests += 1
        if status >= 400:
            self._bad(entry)
        if entry.seconds is not None:
            totals.seconds += entry.seconds
            totals.timed += 1
            times = look.times.get(name)
            if times is None:
                times = look.times[name] = array("d")
            times.append(entry.seconds)
        at = entry.time
        if at is not None:
            if look.newest is None or at > look.newest:
                look.newest = at
            if look.oldest is None or at < look.oldest:
                look.oldest = at

    def _opened(self, name: str, status: int) -> tuple[str, RouteTotals]:
        """The totals of a route not seen before; those of `other` if it may not be opened."""
        works = status // 100 in (2, 5) or status in _OPENING
        if not works or len(self.routes) > self._most:
            return OTHER, self.routes[OTHER]
        totals = self.routes[name] = RouteTotals()
        return name, totals

    def _bad(self, entry: Entry) -> None:
        if entry.status >= 500:
            self.look.errors += 1
            return
        self.look.client_errors += 1
        if entry.status in (401, 403) and self._is_login(entry.path):
            self.failed_logins += 1
            self.look.failed_logins += 1

    def _is_login(self, path: str) -> bool:
        if self._logins.declared:
            return self._logins.match(path) is not None
        return path.rstrip("/").rpartition("/")[2].lower() in _LOGINS


_CLASS = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


def quantile(times: Iterable[float], share: float) -> float | None:
    """The smallest time that at least this share of them does not exceed; None without any."""
    found = sorted(times)
    return found[max(0, math.ceil(share * len(found)) - 1)] if found else None
