"""Does the verdict fall as the documents say, for every combination of findings?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sre.loadtest.book import Latency
from sre.loadtest.judge.validity import Cause, Doubt
from sre.loadtest.judge.verdict import Check, Measured, State, VerdictName, evaluate, judge, show
from sre.loadtest.thresholds import parse_threshold

LATENCY = parse_threshold("home.response.p95 < 100ms")
OUTCOME = parse_threshold("home.failed < 1%")


def check(latency: bool, state: State) -> Check:
    return Check(LATENCY if latency else OUTCOME, 1.0, 100, state)


CHECKS = st.lists(st.builds(check, st.booleans(), st.sampled_from(State)), max_size=5)
DOUBTS = st.lists(st.builds(Doubt, st.sampled_from(Cause), st.just("why")), max_size=3)


@given(CHECKS, DOUBTS, st.none() | st.just("SIGTERM"))
def test_the_first_rule_that_applies_decides(
    checks: list[Check], doubts: list[Doubt], aborted: str | None
) -> None:
    late = any(doubt.spoils_latency for doubt in doubts)
    outcome_broken = any(c.state is State.BROKEN and not c.threshold.is_latency for c in checks)
    latency_broken = any(c.state is State.BROKEN and c.threshold.is_latency for c in checks)
    verdict = judge(checks, doubts, aborted=aborted).name
    if aborted:
        assert verdict is VerdictName.ABORTED
    elif outcome_broken or (latency_broken and not late):
        assert verdict is VerdictName.FAILED
    elif doubts or any(c.state is State.UNKNOWN for c in checks):
        assert verdict is VerdictName.INVALID
    else:
        assert verdict is VerdictName.PASSED


@given(CHECKS, DOUBTS, st.sampled_from(Cause))
def test_more_doubt_never_makes_a_run_pass_nor_undoes_an_outcome_failure(
    checks: list[Check], doubts: list[Doubt], cause: Cause
) -> None:
    before = judge(checks, doubts).name
    after = judge(checks, [*doubts, Doubt(cause, "more")]).name
    assert after is not VerdictName.PASSED
    if any(c.state is State.BROKEN and not c.threshold.is_latency for c in checks):
        assert before is after is VerdictName.FAILED


@given(CHECKS, DOUBTS)
def test_every_verdict_has_its_reasons_and_its_exit_code(
    checks: list[Check], doubts: list[Doubt]
) -> None:
    verdict = judge(checks, doubts)
    assert verdict.reasons
    assert all(verdict.reasons)
    led_away = any(doubt.cause is Cause.BLOCKED for doubt in doubts)
    invalid = 5 if led_away else 3
    assert verdict.exit_code == {"passed": 0, "failed": 1, "invalid": invalid}[verdict.name]
    assert (verdict.name is VerdictName.PASSED) <= (not verdict.doubts)


def latency(good: list[float], failed: list[float] | None = None) -> Latency:
    found = Latency()
    for value in good:
        found.good.record(value)
    for value in failed or []:
        found.failed.record(value)
    return found


def seen(response: Latency, **counts: int) -> Measured:
    return Measured(sum(counts.values()), counts, response, response)


def test_quick_errors_do_not_make_a_percentile_look_better() -> None:
    storm = seen(latency([0.2] * 50, [0.001] * 950), ok=50, failed=950)
    assert evaluate(LATENCY, storm, 20).state is State.BROKEN


def test_time_outs_are_not_hidden_from_a_percentile() -> None:
    stuck = seen(latency([0.01] * 90, [5.0] * 10), ok=90, failed=10)
    found = evaluate(LATENCY, stuck, 20)
    assert found.state is State.BROKEN
    assert found.value == 5.0


@given(
    st.lists(st.floats(0.001, 1), min_size=1, max_size=40),
    st.lists(st.floats(0.001, 1), max_size=40),
)
def test_a_percentile_is_never_better_than_that_of_the_good_answers_or_of_all(
    good: list[float], failed: list[float]
) -> None:
    mixed, alone = latency(good, failed), latency(good)
    for q in (0.5, 0.95, 0.99, 1.0):
        value = mixed.quantile(q)
        assert value is not None
        assert value >= (alone.quantile(q) or 0)
        assert value >= (mixed.together().quantile(q) or 0)


def test_a_latency_is_kept_only_on_enough_good_answers() -> None:
    assert evaluate(LATENCY, seen(latency([0.01] * 19), ok=19), 20).state is State.UNKNOWN
    assert evaluate(LATENCY, seen(latency([0.01] * 20), ok=20), 20).state is State.KEPT
    all_quick_errors = seen(latency([], [0.001] * 500), failed=500)
    assert evaluate(LATENCY, all_quick_errors, 20).state is State.UNKNOWN


def test_nothing_observed_is_unknown_for_every_threshold() -> None:
    nothing = seen(latency([]))
    assert evaluate(LATENCY, nothing, 1).state is State.UNKNOWN
    assert evaluate(OUTCOME, nothing, 1).state is State.UNKNOWN


def test_outcomes_count_of_arrivals_and_degraded_is_ok() -> None:
    some = seen(latency([0.01]), ok=90, degraded=5, failed=3, dropped=2)
    assert evaluate(OUTCOME, some, 20).value == 0.03
    assert evaluate(parse_threshold("home.ok >= 95%"), some, 20).state is State.KEPT
    assert evaluate(parse_threshold("home.dropped <= 1"), some, 20).state is State.BROKEN


def test_a_share_is_kept_only_on_enough_arrivals_but_broken_on_any() -> None:
    threshold = parse_threshold("checkout.failed < 10%")
    few = seen(latency([0.1] * 3), ok=3)
    assert evaluate(threshold, few, 20).state is State.UNKNOWN
    assert evaluate(threshold, few, 3).state is State.KEPT
    assert evaluate(threshold, seen(latency([0.1]), ok=1, failed=1), 20).state is State.BROKEN


def test_values_read_as_people_write_them() -> None:
    assert show("seconds", 0.812) == "812 ms"
    assert show("seconds", 12.5) == "12.5 s"
    assert show("share", 0.0042) == "0.42 %"
    assert show("count", 3.0) == "3"
    assert show("count", None) == "nothing"
