"""What do a restore's options mean, and what stands in the log and in the configuration?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.log.timelines import Switch, Way
from sre.backup.recovery.records import Line, change_of, commit_of, parse_line, restore_point_of
from sre.backup.recovery.settings import auto_conf, kept_settings
from sre.backup.recovery.target import parse_target, parse_time, time_text
from sre.backup.recovery.versions import Ledger, Spot, files_of, stabbing
from sre.backup.recovery.wal import Wal
from sre.core.errors import UsageError


def record(rmgr: str, xid: int, lsn: str, text: str) -> str:
    return (
        f"rmgr: {rmgr:<11} len (rec/tot):     54/    54, tx: {xid:>10}, lsn: {lsn}, "
        f"prev 0/01525838, desc: {text}"
    )


@given(st.integers(min_value=946684800 * 10**6, max_value=4 * 10**15))
def test_a_time_stays_itself(micros: int) -> None:
    text = time_text(micros / 10**6)
    assert round(parse_time(text) * 10**6) == micros


@pytest.mark.parametrize("text", ["2026-11-22T10:00:00", "yesterday", "", "1999-01-01T00:00:00Z"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_time(text)


def test_one_moment_alone() -> None:
    with pytest.raises(UsageError, match="--lsn and --latest name two moments"):
        parse_target(lsn="0/28", latest=True)
    with pytest.raises(UsageError, match="belong to --at and --lsn"):
        parse_target(before_order="1", inclusive=False)
    assert parse_target(timeline=3).latest
    assert parse_target(lsn="0/28", inclusive=False).settings() == {
        "recovery_target_timeline": "latest",
        "recovery_target_lsn": "0/28",
        "recovery_target_inclusive": "off",
    }


def test_the_copy_disturbs_nobody() -> None:
    old = "# x\nwork_mem = '4MB'\nArchive_Command = 'rm'\nprimary_conninfo = 'host=a'\nport = 1\n"
    text = auto_conf(old + "recovery_target_xid = 7\n", kept_settings(15, 5433))
    assert "work_mem" in text
    for gone in ("rm", "host=a", "recovery_target_xid", "port = 1"):
        assert gone not in text
    assert "archive_library" not in auto_conf("", kept_settings(14, 1))


def test_records_of_old_and_new_versions() -> None:
    lines = [
        parse_line(record("Heap", 5, "0/10", text))
        for text in (
            "HOT_UPDATE off 1 xmax 5 flags 0x20 ; new off 4 xmax 0, blkref #0: rel 1663/5/9 blk 2",
            "HOT_UPDATE old_xmax: 5, old_off: 1, old_infobits: [], flags: 0x20, new_xmax: 0, "
            "new_off: 4, blkref #0: rel 1663/5/9 blk 2",
        )
    ]
    changes = {change_of(line) for line in lines if line}
    assert len(changes) == 1
    (change,) = changes
    assert change is not None
    assert (change.kind, change.file, change.old, change.new) == ("update", "5/9", (2, 1), (2, 4))
    text = "COMMIT_PREPARED 77: 2026-11-22 11:29:39.5 UTC; rels: base/5/9; subxacts: 78 79"
    line = parse_line(record("Transaction", 0, "0/20", text))
    assert line is not None
    commit = commit_of(line)
    assert commit is not None
    assert (commit.xids, commit.dropped) == ({77, 78, 79}, {"5/9"})
    point = parse_line(record("XLOG", 0, "0/30", "RESTORE_POINT it's, é: 1"))
    assert point is not None
    assert (found := restore_point_of(point)) is not None
    assert found.name == "it's, é: 1"


def test_an_update_leads_back_to_its_insert() -> None:
    texts = [
        ("Heap", 5, "INSERT off 1 flags 0x00, blkref #0: rel 1663/5/9 blk 0"),
        ("Heap", 6, "UPDATE off 1 xmax 6 flags 0 ; new off 3 xmax 0, "
                    "blkref #0: rel 1663/5/9 blk 1, blkref #1: rel 1663/5/9 blk 0"),
        ("Storage", 8, "CREATE base/5/10"),
        ("Transaction", 8, "COMMIT 2026-11-22 11:29:39 UTC; rels: base/5/9"),
    ]  # fmt: skip
    parsed = (
        parse_line(record(r, x, f"0/{16 * (n + 1):X}", t)) for n, (r, x, t) in enumerate(texts)
    )
    lines = [each for each in parsed if each]
    assert len(lines) == len(texts)
    assert files_of(lines, frozenset({"5/10"})) == {"5/9", "5/10"}
    ledger = Ledger.of(lines, frozenset({"5/9"}))
    assert ledger.guess(Spot("5/9", (1, 3), 6)) == 5
    assert not ledger.surely_new(Spot("5/9", (1, 3), 6))
    assert [each.xid for each in ledger.ends] == [8]


def test_log_behind_a_hole_is_not_read_whatever_timelines_follow() -> None:
    asked: list[tuple[int, int, int]] = []

    class Spy(Wal):
        def _of(
            self, timeline: int, begin: int, end: int, rmgrs: tuple[str, ...]
        ) -> Iterator[Line]:
            asked.append((timeline, begin, end))
            yield from ()

    way = Way(3, (Switch(1, 100), Switch(2, 200)))
    for end in (50, 100, 150, 250):
        assert list(Spy(Path(), Path(), way, 16, 20, end).lines("Heap")) == []
    first = [(1, 20, 100)]
    second = [*first, (2, 100, 200), (3, 200, 250)]
    assert asked == [(1, 20, 50), *first, *first, (2, 100, 150), *second]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12))
def test_few_moments_see_everything_that_went(lives: list[tuple[int, int]]) -> None:
    real = {(start, end) for start, end in lives if start < end}
    points = stabbing(lives)
    assert points == sorted(set(points))
    assert all(any(start < point <= end for point in points) for start, end in real)
    # no fewer can do: as many lives as points have nothing in common
    apart: list[tuple[int, int]] = []
    for start, end in sorted(real, key=lambda life: life[1]):
        if not apart or apart[-1][1] <= start:
            apart.append((start, end))
    assert len(apart) == len(points)


def test_lives_of_rows_by_the_log() -> None:
    """Inserted, loaded by COPY over an older row's place, rewritten, never committed, truncated."""
    texts = [
        ("Heap", 5, "INSERT off 1 flags 0x00, blkref #0: rel 1663/5/9 blk 0"),
        ("Transaction", 5, "COMMIT 2026-11-22 11:29:39 UTC"),
        ("Heap", 6, "DELETE off 1 flags 0x00, blkref #0: rel 1663/5/9 blk 0"),
        ("Transaction", 6, "COMMIT 2026-11-22 11:29:40 UTC"),
        ("Heap2", 7, "MULTI_INSERT 3 tuples flags 0x02, blkref #0: rel 1663/5/9 blk 0"),
        ("Transaction", 7, "COMMIT 2026-11-22 11:29:41 UTC"),
        ("Heap", 8, "DELETE off 1 flags 0x00, blkref #0: rel 1663/5/9 blk 0"),
        ("Heap", 8, "DELETE off 9 flags 0x00, blkref #0: rel 1663/5/9 blk 4"),
        ("Transaction", 8, "COMMIT 2026-11-22 11:29:42 UTC"),
        ("Heap", 9, "DELETE off 2 flags 0x00, blkref #0: rel 1663/5/9 blk 0"),
        ("Transaction", 10, "COMMIT 2026-11-22 11:29:43 UTC; rels: base/5/9"),
    ]  # fmt: skip
    parsed = (parse_line(record(r, x, f"0/{n + 1:X}0", t)) for n, (r, x, t) in enumerate(texts))
    ledger = Ledger.of([each for each in parsed if each], frozenset({"5/9"}))
    assert sorted(ledger.lives()) == [(0, 0x90), (0x20, 0x40), (0x60, 0x90), (0x60, 0xB0)]
    assert stabbing(ledger.lives()) == [0x40, 0x90]
