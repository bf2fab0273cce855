"""Do the ledger's rules hold for every record and every reading, however odd?"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.core.clock import FakeClock
from sre.core.errors import UsageError
from sre.sql.ledger.book import Book
from sre.sql.ledger.engines import holds_password, open_engine
from sre.sql.ledger.gaps import gaps_of
from sre.sql.ledger.judge import judge
from sre.sql.ledger.model import Counts, Ending, Head, NotWritten, Outcome, Plan, Report
from sre.sql.ledger.pacing import Arrivals
from sre.sql.ledger.reading import report
from sre.sql.ledger.record import FILE, Line, Recorder, read_head, read_lines
from sre.sql.ledger.render import as_json, as_text

HEAD = Head("r", "postgresql", "t", 2, 100.0, wall=1_700_000_000.0, monotonic=50.0, boot="b")

fates = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(1, 30)), st.sampled_from(["a", "m", "f", "i"])
)


def lines_of(made: dict[tuple[int, int], str]) -> list[Line]:
    lines: list[Line] = []
    for at, ((writer, number), letter) in enumerate(sorted(made.items()), start=1):
        lines.append(("i", writer, number, at * 10, str(at * 10)))
        if letter != "i":
            lines.append((letter, writer, number, at * 10 + 5, "" if letter == "a" else "word"))
    return lines


@given(
    made=fates,
    read=st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 35)), max_size=80),
)
def test_the_judge_agrees_with_plain_sets(
    made: dict[tuple[int, int], str], read: list[tuple[int, int]]
) -> None:
    def of(*letters: str) -> set[tuple[int, int]]:
        return {row for row, letter in made.items() if letter in letters}

    book, seen, many = Book.of(lines_of(made)), set(read), Counter(read)
    found = judge(book, read)
    assert found.lost == len(of("a") - seen)
    assert set(found.lost_ids) == {f"{a}.{b}" for a, b in of("a") - seen}
    assert found.recovered == len(of("m", "i") & seen)
    assert found.unexpected == len(seen - of("a", "m", "i"))
    assert found.duplicates == sum(count - 1 for count in many.values())
    assert found.read == len(read)
    counts = book.counts()
    assert counts.acknowledged == len(of("a"))
    assert counts.ambiguous == len(of("m", "i"))
    assert counts.failed == len(of("f"))
    assert counts.damaged == 0


@given(st.lists(st.integers(0, 10_000_000), max_size=60), st.integers(0, 11_000_000))
def test_gaps_cover_the_whole_time(times: list[int], end: int) -> None:
    base = 50_000_000
    moments = [base + each for each in times]
    found = gaps_of(HEAD, moments, (base + end) / 1e6, threshold=-1.0)
    edges = sorted([base, *moments])
    last = max(edges[-1], base + end)
    longest = max(b - a for a, b in zip(edges, [*edges[1:], last], strict=True))
    assert found.longest is not None
    assert found.longest.seconds == pytest.approx(longest / 1e6, abs=1e-6)
    assert sum(each.seconds for each in found.above) == pytest.approx((last - base) / 1e6, abs=1e-3)


def test_a_shop_that_never_comes_back_has_a_gap_and_a_mark_finds_its_own() -> None:
    times = [50_100_000, 50_200_000, 53_200_000, 53_300_000]
    found = gaps_of(HEAD, times, 58.3, since=51.0)
    assert found.longest is not None
    assert (found.longest.edge, round(found.longest.seconds, 3)) == ("end", 5.0)
    before = gaps_of(HEAD, times, 53.4, since=51.0)
    assert before.since is not None
    assert round(before.since.seconds, 3) == 3.0
    assert before.since.wall == pytest.approx(1_700_000_000.2)
    after = gaps_of(HEAD, times, 53.4, since=53.25)
    assert after.since is not None
    assert round(after.since.seconds, 3) == 0.1


def written(folder: Path, *, end: bool = True) -> Recorder:
    recorder = Recorder(folder, HEAD)
    recorder.intent(1, 1, 50.0, 50.001)
    recorder.result(Outcome.ACKNOWLEDGED, 1, 1, 50.01)
    recorder.intent(2, 1, 50.0, 50.3)
    recorder.result(Outcome.AMBIGUOUS, 2, 1, 50.4, "timeout")
    recorder.result(Outcome.FAILED, 1, 2, 50.5, "connect_refused")
    recorder.intent(1, 3, 50.5, 50.5)
    if end:
        recorder.end(Ending(51.0, unstarted=3))
    return recorder


def test_a_record_says_what_was_written_and_is_written_once(tmp_path: Path) -> None:
    written(tmp_path).close()
    found = report(tmp_path)
    assert read_head(tmp_path) == HEAD
    assert found.counts == Counts(
        acknowledged=1, ambiguous=2, failed=1, late=1, latest=0.3,
        errors={"connect_refused": 1, "timeout": 1},
        by_writer={1: {"connect_refused": 1}, 2: {"timeout": 1}},
    )  # fmt: skip
    assert found.ending == Ending(51.0, unstarted=3)
    assert found.good is None
    with pytest.raises(UsageError, match="already holds a ledger"):
        Recorder(tmp_path, HEAD)


def test_a_record_cut_anywhere_loses_nothing_before_the_cut(tmp_path: Path) -> None:
    written(tmp_path).close()
    path = tmp_path / FILE
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole) + 1):
        path.write_bytes(whole[:cut])
        counts = report(tmp_path).counts
        assert counts.damaged == 0
        assert counts.acknowledged == (b"\na 1 1 50010000\n" in whole[:cut])
        assert counts.ambiguous <= 2
    path.write_bytes(whole[: first - 2])
    with pytest.raises(UsageError, match="first line"):
        read_head(tmp_path)


@pytest.mark.parametrize(
    "odd",
    [
        b"a 1 9 50\n", b"a 1 1 50010000\n", b"x 1 1 1\n", b"a 1\n", b"\0\0\0\n", b"\xff\n", b"\n",
        b"i 1 1 5 5\n", b"e {}\n", b"e nothing\n", b"a 1 -4 5\n", b"i 1 99999999999999 5 5\n",
    ],
    ids=range(12),
)  # fmt: skip
def test_damage_is_counted_and_no_pass(tmp_path: Path, odd: bytes) -> None:
    written(tmp_path).close()
    with (tmp_path / FILE).open("ab") as file:
        file.write(odd)
    book = Book.of(read_lines(tmp_path))
    assert book.counts().damaged == 1
    assert book.counts().acknowledged == 1
    seen = Report(
        HEAD, book.counts(), gaps_of(HEAD, book.times, 51.0), verdict=judge(book, [(1, 1)])
    )
    assert seen.good is None
    assert "damaged" in as_text(seen)
    assert json.loads(as_json(seen))["verdict"] == "unknown"


def test_what_was_never_read_is_null_and_not_nothing() -> None:
    seen = json.loads(as_json(Report(HEAD, Counts(acknowledged=5), gaps_of(HEAD, [], 50.0))))
    assert (seen["read_back"], seen["lost"], seen["unexpected"]) == (False, None, None)
    assert seen["verdict"] == "unknown"


def test_arrivals_come_whatever_the_answers_do() -> None:
    clock = FakeClock(100.0)
    arrivals = Arrivals(clock, rate=10, seconds=1)
    assert [arrivals.take() for _ in range(3)] == [100.0, 100.1, 100.2]
    clock.advance(0.9)
    arrivals.give_back()
    assert arrivals.take() == 100.2
    assert arrivals.unstarted(clock.now()) == 6
    clock.advance(0.2)
    assert arrivals.take() is None
    assert arrivals.unstarted(200.0) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"writers": 0}, {"writers": 999}, {"rate": 0.0}, {"seconds": 0.0}, {"deadline": 0.0},
        {"table": "x; drop table orders"}, {"table": 'a"b'}, {"table": "a.b.c"}, {"wait": -1},
    ],
    ids=str,
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|name for the table"):
        Plan(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dsn",
    [
        "ftp://h/d", "nonsense", "mysql://h:1/", "mysql://h/d?what=1", "mysql://h:port/d",
        "redis://h/x", "redis://h:99x/1", "redis+sentinel://h:1", "redis+sentinel:///m",
        "redis+sentinel://h:1/m/0?x=1", "postgresql://h/d?nonsense=1",
    ],
)  # fmt: skip
def test_a_dsn_that_cannot_be_read_is_a_wrong_call(dsn: str) -> None:
    with pytest.raises(UsageError):
        open_engine(dsn, table="t")


@pytest.mark.parametrize(
    ("dsn", "holds"),
    [
        ("postgresql://u:word@h/d", True), ("postgresql://u@h/d", False),
        ("host=h password=word", True), ("host=h password = 'a b'", True), ("host=h", False),
        ("postgresql://h/d?password=x", True), ("redis://:word@h:1/0", True),
        ("redis://127.0.0.1:6379/0", False), ("redis+sentinel://:w@a:1,b:2/m", True),
        ("redis+sentinel://a:1,b:2/m?sentinel_password=w", True), ("mysql://u:w@h/d", True),
        ("postgresql://u:w@a:1,b:2/d", True),
    ],
)  # fmt: skip
def test_a_password_in_a_dsn_is_seen(dsn: str, holds: bool) -> None:
    assert holds_password(dsn) is holds


def test_classes_of_errors_are_bounded_words() -> None:
    assert NotWritten("a b\nc;d" * 20).word == ("a_b_c_d" * 20)[:32]
    assert NotWritten("").word == "unknown"
