"""Is a memcached server up, does it hit, and is there a connection left?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sre.core.units import Share
from sre.journey.result import Reason
from sre.probes.bounds import verdict
from sre.probes.dial import Attempt, Trouble, admitted
from sre.probes.facts import Facts
from sre.probes.model import Gauge, ProbeContext, Reading
from sre.probes.peer import Trust, trusting
from sre.probes.wire import ask, check_port, check_where, dialled

__all__ = ["MemcachedLimits", "MemcachedProbe", "read_stats"]

_NUMBERS = {
    "uptime_seconds": ("uptime", "Time since the server was started."),
    "connections": ("curr_connections", "Connections that are open."),
    "connections_limit": ("max_connections", "Connections that are allowed at once."),
    "connections_total": ("total_connections", "Connections that were accepted."),
    "rejected_connections_total": ("rejected_connections", "Connections that were turned away."),
    "listen_disabled_total": ("listen_disabled_num", "Times that the connection limit was hit."),
    "hits_total": ("get_hits", "Look-ups that found their item."),
    "misses_total": ("get_misses", "Look-ups that did not find their item."),
    "sets_total": ("cmd_set", "Items that clients asked to store."),
    "evictions_total": ("evictions", "Items that had to go while they were still valid."),
    "evicted_unread_total": ("evicted_unfetched", "Evicted items that nobody had ever read."),
    "expired_unread_total": ("expired_unfetched", "Expired items that nobody had ever read."),
    "received_bytes_total": ("bytes_read", "Bytes that clients sent."),
    "sent_bytes_total": ("bytes_written", "Bytes that were sent to clients."),
    "memory_used_bytes": ("bytes", "Memory that items take."),
    "memory_limit_bytes": ("limit_maxbytes", "Memory that items may take."),
    "items": ("curr_items", "Items that are stored."),
    "stored_items_total": ("total_items", "Items that were ever stored."),
    "threads": ("threads", "Threads that serve clients."),
}
FACTS = Facts(
    "memcached",
    ("version_info", "Version of the server; always 1.", "version"),
    ("answer_seconds", "Time that the answer to `version` took."),
    ("connections_used_ratio", "Share of the allowed connections that is open."),
    ("memory_used_ratio", "Share of the memory for items that is taken."),
    ("hit_ratio", "Share of look-ups since the start that found their item."),
    *((name, text) for name, (_, text) in _NUMBERS.items()),
)


@dataclass(frozen=True)
class MemcachedLimits:
    """What a memcached server may come to.

    Attributes:
        connections: share of the allowed connections (`-c`) that is open.
        memory: share of the memory (`-m`) that items take; a cache in use is normally full.
        min_hit_ratio: least share of look-ups, since the server's start, that found their item.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    connections: Share | None = None
    memory: Share | None = None
    min_hit_ratio: Share | None = None


@dataclass(frozen=True)
class MemcachedProbe:
    """Asks the server for its version and its statistics, in memcached's text protocol.

    Nothing is stored. The text protocol knows no SASL: a server that insists on it (`-S`) speaks
    the binary protocol alone and closes the connection. A server without statistics is degraded.

    Attributes:
        host: name or address; needs an entry in `targets`.
        port: of `host`.
        unix_socket: path of the server's socket on this machine (`-s`), in place of `host`.
        tls: speak TLS, verified.
        server_name: the name in the certificate, if it is not `host`.
        ca_file: PEM file of the authorities to trust instead of the system's.
        cert_file, key_file: PEM files of our own certificate, where the server wants one.
        warn: beyond one of these it is degraded.
        max: beyond one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    host: str | None = None
    port: int = 11211
    unix_socket: str | None = None
    tls: bool = False
    server_name: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    warn: MemcachedLimits = MemcachedLimits()
    max: MemcachedLimits = MemcachedLimits()

    def __post_init__(self) -> None:
        check_port(self.port)
        check_where(self.host, self.unix_socket, tls=self.tls)
        if not self.tls and (self.ca_file or self.cert_file or self.server_name):
            raise ValueError("ca_file, cert_file and server_name need tls: true")

    def check(self, context: ProbeContext) -> Reading:
        """Connect, ask, hang up."""
        attempt = Attempt("memcached", context)
        try:
            stats = self._stats(attempt)
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        gauges, measured = read_stats(stats)
        attempt.gauges += gauges
        poor = [] if stats else ["it answers, but tells no statistics"]
        return attempt.reading(*verdict(self.max, self.warn, measured, poor=poor))

    def _stats(self, attempt: Attempt) -> dict[str, str]:
        trust = Trust(self.ca_file, self.cert_file, self.key_file)
        tls = trusting(trust) if self.tls else None
        where = self.unix_socket or admitted(attempt, self.host or "", self.port)
        with dialled(attempt, where, tls, self.server_name or "") as connection:
            began = time.monotonic()
            answer = ask(attempt, connection, b"version\r\n", _line_ended)
            version = _version(answer)
            attempt.gauges.append(FACTS("answer_seconds", time.monotonic() - began))
            attempt.gauges.append(FACTS("version_info", 1, version=version))
            stats = _table(ask(attempt, connection, b"stats\r\n", _ended))
            if stats and "max_connections" not in stats:  # told since 1.4.21
                settings = _table(ask(attempt, connection, b"stats settings\r\n", _ended))
                if "maxconns" in settings:
                    stats["max_connections"] = settings["maxconns"]
            return stats


def read_stats(stats: Mapping[str, str]) -> tuple[list[Gauge], dict[str, float | None]]:
    """Numbers, and what limits are about, of the answer to `stats` (pure)."""
    gauges = []
    for name, (key, _) in _NUMBERS.items():
        value = _number(stats, key)
        if value is not None:
            gauges.append(FACTS(name, value))
    measured: dict[str, float | None] = {}
    for what, used, most in (
        ("connections", "curr_connections", "max_connections"),
        ("memory", "bytes", "limit_maxbytes"),
    ):
        have, limit = _number(stats, used), _number(stats, most)
        if have is not None and limit:
            measured[what] = have / limit
            gauges.append(FACTS(f"{what}_used_ratio", have / limit))
    hits, misses = _number(stats, "get_hits"), _number(stats, "get_misses")
    if hits is not None and misses is not None:
        measured["min_hit_ratio"] = hits / (hits + misses) if hits + misses else None
        if hits + misses:
            gauges.append(FACTS("hit_ratio", hits / (hits + misses)))
    return gauges, measured


def _version(answer: bytes) -> str:
    text = answer.decode(errors="replace").strip()
    word, _, version = text.partition(" ")
    if "Too many open connections" in text:
        raise Trouble(Reason.STATUS, "the server takes no more connections (-c)")
    if "unauthenticated" in text:
        raise Trouble(Reason.STATUS, "the server wants a login (-Y), which the probe cannot give")
    if word != "VERSION" or not version:
        raise Trouble(Reason.PROTOCOL, "it answered, but not in memcached's text protocol")
    return version[:40]


def _table(answer: bytes) -> dict[str, str]:
    rows = (line.split(None, 2) for line in answer.decode(errors="replace").splitlines())
    return {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == "STAT"}


def _line_ended(answer: bytes) -> bool:
    return answer.endswith(b"\n")


def _ended(answer: bytes) -> bool:
    """`END` behind the last row, or one line of refusal."""
    refused = not answer.startswith((b"STAT", b"END"))
    return answer.endswith(b"END\r\n") or (refused and answer.endswith(b"\n"))


def _number(table: Mapping[str, str], key: str) -> float | None:
    try:
        return float(table[key])
    except (KeyError, ValueError):
        return None
