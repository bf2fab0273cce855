"""Does every end of an operation have its true word, whenever it was killed or failed?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.core.clock import Deadline, FakeClock
from sre.core.errors import IntegrityError, SreError
from sre.failover.engine import Decision, Loss, Reason
from sre.failover.operation.carry import carry_out
from sre.failover.operation.outcome import Result
from sre.failover.operation.record import Progress, Record, records_of
from sre.failover.snapshot import Snapshot
from tests.unit.failover.world import BROKEN, DECISION, NO_ANSWER, World

CLOCK = FakeClock()


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRE_STATE", str(tmp_path))


def quiet(_line: str) -> None:
    pass


def whole(world: World) -> tuple[Result, Record]:
    record = Record.new(DECISION, "me", CLOCK)
    return carry_out(world, record, Progress(DECISION), CLOCK, quiet), record


def test_an_operation_that_works_is_ok_and_its_record_says_so() -> None:
    result, record = whole(world := World())
    assert (result.outcome, result.exit_code) == ("ok", 0)
    assert world.state == ("b", "b", False, True)
    progress = record.read()
    assert not progress.unfinished
    assert progress.begun == tuple(progress.ended) == tuple(world.acts)
    assert result.noted["promote"] == {"set": {"primary": "b"}}


@pytest.mark.parametrize("step", ["pause", "close"])
@pytest.mark.parametrize("error", [BROKEN, NO_ANSWER])
def test_before_the_point_of_no_return_a_failure_takes_everything_back(
    step: str, error: SreError
) -> None:
    result, record = whole(world := World({step: error}))
    assert (result.outcome, result.exit_code) == ("rolled_back", 1)
    assert world.state == ("a", "a", False, False)
    assert world.acts[-1] == "undo pause"
    assert "undo" in result.phases, "what taking it back took stands among the phases"
    assert not record.read().unfinished
    assert str(error) in result.reasons[0].text


def test_what_cannot_be_taken_back_is_incomplete_and_the_rest_is_taken_back_all_the_same() -> None:
    world = World({"close": BROKEN}, undo_fails=["close"])
    result, record = whole(world)
    assert (result.outcome, result.exit_code) == ("incomplete", 8)
    assert not world.paused
    assert any(each.check == "undo" for each in result.reasons)
    assert record.read().unfinished
    world.undo_fails.clear()
    again = carry_out(world, record, record.read(), CLOCK, quiet)
    assert again.outcome == "rolled_back", "going on goes on backwards"
    assert world.acts.count("undo pause") == 1, "what was taken back is not taken back again"


@pytest.mark.parametrize(
    ("step", "error", "outcome"),
    [
        ("promote", BROKEN, "incomplete"),
        ("promote", NO_ANSWER, "unknown"),
        ("repoint", BROKEN, "incomplete"),
        ("repoint", NO_ANSWER, "incomplete"),
    ],
)
def test_from_the_point_of_no_return_on_nothing_is_taken_back(
    step: str, error: SreError, outcome: str
) -> None:
    result, record = whole(world := World({step: error}))
    assert (result.outcome, result.exit_code) == (outcome, 8)
    assert not [each for each in world.acts if each.startswith("undo")]
    assert record.read().unfinished
    world.fails.clear()
    assert carry_out(world, record, record.read(), CLOCK, quiet).outcome == "ok"
    assert world.state == ("b", "b", False, True)


def test_a_step_that_is_not_vital_stops_nothing_and_is_gone_on_with() -> None:
    result, record = whole(world := World({"rejoin": BROKEN}))
    assert result.outcome == "incomplete"
    assert world.state == ("b", "b", False, False)
    world.fails.clear()
    before = len(world.acts)
    assert carry_out(world, record, record.read(), CLOCK, quiet).outcome == "ok"
    assert world.acts[before:] == ["rejoin"]


def test_an_operation_whose_world_does_not_agree_is_not_ok() -> None:
    world = World()
    world.settled = lambda _d, _s: (Reason("primary", "two of them"),)  # type: ignore[method-assign]
    result, _ = whole(world)
    assert (result.outcome, result.reasons[0].check) == ("incomplete", "primary")


@pytest.mark.parametrize("times", [1, 100])
def test_what_changes_behind_an_ended_step_is_brought_about_again(times: int) -> None:
    """A switch that was loaded anew goes where its file said; one that always does is told."""
    world, left = World(), times
    look = world.observe

    def observe(deadline: Deadline) -> Snapshot:
        nonlocal left
        if world.rejoined and left and world.traffic == "b":
            world.traffic, left = "a", left - 1
        return look(deadline)

    world.observe = observe  # type: ignore[method-assign]
    result, record = whole(world)
    if times == 1:
        assert (result.outcome, world.traffic) == ("ok", "b")
        assert world.acts.count("repoint") == 2
    else:
        assert (result.outcome, result.reasons[0].check) == ("incomplete", "traffic")
        left = 0
        assert carry_out(world, record, record.read(), CLOCK, quiet).outcome == "ok"


def test_a_switch_that_comes_up_with_its_old_file_after_the_first_look_is_seen() -> None:
    world, looks = World(), 0
    look = world.observe

    def observe(deadline: Deadline) -> Snapshot:
        nonlocal looks
        looks += world.rejoined
        if looks == 2:
            world.traffic = "a"
        return look(deadline)

    world.observe = observe  # type: ignore[method-assign]
    result, _ = whole(world)
    assert (result.outcome, world.traffic) == ("ok", "b")
    assert world.acts.count("repoint") == 2


def killed_everywhere() -> Iterator[tuple[int, bool]]:
    _, record = whole(World())
    for lines in range(1, len(record.path.read_text().splitlines())):
        yield from ((lines, False), (lines, True))


def test_killed_after_any_record_it_comes_to_the_same_end() -> None:
    """Twice each: killed before the step that had begun did its work, and after it."""
    for lines, did in killed_everywhere():
        first = World()
        _, record = whole(first)
        kept = record.path.read_text().splitlines(keepends=True)[:lines]
        record.path.write_text("".join(kept) + '{"event": "begin", "st')  # a torn line too
        world, events = World(), [json.loads(line) for line in kept]
        replay(world, events, did=did)
        again = Record(record.path, CLOCK)
        result = carry_out(world, again, again.read(), CLOCK, quiet)
        assert result.outcome == "ok"
        assert world.state == first.state
        ended = {event["step"] for event in events if event["event"] == "end"}
        assert not ended & set(world.acts), "a step whose end is on disk is not done again"
        assert not Record(record.path, CLOCK).read().unfinished


def replay(world: World, events: list[dict[str, str]], *, did: bool) -> None:
    """Put the world where a run was that wrote `events`."""
    steps = {step.id: step for step in world.steps(DECISION)}
    names = [event["step"] for event in events if event["event"] == "end"]
    if did and events[-1]["event"] == "begin":
        names.append(events[-1]["step"])
    for name in names:
        steps[name].act({}, None)  # type: ignore[arg-type]
    world.acts.clear()


@pytest.mark.parametrize("harm", ["change", "remove", "swap"])
def test_a_record_that_was_touched_is_not_believed(harm: str) -> None:
    _, record = whole(World())
    lines = record.path.read_text().splitlines(keepends=True)
    if harm == "change":
        lines[3] = lines[3].replace("close", "clone")
    elif harm == "remove":
        del lines[3]
    else:
        lines[3], lines[4] = lines[4], lines[3]
    record.path.write_text("".join(lines))
    with pytest.raises(IntegrityError, match="is not what was written"):
        Record(record.path, CLOCK).read()


def test_a_decision_reads_back_as_it_was_written() -> None:
    decision = Decision(
        "failover", "orders", "a", "b",
        passed=(Reason("lag", "fine", {"bytes": 12}),),
        warnings=(Reason("slots", "none"),),
        loss=Loss(bytes=2**40, seconds=1.5),
        facts={"lsn": "16/B374D848", "names": ["b", "c"]},
    )  # fmt: skip
    record = Record.new(decision, "me", CLOCK)
    assert record.read().decision == decision
    assert [each.id for each in records_of("orders", CLOCK)] == [record.id]
