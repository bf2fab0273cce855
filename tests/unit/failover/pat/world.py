"""What do Patronis answer that are as healthy as a test wants? (snapshots from words alone)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sre.failover.clusters.pat.said import Heard, Said
from sre.failover.clusters.pat.seen import assemble
from sre.failover.clusters.pat.sheet import Rules
from sre.failover.snapshot import Snapshot
from sre.failover.switches import Server, Way

__all__ = ["AT", "CONFIG", "RULES", "cluster", "heard", "picture", "said"]

AT = 1_800_000_000.0
CONFIG = {"ttl": 30, "loop_wait": 10, "maximum_lag_on_failover": 1000, "synchronous_mode": True}
RULES = Rules({"a": "a", "b": "b", "c": "c"}, stops=frozenset("abc"))


def cluster(leader: str = "a", sync: str = "b", **more: Any) -> dict[str, Any]:
    """What `/cluster` says."""
    rows = [
        {
            "name": name, "state": "running", "timeline": 3, "api_url": f"http://{name}:8008/patroni",
            "role": "leader" if name == leader else "sync_standby" if name == sync else "replica",
        }
        for name in "abc"
    ]  # fmt: skip
    return {"members": rows, **more}


def said(name: str, leader: str = "a", *, position: int = 5000, **more: Any) -> dict[str, Any]:
    """What `/patroni` says."""
    lead = name == leader
    wal = {"location": position} if lead else {
        "received_location": position, "replayed_location": position, "paused": False,
        "replayed_timestamp": "2027-01-15 07:59:58.000000+00:00",
    }  # fmt: skip
    streams = [
        {"application_name": other, "state": "streaming"} for other in "abc" if other != leader
    ]
    own = {
        "state": "running", "role": "master" if lead else "replica", "timeline": 3, "xlog": wal,
        "database_system_identifier": "7", "patroni": {"version": "3.0.2", "scope": "orders"},
    }  # fmt: skip
    return {**own, **({"replication": streams} if lead else {}), **more}


def heard(
    members: Mapping[str, Said] | None = None, remembered: Mapping[str, Any] | None = None,
    ways: Mapping[str, Way | str] | None = None, **config: Any,
) -> Heard:  # fmt: skip
    """Three members, `a` leads and `b` is synchronous, but for what `members` says."""
    all_config = {**CONFIG, **config}
    usual = {name: Said(said(name), cluster(), all_config) for name in "abc"}
    front = Way(tuple(Server(n, f"{n}:5432", "open", healthy=n == "a", sessions=1) for n in "abc"))
    return Heard(
        {**usual, **(members or {})}, {n: n for n in "abc"},
        {n: f"http://{n}:8008" for n in "abc"}, {"front": front} if ways is None else ways,
        {n: n for n in "abc"}, remembered or {},
    )  # fmt: skip


def picture(*args: Any, **more: Any) -> Snapshot:
    """The snapshot of it."""
    return assemble("orders", AT, heard(*args, **more))
