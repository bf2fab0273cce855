"""Are MongoDB's status documents read as its manual describes them? (no server)"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from sre.journey.result import Outcome
from sre.probes.bounds import verdict
from sre.probes.judged import Seen
from sre.probes.kinds.mongodb import MongodbLimits
from sre.probes.mongoparts import read_hello, read_members, read_oplog, read_status
from tests.servers.mongomock import hello, members, status


def values(seen: Seen) -> dict[Any, float]:
    return {
        (g.name.removeprefix("sre_probe_mongodb_"), *(value for _, value in g.labels)): g.value
        for g in seen.gauges
    }


def judged(seen: Seen, **limits: Any) -> tuple[Outcome, str]:
    outcome, _, message = verdict(
        MongodbLimits(**limits), MongodbLimits(), seen.measured, bad=seen.bad, poor=seen.poor
    )
    return outcome, message


def test_every_number_of_server_status() -> None:
    seen = Seen(role="primary")
    read_status(status(), seen)
    found = values(seen)
    assert found["version_info", "7.0.14"] == 1
    assert found["connections_used_ratio",] == 40 / 200
    assert (found["queued_operations", "readers"], found["queued_operations", "writers"]) == (2, 1)
    assert found["lock_wait_seconds_total",] == 2.0
    assert found["operations_total", "delete"] == 40
    assert found["asserts_total", "user"] == 12
    assert found["memory_resident_bytes",] == 200 * 2**20
    assert (found["cache_used_ratio",], found["cache_dirty_ratio",]) == (0.8, 0.05)
    assert (found["cursor_timeouts_total",], found["page_faults_total",]) == (4, 7)
    assert judged(seen, connections=0.2, queue=3, cache=0.8) == (Outcome.OK, "")
    assert judged(seen, queue=2)[1] == "queue 3 (limit 2)"


def test_another_storage_engine_and_a_router_have_less() -> None:
    seen = Seen(role="mongos")
    read_status({"version": "8.0", "connections": {"current": 1}, "ok": 1.0}, seen)
    assert ("cache_used_ratio",) not in values(seen)
    assert judged(seen, cache=0.5, queue=1) == (Outcome.OK, "")
    assert judged(seen, connections=0.5)[0] is Outcome.DEGRADED, "it cannot be judged"


@pytest.mark.parametrize(
    ("answer", "role", "in_set"),
    [
        (hello(), "standalone", False),
        (hello(setName="shop"), "primary", True),
        (hello(setName="shop", ismaster=False, isWritablePrimary=False, secondary=True),
         "secondary", True),
        (hello(setName="shop", ismaster=False, isWritablePrimary=False, arbiterOnly=True),
         "arbiter", True),
        (hello(msg="isdbgrid"), "mongos", False),
        ({"ismaster": False, "isreplicaset": True, "ok": 1.0}, "other", True),
    ],
)  # fmt: skip
def test_roles(answer: dict[str, Any], role: str, in_set: bool) -> None:
    seen = Seen()
    assert read_hello(answer, seen) is in_set
    assert seen.role == role
    if role in ("standalone", "mongos"):
        assert judged(seen, lag=1.0, min_members=3, min_oplog_window=1.0)[0] is Outcome.OK


def test_lag_is_told_by_member_and_the_worst_is_named() -> None:
    seen = Seen()
    read_members(members(3, 75), seen)
    found = values(seen)
    assert (found["members",], found["members_working",]) == (4, 4)
    assert (found["member_lag_seconds", "1"], found["member_lag_seconds", "2"]) == (3, 75)
    assert ("member_lag_seconds", "0") not in found
    assert ("member_lag_seconds", "9") not in found
    assert judged(seen, lag=75.0, min_members=4) == (Outcome.OK, "")
    assert judged(seen, lag=74.0)[1].startswith("lag of member 2")


def test_without_a_primary_it_fails() -> None:
    seen = Seen()
    read_members(members(3, primary=False), seen)
    assert judged(seen)[0] is Outcome.FAILED
    assert "no primary" in judged(seen)[1]
    assert values(seen)["member_lag_seconds", "1"] == 3, "behind the newest write there is"


def test_a_member_that_is_down_degrades_and_this_one_fails() -> None:
    told = members(0, 0)
    down = {"health": 0.0, "state": 8, "stateStr": "(not reachable/healthy)"}
    told["members"][1].update(down, optimeDate=datetime(1970, 1, 1))
    seen = Seen()
    read_members(told, seen)
    assert judged(seen) == (Outcome.DEGRADED, "member 1 is (not reachable/healthy)")
    assert judged(seen, min_members=4)[0] is Outcome.FAILED
    assert ("member_lag_seconds", "1") not in values(seen)
    told["members"][2].update({"state": 3, "stateStr": "RECOVERING", "self": True})
    seen = Seen()
    read_members(told, seen)
    assert judged(seen)[0] is Outcome.FAILED
    assert "this member is RECOVERING" in judged(seen)[1]


def test_the_oplog_window() -> None:
    seen = Seen()
    read_oplog((1000.0, 4600.0), seen)
    assert judged(seen, min_oplog_window=3600.0) == (Outcome.OK, "")
    assert judged(seen, min_oplog_window=3601.0)[0] is Outcome.FAILED
    empty = Seen()
    read_oplog(None, empty)
    assert judged(empty, min_oplog_window=1.0)[0] is Outcome.DEGRADED
