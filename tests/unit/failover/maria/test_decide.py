"""Is nobody promoted who may lack acknowledged writes, and nobody declared dead from one place?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sre.failover.clusters.maria.decide_failover import decide_failover
from sre.failover.clusters.maria.decide_switchover import decide_switchover
from sre.failover.clusters.maria.look import memory_of
from sre.failover.clusters.maria.seen import Answer, Heard, Machine, assemble
from sre.failover.clusters.maria.sheet import Rules
from sre.failover.engine import Decision, Wish
from sre.failover.nodes import Life
from sre.failover.snapshot import Snapshot

RULES = Rules(nodes=("a", "b", "c"))
ADDRESSES = {name: ("10.0.0.1", str(number)) for number, name in enumerate("abc", start=1)}
SEMI = {
    "rpl_semi_sync_master_enabled": "ON", "rpl_semi_sync_master_timeout": "3600000",
    "rpl_semi_sync_master_wait_no_slave": "ON", "rpl_semi_sync_master_wait_point": "AFTER_SYNC",
}  # fmt: skip


def said(number: int, position: str, **more: Any) -> dict[str, Any]:
    return {
        "version": "10.11.19-MariaDB", "server_id": str(number), "read_only": "OFF",
        "log_bin": "ON", "log_slave_updates": "ON", "gtid_binlog_pos": position,
        "gtid_binlog_state": position, "gtid_slave_pos": "", "gtid_current_pos": position,
        "gtid_strict_mode": "ON", "rpl_semi_sync_slave_enabled": "ON", "uptime": "1000",
        "log_bin_index": "/d/bin.index", "datadir": "/d/", "sources": 0, "slave": None,
        "replicas": [], "prepared": 0, "longest": 0.0, "ack_wait": 0.0, "lacks": [],
        "read_only_from": "SQL", "rpl_semi_sync_master_status": "ON",
        "rpl_semi_sync_master_clients": "2", **SEMI, **more,
    }  # fmt: skip


def replica(number: int, position: str, received: str = "", **slave: Any) -> dict[str, Any]:
    row = {
        "Master_Host": "10.0.0.1", "Master_Port": 1, "Master_Server_Id": 1,
        "Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes", "Gtid_IO_Pos": received or position,
        "Using_Gtid": "Slave_Pos", "Seconds_Behind_Master": 0, "SQL_Delay": 0, "Last_IO_Errno": 0,
        "Last_IO_Error": "", "Last_SQL_Errno": 0, "Last_SQL_Error": "", "filters": {}, **slave,
    }  # fmt: skip
    return said(
        number, position, read_only="ON", gtid_slave_pos=position, slave=row, sources=1,
        rpl_semi_sync_master_enabled="OFF", rpl_semi_sync_master_status="OFF",
        rpl_semi_sync_slave_status="ON",
    )  # fmt: skip


def look(
    nodes: Mapping[str, dict[str, Any] | None], *, at: float = 100.0, life: str = "dead",
    moved: Mapping[str, Any] | None = None, known: Mapping[str, Any] | None = None,
) -> Snapshot:  # fmt: skip
    answers = {
        name: Answer(each) if each is not None else Answer(state="refused", why="refused")
        for name, each in nodes.items()
    }
    machines = {
        name: Machine(life=Life(life)) if each is None else Machine(free=10**10)  # type: ignore[arg-type]
        for name, each in nodes.items()
    }
    heard = Heard(answers, machines, {}, {n: n for n in nodes}, ADDRESSES, moved or {}, known or {})
    return assemble("orders", at, heard)


WHOLE = {"a": said(1, "0-1-10"), "b": replica(2, "0-1-10"), "c": replica(3, "0-1-10")}
KNOWN = {**memory_of(look(WHOLE), {}), "at": 90.0}
BROKEN = {"Slave_IO_Running": "Connecting", "Last_IO_Error": "refused"}


def dead(**nodes: Any) -> dict[str, Any]:
    found = {"a": None, "b": replica(2, "0-1-10", **BROKEN), "c": replica(3, "0-1-10", **BROKEN)}
    return {**found, **nodes}


def failover(seen: Snapshot, **wish: Any) -> Decision:
    return decide_failover(Wish("failover", **wish), seen, RULES)


def checks(decision: Decision) -> set[str]:
    return {each.check for each in decision.blockers}


def test_a_whole_cluster_is_switched_and_not_failed_over() -> None:
    assert decide_switchover(Wish("switchover"), look(WHOLE), RULES).allowed
    assert "primary-alive" in checks(failover(look(WHOLE), to="b"))


def test_semi_sync_with_everybody_here_loses_nothing() -> None:
    decision = failover(look(dead(), known=KNOWN))
    assert (decision.old, decision.allowed, decision.loss) == ("a", True, None)
    assert decision.facts["counting"] == ["b", "c"]
    assert decision.facts["semi_sync"]["rpl_semi_sync_master_enabled"] == "ON"


def test_who_has_received_most_is_taken_by_number() -> None:
    ahead = replica(3, "0-1-9", "0-1-10", **BROKEN)
    seen = look(dead(b=replica(2, "0-1-9", **BROKEN), c=ahead), known=KNOWN)
    assert failover(seen).new == "c"
    assert checks(failover(seen, to="b")) == {"behind", "data-loss"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "OFF"}, "timed out"),
        ({"settings": {**SEMI, "rpl_semi_sync_master_enabled": "OFF"}}, "asynchronous"),
        ({"settings": {**SEMI, "rpl_semi_sync_master_timeout": "9000"}}, "last seen 10 s ago"),
        ({"settings": {**SEMI, "rpl_semi_sync_master_wait_no_slave": "OFF"}}, "wait_no_slave"),
        ({"clients": 3}, "of which 2 are known"),
        ({"counting": [], "clients": 0}, "no replica answered"),
        ({"primary": "b"}, "never looked at"),
    ],
    ids=["off", "asynchronous", "timeout", "no-slave", "stranger", "nobody", "unknown"],
)
def test_what_is_not_certain_is_refused_and_can_be_accepted(
    change: dict[str, Any], why: str
) -> None:
    seen = look(dead(), known={**KNOWN, **change})
    decision = failover(seen)
    assert checks(decision) == {"data-loss"}
    assert why in decision.blockers[0].text
    accepted = failover(seen, accept_data_loss="a drill")
    assert accepted.allowed
    assert accepted.loss is not None


def test_a_missing_or_restarted_replica_may_have_had_more() -> None:
    gone = look({**dead(), "c": None}, known=KNOWN)
    assert checks(failover(gone)) == {"data-loss"}
    again = {**replica(3, "0-1-10", **BROKEN), "uptime": "3"}
    assert checks(failover(look(dead(c=again), known=KNOWN))) == {"data-loss"}


def test_nobody_is_dead_from_one_place() -> None:
    there = {name: replica(n, "0-1-10") for n, name in ((2, "b"), (3, "c"))}
    hears = look(dead(**there), life="unknown", moved={"b": ("alive", "it hears")}, known=KNOWN)
    assert {"primary-alive", "fence"} <= checks(failover(hears))
    alone = look(dead(**there), life="unknown", known=KNOWN)
    assert "primary-alive" in checks(failover(alone))
    silent = look(dead(**there), life="dead", known=KNOWN)
    assert failover(silent).allowed


@pytest.mark.parametrize(
    ("node", "check"),
    [
        (replica(2, "0-1-10", Slave_SQL_Running="No"), "sql-stopped"),
        (replica(2, "0-1-10", Slave_IO_Running="No"), "not-streaming"),
        (replica(2, "0-1-10", Using_Gtid="No"), "not-gtid"),
        (replica(2, "0-1-10", SQL_Delay=60), "delayed"),
        (replica(2, "0-1-10", Seconds_Behind_Master=60), "lag"),
        (replica(2, "0-1-10", Master_Server_Id=9), "another-source"),
        (replica(2, "0-1-10", filters={"Replicate_Do_DB": "x"}), "filters"),
        ({**replica(2, "0-1-10"), "gtid_binlog_state": "0-1-10,0-2-4"}, "errant"),
        ({**replica(2, "0-1-10"), "gtid_slave_pos": "0-1-10,5-1-1"}, "domains"),
        ({**replica(2, "0-1-10"), "log_slave_updates": "OFF"}, "binlog"),
        ({**replica(2, "0-1-10"), "sources": 2}, "multi-source"),
        ({**replica(2, "0-1-10"), "server_id": "3"}, "server-id"),
        ({**replica(2, "0-1-10"), "lacks": ["RELOAD"]}, "rights"),
        ({**replica(2, "0-1-10"), "wsrep_on": "ON"}, "galera"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_a_replica_must_be(node: dict[str, Any], check: str) -> None:
    seen = look({**WHOLE, "b": node})
    decision = decide_switchover(Wish("switchover", to="b"), seen, RULES)
    assert check in checks(decision)
