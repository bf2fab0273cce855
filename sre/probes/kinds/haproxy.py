"""Has each backend of HAProxy servers left, and does nothing wait or come near its limit?"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import ClassVar

from sre.core.secrets import Secret
from sre.core.units import Share
from sre.journey.result import Outcome, Reason
from sre.probes.dial import Attempt, Trouble, admitted, connect
from sre.probes.facts import Facts
from sre.probes.fetch import basic, check_url, expect_ok, opened
from sre.probes.haproxyfacts import FACTS, gauges_of
from sre.probes.haproxystat import NotStatistics, Pool, Snapshot, parse
from sre.probes.model import ProbeContext, Reading

__all__ = ["Backend", "HaproxyProbe", "Limits", "judge"]

_LIMIT = 16 * 2**20
_ASK = b"show info;show stat\n"
_PORT = re.compile(r"(\[[^\]]+\]|[^:/\[\]]+):(\d{1,5})")
_CURES = {
    401: "give `user` and `password` (stats auth)",
    403: "let HAProxy admit this machine's address",
    404: "`url` must be that of the statistics page (stats uri)",
}


@dataclass(frozen=True)
class Backend:
    """What one backend must have.

    Attributes:
        min_up: servers that get requests, spare ones included; fewer and it has failed.
        min_share: the same as a share of the backend's servers.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    min_up: int = 1
    min_share: Share | None = None

    def __post_init__(self) -> None:
        if self.min_up < 0:
            raise ValueError("min_up must not be negative")
        if self.min_share is not None and self.min_share > 1:
            raise ValueError("min_share must be at most 100%")


@dataclass(frozen=True)
class Limits:
    """How much is too much; what has no limit is only measured.

    Attributes:
        queue: requests of one backend that wait for a server.
        sessions: the highest share of sessions to their limit: process, frontends, servers.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    queue: int | None = None
    sessions: Share | None = None

    def exceeded(self, pools: Iterable[Pool], fullest: tuple[float, str]) -> list[str]:
        """What is above its limit, for people."""
        told = [
            f"{pool.name}: {pool.queue} requests wait (limit {self.queue})"
            for pool in pools
            if self.queue is not None and pool.queue > self.queue
        ]
        share, what = fullest
        if self.sessions is not None and share > self.sessions:
            told.append(f"{what} has {share:.0%} of its sessions (limit {self.sessions:.0%})")
        return told


@dataclass(frozen=True)
class HaproxyProbe:
    """Reads HAProxy's statistics over its runtime API, or from its statistics page.

    A backend without any server that gets requests has failed; one with a server that its health
    check took out, or that lives on a spare one, is degraded. Servers in MAINT or DRAIN were taken
    out on purpose and count as nothing but missing.

    Attributes:
        socket: the runtime API: a path, or HOST:PORT (`stats socket` in HAProxy's configuration;
            level `user` is enough).
        url: the statistics page, in place of `socket`; it does not tell about the process.
        user: for the page's `stats auth`, with `password`.
        ca_file: PEM file of the authorities to trust instead of the system's, for `url`.
        backends: those to judge, with what they must have; all that have servers unless told.
        warn: above one of these it is degraded.
        max: above one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    socket: str = ""
    url: str = ""
    user: str = ""
    password: Secret | None = None
    ca_file: str | None = None
    backends: dict[str, Backend] = field(default_factory=dict)
    warn: Limits = Limits()
    max: Limits = Limits()

    def __post_init__(self) -> None:
        if bool(self.socket) == bool(self.url):
            raise ValueError("give either `socket` (the runtime API) or `url` (statistics page)")
        if self.url:
            check_url(self.url)
        elif "/" not in self.socket:
            _address(self.socket)
        if self.password is not None and not self.user:
            raise ValueError("password without user; give both")
        if self.socket and (self.user or self.ca_file):
            raise ValueError("user, password and ca_file are for `url`, the statistics page")

    def check(self, context: ProbeContext) -> Reading:
        """Ask, read, judge."""
        attempt = Attempt("haproxy", context)
        try:
            snapshot = parse(self._text(attempt))
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        except NotStatistics:
            return attempt.reading(Outcome.FAILED, Reason.BODY, _not_ours(bool(self.url)))
        attempt.gauges += gauges_of(snapshot, self.backends)
        return attempt.reading(*judge(snapshot, self))

    def _text(self, attempt: Attempt) -> str:
        if self.url:
            return _page(attempt, self)
        if "/" in self.socket:
            with closing(_local(attempt, self.socket)) as raw:
                return _dialogue(attempt, raw)
        with closing(connect(attempt, admitted(attempt, *_address(self.socket)))) as raw:
            return _dialogue(attempt, raw)


