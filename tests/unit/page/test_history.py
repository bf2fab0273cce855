"""When does a state change, since when does it last, and what counts as an event of what?"""

from __future__ import annotations

import pytest

from sre.core.secrets import redactor
from sre.journey.result import Outcome, Reason
from sre.page.counts import Cell
from sre.page.history import FORGET_AFTER, History, Subject, plain, subject_of
from sre.page.model import State
from tests.unit.page.made import NOON, failed, objective, played, run, step

MINUTE = 60.0


def standing(history: History, name: str = "checkout"):
    return history.standings[name]


def count(history: History, subject: Subject) -> tuple[int, int, int]:
    cells = [cell for _, _, cell in history.track(subject).cells(NOON + 1e9)]
    return tuple(sum(column) for column in zip(*(c[:3] for c in cells), strict=True)) or (0, 0, 0)


class TestStates:
    def test_since_is_the_change_not_the_last_run(self) -> None:
        history = played((NOON, run()), (NOON + 60, run()), (NOON + 120, failed()))
        assert (standing(history).state, standing(history).since) == (State.FAILING, NOON + 120)
        history.add(failed(), NOON + 180)
        assert standing(history).since == NOON + 120
        assert standing(history).ran == NOON + 180
        history.add(run(), NOON + 240)
        assert (standing(history).state, standing(history).since) == (State.WORKS, NOON + 240)

    def test_a_failing_step_and_its_reason_are_kept(self) -> None:
        found = standing(played((NOON, failed())))
        assert (found.step, found.reason, found.status) == ("payment", "status", 500)

    def test_a_cleanup_step_decides_nothing(self) -> None:
        bad = step("cancel", Outcome.FAILED, reason=Reason.TIMEOUT, cleanup=True)
        pay = step("payment", Outcome.FAILED, reason=Reason.STATUS)
        result = run(outcome=Outcome.FAILED, reason=Reason.STATUS, steps=(bad, pay))
        assert standing(played((NOON, result))).step == "payment"

    def test_a_single_probe_has_no_step(self) -> None:
        result = run("home", Outcome.FAILED, Reason.CONNECT, journey=False, steps=(step("http"),))
        assert standing(played((NOON, result)), "home").step == ""

    @pytest.mark.parametrize(
        ("outcome", "reason", "note"),
        [
            (Outcome.REFUSED, Reason.NONE, "refused"),
            (Outcome.THROTTLED, Reason.NONE, "throttled"),
            (Outcome.BLOCKED, Reason.NONE, "blocked"),
            (Outcome.FAILED, Reason.PROBER, "prober"),
        ],
    )
    def test_a_run_without_a_verdict_leaves_the_state_alone(self, outcome, reason, note) -> None:
        history = played((NOON, run()), (NOON + 60, run(outcome=outcome, reason=reason)))
        found = standing(history)
        assert (found.state, found.since, found.judged) == (State.WORKS, NOON, NOON)
        assert (found.ran, found.note) == (NOON + 60, note)
        alone = standing(played((NOON, run(outcome=outcome, reason=reason))))
        assert (alone.state, alone.judged, alone.note) == (State.UNKNOWN, None, note)
        assert count(history, plain("checkout")) == (1, 0, 0), "and is no event"

    def test_a_clock_that_went_back_never_leaves_since_in_the_future(self) -> None:
        history = played((NOON, run()), (NOON - 3600, run()))
        assert standing(history).since == NOON - 3600


