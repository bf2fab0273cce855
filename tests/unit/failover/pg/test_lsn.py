"""Are positions compared as numbers, and are pg_controldata and histories read rightly?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.failover.clusters.pg.lsn import Fork, lsn_of, lsn_text, parse_control, parse_history

CONTROLDATA = """pg_control version number:            1300
Database system identifier:           7711011337105472637
Database cluster state:               shut down
Latest checkpoint location:           0/5000028
Latest checkpoint's TimeLineID:       2
"""


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_text_and_number_say_the_same_and_keep_their_order(one: int, other: int) -> None:
    assert lsn_of(lsn_text(one)) == one
    assert (lsn_of(lsn_text(one)) < lsn_of(lsn_text(other))) == (one < other)


def test_a_longer_text_is_further_though_it_sorts_before() -> None:
    assert "0/10000000" < "0/9000000"
    assert lsn_of("0/10000000") > lsn_of("0/9000000")
    assert lsn_of("1/0") > lsn_of("0/FFFFFFFF")


@pytest.mark.parametrize("text", ["", "0", "0/", "/1", "0/123456789", "0/G", "0-1"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        lsn_of(text)


def test_a_history() -> None:
    text = "1\t0/5000098\tno recovery target specified\n\n# odd\n2\t0/6000000\tx\n"
    assert parse_history(text) == (Fork(1, 0x5000098), Fork(2, 0x6000000))


def test_pg_controldata() -> None:
    said = parse_control(CONTROLDATA)
    assert (said.state, said.checkpoint, said.timeline) == ("shut down", 0x5000028, 2)
    assert said.clean
    assert not parse_control(CONTROLDATA.replace("shut down", "in production")).clean
    assert not parse_control(CONTROLDATA.replace("shut down", "shut down in recovery")).clean
    with pytest.raises(ValueError, match="Latest checkpoint location"):
        parse_control("Database cluster state: shut down")
