"""Does an edit of HAProxy's file change the one server and not a byte beside it?"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.failover.traffic.haproxyfile import Declared, Wish, edited, servers

TEXT = b"""\
# server pg/a is old
global
\tlog /dev/log local0
defaults
  default-server inter 1s
backend pg
  # server a 10.0.0.9:1 disabled
  option httpchk
  server a 10.0.0.1:5432 check port 8008   # the first
  server b "10.0.0.2:5432" check disabled backup
  server 'c' 10.0.0.3:5432 cookie disabled weight 20\tcheck
backend reads
  server a 10.0.0.1:5432 weight 3
listen pg
  bind :5433
  server d 10.0.0.4:5432
backend shut
  default-server disabled weight 5
  server a 10.0.0.1:5432
  server b 10.0.0.2:5432 enabled
  server-template t 3 db.test:5432 check
peers pg
  server a 10.0.0.1:10000
"""


def states(text: bytes, *backends: str) -> dict[str, tuple[bool, int]]:
    found = servers(text, backends)
    return {f"{each.backend}/{each.name}": (each.disabled, each.weight) for each in found}


def test_what_a_file_declares() -> None:
    assert states(TEXT, "pg") == {
        "pg/a": (False, 1), "pg/b": (True, 1), "pg/c": (False, 20), "pg/d": (False, 1),
    }  # fmt: skip
    assert states(TEXT, "shut") == {
        "shut/a": (True, 5), "shut/b": (False, 5),
        "shut/t1": (True, 5), "shut/t2": (True, 5), "shut/t3": (True, 5),
    }  # fmt: skip
    assert servers(TEXT, ("reads",)) == (Declared("reads", "a", "10.0.0.1:5432", False, 3),)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("place", "wish", "before", "after"),
    [
        (("pg", "a"), Wish(True), b"port 8008   # the", b"port 8008 disabled   # the"),
        (("pg", "b"), Wish(False), b"check disabled backup", b"check backup"),
        (("pg", "c"), Wish(True), b"20\tcheck", b"20\tcheck disabled"),
        (("pg", "c"), Wish(None, 0), b"weight 20", b"weight 0"),
        (("pg", "d"), Wish(None, 7), b"10.0.0.4:5432", b"10.0.0.4:5432 weight 7"),
        (("shut", "a"), Wish(False), b"5\n  server a 10.0.0.1:5432",
         b"5\n  server a 10.0.0.1:5432 enabled"),
        (("shut", "b"), Wish(True), b"5432 enabled", b"5432"),
    ],
)  # fmt: skip
def test_one_line_changes(
    end: bytes, place: tuple[str, str], wish: Wish, before: bytes, after: bytes
) -> None:
    text, before, after = (each.replace(b"\n", end) for each in (TEXT, before, after))
    assert text.count(before) == 1
    assert edited(text, {place: wish}) == text.replace(before, after)
    assert edited(text, {place: wish}) == edited(edited(text, {place: wish}), {place: wish})


def test_what_it_cannot_say_is_refused() -> None:
    for place in (("pg", "zz"), ("nope", "a"), ("shut", "t1"), ("peers", "a")):
        with pytest.raises(KeyError, match="/".join(place)):
            edited(TEXT, {place: Wish(True)})


def test_defaults_are_inherited_by_name_and_by_place() -> None:
    text = b"""\
defaults base
  default-server disabled
defaults other from base
  mode tcp
defaults
  mode tcp
backend x
  server a h:1
backend y from other
  server a h:1
"""
    assert states(text, "x", "y") == {"x/a": (False, 1), "y/a": (True, 1)}


_names = st.sampled_from(["a", "b", "disabled", "x.y", "pg-1"])
_lines = st.lists(
    st.one_of(
        st.builds(lambda n, rest: f"  server {n} 10.0.0.1:5432{rest}", _names, st.sampled_from(
            ["", " disabled", " check disabled weight 9", " weight 4 # weight 7", " enabled  ",
             " cookie weight", " disabled disabled"])),
        st.sampled_from(["# server a h:1", "", "  option tcplog # x", "backend other",
                         "backend pg", "frontend pg", "  default-server disabled",
                         '  http-request deny if { path "a b" }', "\ttimeout server 1s"]),
    ),
    max_size=12,
)  # fmt: skip


@given(_lines, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(0, 256), st.booleans())
def test_wishes_come_true_and_all_else_stays(
    lines: list[str], end: str, off: bool, weight: int, last: bool
) -> None:
    text = end.join(["backend pg", *lines, *([""] if last else [])]).encode()
    before = servers(text, ("pg", "other"))
    wishes = {(each.backend, each.name): Wish(off, weight) for each in before}
    made = edited(text, wishes)
    after = servers(made, ("pg", "other"))
    assert [(each.backend, each.name, each.address) for each in after] == [
        (each.backend, each.name, each.address) for each in before
    ]
    assert all((each.disabled, each.weight) == (off, weight) for each in after)
    assert edited(made, wishes) == made
    old, new = text.split(b"\n"), made.split(b"\n")
    assert len(old) == len(new)
    for was, is_ in zip(old, new, strict=True):
        if not re.match(rb"\s*server ", was):
            assert was == is_


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(text: bytes) -> None:
    servers(text, ("pg",))
    assert edited(text, {}) == text