def judge(snapshot: Snapshot, probe: HaproxyProbe) -> tuple[Outcome, Reason, str]:
    """The verdict on what was read (pure)."""
    pools = {pool.name: pool for pool in snapshot.pools}
    asked = probe.backends or {name: Backend() for name, pool in pools.items() if pool.servers}
    watched = [pools[name] for name in asked if name in pools]
    bad = [
        f"no backend is named {name!r}; there are: {', '.join(sorted(pools)) or 'none'}"[:300]
        for name in asked
        if name not in pools
    ]
    bad += [short for pool in watched if (short := _short(pool, asked[pool.name]))]
    bad += probe.max.exceeded(watched, snapshot.fullest())
    if bad:
        return Outcome.FAILED, Reason.STATUS, "; ".join(bad[:10])
    weak = [thin for pool in watched if (thin := _thin(pool))]
    weak += probe.warn.exceeded(watched, snapshot.fullest())
    if weak:
        return Outcome.DEGRADED, Reason.STATUS, "; ".join(weak[:10])
    return Outcome.OK, Reason.NONE, ""


def _short(pool: Pool, need: Backend) -> str:
    """What a backend lacks of what it must have; empty when it has it."""
    up, known = pool.serving, len(pool.servers)
    share = need.min_share or 0.0
    if up >= need.min_up and up >= share * known:
        return ""
    least = f"at least {need.min_up}" if up < need.min_up else f"at least {share:.0%}"
    return f"{pool.name}: {up} of {known} servers get requests, {least} must ({_states(pool)})"


def _thin(pool: Pool) -> str:
    """What is not as it should be with a backend that still has servers."""
    if any(one.state == "down" for one in pool.servers):
        return f"{pool.name}: {pool.serving} of {len(pool.servers)} servers up ({_states(pool)})"
    serving = [one for one in pool.servers if one.serves]
    if serving and all(one.backup for one in serving) and not all(s.backup for s in pool.servers):
        return f"{pool.name}: only spare servers are left ({_states(pool)})"
    return ""


def _states(pool: Pool) -> str:
    """The servers that get no requests, up to five."""
    told = [
        f"{one.name} {one.state.upper()}{f' {one.why}' if one.why and not one.is_out else ''}"
        for one in pool.servers
        if not one.serves
    ]
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    return f"{', '.join(told[:5])}{more}" if told else "none is out"


def _address(text: str) -> tuple[str, int]:
    """Raises ValueError."""
    match = _PORT.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError(
            f"socket {text!r} is neither a path such as /run/haproxy/admin.sock nor HOST:PORT"
        )
    return match[1].strip("[]"), int(match[2])


def _local(attempt: Attempt, path: str) -> socket.socket:
    """A connection to a unix socket. No allow-list: it is a file of this machine."""
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with attempt.phase("connect"):
            raw.settimeout(attempt.time_left())
            raw.connect(path)
    except BaseException as error:
        raw.close()
        if isinstance(error, OSError):
            raise _refused(path, error) from error
        raise
    return raw


def _refused(path: str, error: OSError) -> Trouble:
    if isinstance(error, TimeoutError | BlockingIOError):
        return Trouble(Reason.TIMEOUT, f"{path} takes no connection in time")
    if isinstance(error, PermissionError):
        what = f"no permission to open {path}; run as a user of its group, or set its `mode`"
        return Trouble(Reason.PROBER, what)
    if isinstance(error, FileNotFoundError):
        return Trouble(Reason.CONNECT, f"{path} is not there; is HAProxy running, and is it there?")
    return Trouble(Reason.CONNECT, f"{path}: {error.strerror or error}")


def _dialogue(attempt: Attempt, raw: socket.socket) -> str:
    """Ask once and read to the end. Raises Trouble."""
    found = bytearray()
    with attempt.phase("processing"):
        try:
            raw.settimeout(attempt.time_left())
            raw.sendall(_ASK)
            while len(found) <= _LIMIT:
                raw.settimeout(attempt.time_left())
                chunk = raw.recv(65536)
                if not chunk:
                    return found.decode(errors="replace")
                found += chunk
        except TimeoutError as error:
            raise Trouble(Reason.TIMEOUT, "connected, but no full answer came in time") from error
        except OSError as error:
            raise Trouble(Reason.PROTOCOL, f"closed while answering: {error.strerror}") from error
    raise Trouble(Reason.BODY, f"the answer is longer than {_LIMIT >> 20} MiB")


def _page(attempt: Attempt, probe: HaproxyProbe) -> str:
    url = probe.url if probe.url.endswith(";csv") else f"{probe.url};csv"
    with opened(attempt, url, ca_file=probe.ca_file) as fetcher:
        page = fetcher.get(url, basic(probe.user, probe.password), limit=_LIMIT)
    expect_ok(page, _CURES)
    return page.body.decode(errors="replace")


def _not_ours(page: bool) -> str:  # noqa: FBT001  which of the two ways was used
    where = "`url` must be that of its statistics page" if page else "`socket` its stats socket"
    return f"the answer is not HAProxy's statistics; {where}"
