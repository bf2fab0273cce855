"""Does the ledger agree with the books exactly when it should?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import pytest

from sre.core.clock import FakeClock
from sre.core.errors import CheckFailed, Transient, UsageError
from sre.core.secrets import Secret
from sre.journey.result import JourneyResult, Outcome
from sre.loadtest.book import Book
from sre.loadtest.judge.assemble import Ran
from sre.loadtest.judge.finding import Finding, State
from sre.loadtest.judge.report import Facts
from sre.loadtest.recorder import Recorder
from sre.loadtest.shape import Arrival
from sre.loadtest.truth.declare import Invariant, terms_of
from sre.loadtest.truth.entry import Entry, Standing, entry_of
from sre.loadtest.truth.examiner import InvariantsExaminer
from sre.loadtest.truth.ledger import Ledger, ledger_of
from sre.loadtest.truth.reconcile import Reconciled, reconcile
from tests.unit.loadtest.made import made_job

DSN = Secret.literal("sqlite:////books")
BY_NUMBER = terms_of("ledger.buy.number")


def entry(
    number: str | None, state: Standing = Standing.ACCEPTED, *, ambiguous: bool = False
) -> Entry:
    values = {} if number is None else {"number": number}
    unknown = ambiguous or state is Standing.UNKNOWN
    return Entry("buy", 0, 0.0, state, unknown, "k", values)


def held(rows: Sequence[Sequence[Any]], *entries: Entry) -> Reconciled:
    return reconcile(rows, Ledger(entries), BY_NUMBER)


@pytest.mark.parametrize(
    ("rows", "entries"),
    [
        ([("1",), ("2",)], [entry("1"), entry("2")]),
        ([("1", 1), (2, Decimal(1))], [entry("1"), entry("2")]),
        ([(Decimal(17),), (18,)], [entry("17"), entry("18")]),
        ([("a ",)], [entry("a"), entry(None, Standing.REFUSED)]),
        ([("a",), ("b",)], [entry("a"), entry("b", Standing.FAILED)]),  # told, then failed
        ([("a",)], [entry("a"), entry("b", Standing.FAILED)]),
        ([("a",)], [entry("a"), entry("b", Standing.REFUSED)]),
        ([("a",), ("b",)], [entry("a"), entry("b", Standing.REFUSED, ambiguous=True)]),
        ([("a",), ("x",)], [entry("a"), entry(None, Standing.UNKNOWN)]),
        ([("a",), ("x",)], [entry("a", ambiguous=True)]),
        ([("a", 1), ("b", 0)], [entry("a")]),
        ([], []),
    ],
)
def test_books_that_tell_the_same_story(rows: list[Any], entries: list[Entry]) -> None:
    said = held(rows, *entries)
    assert (said.state, said.problem) == (State.KEPT, "")


@pytest.mark.parametrize(
    ("rows", "entries", "words"),
    [
        ([], [entry("a")], "1 accepted but not stored: a"),
        ([("a",), ("a",)], [entry("a")], "1 stored more than once: a (2 times)"),
        ([("a", 3)], [entry("a")], "1 stored more than once: a (3 times)"),
        ([("a",), ("b",)], [entry("a")], "1 stored but never accepted: b"),
        ([("a",)], [entry("a"), entry("a")], "1 bought more than once: a (by 2 customers)"),
        (
            [("a",), ("x",), ("y",)],
            [entry("a"), entry(None, Standing.UNKNOWN)],
            "2 stored but never accepted: x, y (at most 1 could be runs of unknown outcome)",
        ),
        (
            [("a",), ("b",)],
            [entry("a"), entry("b", Standing.REFUSED), entry(None, Standing.UNKNOWN)],
            "1 stored but refused: b",
        ),
        ([("a",)], [entry("b"), entry("c")], "2 accepted but not stored: b, c; 1 stored but"),
        (
            [],
            [entry(f"{n}") for n in range(9)],
            "9 accepted but not stored: 0, 1, 2, 3, 4 and 4 more",
        ),
    ],
)
def test_books_that_do_not(rows: list[Any], entries: list[Entry], words: str) -> None:
    said = held(rows, *entries)
    assert said.state is State.BROKEN
    assert said.problem.startswith(words)


@pytest.mark.parametrize(
    ("rows", "entries"),
    [([(1, 2, 3)], []), ([(None,)], []), ([("a", "b")], []), ([], [entry(None)])],
)
def test_rows_that_mean_nothing_are_no_answer(rows: list[Any], entries: list[Entry]) -> None:
    assert held(rows, *entries).state is State.UNKNOWN


def test_what_became_of_the_unknown_is_counted() -> None:
    unknown = Standing.UNKNOWN
    said = held(
        [("a",), ("x",), ("b",)],
        *(entry("a"), entry(None, unknown), entry(None, unknown), entry("b", unknown)),
    )
    assert (said.state, said.unknown, said.found) == (State.KEPT, 3, 2)


@pytest.mark.parametrize(
    ("outcome", "ambiguous", "state"),
    [
        (Outcome.OK, False, Standing.ACCEPTED),
        (Outcome.DEGRADED, True, Standing.ACCEPTED),
        (Outcome.REFUSED, False, Standing.REFUSED),
        (Outcome.FAILED, True, Standing.UNKNOWN),
        (Outcome.THROTTLED, False, Standing.FAILED),
    ],
)
def test_a_run_stands_as_it_ended(outcome: Outcome, ambiguous: bool, state: Standing) -> None:
    values = {"number": "1", "page": "x" * 2000, "all": [1]}
    made = entry_of(
        "buy", 3, 1.5, JourneyResult("buy", outcome, 1.0, values=values, ambiguous=ambiguous)
    )
    assert (made.state, made.ambiguous, made.values) == (state, ambiguous, {"number": "1"})
    assert Entry.from_plain(made.to_plain()) == made


def test_the_ledger_travels_and_what_was_given_up_is_unknown() -> None:
    recorder = Recorder(1.0, with_effects=["buy"])
    for number, journey in enumerate(("buy", "look", "buy")):
        arrival = Arrival(number, journey, float(number), 0, number)
        recorder.arrived(arrival)
        recorder.started(arrival, 0.0)
        if number == 2:
            recorder.abandoned(arrival, 9.0, None, 0.0)
        else:
            recorder.finished(arrival, JourneyResult(journey, Outcome.OK, 1.0, key="k"), 0.0)
    book = Book.from_plain(recorder.delta()["book"])
    assert [(e.journey, e.state, e.key) for e in book.ledger] == [
        ("buy", Standing.ACCEPTED, "k"),
        ("buy", Standing.UNKNOWN, ""),
    ]
    assert book.tallies["buy", 0].ambiguous == 1


@dataclass
class _Member:
    """A generator that may have died."""

    book: Book = field(default_factory=Book)
    lost: str | None = None
    ended: float | None = None

    def snapshot(self) -> Book:
        return self.book


RELEASE = """
    mix: {checkout: 2/s, browse: 2/s}
    arrivals: uniform
    stages: [{hold: 10s}]