class TestMessages:
    @pytest.mark.parametrize(
        ("message", "shown"),
        [
            ("cannot connect to 10.1.2.3:8080: refused", "cannot connect to …: refused"),
            ("see https://inner.example/a?token=x now", "see … now"),
            ("to [2001:db8::1]:443 and ::1", "to … and …"),
            ("at 2001:db8:0:0:0:0:0:1 Foo::Bar", "at … Foo::Bar"),
            ("two\nlines\tand   spaces", "two lines and spaces"),
            ("took 0.734 s, slow at 11:22:33", "took 0.734 s, slow at 11:22:33"),
            ("x" * 500, "x" * 199 + "…"),
        ],
    )
    def test_it_is_cut_and_has_no_addresses(self, message: str, shown: str) -> None:
        found = standing(played((NOON, failed(message=message)))).message
        assert found == shown
        assert len(found) <= 200

    def test_a_secret_is_masked(self) -> None:
        redactor.add("hunter2-very-secret")
        found = standing(played((NOON, failed(message="sent hunter2-very-secret")))).message
        assert "hunter2" not in found

    def test_health_has_no_message(self) -> None:
        assert standing(played((NOON, run(message="fine")))).message == ""


class TestEvents:
    def test_good_slow_and_bad(self) -> None:
        history = played(
            (NOON, run()), (NOON, run(outcome=Outcome.DEGRADED, reason=Reason.SLOW)),
            (NOON, failed()), (NOON, failed()),
        )  # fmt: skip
        assert count(history, plain("checkout")) == (1, 1, 2)

    def test_a_latency_objective_counts_by_its_own_limit(self) -> None:
        fast = subject_of(objective(below=2.0))
        assert fast == Subject("journey", "checkout", 2.0)
        history = played(
            (NOON, run(seconds=2.0)), (NOON, run(seconds=2.001)), (NOON, failed()),
            (NOON, run(outcome=Outcome.DEGRADED, reason=Reason.SLOW, seconds=1.0)),
            subjects=(fast,),
        )  # fmt: skip
        assert count(history, fast) == (2, 1, 1), "the limit itself is fast, degraded is no matter"

    def test_a_step_has_events_of_its_own(self) -> None:
        pay = subject_of(objective(step="checkout/payment"))
        history = played(
            (NOON, failed()), (NOON, run(steps=(step("home"),))),
            (NOON, run(steps=(step("home"), step("payment")))),
            (NOON, failed("browse")), subjects=(pay,),
        )  # fmt: skip
        assert count(history, pay) == (1, 0, 1)

    def test_a_journey_is_counted_from_whichever_probe_runs_it(self) -> None:
        whole = subject_of(objective())
        history = played((NOON, run()), (NOON, run("home", journey=False)), subjects=(whole,))
        assert count(history, whole) == (1, 0, 0)

    def test_an_objective_on_a_probe_shares_its_counts_once(self) -> None:
        home = subject_of(objective(probe="home"))
        assert home == plain("home")
        history = played((NOON, run("home", journey=False)), subjects=(home, home))
        assert count(history, home) == (1, 0, 0)

    def test_latency_is_kept(self) -> None:
        history = played((NOON, run(seconds=0.25)), (NOON, run(seconds=0.75)), (NOON, failed()))
        assert history.track(plain("checkout")).minutes[int(NOON)] == Cell(2, 0, 1, 1_000_000)


class TestMemory:
    def test_it_survives_being_written_down(self) -> None:
        history = played(
            (NOON, run()), (NOON + 60, failed()), (NOON, run("home", journey=False)),
            subjects=(subject_of(objective(below=2.0)),),
        )  # fmt: skip
        again = History.from_data(history.as_data())
        assert again.as_data() == history.as_data()

    def test_what_is_gone_for_a_week_is_forgotten(self) -> None:
        history = played((NOON, run()), (NOON, run("old")))
        history.forget([plain("checkout")], ["checkout"], NOON + 86400)
        assert "old" in history.standings, "it may come back"
        history.forget([plain("checkout")], ["checkout"], NOON + FORGET_AFTER + 3601)
        assert set(history.standings) == {"checkout"}
        assert set(history.tracks) == {"probe/checkout"}

    def test_another_schema_is_refused(self) -> None:
        data = History().as_data()
        with pytest.raises(ValueError, match="schema"):
            History.from_data({**data, "schema": "sre.status-history/2"})
