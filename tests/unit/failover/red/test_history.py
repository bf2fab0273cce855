"""Is it proven, and not hoped, that one Redis has what another one had?"""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from sre.failover.clusters.red.history import History, contains, enough


@given(st.integers(0, 100), st.integers(0, 100))
def test_of_one_history_the_further_one_has_more(mine: int, theirs: int) -> None:
    assert contains(History("x", mine), "x", theirs) is (mine >= theirs)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_promoted_one_has_what_it_had_when_it_was_promoted(at: int, own: int, old: int) -> None:
    promoted = History("y", at + own, "x", at + 1)
    assert contains(promoted, "x", old) is (at >= old)
    assert not contains(promoted, "z", 0)


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.tuples(
            st.just(n), st.integers(0, 7), st.sets(st.integers(0, n - 1)),
            st.lists(st.integers(0, 50), min_size=n, max_size=n),
        )
    )
)  # fmt: skip
def test_who_is_left_has_every_write_that_was_waited_for(
    case: tuple[int, int, set[int], list[int]],
) -> None:
    """Whichever replicas acknowledged it: then, and only then, it is called enough."""
    replicas, wait, here, offsets = case
    names = [str(each) for each in here]
    said = enough(names, replicas, wait)
    if said:
        best = max(offsets[each] for each in here)
        for acknowledged in combinations(range(replicas), min(wait, replicas)):
            write = min(offsets[each] for each in acknowledged)
            assert best >= write
    elif 0 < wait <= replicas:
        gone = set(range(replicas)) - here
        assert len(gone) >= wait, "some write may be on those alone that are gone"
