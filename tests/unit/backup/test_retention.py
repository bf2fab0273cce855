"""Do the rules of retention hold, by example and over random histories?"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sre.backup.retention.guards import blocking
from sre.backup.retention.records import Candidate, History, Plan, Situation
from sre.backup.retention.rules import decide
from sre.backup.tier import Keep, Lock
from sre.core.units import Duration

DAY = 86400.0
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC).timestamp()


def day(number: float, **more: object) -> Candidate:
    """A verified full of so many days ago."""
    at = NOW - number * DAY
    fields: dict[str, object] = {"kind": "full", "parent": None, "verified": at, "source_bytes": 9}
    return Candidate(f"d{number}", committed=at, **{**fields, **more})  # type: ignore[arg-type]


def plan(backups: list[Candidate], keep: Keep | None, **more: object) -> Plan:
    return decide(History.of(backups), keep, Situation(NOW, **more))  # type: ignore[arg-type]


def codes(found: Plan) -> dict[str, list[str]]:
    return {each.backup.id: [r.code for r in each.reasons] for each in found.decisions}


def gone(found: Plan) -> set[str]:
    return {each.id for each in found.those("delete")}


def test_the_slots_of_restic() -> None:
    found = plan([day(n) for n in range(40)], Keep(daily=3, weekly=2, monthly=3, yearly=1))
    kept = {each.id for each in found.those("keep")}
    # 22 November is a Sunday: its week began on the 16th; d22 is 31 October; d39, the oldest, is
    # of October too and fills the third month's slot
    assert kept == {"d0", "d1", "d2", "d7", "d22", "d39"}
    words = {each.backup.id: [r.text for r in each.reasons] for each in found.decisions}
    assert "daily 1 of 3" in words["d0"]
    assert words["d7"] == ["weekly 2 of 2"]
    assert words["d39"] == ["monthly 3 of 3, as the oldest"]
    assert words["d5"] == ["no slot is left for it"]


def test_slots_are_filled_by_verified_backups_alone() -> None:
    """Whoever can push backups cannot push the good ones out."""
    pushed = [day(n / 100, verified=None) for n in range(1, 90)]
    found = plan([day(1), day(2), day(3), *pushed], Keep(last=2, min_verified_fulls=1))
    assert gone(found) == {"d3"}
    assert set(codes(found)["d0.5"]) == {"not-yet"}


def test_within_counts_back_from_the_newest() -> None:
    """A history whose backups have stopped does not melt away."""
    found = plan([day(n) for n in range(100, 140)], Keep(within=Duration(35 * DAY)))
    assert gone(found) == {f"d{n}" for n in range(136, 140)}


def test_nothing_goes_while_nothing_is_verified() -> None:
    found = plan([day(n, verified=None) for n in range(99)], Keep(last=1))
    assert gone(found) == set()
    assert codes(found)["d98"] == ["none-verified"]


def test_one_full_with_two_incrementals_stays() -> None:
    first = day(3)
    second = day(2, kind="incr", parent="d3", verified=None)
    third = day(1, kind="incr", parent="d2")
    found = plan([first, second, third], Keep(last=1))
    assert gone(found) == set()
    assert "parent" in codes(found)["d2"]


def test_a_failure_of_a_parent_takes_the_child_along() -> None:
    """The chain was proven, and then its full was found damaged: the older full counts."""
    backups = [
        day(9),
        day(3, verified=None, failed=NOW - 0.5 * DAY),
        day(2, kind="incr", parent="d3", verified=NOW - DAY),
    ]
    found = plan(backups, Keep(last=1, min_verified_fulls=1))
    assert "newest-verified" in codes(found)["d9"]
    assert gone(found) == set()


def test_a_child_without_its_parent_counts_for_nothing() -> None:
    backups = [day(9), day(2, kind="incr", parent="lost"), day(1)]
    found = plan(backups, Keep(last=1, min_verified_fulls=1))
    assert codes(found)["d2"] == ["broken"]
    assert gone(found) == {"d9", "d2"}


def test_locked_ones_are_retained_and_keep_their_parents() -> None:
    backups = [day(9), day(8, kind="incr", parent="d9", locked="until May"), day(1), day(0)]
    found = plan(backups, Keep(last=1, min_verified_fulls=1))
    assert [each.id for each in found.those("retained")] == ["d8"]
    assert codes(found)["d9"] == ["parent"]
    assert gone(found) == {"d1"}


@pytest.mark.parametrize(
    ("backups", "more", "code"),
    [
        ([day(0, source_bytes=49), *(day(n, source_bytes=100) for n in (1, 2, 3))], {}, "shrunk"),
        ([day(0, failed=NOW), day(1)], {}, "newest-failed"),
        ([day(0)], {"failure": "exit code 1"}, "newest-failed"),
        ([day(0)], {"clock_difference": 301.0}, "clock"),
        ([day(0)], {"clock_difference": -301.0}, "clock"),
        ([day(-1)], {}, "future"),
        ([day(0)], {"unreadable": "x"}, "unreadable"),
    ],
)
def test_guards(backups: list[Candidate], more: dict[str, object], code: str) -> None:
    found = plan(backups, Keep(last=1), **more)
    assert [each.code for each in found.blocked] == [code]


def test_guards_let_a_normal_day_pass() -> None:
    backups = [day(0, source_bytes=50), *(day(n, source_bytes=100) for n in (1, 2, 3))]
    situation = Situation(NOW, clock_difference=299)
    assert list(blocking(History.of(backups), situation)) == []


@pytest.mark.parametrize(("count", "large"), [(3, False), (4, True)])
def test_more_than_thirty_percent_is_large(count: int, large: bool) -> None:
    found = plan([day(n) for n in range(10)], Keep(last=10 - count, min_verified_fulls=1))
    assert len(gone(found)) == count
    assert found.large is large


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"daily": -1}, "daily must be 0 or more"),
        ({}, "keeps nothing"),
        ({"min_verified_fulls": 3}, "keeps nothing"),
        ({"daily": 1, "min_verified_fulls": 0}, "at least 1"),
        ({"within": Duration(0)}, "longer than 0s"),
    ],
)
def test_a_policy_that_is_none_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Keep(**fields)  # type: ignore[arg-type]


def test_a_lock_of_no_days_is_refused() -> None:
    with pytest.raises(ValueError, match="days"):
        Lock("GOVERNANCE", 0)


@st.composite
def histories(draw: st.DrawFn) -> list[Candidate]:
    """Fulls and what builds on them, verified or not, damaged, held, locked; some parents lost."""
    made: list[Candidate] = []
    at = NOW - 500 * DAY
    count: int = draw(st.integers(0, 25))
    for number in range(count):
        at += draw(st.sampled_from([0.0, 600.0, 3600.0, DAY / 3, DAY, 9 * DAY]))
        parent = None
        builds: int = draw(st.integers(0, 2))
        if made and builds:
            parent = draw(st.sampled_from([*(each.id for each in made[-4:]), "lost"]))
        verified = at + draw(st.integers(0, 9)) * DAY if draw(st.integers(0, 2)) else None
        failed = at + draw(st.integers(0, 9)) * DAY if draw(st.integers(0, 6)) == 0 else None
        made.append(
            Candidate(
                f"b{number:02d}", "incr" if parent else "full", parent, at, 100, 10,
                verified if failed is None or (verified or 0) > failed else None, failed,
                "law" if draw(st.integers(0, 9)) == 0 else None,
                "locked" if draw(st.integers(0, 9)) == 0 else "",
            )
        )  # fmt: skip
    return made


COUNTS = ("last", "hourly", "daily", "weekly", "monthly", "yearly")


@st.composite
def policies(draw: st.DrawFn) -> Keep:
    counts = {name: draw(st.integers(0, 4)) for name in COUNTS}
    within = draw(st.one_of(st.none(), st.integers(1, 90)))
    if within is None and not any(counts.values()):
        counts["last"] = 1
    span = None if within is None else Duration(within * DAY)
    return Keep(**counts, within=span, min_verified_fulls=draw(st.integers(1, 3)))


def after(backups: list[Candidate], found: Plan) -> list[Candidate]:
    return [each for each in backups if each.id not in gone(found)]


@given(histories(), policies())
@settings(max_examples=100, deadline=None)
def test_what_restored_before_still_restores(backups: list[Candidate], keep: Keep) -> None:
    found = plan(backups, keep)
    before, left = History.of(backups), History.of(after(backups, found))
    if before.verified:
        assert left.verified[-1].id == before.verified[-1].id

    def fulls(history: History) -> set[str]:
        chains = (history.chain(each) for each in history.verified)
        return {chain[-1].id for chain in chains if chain is not None}

    assert len(fulls(left)) >= min(len(fulls(before)), keep.min_verified_fulls)
    for each in left.backups:
        assert before.restorable(each) == left.restorable(each)


@given(histories(), policies())
@settings(max_examples=100, deadline=None)
def test_nothing_held_locked_or_needed_goes(backups: list[Candidate], keep: Keep) -> None:
    found = plan(backups, keep)
    lost, left = gone(found), after(backups, found)
    for each in backups:
        if each.hold is not None or each.locked:
            assert each.id not in lost
    assert not lost & {each.parent for each in left}
    assert all(each.reasons for each in found.decisions)
    assert [each.backup.id for each in found.decisions] == [
        each.id for each in History.of(backups).backups
    ]


@given(histories(), policies())
@settings(max_examples=100, deadline=None)
def test_again_changes_nothing(backups: list[Candidate], keep: Keep) -> None:
    assert gone(plan(after(backups, plan(backups, keep)), keep)) == set()


@given(histories(), policies(), st.sampled_from([*COUNTS, "within", "min_verified_fulls"]))
@settings(max_examples=100, deadline=None)
def test_a_larger_policy_keeps_no_less(backups: list[Candidate], keep: Keep, name: str) -> None:
    value = getattr(keep, name)
    larger = Duration(float(value or 0) + 5 * DAY) if name == "within" else value + 1
    more = dataclasses.replace(keep, **{name: larger})  # type: ignore[arg-type]
    assert gone(plan(backups, more)) <= gone(plan(backups, keep))


@given(histories(), policies(), st.integers(0, 24))
@settings(max_examples=100, deadline=None)
def test_unverified_backups_push_nothing_out(
    backups: list[Candidate], keep: Keep, many: int
) -> None:
    """A taken host may push what it likes after the good ones: no good one goes for it."""
    newest = max((each.committed for each in backups), default=NOW)
    pushed = [Candidate(f"x{n}", "full", None, newest + n, 100) for n in range(1, many)]
    slots = dataclasses.replace(keep, within=None, last=keep.last or 1)
    assert gone(plan([*backups, *pushed], slots)) == gone(plan(backups, slots))
