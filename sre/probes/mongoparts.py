"""What do MongoDB's status documents say: which numbers, and what is wrong? (pure)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sre.probes.bounds import Of
from sre.probes.facts import Facts
from sre.probes.judged import Seen

__all__ = ["FACTS", "Denied", "Seen", "read_hello", "read_members", "read_oplog", "read_status"]

Document = Mapping[str, Any]

_MOST_MEMBERS = 50
_WORKING = frozenset({1, 2, 7})
"""PRIMARY, SECONDARY, ARBITER."""
_BY_LABEL = (
    (
        "operations_total", "opcounters", "operation",
        ("insert", "query", "update", "delete", "getmore", "command"),
    ),
    ("asserts_total", "asserts", "kind", ("regular", "warning", "msg", "user")),
)  # fmt: skip

_PLAIN = {
    "uptime_seconds": ("uptime", "Time since the server was started."),
    "connections": ("connections.current", "Connections of clients."),
    "connections_available": ("connections.available", "Connections that are still allowed."),
    "connections_total": ("connections.totalCreated", "Connections that were accepted."),
    "active_clients": ("globalLock.activeClients.total", "Clients with an operation under way."),
    "page_faults_total": ("extra_info.page_faults", "Pages that had to be read from disk."),
    "cursors": ("metrics.cursor.open.total", "Cursors that are open."),
    "cursor_timeouts_total": ("metrics.cursor.timedOut", "Cursors closed because nobody read on."),
    "received_bytes_total": ("network.bytesIn", "Bytes that clients sent."),
    "sent_bytes_total": ("network.bytesOut", "Bytes that were sent to clients."),
    "requests_total": ("network.numRequests", "Requests of clients."),
    "cache_used_bytes": ("wiredTiger.cache.bytes currently in the cache", "Cache in use."),
    "cache_limit_bytes": ("wiredTiger.cache.maximum bytes configured", "Cache there may be."),
}
FACTS = Facts(
    "mongodb",
    ("version_info", "Version of the server; always 1.", "version"),
    ("role_info", "Role of the server; always 1.", "role"),
    ("connections_used_ratio", "Share of the allowed connections that is taken."),
    ("queued_operations", "Operations that wait for a lock.", "mode"),
    ("lock_wait_seconds_total", "Time that operations waited for the global lock."),
    ("operations_total", "Operations of clients.", "operation"),
    ("asserts_total", "Assertions of the server, by kind.", "kind"),
    ("memory_resident_bytes", "Memory that the process has of the system."),
    ("cache_used_ratio", "Share of WiredTiger's cache in use; its own aim is 80 %."),
    ("cache_dirty_ratio", "Share of WiredTiger's cache that is not on disk yet."),
    ("members", "Members of the replica set."),
    ("members_working", "Members that are primary, secondary or arbiter."),
    ("member_up", "Whether a member is primary, secondary or arbiter.", "member"),
    ("member_lag_seconds", "Writes that a member lacks, as time behind the primary.", "member"),
    ("oplog_window_seconds", "Time that a member may be away and still catch up."),
    *((name, text) for name, (_, text) in _PLAIN.items()),
)
"""What a MongoDB server tells."""


class Denied(Exception):  # noqa: N818  a finding about one question, not an error of ours
    """This user may not ask that, or the server does not know the question."""


def read_hello(hello: Document, seen: Seen) -> bool:
    """The role, of `hello` or `isMaster`; whether the server belongs to a replica set."""
    in_set = "setName" in hello
    if hello.get("msg") == "isdbgrid":
        seen.role = "mongos"
    elif hello.get("arbiterOnly"):
        seen.role = "arbiter"
    elif hello.get("isWritablePrimary") or hello.get("ismaster"):
        seen.role = "primary" if in_set else "standalone"
    else:
        seen.role = "secondary" if hello.get("secondary") else "other"
    seen.gauges.append(FACTS("role_info", 1, role=seen.role))
    if not in_set:
        seen.measured |= {"lag": None, "min_oplog_window": None, "min_members": None}
    if seen.role == "arbiter":
        seen.measured["min_oplog_window"] = None
    return in_set or bool(hello.get("isreplicaset"))


def read_status(status: Document, seen: Seen) -> None:
    """What `serverStatus` says; a version or a storage engine without a number leaves it out."""
    add = seen.gauges.append
    if "version" in status:
        add(FACTS("version_info", 1, version=str(status["version"])[:40]))
    for name, (path, _) in _PLAIN.items():
        if (value := _number(status, path)) is not None:
            add(FACTS(name, value))
    resident = _number(status, "mem.resident") or 0.0
    if resident:
        add(FACTS("memory_resident_bytes", resident * 2**20))
    for name, place, label, kinds in _BY_LABEL:
        for kind in kinds:
            if (count := _number(status, f"{place}.{kind}")) is not None:
                add(FACTS(name, count, **{label: kind}))
    _load(status, seen)
    _locks(status, seen)


def _load(status: Document, seen: Seen) -> None:
    have = _number(status, "connections.current")
    free = _number(status, "connections.available")
    if have is not None and free is not None and have + free > 0:
        seen.measured["connections"] = have / (have + free)
        seen.gauges.append(FACTS("connections_used_ratio", have / (have + free)))
    if "wiredTiger" not in status:
        seen.measured["cache"] = None
        return
    most = _number(status, _PLAIN["cache_limit_bytes"][0])
    for name, path in (
        ("cache_used_ratio", _PLAIN["cache_used_bytes"][0]),
        ("cache_dirty_ratio", "wiredTiger.cache.tracked dirty bytes in the cache"),
    ):
        used = _number(status, path)
        if used is not None and most:
            seen.gauges.append(FACTS(name, used / most))
            if name == "cache_used_ratio":
                seen.measured["cache"] = used / most


def _locks(status: Document, seen: Seen) -> None:
    waiting = 0.0
    for mode in ("readers", "writers"):
        if (count := _number(status, f"globalLock.currentQueue.{mode}")) is not None:
            seen.gauges.append(FACTS("queued_operations", count, mode=mode))
            waiting += count
            seen.measured["queue"] = waiting
    if seen.role == "mongos":
        seen.measured["queue"] = None
    waits = _inside(status, "locks.Global.timeAcquiringMicros")
    if isinstance(waits, Mapping):
        total = sum(_number(waits, mode) or 0.0 for mode in waits)
        seen.gauges.append(FACTS("lock_wait_seconds_total", total / 1e6))


def read_members(status: Document, seen: Seen) -> None:
    """What `replSetGetStatus` says: without a primary nobody can write."""
    members: Sequence[Document] = status.get("members") or ()
    working = [one for one in members if _works(one)]
    primary = next((one for one in members if one.get("state") == 1), None)
    seen.gauges += [FACTS("members", len(members)), FACTS("members_working", len(working))]
    seen.measured["min_members"] = len(working)
    if primary is None:
        seen.bad.append("the replica set has no primary: nobody can write")
    for one in members:
        own = bool(one.get("self"))
        if not _works(one):
            state = str(one.get("stateStr") or "unreachable")[:40]
            what = "this member" if own else f"member {one.get('_id')}"
            (seen.bad if own else seen.poor).append(f"{what} is {state}")
    newest = max((at for one in members if (at := _written(one)) is not None), default=None)
    head = _written(primary) if primary is not None else None
    _lags(members, newest if head is None else head, seen)


def _lags(members: Sequence[Document], head: datetime | None, seen: Seen) -> None:
    lags = []
    for one in members[:_MOST_MEMBERS]:
        label = str(one.get("_id"))
        seen.gauges.append(FACTS("member_up", _works(one), member=label))
        at = _written(one)
        if head is None or at is None or one.get("state") == 1 or not _works(one):
            continue
        lag = max(0.0, (head - at).total_seconds())
        lags.append(Of(lag, f"member {label}"))
        seen.gauges.append(FACTS("member_lag_seconds", lag, member=label))
    seen.measured["lag"] = max(lags, default=None)


def read_oplog(ends: tuple[float, float] | None, seen: Seen) -> None:
    """The times of the oldest and the newest entry, in seconds since the epoch; None: no entry."""
    if ends is None:
        return
    window = max(0.0, ends[1] - ends[0])
    seen.measured["min_oplog_window"] = window
    seen.gauges.append(FACTS("oplog_window_seconds", window))


def _works(member: Document) -> bool:
    return bool(member.get("health", 1)) and member.get("state") in _WORKING


def _written(member: Document) -> datetime | None:
    """The time of its last write; an arbiter has none, one that is down says 1970."""
    at = member.get("optimeDate")
    return at if isinstance(at, datetime) and at.year > 1970 else None


def _inside(document: Document, path: str) -> Any:
    found: Any = document
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _number(document: Document, path: str) -> float | None:
    found = _inside(document, path)
    return float(found) if isinstance(found, int | float) else None
