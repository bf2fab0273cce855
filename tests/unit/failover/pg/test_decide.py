"""From what was seen alone: who may be promoted, who may not, and which word says why?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.failover.clusters.pg.decide_failover import decide_failover, most_advanced
from sre.failover.clusters.pg.decide_mend import decide_fence, decide_rejoin
from sre.failover.clusters.pg.decide_switchover import decide_switchover
from sre.failover.clusters.pg.judge_end import obstacles, settled
from sre.failover.clusters.pg.lsn import lsn_text
from sre.failover.clusters.pg.seen import Answer, Heard, Machine, assemble, seconds_of
from sre.failover.clusters.pg.sheet import Rules
from sre.failover.engine import Decision, Wish
from sre.failover.nodes import Life
from sre.failover.snapshot import NodeSeen, Snapshot
from sre.failover.switches import Server, Way

RULES = Rules(("a", "b", "c"))
SETTINGS = {
    "synchronous_standby_names": "ANY 1 (a, b, c)", "synchronous_commit": "on",
    "wal_log_hints": "on", "data_checksums": "off", "wal_retrieve_retry_interval": "5s",
    "wal_receiver_timeout": "1min", "wal_segment_size": "16MB", "primary_slot_name": "",
    "default_transaction_read_only": "off",
}  # fmt: skip
ONE = "17\n/srv/pg/b\n1700000000\n5432\n\n127.0.0.1\n"
REMEMBERED = {
    "primary": "a", "names": "ANY 1 (a, b, c)", "commit": "on", "timeline": 1, "position": 1000,
    "counting": ["b", "c"], "at": 900.0,
}  # fmt: skip


def said(*, recovering: bool, at: int = 1000, timeline: int = 1, **more: Any) -> dict[str, Any]:
    """What a node answers."""
    position = lsn_text(at)
    settings = {**SETTINGS, **more.pop("settings", {})}
    receiver = {"status": "streaming", "host": "10.0.0.1", "port": 5432, "timeline": timeline,
                "slot": None, "silent": 0.0}  # fmt: skip
    names = more.pop("senders", ["b", "c"])
    senders = [{"name": n, "state": "streaming", "sync": "quorum"} for n in names]
    return {
        "recovering": recovering, "version": 150000, "superuser": True, "system": "1",
        "control_timeline": timeline, "recovery_timeline": timeline,
        "flushed": None if recovering else position,
        "wal_file": None if recovering else f"{timeline:08X}0000000000000001",
        "received": position if recovering else None, "replayed": position if recovering else None,
        "paused": False, "replay_age": 0.1, "replay_at": 990.0, "follows": True,
        "receiver": receiver if recovering else None, "files_timeline": None,
        "senders": [] if recovering else senders, "settings": settings, "overrides": {},
        "slots": [], "process": None, "backups": 0, "prepared": 0, "longest": 0, "history": None,
        **more,
    }  # fmt: skip


def heard(answers: Mapping[str, dict[str, Any] | str], **more: Any) -> Snapshot:
    """A snapshot; a text is the state of a node that did not answer."""
    machines = {name: Machine(free=2**34) for name in answers}
    found = {}
    for name, each in answers.items():
        found[name] = Answer(state=each, why=each) if isinstance(each, str) else Answer(each)
        if isinstance(each, str):
            machines[name] = Machine(life=Life("dead"))
    machines |= more.pop("machines", {})
    way = Way(tuple(Server(n, f"{n}:1", "open" if n == "a" else "closed",
                           "open" if n == "a" else "closed") for n in answers))  # fmt: skip
    parts: dict[str, Any] = {
        "ways": {"front": way}, "servers": {n: n for n in answers}, "remembered": REMEMBERED,
        "addresses": {"a": ("10.0.0.1", "5432")}, **more,
    }  # fmt: skip
    return assemble("orders", 1000.0, Heard(found, machines, **parts))


def standby(**more: Any) -> dict[str, Any]:
    return said(recovering=True, **more)


def orphan(**more: Any) -> dict[str, Any]:
    """A standby whose primary is gone."""
    return said(recovering=True, receiver=None, **more)


def blocked(decision: Decision) -> set[str]:
    return {each.check for each in decision.blockers}


HEALTHY = {"a": said(recovering=False), "b": standby(), "c": standby()}
GONE: dict[str, Any] = {"a": "refused", "b": orphan(), "c": orphan()}


def test_a_healthy_set_switches_to_the_best() -> None:
    rules = Rules(("a", "b", "c"), priority={"c": 5})
    found = decide_switchover(Wish("switchover"), heard(HEALTHY), rules)
    assert (found.blockers, found.old, found.new) == ((), "a", "c")
    assert found.facts["siblings"] == ["b"]
    assert found.facts["names"] == "ANY 1 (a, b, c)"


def test_names_of_others_alone_are_exchanged_and_a_rule_stands_over_all_others() -> None:
    primary = said(recovering=False, settings={"synchronous_standby_names": "ANY 1 (b, c)"})
    seen = heard({**HEALTHY, "a": primary})
    found = decide_switchover(Wish("switchover", to="b"), seen, RULES)
    assert found.facts["names"] == "ANY 1 (a, c)"
    ruled = decide_switchover(Wish("switchover", to="b"), seen, Rules(RULES.nodes, "FIRST 2"))
    assert ruled.facts["names"] == "FIRST 2 (a, c)"


@pytest.mark.parametrize(
    ("change", "wish", "check"),
    [
        ({"b": standby(paused=True)}, "b", "replay-paused"),
        ({"b": standby(at=0)}, "b", "lag"),
        ({"b": standby(timeline=2)}, "b", "timeline"),
        ({"b": orphan()}, "b", "not-streaming"),
        ({"a": said(recovering=False, senders=["c"])}, "b", "not-streaming"),
        ({"b": "silent"}, "b", "no-standby"),
        ({"b": "silent", "c": "refused"}, None, "no-standby"),
        ({"b": said(recovering=False)}, "c", "two-primaries"),
        ({"a": "refused"}, "b", "no-primary"),
        ({"b": standby(system="2")}, "c", "system-id"),
        ({"a": said(recovering=False, backups=1)}, "b", "base-backup"),
        ({"b": standby(backups=1)}, "b", "base-backup"),
        ({"a": said(recovering=False, prepared=2)}, "b", "prepared-transactions"),
        ({"b": standby(settings={"recovery_min_apply_delay": "1h"})}, "b", "replay-delayed"),
        ({"a": said(recovering=False, process=ONE), "b": standby(process=ONE)}, "b", "same-server"),
        ({}, "a", "same-node"),
        ({}, "x", "unknown-node"),
    ],
)
def test_what_stands_against_a_switchover(
    change: dict[str, Any], wish: str | None, check: str
) -> None:
    rules = Rules(RULES.nodes, max_lag=500)
    found = decide_switchover(Wish("switchover", to=wish), heard({**HEALTHY, **change}), rules)
    assert check in blocked(found)
    assert all(each.text for each in found.blockers)


def test_machines_and_switches_stand_against_it_too() -> None:
    odd = {"a": Machine(unreachable="no route"), "b": Machine(free=1000)}
    way = Way((Server("a", "a:1", "open", "closed"),), ("file and run time differ",))
    seen = heard(HEALTHY, machines=odd, ways={"front": way, "dns": "it does not answer"})
    found = decide_switchover(Wish("switchover", to="b"), seen, RULES)
    assert blocked(found) == {"control", "disk", "traffic"}


def test_a_primary_that_is_gone_fails_over_to_whoever_has_the_most() -> None:
    seen = heard({**GONE, "c": orphan(at=1001)})
    found = decide_failover(Wish("failover"), seen, RULES)
    assert (found.blockers, found.old, found.new, found.loss) == ((), "a", "c", None)


def test_the_timeline_counts_before_the_position() -> None:
    stale = NodeSeen("b", "standby", timeline=1, position=9000)
    fresh = NodeSeen("c", "standby", timeline=2, position=10)
    assert most_advanced([stale, fresh]) == (fresh,)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2**64 - 1)), min_size=1, max_size=5))
def test_nobody_is_ahead_of_the_most_advanced(at: list[tuple[int, int]]) -> None:
    nodes = [NodeSeen(str(i), timeline=t, position=p) for i, (t, p) in enumerate(at)]
    best = most_advanced(nodes)
    assert best
    assert {(each.timeline, each.position) for each in best} == {max(at)}


@pytest.mark.parametrize(
    ("change", "more", "check"),
    [
        ({"a": said(recovering=False)}, {}, "primary-alive"),
        ({"b": standby()}, {}, "primary-alive"),
        ({"a": "no-login"}, {}, "primary-alive"),
        ({"b": orphan(paused=True), "c": orphan(paused=True)}, {}, "replay-paused"),
        ({"c": "refused"}, {}, "quorum"),
        ({"b": "refused", "c": "refused"}, {}, "no-standby"),
        ({}, {"remembered": {**REMEMBERED, "names": ""}}, "data-loss"),
        ({}, {"remembered": {**REMEMBERED, "commit": "local"}}, "data-loss"),
        ({}, {"machines": {"a": Machine(life=Life("unknown"), unreachable="no route")}}, "fence"),
        ({}, {"ways": {"front": "it does not answer"}}, "traffic"),
        ({"c": orphan(system="2")}, {}, "system-id"),
        ({"b": orphan(process=ONE), "c": orphan(process=ONE)}, {}, "same-server"),
    ],
)
def test_what_stands_against_a_failover(
    change: dict[str, Any], more: dict[str, Any], check: str
) -> None:
    found = decide_failover(Wish("failover"), heard({**GONE, **change}, **more), RULES)
    assert check in blocked(found)


def test_what_nobody_answered_did_not_pass() -> None:
    seen = heard({"a": "refused", "b": "refused", "c": "refused"})
    found = decide_failover(Wish("failover"), seen, RULES)
    assert "system-id" not in {each.check for each in found.passed}


def test_a_primary_that_answers_is_not_asked_for_its_fence() -> None:
    found = decide_failover(Wish("failover"), heard(HEALTHY), RULES)
    assert "primary-alive" in blocked(found)
    assert "fence" not in blocked(found) | {each.check for each in found.passed}


def test_one_witness_is_none() -> None:
    alone = Machine(life=Life("unknown"), unreachable="no route")
    silent = {"status": "streaming", "host": "10.0.0.1", "port": 5432, "timeline": 1, "slot": None}
    unsure = said(recovering=True, receiver={**silent, "silent": 10.0})
    seen = heard({"a": "silent", "b": unsure, "c": unsure}, machines={"a": alone})
    found = decide_failover(Wish("failover"), seen, Rules(RULES.nodes, fences=frozenset("a")))
    assert blocked(found) == {"primary-alive"}
    asked = said(recovering=True, receiver={**silent, "silent": 40.0})
    seen = heard({"a": "silent", "b": asked, "c": asked}, machines={"a": alone})
    found = decide_failover(Wish("failover"), seen, Rules(RULES.nodes, fences=frozenset("a")))
    assert found.allowed


def test_to_somebody_who_has_less_only_when_it_is_accepted() -> None:
    seen = heard({**GONE, "c": orphan(at=5000)})
    assert "behind" in blocked(decide_failover(Wish("failover", to="b"), seen, RULES))
    wish = Wish("failover", to="b", accept_data_loss="drill")
    found = decide_failover(wish, seen, RULES)
    assert found.allowed
    assert found.loss is not None
    assert found.loss.seconds == 10.0


def test_a_recent_failover_wants_to_be_looked_at() -> None:
    found = decide_failover(Wish("failover", recent="a to b"), heard(GONE), RULES)
    assert blocked(found) == {"recent"}


def test_never_looked_at_before_the_candidates_configuration_counts() -> None:
    found = decide_failover(Wish("failover"), heard(GONE, remembered={}), RULES)
    assert found.allowed
    plain = {"synchronous_standby_names": ""}
    left = orphan(settings=plain)
    bare: dict[str, Any] = {"a": "refused", "b": left, "c": left}
    found = decide_failover(Wish("failover"), heard(bare, remembered={}), RULES)
    assert blocked(found) == {"data-loss"}


def test_fence_and_rejoin() -> None:
    assert blocked(decide_fence(Wish("fence"), heard(HEALTHY), RULES)) == {"unknown-node"}
    assert blocked(decide_fence(Wish("fence", node="x"), heard(HEALTHY), RULES)) == {"unknown-node"}
    assert decide_fence(Wish("fence", node="a"), heard(HEALTHY), RULES).allowed
    back = heard({**HEALTHY, "c": "refused"})
    assert decide_rejoin(Wish("rejoin"), back, RULES).new == "c"
    assert blocked(decide_rejoin(Wish("rejoin"), heard(HEALTHY), RULES)) == {"unknown-node"}
    assert "same-node" in blocked(decide_rejoin(Wish("rejoin", node="a"), heard(HEALTHY), RULES))
    assert "no-primary" in blocked(decide_rejoin(Wish("rejoin", node="c"), heard(GONE), RULES))


def test_a_run_that_was_killed_does_not_go_on_in_another_world() -> None:
    decision = decide_failover(Wish("failover", to="b"), heard(GONE), RULES)
    words = {each.check for each in obstacles(decision, heard(HEALTHY), ["fence"])}
    assert words == {"primary-alive"}
    other = heard({"a": "refused", "b": orphan(), "c": said(recovering=False, timeline=2)})
    assert {each.check for each in obstacles(decision, other, ["fence"])} == {"another-primary"}
    assert obstacles(decision, heard(GONE), ["fence", "freeze"]) == ()


def test_settled_says_what_is_left() -> None:
    decision = decide_switchover(Wish("switchover", to="b"), heard(HEALTHY), RULES)
    words = {each.check for each in settled(decision, heard(HEALTHY))}
    assert words == {"primary", "traffic", "not-streaming"}


@pytest.mark.parametrize(
    ("shown", "seconds"), [("5s", 5), ("1min", 60), ("100ms", 0.1), ("0", 0), ("", 0), ("500", 0.5)]
)
def test_durations(shown: str, seconds: float) -> None:
    assert seconds_of(shown) == pytest.approx(seconds)
