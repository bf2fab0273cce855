"""Given what the journal says, is the right thing decided?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sre.runbook.parse import parse_text
from sre.runbook.plan import Act, Plan, Result, State, decide, fold
from tests.unit.runbook.kit import book

TEXT = book(
    """
    ### 1. One
    ```bash run id=one timeout=5s danger=reversible
    a
    ```
    ```bash rollback id=one timeout=5s
    b
    ```
    ```bash check id=one-ok timeout=5s
    c
    ```
    ### 2. Two
    ```bash run id=two timeout=5s danger=none pnr=yes
    d
    ```
    ```bash check id=two-ok timeout=5s
    e
    ```
    """,
    before="```bash check id=pre timeout=5s\nf\n```",
    verify="```bash check id=v timeout=5s\ng\n```\n```bash info id=i timeout=5s\nh\n```",
)


def plan() -> Plan:
    runbook = parse_text(TEXT, Path("x.md")).runbook()
    assert runbook is not None
    return Plan.of(runbook)


def records(*words: str) -> list[dict[str, Any]]:
    """`one` begun; `one+` ended well, `one-` badly; `=choice`; `!` resumed."""
    keys = {block.id: block.key for block in plan().blocks}
    keys["undo"] = "rollback:one"
    made: list[dict[str, Any]] = [{"event": "start", "at": 1.0}]
    for word in words:
        name = word.rstrip("+-")
        if word == "!":
            made.append({"event": "resume", "at": 1.0})
        elif word.startswith("="):
            choice, _, block = word[1:].partition(":")
            key = keys.get(block, "")
            made.append(
                {"event": "decision", "choice": choice, "block": key, "why": "w", "at": 1.0}
            )
        else:
            made.append({"event": "begin", "block": keys[name], "pid": 1, "at": 1.0})
            if name != word:
                outcome = "ok" if word.endswith("+") else "failed"
                made.append({"event": "end", "block": keys[name], "outcome": outcome, "at": 1.0})
    return made


@pytest.mark.parametrize(
    ("words", "decision"),
    [
        ("", "do pre"),
        ("pre", "do pre"),
        ("pre+", "do one"),
        ("pre-", "end refused"),
        ("pre- !", "do pre"),
        ("pre+ one", "settle one"),
        ("pre+ one =done:one", "do one-ok"),
        ("pre+ one =redo:one", "do one"),
        ("pre+ one+", "do one-ok"),
        ("pre+ =skip:one", "do one-ok"),
        ("pre+ one-", "offer one"),
        ("pre+ one- =hold", "end incomplete"),
        ("pre+ one- =hold !", "settle one"),
        ("pre+ one- =rollback", "do undo"),
        ("pre+ one- =rollback undo", "settle undo"),
        ("pre+ one- =rollback undo+", "end rolled_back"),
        ("pre+ one- =rollback undo-", "end incomplete"),
        ("pre+ one- =rollback undo- !", "settle undo"),
        ("pre+ one- =rollback !", "do undo"),
        ("pre+ one+ one-ok-", "offer one-ok"),
        ("pre+ one+ one-ok- =hold", "end failed"),
        ("pre+ one+ one-ok- =hold !", "do one-ok"),
        ("pre+ one+ one-ok+ two", "settle two"),
        ("pre+ one+ one-ok+ two-", "end incomplete"),
        ("pre+ one+ one-ok+ two+ two-ok-", "end failed"),
        ("pre+ one+ one-ok+ two+ two-ok- =rollback", "end incomplete"),
        ("pre+ one+ one-ok+ two+ two-ok+ v-", "end failed"),
        ("pre+ one+ one-ok+ two+ two-ok+ v+", "do i"),
        ("pre+ one+ one-ok+ two+ two-ok+ v+ i-", "end passed"),
        ("pre+ =abort", "end aborted"),
        ("pre+ =abort !", "do one"),
        ("pre+ =refuse", "end refused"),
        ("pre+ one+ =refuse", "end incomplete"),
        ("pre+ one+ =refuse !", "do one-ok"),
    ],
)
def test_the_next_thing(words: str, decision: str) -> None:
    progress = fold(records(*words.split()))
    action = decide(plan(), progress)
    name = action.result if action.act is Act.END else action.block and action.block.id
    name = "undo" if action.block and action.block.role == "rollback" else name
    if action.act is Act.END:
        name = action.result
    assert f"{action.act} {name}" == decision


def test_a_run_is_told_by_the_checks_up_to_the_next_run() -> None:
    one, two = (block for block in plan().blocks if block.role == "run")
    assert [check.id for check in plan().checks_of(one)] == ["one-ok"]
    assert [check.id for check in plan().checks_of(two)] == ["two-ok"]


def test_the_fold_keeps_what_was_captured_and_which_processes_are_in_doubt() -> None:
    progress = fold(
        [
            {"event": "start", "at": 3.0},
            {"event": "begin", "block": "info:a", "pid": 7},
            {"event": "end", "block": "info:a", "outcome": "ok", "captured": {"X": "1"}},
            {"event": "begin", "block": "run:b", "pid": 8},
            {"event": "note", "text": "for people"},
            {"event": "finish", "result": Result.PASSED, "at": 9.0},
        ]
    )
    assert progress.captured == {"X": "1"}
    assert progress.pids == {"run:b": 8}
    assert progress.states == {"info:a": State.OK, "run:b": State.DOUBT}
    assert progress.started_at == 3.0
    assert progress.finished is not None
