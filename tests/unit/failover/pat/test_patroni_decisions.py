"""Is a Patroni cluster changed only when that is safe, whatever its members say?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.failover.clusters.pat.decide import decide_switchover
from sre.failover.clusters.pat.decide_mend import decide_fence, decide_rejoin
from sre.failover.clusters.pat.decide_need import decide_failover
from sre.failover.clusters.pat.said import Said
from sre.failover.clusters.pat.sheet import Rules
from sre.failover.engine import Decision, Wish
from sre.failover.nodes import Life
from sre.failover.switches import Server, Way
from tests.unit.failover.pat.world import AT, CONFIG, RULES, cluster, picture, said

GONE = Said(state="refused", why="refused", life=Life("dead"))
EARLIER = {"leader": "a", "timeline": 3, "position": 5400, "leaderless": AT - 60, "looked": AT}


def member(name: str, cluster_said: Any = None, leader: str = "a", **more: Any) -> Said:
    told = cluster(leader) if cluster_said is None else cluster_said
    return Said(said(name, leader, **more), told, CONFIG)


def switchover(seen: Any, to: str | None = None, rules: Rules = RULES) -> Decision:
    return decide_switchover(Wish("switchover", to=to), seen, rules)


def headless(**members: Said) -> dict[str, Said]:
    """`a` led and is gone; nobody leads now."""
    told = cluster(leader="")
    usual = {"a": GONE, "b": member("b", told), "c": member("c", told)}
    return {**usual, **members}


def blocks(decision: Decision) -> set[str]:
    return {each.check for each in decision.blockers}


def test_the_synchronous_standby_is_taken_and_health_checks_need_no_repointing() -> None:
    decision = switchover(picture())
    assert (decision.allowed, decision.old, decision.new) == (True, "a", "b")
    assert (decision.facts["alone"], decision.facts["told"]) == (["front"], [])


def test_a_switch_with_one_open_server_is_told() -> None:
    servers = [Server(n, f"{n}:5432", "open" if n == "a" else "closed") for n in "abc"]
    decision = switchover(picture(ways={"front": Way(tuple(servers))}))
    assert (decision.facts["alone"], decision.facts["told"]) == ([], ["front"])


_BAD = {
    "nofailover": (member("b", tags={"nofailover": True}), "nofailover"),
    "zero-priority": (member("b", tags={"failover_priority": 0}), "nofailover"),
    "another-timeline": (member("b", timeline=2), "timeline"),
    "far-behind": (member("b", position=3999), "lag"),
    "watchdog": (member("b", watchdog_failed=True), "watchdog"),
    "crashed": (member("b", state="crashed"), "no-standby"),
    "gone": (GONE, "no-standby"),
    "paused-replay": (
        member("b", xlog={"received_location": 5000, "replayed_location": 5000, "paused": True}),
        "replay-paused",
    ),
}


@pytest.mark.parametrize("case", sorted(_BAD))
def test_what_stands_against_a_candidate(case: str) -> None:
    b, check = _BAD[case]
    assert blocks(switchover(picture({"b": b}), "b")) == {check}


def test_in_synchronous_mode_only_a_synchronous_one_is_asked_for() -> None:
    assert blocks(switchover(picture(), "c")) == {"synchronous"}
    plain = {
        n: Said(said(n), cluster(sync=""), {**CONFIG, "synchronous_mode": False}) for n in "abc"
    }
    assert switchover(picture(plain), "c").allowed


def test_a_candidate_that_the_leader_does_not_see_is_refused() -> None:
    lonely = Said(said("a", replication=[]), cluster(), CONFIG)
    assert blocks(switchover(picture({"a": lonely}), "b")) == {"not-streaming"}


def test_members_that_disagree_or_are_of_another_cluster_stop_everything() -> None:
    other = Said(said("c"), cluster(leader="c"), CONFIG)
    assert "disagree" in blocks(switchover(picture({"c": other})))
    foreign = member("c", patroni={"version": "3.0.2", "scope": "payments"})
    assert "scope" in blocks(switchover(picture({"c": foreign})))
    copy = member("c", database_system_identifier="8")
    assert "system-id" in blocks(switchover(picture({"c": copy})))
    twice = member("c", role="master")
    assert "two-primaries" in blocks(switchover(picture({"c": twice})))
    blind = {n: Said(said(n), None, CONFIG) for n in "abc"}
    assert "dcs" in blocks(switchover(picture(blind)))
    assert "scheduled" in blocks(
        switchover(picture({n: Said(said(n), cluster(scheduled_switchover={"at": "noon"}), CONFIG)
                            for n in "abc"}))
    )  # fmt: skip


def test_an_address_that_is_that_of_another_member_is_seen() -> None:
    rows = cluster()["members"]
    rows[1]["api_url"], rows[2]["api_url"] = rows[2]["api_url"], rows[1]["api_url"]
    crossed = {n: Said(said(n), {"members": rows}, CONFIG) for n in "abc"}
    assert blocks(switchover(picture(crossed))) == {"misnamed"}


def failover(seen: Any, reason: str = "", to: str | None = None) -> Decision:
    return decide_failover(Wish("failover", to=to, accept_data_loss=reason), seen, RULES)


def test_patroni_comes_first_and_after_its_time_somebody_may_ask() -> None:
    fresh = {**EARLIER, "leaderless": AT - 10}
    assert blocks(failover(picture(headless(), fresh))) == {"patroni-decides"}
    decision = failover(picture(headless(), EARLIER))
    assert (decision.allowed, decision.old, decision.new, decision.loss) == (True, "a", "b", None)
    assert decision.facts["fence"] == "a"


def test_a_leader_that_answers_nobody_keeps_its_key_until_it_runs_out() -> None:
    seen = picture({"a": GONE}, EARLIER)
    assert "leader-key" in blocks(failover(seen))


def test_a_leader_is_not_failed_away_from() -> None:
    assert blocks(failover(picture(remembered=EARLIER))) == {"primary-alive"}


def test_without_a_way_to_fence_nobody_is_promoted() -> None:
    for life in (None, Life("unknown"), Life("alive"), Life("frozen")):
        seen = picture(headless(a=Said(state="silent", why="silent", life=life)), EARLIER)
        decision = decide_failover(Wish("failover"), seen, Rules({n: n for n in "abc"}))
        assert blocks(decision) == {"fence"}, life
        with_program = Rules({n: n for n in "abc"}, fences=frozenset("a"))
        assert decide_failover(Wish("failover"), seen, with_program).allowed


def test_an_old_leader_that_nobody_remembers_is_fenced_all_the_same() -> None:
    alive = Said(state="refused", sql={"recovering": False, "read_only": False}, life=Life("alive"))
    told = cluster(leader="", pause=True)
    members = {"a": alive, "b": member("b", told), "c": member("c", told)}
    bare = Rules({n: n for n in "abc"})
    decision = decide_failover(Wish("failover"), picture(headless(**members)), bare)
    assert (decision.old, blocks(decision)) == ("a", {"fence"})
    members["c"] = Said(state="refused", life=Life("unknown"))
    members["a"] = Said(state="refused", life=Life("unknown"))
    decision = decide_failover(Wish("failover"), picture(headless(**members)), bare)
    assert (decision.old, blocks(decision)) == ("", {"fence"})


def test_whoever_commits_did_not_wait_for_may_lose_and_the_bound_is_shown() -> None:
    decision = failover(picture(headless(), EARLIER), to="c")
    assert blocks(decision) == {"data-loss"}
    assert decision.loss is not None
    assert (decision.loss.bytes, round(decision.loss.seconds or 0)) == (400, 2)
    assert failover(picture(headless(), EARLIER), "the shop is down", "c").allowed


def test_in_asynchronous_mode_the_one_with_the_most_is_taken_and_loss_is_named() -> None:
    told = cluster(leader="", sync="")
    off = {**CONFIG, "synchronous_mode": False}
    members = {"b": Said(said("b", position=4000), told, off), "c": Said(said("c"), told, off)}
    decision = failover(picture(headless(**members), EARLIER))
    assert (decision.new, blocks(decision)) == ("c", {"data-loss"})
    assert "behind" in blocks(failover(picture(headless(**members), EARLIER), to="b"))


def test_in_quorum_mode_enough_members_must_be_seen() -> None:
    config = {**CONFIG, "synchronous_mode": "quorum", "synchronous_node_count": 1}
    rows = cluster(leader="")
    for row in rows["members"][1:]:
        row["role"] = "quorum_standby"
    both = {n: Said(said(n), rows, config) for n in "bc"}
    assert failover(picture(headless(**both), EARLIER)).allowed
    lone = {"b": both["b"], "c": GONE}
    assert "data-loss" in blocks(failover(picture(headless(**lone), EARLIER)))
    ahead = {"b": both["b"], "c": Said(said("c", position=6000), rows, config)}
    assert failover(picture(headless(**ahead), EARLIER)).new == "c"


def test_rejoin_wants_a_leader_and_a_node_that_needs_it() -> None:
    def rejoin(seen: Any, node: str | None = None) -> Decision:
        return decide_rejoin(Wish("rejoin", node=node), seen, RULES)

    assert blocks(rejoin(picture(), "a")) == {"same-node"}
    assert blocks(rejoin(picture(), "b")) == {"streams"}
    assert blocks(rejoin(picture())) == {"unknown-node"}
    assert "no-primary" in blocks(rejoin(picture(headless(), EARLIER), "a"))
    broken = picture({"c": member("c", state="start failed")})
    lead = Said(said("a", replication=[]), cluster(), CONFIG)
    assert rejoin(picture({"a": lead, "c": member("c", state="start failed")}), "c").allowed
    assert broken.node("c").problems == ("not-running: start failed",)
    assert blocks(rejoin(picture({"c": GONE}))) == {"control"}


def test_a_fence_needs_a_way_to_end_patroni_itself() -> None:
    wish = Wish("fence", node="a")
    assert decide_fence(wish, picture(), RULES).allowed
    assert blocks(decide_fence(wish, picture(), Rules({n: n for n in "abc"}))) == {"fence"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "role", "tags", "at", "location"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
_KEYS = [*said("a"), "tags", "pause", "sync_standby"]


@given(
    st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=3),
    st.dictionaries(
        st.sampled_from(["members", "pause", "scheduled_switchover"]), _JSON, max_size=2
    ),
    st.dictionaries(st.sampled_from([*CONFIG, "synchronous_node_count"]), _JSON, max_size=2),
    st.sampled_from("abc"),
)
def test_whatever_is_answered_there_is_a_picture_and_a_decision(
    own: dict[str, Any], told: dict[str, Any], config: dict[str, Any], name: str
) -> None:
    odd = Said({**said(name), **own}, {**cluster(), **told}, {**CONFIG, **config})
    seen = picture({name: odd}, EARLIER)
    for action, decide in (("switchover", decide_switchover), ("failover", decide_failover),
                           ("rejoin", decide_rejoin)):  # fmt: skip
        decision = decide(Wish(action), seen, RULES)  # type: ignore[arg-type]
        if action == "failover" and decision.allowed:
            assert not seen.primaries()
        if action == "switchover" and decision.allowed:
            assert [each.name for each in seen.primaries()] == [decision.old]
            assert decision.new not in ("", decision.old)
