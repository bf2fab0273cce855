"""From what was seen alone: may a lost cluster be built anew, and which word says why not?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.failover.clusters.pg.sheet import Rules
from sre.failover.engine import Decision, Wish
from sre.failover.snapshot import NodeSeen, Snapshot
from sre.site.checking import loss_of
from sre.site.decide import decide_rebuild

NAMES = ("a", "b", "c")
NODE = {
    "unreachable": "", "state": "empty", "above": "writable", "free": 2**40, "uid": 999,
    "version": "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)", "missing": [], "life": "dead",
    "local": False,
}  # fmt: skip
SOURCE = {
    "store": "region-b", "database": "shop", "at": "", "problem": "", "identity": True,
    "invariants": 1, "archived_upto": 990.0, "id": "20261122T000000Z-full-aaaaaaaa",
    "engine": "postgres", "version": "15.8", "bytes": 10**9, "needed": 2 * 10**9,
    "consistent": 900.0, "tablespaces": [], "end": 1000, "lsn": "0/3E8", "log": 3,
    "target": "everything that is archived", "notes": [],
}  # fmt: skip


def seen(
    nodes: dict[str, dict[str, Any]] | None = None, *, answering: dict[str, str] | None = None,
    remembered: dict[str, Any] | None = None, problems: list[str] | None = None, **source: Any,
) -> Snapshot:  # fmt: skip
    """All is well, but for what is given."""
    changed, answering = nodes or {}, answering or {}
    return Snapshot(
        "orders", 1010.0,
        tuple(NodeSeen(n, reachable=answering.get(n) == "up", state=answering.get(n, "refused"),
                       more={"superuser": True, "system": "1"}) for n in NAMES),
        open={"front": ("a",)},
        more={
            "remembered": remembered or {}, "switches": {"front": problems or []},
            "site": {"nodes": {n: {**NODE, **changed.get(n, {})} for n in NAMES},
                     "source": {**SOURCE, **source}, "token": "00"},
        },
    )  # fmt: skip


def decide(found: Snapshot, node: str | None = None, rule: str = "ANY 1") -> Decision:
    wish = Wish("rebuild", node=node)
    return decide_rebuild(wish, found, Rules(NAMES, rule), replication=True)


def words(decision: Decision) -> set[str]:
    return {each.check for each in decision.blockers}


def test_three_empty_nodes_and_a_backup() -> None:
    decision = decide(seen(remembered={"position": 1500, "at": 1000.0}))
    assert decision.allowed, decision.blockers
    assert (decision.old, decision.new) == ("", "a")
    assert decision.facts["siblings"] == ["b", "c"]
    assert decision.facts["names"] == "ANY 1 (b, c)"
    assert decision.loss is not None
    assert decision.loss.bytes == 500
    json.dumps(asdict(decision))


def test_another_node_may_begin() -> None:
    decision = decide(seen(), node="c")
    assert (decision.new, decision.facts["siblings"]) == ("c", ["a", "b"])
    assert words(decide(seen(), node="z")) == {"unknown-node"}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("alive", seen(answering={"c": "up"})),
        ("alive", seen(answering={"c": "no-login"})),
        ("alive", seen(answering={"a": "starting"})),
        ("not-empty", seen({"b": {"state": "full"}})),
        ("folder", seen({"b": {"state": "mount"}})),
        ("folder", seen({"a": {"state": "link"}})),
        ("folder", seen({"a": {"life": "frozen"}})),
        ("folder", seen({"b": {"above": "above=/srv"}})),
        ("user", seen({"a": {"uid": 0}})),
        ("version", seen({"c": {"version": "postgres (PostgreSQL) 16.1"}})),
        ("version", seen({"c": {"version": ""}})),
        ("disk", seen({"c": {"free": 10}})),
        ("control", seen({"a": {"unreachable": "no route"}})),
        ("control", seen({"c": {"missing": ["there is no program setsid"]}})),
        ("identity", seen(identity=False)),
        ("backup", seen(problem="the store does not answer")),
        ("backup", seen(engine="mariadb")),
        ("traffic", seen(problems=["unreachable: refused"])),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_one_thing_stands_against_it(word: str, found: Snapshot) -> None:
    assert words(decide(found)) == {word}


def test_a_node_that_is_away_is_left_out_while_enough_are_there() -> None:
    away = {"unreachable": "no route"}
    decision = decide(seen({"c": away}))
    assert decision.allowed
    assert decision.facts["siblings"] == ["b"]
    assert "left-out" in {each.check for each in decision.warnings}
    assert words(decide(seen({"b": away, "c": away}))) == {"quorum"}
    assert words(decide(seen({"c": away}), rule="ANY 2")) == {"quorum"}


_FAULTS = [
    {"state": "full"}, {"state": "mount"}, {"life": "alive"}, {"uid": 0}, {"free": 1},
    {"version": "postgres (PostgreSQL) 9.6.24"}, {"missing": ["x"]},
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(_FAULTS), min_size=1))
def test_whatever_is_wrong_with_a_node_nothing_is_touched(
    faults: dict[str, dict[str, Any]],
) -> None:
    decision = decide(seen(faults))
    assert not decision.allowed
    assert all(each.text for each in decision.blockers)


@given(
    st.floats(1, 2e9), st.none() | st.floats(1, 2e9), st.none() | st.floats(1, 2e9)
)  # fmt: skip
def test_what_is_missing_is_never_less_than_nothing(
    newest: float, had: float | None, upto: float | None
) -> None:
    facts = {"remembered": {"at": had} if had else {}, "source": {"archived_upto": upto}}
    found = loss_of({"consistent": newest}, facts)
    if had is None and upto is None:
        assert found["rpo_seconds"] is None
    else:
        assert found["rpo_seconds"] == pytest.approx(
            max(0.0, max(had or 0, upto or 0) - newest), abs=0.001
        )


def test_the_moment_is_read_as_the_server_writes_it() -> None:
    restored = {"newest": "1970-01-01 00:16:40.5+00", "consistent": 1.0}
    found = loss_of(restored, {"remembered": {"at": 1003.0, "lsn": "0/1"}, "source": {}})
    assert (found["newest_commit"], found["rpo_seconds"]) == (1000.5, 2.5)
