"""Does the page say what is known: the sentence, states, staleness, proofs?"""

from __future__ import annotations

import pytest

from sre.core.facts import Fact
from sre.journey.result import Outcome, Reason
from sre.page.build import Moment, build
from sre.page.history import History
from sre.page.model import Declared, Proof, State, StatusPage
from sre.page.proofs import proofs_of
from tests.unit.page.made import NOON, check, declared, failed, objective, played, run, step

SLOW = {"outcome": Outcome.DEGRADED, "reason": Reason.SLOW}
NAMES = ("checkout", "browse", "search", "login", "home", "ready", "machine")


def shown(history: History, *names: str, now: float = NOON, **more) -> StatusPage:
    checks = [check(name) for name in names or ("checkout",)]
    return build(declared(*checks, **more), Moment(now, history))


def all_well(*others, at: float = NOON - 60) -> History:
    return played(*((at, run(name)) for name in NAMES), *others)


class TestTheSentence:
    def test_everything_works(self) -> None:
        page = shown(all_well(), *NAMES)
        assert (page.sentence, page.state) == ("Everything works", State.WORKS)
        assert page.details == ()

    def test_one_fails(self) -> None:
        page = shown(all_well((NOON - 30, failed())), *NAMES)
        assert page.sentence == "Checkout is failing since 11:59 (payment: status)"
        assert page.state is State.FAILING

    def test_since_another_day(self) -> None:
        history = played((NOON - 86400, failed()), (NOON - 30, failed()))
        assert "since 20 Nov 12:00 (" in shown(history).sentence

    def test_a_few_fail(self) -> None:
        history = all_well((NOON - 30, failed()), (NOON - 20, failed("browse", "search")))
        assert shown(history, *NAMES).sentence == (
            "2 of 7 probes are failing: checkout since 11:59 (payment: status); "
            "browse since 11:59 (search: status)"
        )

    def test_many_fail(self) -> None:
        history = played(*((NOON, failed(name)) for name in NAMES))
        assert shown(history, *NAMES).sentence == "7 of 7 probes are failing"

    def test_some_are_slow(self) -> None:
        one = shown(all_well((NOON, run("home", **SLOW))), *NAMES)
        assert one.sentence == "Home is slow since 12:00"
        pay = run(steps=(step("payment", **SLOW),), **SLOW)
        assert shown(played((NOON, pay))).sentence == "Checkout is slow since 12:00 (payment)"
        two = shown(all_well((NOON, run("home", **SLOW)), (NOON, run(**SLOW))), *NAMES)
        assert (two.sentence, two.state) == ("2 of 7 probes are slow", State.SLOW)

    def test_failing_leads_and_slow_is_not_forgotten(self) -> None:
        page = shown(all_well((NOON, run("home", **SLOW)), (NOON, failed())), *NAMES)
        assert page.sentence.startswith("Checkout is failing")
        assert page.details == ("Also slow: home.",)

    def test_nothing_is_known_yet(self) -> None:
        page = shown(History(), "checkout", "home")
        assert page.sentence == "Nothing is known yet: the first runs are due"
        assert page.state is State.UNKNOWN
        half = shown(played((NOON, run("home"))), "checkout", "home")
        assert half.sentence == "Everything seen so far works; checkout has not run yet"

    def test_nothing_is_watched(self) -> None:
        page = build(declared(), Moment(NOON, History()))
        assert "no probes are declared" in page.sentence

    def test_a_spent_budget_is_told_beside_it(self) -> None:
        history = played((NOON - 60, failed()), (NOON, run()))
        history.tracks["journey/checkout"] = history.tracks["probe/checkout"]
        page = shown(history, objectives=(objective(),))
        assert page.sentence == "Everything works"
        assert page.details == ("Error budget spent so far: checkout-available.",)


