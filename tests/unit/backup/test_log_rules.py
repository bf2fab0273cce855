"""Is the arithmetic of the log right: names, holes, timelines, states, headers?"""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.log.coverage import Held, cover
from sre.backup.log.layout import Item, LogPlace, item_of, parse_name
from sre.backup.log.lsn import begin_of, format_lsn, name_of, number_at, number_of, parse_lsn
from sre.backup.log.spool import check_header
from sre.backup.log.states import stretches
from sre.backup.log.timelines import Switch, Way, newest_after, parse_history, way_to
from sre.core.errors import IntegrityError, UsageError

SIZES = st.sampled_from([2**20, 2**24, 2**26, 2**30])
MIB16 = 2**24


def whole(timeline: int, number: int, size: int = MIB16) -> Item:
    return Item(name_of(timeline, number, size), "segment")


def part(timeline: int, number: int, length: int, size: int = MIB16) -> Item:
    return Item(f"{name_of(timeline, number, size)}.partial-{length:08x}", "partial", length)


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**56), SIZES)
def test_a_name_says_its_number_and_timeline(timeline: int, lsn: int, size: int) -> None:
    number = number_at(lsn, size)
    name = name_of(timeline, number, size)
    assert parse_name(name) == Item(name, "segment")
    assert Item(name, "segment").timeline == timeline
    assert number_of(name, size) == number
    assert begin_of(number, size) <= lsn < begin_of(number + 1, size)
    assert parse_lsn(format_lsn(lsn)) == lsn


@pytest.mark.parametrize(
    ("number", "size", "name"),
    [
        (0xFF, 2**24, "0000000100000000000000FF"),
        (0x100, 2**24, "000000010000000100000000"),
        (0xFFF, 2**20, "000000010000000000000FFF"),
        (0x1000, 2**20, "000000010000000100000000"),
        (4, 2**30, "000000010000000100000000"),
    ],
)
def test_numbers_wrap_where_four_gibibytes_end(number: int, size: int, name: str) -> None:
    assert name_of(1, number, size) == name


