"""Which picture of a Redis set lets a switch go on, and which one stands against it?"""

from __future__ import annotations

from typing import Any

import pytest

from sre.failover.clusters.red.decide_failover import decide_failover, is_whole
from sre.failover.clusters.red.decide_mend import decide_rejoin
from sre.failover.clusters.red.decide_switchover import decide_switchover
from sre.failover.clusters.red.judge_end import obstacles
from sre.failover.clusters.red.seen import Answer, Heard, Machine, assemble, node_seen
from sre.failover.clusters.red.sheet import Rules
from sre.failover.engine import Decision, Wish
from sre.failover.nodes import Life
from sre.failover.snapshot import Snapshot

ADDRESSES = {name: [f"10.0.0.{at}:6379"] for at, name in enumerate("abc", start=1)}


def said(name: str, **more: Any) -> dict[str, Any]:
    settings = {"save": "60 1", "appendonly": "no", "replica-priority": "100"}
    settings |= {"replica-read-only": "yes", "min-replicas-to-write": "0"}
    replica = name != "a"
    found: dict[str, Any] = {
        "role": "slave" if replica else "master", "runid": f"id-{name}", "version": "7.0.15",
        "cluster": False, "uptime": 1000, "config": "/etc/redis.conf", "replid": "h" * 40,
        "replid2": "0" * 40, "second": -1, "offset": 500, "loading": False, "link": replica,
        "host": "10.0.0.1" if replica else "", "port": 6379 if replica else None, "silent": 0,
        "down": -1, "syncing": False, "good": None, "replicas": [], "bgsave_ok": True,
        "append_ok": True, "saving": False, "settings": settings,
    }  # fmt: skip
    return found | {**more, "settings": settings | more.get("settings", {})}


def sentinel(**more: Any) -> dict[str, Any]:
    rows = [
        {"runid": f"id-{name}", "host": ADDRESSES[name][0].split(":")[0], "port": 6379,
         "flags": ["slave"], "priority": 100, "link": "ok"}
        for name in "bc"
    ]  # fmt: skip
    found = {
        "runid": "id-a", "host": "10.0.0.1", "port": 6379, "flags": ["master"], "epoch": 1,
        "quorum": 2, "others": 2, "heard": 100, "s_down": None, "o_down": None,
        "down_after": 5000, "failover_timeout": 10000, "able": True, "unable": "",
        "replicas": rows,
    }  # fmt: skip
    return found | more


def picture(
    watch: dict[str, Any] | None = None, remembered: Any = None, **nodes: dict[str, Any] | None
) -> Snapshot:
    """All is well but for what is said; None: dead by its control."""
    answers, machines = {}, {}
    for name in "abc":
        own = nodes.get(name, said(name))
        dead = Machine(life=Life("dead"))
        answers[name] = Answer(own) if own is not None else Answer(None, "refused", "no answer")
        machines[name] = Machine() if own is not None else dead
    watches = {"s:1": Answer(watch)} if watch is not None else {}
    heard = Heard(answers, watches, machines, {}, {n: n for n in "abc"}, ADDRESSES,
                  remembered or {})  # fmt: skip
    return assemble("basket", 1e9, heard)


def rules(**more: Any) -> Rules:
    return Rules(("a", "b", "c"), **more)


def cut(name: str, **more: Any) -> dict[str, Any]:
    """A replica whose primary has gone."""
    return said(name, **{"link": False, "down": 3, **more})


def stands(decision: Decision) -> set[str]:
    return {each.check for each in decision.blockers}


def test_all_well_a_switchover_goes_on() -> None:
    found = decide_switchover(Wish("switchover"), picture(sentinel()), rules(sentinels=("s:1",)))
    assert (found.blockers, found.new) == ((), "b")
    assert found.facts["priorities"] == {"c": "100"}
    assert found.facts["at"] == "10.0.0.2:6379"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"b": said("b", link=False)}, "not-streaming"),
        ({"b": said("b", host="10.9.9.9")}, "not-streaming"),
        ({"b": said("b", replid="x" * 40)}, "history"),
        ({"b": said("b", offset=0), "a": said("a", offset=10**9)}, "lag"),
        ({"b": said("b", settings={"requirepass": "set"}),
          "a": said("a", settings={"masterauth": ""})}, "masterauth"),
        ({"b": said("b", settings={"min-replicas-to-write": "3"})}, "min-replicas"),
        ({"a": said("a", settings={"replica-read-only": "no"})}, "replica-read-only"),
        ({"a": said("a", version="6.0.16")}, "version"),
        ({"a": said("a", version="5.0")}, "version"),
        ({"a": said("a", cluster=True)}, "redis-cluster"),
        ({"a": said("a", bgsave_ok=False, settings={"stop-writes-on-bgsave-error": "yes"})},
         "primary"),
        ({"b": said("b", role="master")}, "two-primaries"),
        ({"a": None}, "no-primary"),
        ({"watch": sentinel(able=False, unable="NOQUORUM 1 usable")}, "quorum"),
        ({"watch": sentinel(host="10.0.0.3")}, "sentinels-agree"),
        ({"watch": sentinel(flags=["master", "failover_in_progress"])}, "sentinel"),
        ({"watch": sentinel(replicas=[])}, "sentinel-knows"),
        ({"b": said("b", settings={"replica-priority": "0"})}, "priority"),
    ],
)  # fmt: skip
def test_what_stands_against_a_switchover(change: dict[str, Any], check: str) -> None:
    seen = picture(**{"watch": sentinel(), **change})
    found = decide_switchover(Wish("switchover", to="b"), seen, rules(sentinels=("s:1",)))
    assert check in stands(found), found.blockers


