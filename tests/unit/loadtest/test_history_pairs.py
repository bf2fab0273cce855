"""Which runs make a pair, what is repeated, and whose report is the report of the whole?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sre.loadtest.history import pairs as pairs_module
from sre.loadtest.history.model import Regression
from sre.loadtest.history.pairs import Done, Side, interleaved, overall, repeated
from sre.loadtest.judge.finding import State
from sre.loadtest.judge.validity import Cause, Doubt
from sre.loadtest.judge.verdict import Verdict, VerdictName
from tests.unit.loadtest.made import made_job, made_report

LATE = Doubt(Cause.LATENESS, "the generator was late")


class Ran:
    """As far as pairs look at it."""

    def __init__(self, aborted: str | None = None) -> None:
        self.aborted = aborted


class Stage:
    """Runs nothing; gives what it was told to give, in order."""

    def __init__(self, folder: Path) -> None:
        self.job = made_job(folder)
        self.report = made_report(self.job)
        self.asked: list[tuple[int, Side]] = []
        self.bad: dict[int, str] = {}

    def __call__(self, pair: int, side: Side) -> Done:
        number = len(self.asked)
        self.asked.append((pair, side))
        what = self.bad.get(number, "")
        doubts = (LATE,) if what == "late" else ()
        name = VerdictName.FAILED if what == "failed" else VerdictName.PASSED
        facts = replace(self.report.facts, run_id=f"{number:016x}")
        report = replace(self.report, facts=facts, verdict=Verdict(name, ("why",), doubts))
        return Done(self.job, report, Ran("SIGTERM" if what == "abort" else None))  # type: ignore[arg-type]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_sides_change_their_turn_from_pair_to_pair(stage: Stage) -> None:
    outcome = interleaved(3, stage, print)
    turns = [side[0] for _, side in stage.asked]
    assert "".join(turns) == "bccbbc"
    assert len(outcome.pairs) == 3
    assert not outcome.spoilt


def test_a_pair_with_an_invalid_run_is_repeated_whole_and_said(stage: Stage) -> None:
    notes: list[str] = []
    stage.bad = {3: "late"}  # the second run of the second pair
    outcome = interleaved(2, stage, notes.append)
    assert [pair for pair, _ in stage.asked] == [0, 0, 1, 1, 1, 1]
    assert notes == ["pair 2 is repeated, its baseline was invalid: the generator was late"]
    assert [done.report.facts.run_id[-1] for done in outcome.pairs[1]] == ["5", "4"]


def test_a_pair_that_stays_invalid_spoils_the_whole(stage: Stage) -> None:
    stage.bad = dict.fromkeys(range(20), "late")
    outcome = interleaved(2, stage, print)
    assert len(stage.asked) == 3
    assert outcome.spoilt.startswith("pair 1 stayed invalid after 3 attempts")
    assert repeated(lambda: stage(0, "baseline"), "run 1", print)[1].startswith("run 1 stayed")


def test_after_an_abort_nothing_is_begun(stage: Stage) -> None:
    stage.bad = {2: "abort"}
    outcome = interleaved(5, stage, print)
    assert len(stage.asked) == 3
    assert outcome.stopped is not None
    assert len(outcome.pairs) == 1
    assert overall(outcome, Regression("checkout.failed", 0.1))[2] == ()  # type: ignore[arg-type]


def test_the_candidates_worst_run_is_shown_with_the_comparison_in_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.bad = {2: "failed"}
    seen: list[Any] = []

    def fake(_job: object, ran: object, findings: list[Any]) -> Any:
        seen.extend(findings)
        return stage.report

    monkeypatch.setattr(pairs_module, "assemble", fake)
    outcome = interleaved(3, stage, print)
    report, ran, compared = overall(
        outcome,
        Regression(("browse.response.p95", "checkout.failed"), 0.1),  # type: ignore[arg-type]
    )
    assert ran is outcome.pairs[1][1].ran  # run 2 is the candidate of the second pair
    assert [each.metric.text for each in compared] == ["browse.response.p95", "checkout.failed"]
    assert [finding.state for finding in seen] == [State.KEPT, State.KEPT]
    assert set(report.baseline) == {"checkout", "browse"}
