"""Which of HAProxy's numbers are exported, and which are left out where there are many?"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sre.probes.facts import Facts
from sre.probes.fitting import SAMPLES, fitting
from sre.probes.haproxystat import Frontend, Pool, Row, Server, Snapshot, number
from sre.probes.model import Gauge

__all__ = ["FACTS", "gauges_of"]

_FRONTEND = (
    ("frontend_sessions", "scur", 1.0, "Sessions that are open now."),
    ("frontend_session_limit", "slim", 1.0, "Sessions that may be open at once (maxconn)."),
    ("frontend_session_rate", "rate", 1.0, "New sessions in the last second."),
    ("frontend_sessions_total", "stot", 1.0, "Sessions so far."),
    ("frontend_request_errors_total", "ereq", 1.0, "Requests that were malformed or broke off."),
    ("frontend_denied_requests_total", "dreq", 1.0, "Requests that a rule refused."),
)
_BACKEND = (
    ("backend_sessions", "scur", 1.0, "Sessions that are open now."),
    ("backend_session_rate", "rate", 1.0, "New sessions in the last second."),
    ("backend_sessions_total", "stot", 1.0, "Sessions so far."),
    ("backend_connect_errors_total", "econ", 1.0, "Connections to servers that failed."),
    ("backend_response_errors_total", "eresp", 1.0, "Responses of servers that broke off."),
    ("backend_retries_total", "wretr", 1.0, "Connections that were tried again."),
    ("backend_redispatches_total", "wredis", 1.0, "Requests that went to another server."),
    ("backend_response_seconds", "rtime", 0.001, "Servers' mean time, last 1024 requests."),
)
_SERVER = (
    ("server_sessions", "scur", 1.0, "Sessions that are open now."),
    ("server_queue", "qcur", 1.0, "Requests that wait for this server."),
    ("server_check_failures_total", "chkfail", 1.0, "Health checks that failed."),
    ("server_since_change_seconds", "lastchg", 1.0, "Time since the server went up or down."),
)
_PROCESS = (
    ("uptime_seconds", "Uptime_sec", 1.0, "Time since the process began."),
    ("connections", "CurrConns", 1.0, "Connections of clients that are open now."),
    ("connection_limit", "Maxconn", 1.0, "Connections that may be open at once."),
    ("connection_rate", "ConnRate", 1.0, "New connections in the last second."),
    ("connections_total", "CumConns", 1.0, "Connections so far."),
    ("descriptor_limit", "Ulimit-n", 1.0, "Descriptors that the process may have open."),
    ("idle_ratio", "Idle_pct", 0.01, "Share of time in which the process had nothing to do."),
)
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", "other")

FACTS = Facts(
    "haproxy",
    *((name, text) for name, _, _, text in _PROCESS),
    *((name, text, "frontend") for name, _, _, text in _FRONTEND),
    *((name, text, "backend") for name, _, _, text in _BACKEND),
    *((name, text, "backend", "server") for name, _, _, text in _SERVER),
    ("frontend_responses_total", "Responses by class of status.", "frontend", "class"),
    ("backend_responses_total", "Responses by class of status.", "backend", "class"),
    ("backend_servers_up", "Servers that get new requests, spare ones included.", "backend"),
    ("backend_servers", "Servers of the backend, whatever their state.", "backend"),
    ("backend_active_servers", "Servers in use that are no spare ones.", "backend"),
    ("backend_backup_servers", "Spare servers that are ready.", "backend"),
    ("backend_queue", "Requests that wait for a server.", "backend"),
    ("server_state_info", "State of a server; always 1.", "backend", "server", "state"),
    ("session_ratio", "The highest share of sessions to a limit: process, frontends, servers."),
    ("frontends_left_out", "Frontends without numbers here, because there are too many."),
    ("backends_left_out", "Backends without numbers here, because there are too many."),
    ("servers_left_out", "Servers without numbers here, because there are too many."),
)  # fmt: skip
_ROOM = {"frontends": 200, "backends": 350}
"""Samples at least kept for the servers and backends: many frontends must not crowd them out."""


def gauges_of(snapshot: Snapshot, first: Collection[str] = ()) -> tuple[Gauge, ...]:
    """The numbers of all, or of the most important: backends `first`, then those with a server
    down, then the busiest.
    """
    pools = sorted(snapshot.pools, key=lambda pool: _rank(pool, first))
    fronts = sorted(snapshot.frontends, key=lambda one: -(number(one.row, "stot") or 0))
    common = [FACTS("session_ratio", snapshot.fullest()[0])]
    common += _plain(_PROCESS, snapshot.info)
    room = SAMPLES - len(common) - 3
    named, frontends = fitting((list(_frontend(one)) for one in fronts), _ROOM["frontends"])
    room -= len(named)
    wide, backends = fitting(
        (list(_pool(pool)) for pool in pools), max(_ROOM["backends"], room // 2)
    )
    groups = (list(_server(pool, one)) for pool in pools for one in _by_state(pool))
    narrow, servers = fitting(groups, room - len(wide))
    left = (
        FACTS("frontends_left_out", frontends),
        FACTS("backends_left_out", backends),
        FACTS("servers_left_out", servers),
    )
    return (*common, *named, *wide, *narrow, *left)


def _rank(pool: Pool, first: Collection[str]) -> tuple[bool, bool, bool, float, str]:
    down = any(one.state == "down" for one in pool.servers)
    busy = -(number(pool.row, "stot") or 0)
    return (pool.name not in first, not pool.servers, not down, busy, pool.name)


def _by_state(pool: Pool) -> list[Server]:
    return sorted(pool.servers, key=lambda one: (one.state != "down", one.serves, one.name))


def _plain(table: tuple[tuple[str, str, float, str], ...], row: Row, **labels: str) -> list[Gauge]:
    found = ((name, number(row, field, scale)) for name, field, scale, _ in table)
    return [FACTS(name, value, **labels) for name, value in found if value is not None]


def _classes(name: str, row: Row, **labels: str) -> Iterator[Gauge]:
    for each in _CLASSES:
        value = number(row, f"hrsp_{each}")
        if value is not None:
            yield FACTS(name, value, **labels, **{"class": each})


def _frontend(one: Frontend) -> Iterator[Gauge]:
    yield from _plain(_FRONTEND, one.row, frontend=one.name)
    yield from _classes("frontend_responses_total", one.row, frontend=one.name)


def _pool(pool: Pool) -> Iterator[Gauge]:
    yield FACTS("backend_servers_up", pool.serving, backend=pool.name)
    yield FACTS("backend_servers", len(pool.servers), backend=pool.name)
    yield FACTS("backend_queue", pool.queue, backend=pool.name)
    for name, field in (("backend_active_servers", "act"), ("backend_backup_servers", "bck")):
        yield FACTS(name, number(pool.row, field) or 0.0, backend=pool.name)
    yield from _plain(_BACKEND, pool.row, backend=pool.name)
    yield from _classes("backend_responses_total", pool.row, backend=pool.name)


def _server(pool: Pool, one: Server) -> Iterator[Gauge]:
    yield FACTS("server_state_info", 1, backend=pool.name, server=one.name, state=one.state)
    yield from _plain(_SERVER, one.row, backend=pool.name, server=one.name)
