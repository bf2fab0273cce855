"""Are transactions compared by domain and number, and is what nobody else has found?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.failover.clusters.maria.gtid import (
    covers,
    errant,
    merged,
    missing,
    position_of,
    state_of,
    text_of,
    total,
)
from sre.failover.clusters.maria.rebuild import parse_log

POSITIONS = st.dictionaries(
    st.integers(0, 3), st.tuples(st.integers(1, 4), st.integers(1, 10**12)), max_size=4
)


@given(POSITIONS)
def test_what_is_written_is_read(position: dict[int, tuple[int, int]]) -> None:
    assert position_of(text_of(position)) == position


@given(POSITIONS, POSITIONS)
def test_the_merged_covers_both_and_lacks_nothing(
    one: dict[int, tuple[int, int]], two: dict[int, tuple[int, int]]
) -> None:
    both = merged(one, two)
    assert covers(both, one)
    assert covers(both, two)
    assert total(both) >= max(total(one), total(two))
    assert (missing(one, two) == 0) == covers(one, two)
    assert total(both) == total(one) + missing(one, two)


def test_numbers_are_numbers() -> None:
    assert covers(position_of("0-1-10"), position_of("0-2-9"))
    assert missing(position_of("0-1-9"), position_of("0-1-10,4-1-2")) == 3


@pytest.mark.parametrize("text", ["0-1", "x", "0-1-1;0-1-2", "0-1--1", "1-1-1,,a"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a GTID"):
        position_of(text)


@pytest.mark.parametrize(
    ("mine", "state", "position", "server", "own"),
    [
        ("0-1-10", "0-1-12", "", 1, ""),
        ("0-1-13", "0-1-12", "", 1, ""),  # it came while we asked
        ("0-1-13", "0-1-12", "", None, "0-1-13"),
        ("0-1-10,0-2-11", "0-1-12", "", 1, "0-2-11"),
        ("0-2-11,0-1-30", "0-1-30", "", 1, "0-2-11"),  # hidden behind later ones
        ("0-2-11", "0-1-30", "0-2-20", 1, ""),  # before the primary's own log began
        ("7-3-1", "0-1-30", "", 1, "7-3-1"),
        ("", "0-1-30", "", 1, ""),
    ],
)
def test_what_one_alone_has(
    mine: str, state: str, position: str, server: int | None, own: str
) -> None:
    assert errant(state_of(mine), state_of(state), position_of(position), server) == own


def test_a_binary_log_is_read() -> None:
    text = """#261122 15:45:56 server id 1  end_log_pos 315 CRC32 0x8fa7569c \tGtid list [0-1-4,
# 0-2-5]
#261122 15:26:11 server id 1  end_log_pos 850 CRC32 0x933fdd4d \tGTID 0-1-6 trans
#261122 15:26:11 server id 2  end_log_pos 1048 CRC32 0x2992f564 \tGTID 3-2-7 ddl
"""
    assert parse_log(text) == {(0, 1): 6, (0, 2): 5, (3, 2): 7}