@pytest.mark.parametrize("text", ["", "1", "1/", "/1", "1/G", "1/123456789", "-1/2", "1/2/3"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_lsn(text)


def test_keys_name_pieces_and_nothing_else() -> None:
    place = LogPlace("v1/orders/7-15/")
    for name in ("0000000A00000000000000FF", "0000000A.history", f"{'0' * 24}.partial-00001000"):
        item = item_of(place.record(name))
        assert item is not None
        assert item.name == name
        assert item_of(place.object(name)) is None
    assert item_of("v1/orders/7-15/log/0000000B/0000000A00000000000000FF.json") is None
    assert item_of("v1/orders/7-15/backups/x/manifest.json") is None


@given(
    st.sets(st.integers(0, 30), min_size=1), st.integers(0, 10), SIZES, st.integers(0, 2**20 - 1)
)
def test_holes_and_reach_are_those_of_a_plain_walk(
    have: set[int], first: int, size: int, within: int
) -> None:
    begin = begin_of(first, size) + within
    found = cover(Held.of([whole(1, n, size) for n in have], size), Way(1), begin)
    end = first
    while end in have:
        end += 1
    assert found.end == (begin if end == first else begin_of(end, size))
    last = max([n for n in have if n >= first], default=None)
    missing = set() if last is None else set(range(first, last)) - have
    named = {
        n
        for gap in found.gaps
        for n in range(number_of(gap.first, size), number_of(gap.last, size) + 1)
    }
    assert named == missing
    assert sum(gap.segments for gap in found.gaps) == len(missing)
    assert all(a.end < b.begin for a, b in zip(found.gaps, found.gaps[1:], strict=False))


def test_a_beginning_leads_to_where_it_ends_and_the_longest_counts() -> None:
    items = [whole(1, 1), part(1, 2, 100), part(1, 2, 4000), part(1, 1, 7)]
    found = cover(Held.of(items, MIB16), Way(1), MIB16)
    assert found.end == found.last == 2 * MIB16 + 4000
    assert [each.name[24:] for each in found.items] == ["", ".partial-00000fa0"]
    later = cover(Held.of([*items, whole(1, 3)], MIB16), Way(1), MIB16)
    assert [(gap.begin, gap.end) for gap in later.gaps] == [(2 * MIB16 + 4000, 3 * MIB16)]


def test_timelines_above_nine_are_decimal_inside_and_hexadecimal_outside() -> None:
    text = "9\t0/3000000\tno recovery target\n\n10\t0/5000060\tbefore 'x'\n# a word\n"
    assert parse_history(text) == (Switch(9, 0x3000000), Switch(10, 0x5000060))
    way = way_to(11, {11: parse_history(text)})
    assert [way.timeline_of(n, MIB16) for n in range(2, 7)] == [9, 10, 10, 11, 11]
    held = Held.of([whole(9, 2), whole(10, 3), whole(10, 4), whole(11, 5)], MIB16)
    found = cover(held, way, 2 * MIB16)
    assert found.whole
    assert found.end == 6 * MIB16
    assert [each.name[:8] for each in found.items] == [
        "00000009",
        "0000000A",
        "0000000A",
        "0000000B",
    ]


@pytest.mark.parametrize(
    "text", ["x", "1 0/1 r\n1 0/2 r\n", "2 0/5 r\n1 0/6 r\n", "1 0/9\n2 0/1\n"]
)
def test_a_history_that_cannot_be_is_none(text: str) -> None:
    with pytest.raises(IntegrityError):
        parse_history(text)


def test_where_a_timeline_was_left_the_old_one_helps_to_the_switch_alone() -> None:
    way = Way(2, (Switch(1, 3 * MIB16 + 500),))
    held = Held.of([whole(1, 2), whole(1, 3), whole(1, 4)], MIB16)
    found = cover(held, way, 2 * MIB16)
    assert found.end == 3 * MIB16 + 500  # what the old primary wrote on is not on the way
    both = Held.of([whole(1, 2), whole(1, 3), whole(2, 3)], MIB16)
    assert cover(both, way, 2 * MIB16).end == 4 * MIB16


def test_latest_is_the_newest_timeline_that_passes_the_backup() -> None:
    histories = {2: (Switch(1, 500),), 3: (Switch(1, 900),)}
    assert newest_after(1, 400, histories).timeline == 3
    assert newest_after(2, 600, histories).timeline == 2
    assert newest_after(1, 950, histories).timeline == 1


def test_states_have_wal_gs_words() -> None:
    held = Held.of([whole(1, 1), whole(1, 4)], MIB16)
    spool = {whole(1, 6).name}
    found = stretches(held, Way(1), MIB16, 8 * MIB16 + 5, 5 * MIB16, spool)
    assert [(each.state, each.segments) for each in found] == [
        ("FOUND", 1), ("LOST", 2), ("FOUND", 1), ("DELAYED", 1), ("UPLOADING", 1), ("DELAYED", 1),
        ("UPLOADING", 1),
    ]  # fmt: skip


def header(**changes: int) -> bytes:
    fields = {"magic": 0xD110, "info": 2, "timeline": 1, "begin": 0x3000000, "rest": 0,
              "system": 77, "size": MIB16, "block": 8192} | changes  # fmt: skip
    return struct.pack("<HHIQI4xQII", *fields.values())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, ""),
        ({"magic": 0}, "magic"),
        ({"system": 78}, "server"),
        ({"begin": 0x4000000}, "page is at"),
        ({"size": 2**20}, "segments of"),
        ({"timeline": 2}, "timeline 2"),
        ({"info": 0}, "segments of"),
    ],
)
def test_the_first_page_must_be_that_of_the_name(changes: dict[str, int], word: str) -> None:
    problem = check_header(header(**changes), "000000010000000000000003", MIB16, 77)
    assert word in problem
    assert bool(problem) == bool(word)
    assert check_header(b"short", "000000010000000000000003", MIB16, 77)