def test_a_replica_that_nobody_declared_might_be_chosen() -> None:
    rows = sentinel()["replicas"]
    rows.append({**rows[0], "runid": "z", "host": "10.0.0.9"})
    seen = picture(sentinel(replicas=rows))
    found = decide_switchover(Wish("switchover"), seen, rules(sentinels=("s:1",)))
    assert stands(found) == {"undeclared"}
    assert "10.0.0.9:6379" in found.blockers[0].text


def test_the_furthest_replica_is_taken_and_what_may_be_lost_is_said() -> None:
    seen = picture(
        a=None, b=cut("b", offset=480), c=cut("c", offset=490),
        remembered={"primary": "a", "replid": "h" * 40, "position": 500},
    )  # fmt: skip
    found = decide_failover(Wish("failover"), seen, rules())
    assert (stands(found), found.new) == ({"data-loss"}, "c")
    assert found.loss is not None
    assert (found.loss.bytes, found.loss.seconds) == (10, 4.0)
    forced = decide_failover(Wish("failover", accept_data_loss="x"), seen, rules())
    assert (forced.blockers, forced.new) == ((), "c")
    wrong = decide_failover(Wish("failover", to="b"), seen, rules())
    assert "behind" in stands(wrong)


@pytest.mark.parametrize(
    ("wait", "c", "safe"),
    [
        (1, cut("c"), True),  # both of two are here: one of them has it
        (1, None, False),
        (2, None, True),  # both had it
        (1, cut("c", uptime=2), False),  # started again since: what memory had is gone
        (1, cut("c", replid="x" * 40), False),
        (0, cut("c"), False),
    ],
)
def test_waiting_for_replicas_proves_it_when_enough_are_here(
    wait: int, c: dict[str, Any] | None, safe: bool
) -> None:
    seen = picture(a=None, b=cut("b"), c=c, remembered={"primary": "a", "replid": "h" * 40})
    found = decide_failover(Wish("failover"), seen, rules(wait=wait))
    assert ("data-loss" not in stands(found)) is safe, found.blockers
    assert (found.loss is None) is safe


def test_a_primary_that_a_replica_hears_is_not_gone() -> None:
    seen = picture(a=None, b=said("b"), c=cut("c"))
    assert "primary-alive" in stands(decide_failover(Wish("failover"), seen, rules(wait=2)))


def test_sentinels_that_can_do_it_come_first() -> None:
    down = {"flags": ["master", "s_down", "o_down"], "heard": 9000, "o_down": 1000}
    watch, three = sentinel(**down), rules(wait=2, sentinels=("s:1",))
    seen = picture(watch, a=None, b=cut("b"), c=cut("c"))
    assert stands(decide_failover(Wish("failover"), seen, three)) == {"sentinel-acts"}
    late = picture(sentinel(**{**down, "o_down": 30_000}), a=None, b=cut("b"), c=cut("c"))
    assert not decide_failover(Wish("failover"), late, three).blockers


def test_a_replica_that_never_heard_its_primary_since_its_start_counts_for_nothing() -> None:
    def node(**more: Any) -> bool:
        return is_whole(node_seen("b", Answer(said("b", **more))))

    assert node(link=True, uptime=1)
    assert node(link=False, down=5, uptime=60)
    assert not node(link=False, down=60, uptime=60)
    assert not node(link=False, down=-1)
    assert not node(link=True, syncing=True)


def test_the_wrong_one_of_two_primaries_is_named() -> None:
    seen = picture(sentinel(), c=said("c", role="master"))
    one = decide_rejoin(Wish("rejoin", node="c"), seen, rules(sentinels=("s:1",)))
    assert (one.blockers, one.old, one.new) == ((), "a", "c")
    assert one.facts["keep"].startswith("kept-")
    other = decide_rejoin(Wish("rejoin", node="a"), seen, rules(sentinels=("s:1",)))
    assert "two-primaries" in stands(other)


def test_who_was_started_again_since_it_was_chosen_is_not_gone_on_with() -> None:
    seen = picture()
    decision = decide_switchover(Wish("switchover"), seen, rules())
    assert not obstacles(decision, seen, ["pause", "promote"])
    again = picture(b=said("b", runid="other"))
    assert [r.check for r in obstacles(decision, again, ["promote"])] == ["restarted"]
    foreign = picture(a=said("c", host="10.0.0.3"), c=said("a", runid="id-c"))
    assert {r.check for r in obstacles(decision, foreign, [])} == {"another-primary"}