class TestComponents:
    def test_silence_is_not_health(self) -> None:
        history = played((NOON - 600, run()))
        (one,) = shown(history).components
        assert one.state is State.UNKNOWN
        assert one.why == "no verdict since 11:50; until then: works"
        assert (one.since, one.seconds) == (NOON - 600, None)
        (fresh,) = shown(history, now=NOON - 600 + 180 + 5).components
        assert fresh.state is State.WORKS, "three intervals and the timeout"

    def test_a_blocked_run_is_explained(self) -> None:
        (one,) = shown(played((NOON, run(outcome=Outcome.BLOCKED)))).components
        assert (one.state, one.why) == (
            State.UNKNOWN,
            "the last run was blocked by the allow-list",
        )
        (both,) = shown(
            played((NOON - 60, run()), (NOON, run(outcome=Outcome.THROTTLED)))
        ).components
        assert both.state is State.WORKS
        assert both.note == "the last run was throttled (429)"

    def test_reason_in_words(self) -> None:
        (one,) = shown(played((NOON, failed()))).components
        assert one.why == "payment: unexpected status 500"
        assert one.detail == "expected status 200, got 500"
        assert one.because == "payment: status"

    def test_the_day_shows_the_worst_of_each_half_hour(self) -> None:
        history = played((NOON - 3600, run()), (NOON - 3599, failed()), (NOON, run(**SLOW)))
        (one,) = shown(history).components
        assert one.day[-1] is State.SLOW
        assert [s for s in one.day if s] == [State.FAILING, State.SLOW]
        assert (one.good, one.total, len(one.day), len(one.hour)) == (2, 3, 48, 60)

    def test_the_worst_comes_first_and_journeys_before_probes(self) -> None:
        history = played((NOON, run("a", journey=False)), (NOON, run("b")), (NOON, failed("c")))
        checks = (check("a", journey=False), check("b"), check("c"))
        page = build(declared(*checks), Moment(NOON, history))
        assert [one.name for one in page.components] == ["c", "b", "a"]

    def test_a_clock_that_went_back_shows_no_future(self) -> None:
        (one,) = shown(played((NOON + 7200, run()))).components
        assert one.since == one.ran == NOON

    def test_steps_of_the_last_run(self) -> None:
        steps = (step("home"), step("pay", Outcome.FAILED, reason=Reason.TIMEOUT))
        page = build(declared(check()), Moment(NOON, played((NOON, run())), {"checkout": steps}))
        found = page.components[0].steps
        assert [(s.name, s.state, s.reason) for s in found] == [
            ("home", State.WORKS, ""), ("pay", State.FAILING, "timeout"),
        ]  # fmt: skip


class TestProofs:
    def test_what_is_expected_and_missing_is_none_yet(self) -> None:
        things = Declared(
            declared().shop, objectives=(objective(runbook="r"),), databases=("orders",)
        )
        assert build(things, Moment(NOON, History())).proofs == (
            Proof("backup", "orders"), Proof("runbook", "r"),
        )  # fmt: skip

    @pytest.mark.parametrize("name", ["backup.orders", "backup/orders"])
    def test_a_plain_record(self, name: str) -> None:
        value = {"id": "b-1", "level": 3, "at": "2026-11-21T10:00:00Z", "rto_seconds": 41.5}
        (one,) = proofs_of([Fact(name, value, NOON)], ("orders",), ())
        assert one == Proof(
            "backup", "orders", True, "restored and checked", NOON - 7200, 41.5, "b-1"
        )

    def test_verifications_as_backups_publish_them(self) -> None:
        deep = {"id": "b-1", "level": 3, "at": NOON - 99, "passed": True, "rto_seconds": 4.0}
        light = {**deep, "id": "b-2", "level": 0, "at": NOON, "rto_seconds": None}
        good = {"last": light, "passed": {"3": deep, "0": light}}
        ran = {
            "attempt": {"at": NOON, "exit_code": 4},
            "success": {"id": "b-2", "at": NOON - 50},
        }
        facts = [Fact("backup/orders/verified", good, NOON), Fact("backup/orders/run", ran, NOON)]
        (one,) = proofs_of(facts, (), ())
        assert (one.good, one.words, one.id) == (True, "restored and checked", "b-1")
        assert (one.ran, one.failed) == (NOON - 50, NOON)
        bad = {"last": {**light, "passed": False}, "passed": {"3": deep}}
        (one,) = proofs_of([Fact("backup/orders/verified", bad, NOON)], (), ())
        assert (one.good, one.words, one.id) == (False, "verification failed", "b-2")

    def test_rehearsals_as_runbooks_publish_them(self) -> None:
        last = {"run": "r1", "at": NOON - 60, "result": "passed", "seconds": 12.0}
        value = {"last_run": last, "last_rehearsal": last}
        (one,) = proofs_of([Fact("runbook.pay", value, NOON)], (), ())
        assert one == Proof("runbook", "pay", True, "rehearsed", NOON - 60, 12.0, "r1")
        real = {"last_run": {**last, "result": "failed"}}
        (one,) = proofs_of([Fact("runbook.pay", real, NOON)], (), ())
        assert (one.good, one.words, one.failed) == (None, "none yet", NOON - 60)
        aborted = {**last, "result": "rolled_back"}
        value = {"last_run": aborted, "last_rehearsal": aborted}
        (one,) = proofs_of([Fact("runbook.pay", value, NOON)], (), ())
        assert (one.good, one.words) == (False, "rehearsal: rolled_back")

    @pytest.mark.parametrize(
        "value",
        [
            {},
            {"at": "soon", "level": "deep", "rto_seconds": "long", "id": ["x"]},
            {"last": 5, "passed": []},
            {"last": {"passed": "yes"}, "passed": {"x": 1}},
            {"last_run": None, "last_rehearsal": [1]},
            {"at": True, "rto_seconds": float("nan")},
        ],
    )
    def test_strange_facts_do_no_harm(self, value: dict[str, object]) -> None:
        for name in ("backup.a", "backup/a/verified", "backup/a/run", "runbook.a", "other"):
            proofs_of([Fact(name, value, NOON)], (), ())