"""


def test_what_a_dead_worker_was_to_send_is_unknown_until_it_died(tmp_path: Any) -> None:
    job = made_job(tmp_path, RELEASE)
    dead, alive = _Member(lost="killed", ended=5.0), _Member()
    dead.book.ledger = [Entry("checkout", 0, 0.0, Standing.ACCEPTED)]
    members: Any = [dead, alive]
    found = ledger_of(job, members, 10.0)
    shares = [a for a in job.arrivals if a.number % 2 == 0 and a.due <= 5.0]
    due = {a.sequence for a in shares if a.journey == "checkout"}
    assert {e.sequence for e in found.entries} == due
    assert found.accepted["checkout"] == 1
    assert found.ambiguous["checkout"] == len(due) - 1 > 3


class _Books:
    """A database with one answer after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, _dsn: str) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None: ...

    def value(self, sql: str, parameters: Any = None) -> Any:
        return self.rows(sql, parameters)[0][0]

    def rows(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        assert set(parameters) >= {"run_id"}
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [(answer,)]


def examined(
    tmp_path: Any, books: _Books, *, signal: int | None = None, **more: Any
) -> tuple[Sequence[Finding], float]:
    job = made_job(tmp_path, RELEASE)
    asked = Invariant("n", "select 1", dsn=DSN, **({"equals": 1} | more))
    object.__setattr__(job.test, "invariants", (asked,))
    clock = FakeClock(0.0)
    examiner = InvariantsExaminer(job, {}, clock=clock, opened=books)
    examiner.before("r1")
    facts = Facts("t", "r1", "", "", "", 10.0, 10.0, 1, 1, "open")
    return examiner.after(Ran(facts, (), 1.0, signal=signal)), clock.now()


def test_an_invariant_is_asked_until_it_holds(tmp_path: Any) -> None:
    (found,), seconds = examined(tmp_path, _Books(0, 0, CheckFailed("gone"), 1), settle=10.0)
    assert (found.state, found.value) == (State.KEPT, "1")
    assert seconds == pytest.approx(1.0)


@pytest.mark.parametrize(("signal", "expected"), [(None, 3.0), (15, 1.0)])
def test_an_invariant_that_never_holds_is_broken_when_its_time_is_over(
    tmp_path: Any, signal: int | None, expected: float
) -> None:
    (found,), seconds = examined(tmp_path, _Books(7), settle=3.0, signal=signal)
    assert (found.state, found.problem) == (State.BROKEN, "found 7, expected equals 1")
    assert seconds == pytest.approx(expected)


def test_a_question_that_fails_at_the_end_is_no_pass(tmp_path: Any) -> None:
    (found,), _ = examined(tmp_path, _Books(1, CheckFailed("gone")), settle=1.0)
    assert (found.state, found.problem) == (State.UNKNOWN, "cannot be asked: gone")


@pytest.mark.parametrize(
    ("error", "raised"), [(CheckFailed("no table"), UsageError), (Transient("down"), Transient)]
)
def test_a_question_that_fails_before_ends_it(
    tmp_path: Any, error: Exception, raised: type[Exception]
) -> None:
    with pytest.raises(raised, match="load test 'release', invariant 'n': nothing was sent"):
        examined(tmp_path, _Books(error))


@pytest.mark.parametrize(
    "bound", ["accepted.a + 3", "ledger.a", "ledger.a.b + accepted", "accepted.a + ledger"]
)
def test_a_bound_that_is_half_a_sum_is_refused(bound: str) -> None:
    with pytest.raises(ValueError, match="bound"):
        terms_of(bound)


def test_a_plain_text_stays_one() -> None:
    assert terms_of("paid + sent") == terms_of(3) == ()
    assert [t.text for t in terms_of("accepted.a + accepted.b.c")] == ["accepted.a", "accepted.b.c"]
