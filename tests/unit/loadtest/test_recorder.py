"""Is what the customer waited what is recorded, and does nothing go missing on the way?"""

from __future__ import annotations

import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.journey.result import JourneyResult, Outcome, Reason, Row, StepResult
from sre.loadtest.book import Book
from sre.loadtest.crew.wire import read_deltas, write_delta
from sre.loadtest.recorder import Collector, Recorder, response_times
from sre.loadtest.shape import WARMUP, Arrival


def arrival(number: int = 0, due: float = 0.0, phase: int = 0) -> Arrival:
    return Arrival(number, "checkout", due, phase, number)


def step(
    name: str, seconds: float, due: float = 0.0, started: float = 0.0, **more: object
) -> StepResult:
    given: dict[str, object] = {"outcome": Outcome.OK, "rows": (Row(name, Outcome.OK, seconds),)}
    return StepResult(name=name, seconds=seconds, due=due, started=started, **(given | more))  # type: ignore[arg-type]


def result(
    *steps: StepResult, outcome: Outcome = Outcome.OK, reason: Reason = Reason.NONE
) -> JourneyResult:
    return JourneyResult("checkout", outcome, 0.0, reason=reason, steps=steps)


def test_the_first_step_counts_from_the_due_time_and_later_ones_from_theirs() -> None:
    done = result(
        step("search", 0.1, due=0.0, started=0.01),
        step("pay", 0.2, due=3.11, started=3.16),  # a planned pause of 3 s is nobody's wait
    )
    waited = [(s.name, pytest.approx(t)) for s, t in response_times(done, lateness=0.5)]
    assert waited == [("search", 0.61), ("pay", 0.25)]


def run(recorder: Recorder, number: int, done: JourneyResult, **more: float) -> None:
    customer = arrival(number, **more)  # type: ignore[arg-type]
    recorder.arrived(customer)
    recorder.started(customer, 0.0)
    recorder.finished(customer, done, 0.0)


def book_of(recorder: Recorder) -> Book:
    return Book.from_plain(json.loads(json.dumps(recorder.delta()))["book"])


def test_a_journey_is_the_sum_of_its_steps_without_pauses_and_cleanup() -> None:
    recorder = Recorder(1.0)
    done = result(
        step("search", 0.1), step("pay", 0.2, due=3.1, started=3.1), step("undo", 0.7, cleanup=True)
    )
    run(recorder, 0, done)
    book = book_of(recorder)
    assert book.series["checkout", "", 0].response.quantile(1.0) == pytest.approx(0.3)
    assert book.series["checkout", "undo", 0].response.quantile(1.0) == pytest.approx(0.7)
    assert book.requests == 3


def test_a_request_is_one_that_the_shop_can_have_in_its_log() -> None:
    recorder = Recorder(1.0)
    led_away = (Row("front", Outcome.OK, 0.1), Row("front", Outcome.BLOCKED, 0.0, hop=1))
    again = (
        Row("pay", Outcome.FAILED, 0.0, reason=Reason.CONNECT),
        Row("pay", Outcome.FAILED, 0.0, reason=Reason.DNS, attempt=1),
        Row("pay", Outcome.FAILED, 0.1, reason=Reason.TLS, attempt=2),
        Row("pay", Outcome.FAILED, 3.0, reason=Reason.TIMEOUT, attempt=3),
        Row("pay", Outcome.FAILED, 0.1, reason=Reason.PROTOCOL, attempt=4),
    )
    run(recorder, 0, result(step("front", 0.1, rows=led_away), step("pay", 3.2, rows=again)))
    assert book_of(recorder).requests == 3


