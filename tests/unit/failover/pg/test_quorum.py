"""Can a commit that was acknowledged be missing on everybody that a quorum lets us look at?"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.failover.clusters.pg.quorum import Names, needed, parse_names, waits

NODES = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Names()),
        ("  ", Names()),
        ("b", Names("FIRST", 1, ("b",))),
        ("b, c", Names("FIRST", 1, ("b", "c"))),
        ("*", Names("FIRST", 1, ("*",))),
        ("2 (b, c)", Names("FIRST", 2, ("b", "c"))),
        ("any 1(b,c)", Names("ANY", 1, ("b", "c"))),
        ("FIRST 1 (*)", Names("FIRST", 1, ("*",))),
        ('ANY 2 ("pg-b", "x ""y""", c)', Names("ANY", 2, ("pg-b", 'x "y"', "c"))),
        ('"any"', Names("FIRST", 1, ("any",))),
    ],
)
def test_the_grammar_of_postgresql(text: str, expected: Names) -> None:
    assert parse_names(text) == expected
    assert parse_names(expected.text()) == expected


@pytest.mark.parametrize("text", ["ANY 1 (b", "ANY 0 (b)", "b,,c", "b c", "ANY 1 b", "1 ()", "b,"])
def test_what_postgresql_would_not_take(text: str) -> None:
    with pytest.raises(ValueError, match="synchronous_standby_names"):
        parse_names(text)


@given(
    st.sets(st.sampled_from(NODES[1:]), min_size=1),
    st.integers(1, 4),
    st.sampled_from(["ANY", "FIRST"]),
    st.data(),
)
def test_whoever_may_be_looked_at_has_every_acknowledged_commit(
    members: set[str], count: int, way: str, data: st.DataObject
) -> None:
    """By trying: every set of members that can have acknowledged against every set seen."""
    names = parse_names(f"{way} {count} ({', '.join(sorted(members))})")
    needs, counted = needed(names, "a", NODES[1:])
    assert counted == members
    seen = data.draw(st.sets(st.sampled_from(sorted(members))))
    acknowledged = [set(each) for each in itertools.combinations(sorted(members), count)]
    safe = all(each & seen for each in acknowledged)
    if len(seen) >= needs:
        assert safe
    elif acknowledged:
        assert not safe


def test_everybody_is_who_is_declared_and_who_was_seen_to_count() -> None:
    assert needed(parse_names("ANY 1 (*)"), "a", ["b", "c"]) == (2, frozenset({"b", "c"}))
    assert needed(parse_names("ANY 1 (*)"), "a", ["b", "c"], ["archiver"])[0] == 3
    assert needed(parse_names("*"), "a", ["b"]) == (1, frozenset({"b"}))


def test_the_old_primary_in_its_own_list_acknowledged_nothing() -> None:
    assert needed(parse_names("ANY 1 (A, b, c)"), "a", ["b", "c"]) == (2, frozenset({"b", "c"}))


def test_names_take_each_others_place() -> None:
    names = parse_names("ANY 1 (b, c)")
    assert names.exchanged("b", "a").text() == "ANY 1 (a, c)"
    assert names.exchanged("x", "a") == names
    assert parse_names("ANY 1 (a, B)").exchanged("b", "A").members == ("a", "B")
    assert names.over(["pg-1", "z"]).text() == 'ANY 1 ("pg-1", z)'


@pytest.mark.parametrize(
    ("commit", "expected"),
    [("on", True), ("remote_apply", True), ("remote_write", True), ("local", False),
     ("off", False)],
)  # fmt: skip
def test_commits_that_wait(commit: str, expected: bool) -> None:
    assert waits(commit) is expected