def test_outcomes_are_kept_apart_and_the_generator_s_own_faults_too() -> None:
    recorder = Recorder(1.0)
    slow = step("pay", 5.0, outcome=Outcome.FAILED, reason=Reason.TIMEOUT, message="no answer")
    run(recorder, 0, result(slow, outcome=Outcome.FAILED, reason=Reason.TIMEOUT))
    run(recorder, 1, result(step("pay", 0.1, outcome=Outcome.REFUSED), outcome=Outcome.REFUSED))
    ours = step("pay", 0.1, outcome=Outcome.FAILED, reason=Reason.PROBER, message="bug")
    run(recorder, 2, result(ours, outcome=Outcome.FAILED, reason=Reason.PROBER))
    book = book_of(recorder)
    series = book.series["checkout", "pay", 0]
    assert dict(series.counts) == {"failed": 1, "refused": 1, "prober": 1}
    assert (series.response.good.count, series.response.failed.count) == (0, 1)
    assert dict(series.reasons) == {"timeout": 1, "prober": 1}
    assert book.examples["checkout", "pay", "timeout"] == "no answer"


def test_a_journey_given_up_is_a_time_out_of_its_age() -> None:
    recorder = Recorder(1.0)
    customer = arrival()
    recorder.arrived(customer)
    recorder.started(customer, 0.0)
    recorder.abandoned(customer, 7.5, result(step("search", 0.1)), 0.0)
    book = book_of(recorder)
    assert book.series["checkout", "", 0].response.failed.maximum == 7.5
    assert dict(book.series["checkout", "", 0].reasons) == {"timeout": 1}
    assert book.series["checkout", "search", 0].counts["ok"] == 1
    assert book.tallies["checkout", 0].abandoned == 1


def test_warm_up_is_a_phase_of_its_own() -> None:
    recorder = Recorder(1.0)
    run(recorder, 0, result(step("search", 9.0)), phase=WARMUP)
    run(recorder, 1, result(step("search", 0.1)))
    book = book_of(recorder)
    assert book.series["checkout", "", 0].response.count == 1
    assert book.series["checkout", "", WARMUP].response.count == 1


EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.floats(0.001, 5.0), st.sampled_from(Outcome), st.booleans()),
    max_size=40,
)


@given(EVENTS)
def test_the_sum_over_workers_and_deltas_is_the_whole(
    events: list[tuple[int, float, Outcome, bool]],
) -> None:
    whole, shares = Recorder(1.0), [Recorder(1.0) for _ in range(3)]
    collectors = [Collector() for _ in shares]
    for number, (worker, seconds, outcome, ship) in enumerate(events):
        done = result(step("search", seconds, outcome=outcome), outcome=outcome)
        run(whole, number, done, due=number / 10)
        run(shares[worker], number, done, due=number / 10)
        if ship:
            collectors[worker].add(json.loads(json.dumps(shares[worker].delta())))
    merged = Book()
    for share, collector in zip(shares, collectors, strict=True):
        collector.add(share.delta(done=True))
        assert collector.adds_up
        assert collector.done
        merged.merge(collector.book)
    expected = book_of(whole)
    assert set(merged.series) == set(expected.series)
    for key, series in expected.series.items():
        assert merged.series[key].counts == series.counts
        assert merged.series[key].response.good.buckets == series.response.good.buckets
    assert merged.starts == expected.starts
    assert {k: t.to_plain() for k, t in merged.tallies.items()} == {
        k: t.to_plain() for k, t in expected.tallies.items()
    }


@pytest.mark.parametrize("numbers", [[1, 3], [1, 1], [2]])
def test_a_missing_or_doubled_delta_is_noticed(numbers: list[int]) -> None:
    recorder, collector = Recorder(1.0), Collector()
    for number in numbers:
        collector.add(recorder.delta() | {"sequence": number})
    assert collector.gap
    assert not collector.adds_up


def test_a_start_without_an_end_does_not_add_up() -> None:
    recorder, collector = Recorder(1.0), Collector()
    recorder.arrived(arrival())
    recorder.started(arrival(), 0.0)
    collector.add(recorder.delta(done=True))
    assert not collector.adds_up


def test_deltas_travel_as_lines_and_a_torn_last_one_is_left_out() -> None:
    reader, writer = os.pipe()
    write_delta(writer, {"sequence": 1})
    write_delta(writer, {"sequence": 2})
    os.write(writer, b'{"sequence":')
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    assert [delta["sequence"] for delta in read_deltas(io.BytesIO(data))] == [1, 2]
