"""Does a runner that is killed after, or before, any journal record resume to the same end?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sre.runbook.approval import Policy
from tests.unit.runbook.kit import YES, Scripted, alive, book, resume, write

STEPS = """
### 1. Once
```bash run id=once timeout=10s danger=reversible
echo once >> log
```
```bash rollback id=once timeout=10s idempotent=yes
echo unonce >> log
```
```bash check id=once-ok timeout=10s
grep -q '^once$' log
```
### 2. Often
```bash info id=look timeout=10s capture=SEEN
wc -l < log
```
```bash run id=often timeout=10s danger=none idempotent=yes
echo "$SEEN" > seen; echo often >> log
```
```bash check id=often-ok timeout=10s
test -e seen
```
"""
GREEN = "```bash check id=v timeout=10s\ngrep -q often log\n```"
RED = "```bash check id=v timeout=10s\nfalse\n```"

KILLER = """
import os, signal, sys
from pathlib import Path
from sre.core.journal import Journal
from sre.runbook.approval import Policy
from sre.runbook.start import Order, new_run, resumed_run

class Deadly(Journal):
    left, before = int(sys.argv[1]), sys.argv[2] == "before"
    def append(self, event):
        Deadly.left -= 1
        if Deadly.left == 0 and self.before:
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(event)
        if Deadly.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

policy = Policy(yes=True, on_failure="rollback")
order = Order(policy=policy)
name = sys.argv[3]
runner = resumed_run(name, order) if name else new_run(Path("small.md"), order)
runner.desk.journal = Deadly(runner.desk.journal.path)
sys.exit(runner.follow().exit_code)
"""


def killed(records: int, when: str, run: str = "") -> int:
    """The exit code of a runner that dies at its record number `records`."""
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root)}
    argv = [sys.executable, "-c", KILLER, str(records), when, run]
    return subprocess.run(argv, env=env, check=False, timeout=60).returncode


def the_run(folder: Path) -> str:
    (path,) = (folder / "state" / "runs").iterdir()
    return path.name


def recorded(folder: Path) -> list[dict[str, object]]:
    path = folder / "state" / "runs" / the_run(folder) / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def text(verify: str) -> str:
    return book(STEPS, variables="SEEN: {type: integer}", verify=verify)


COUNT = {GREEN: 16, RED: 19}
"""How many records an undisturbed run writes; held below."""


@pytest.mark.parametrize(("verify", "code"), [(GREEN, 0), (RED, 1)], ids=["passes", "rolls back"])
def test_the_number_of_records_is_known(folder: Path, verify: str, code: int) -> None:
    write(folder, text(verify))
    assert killed(1000, "after") == code
    assert len(recorded(folder)) == COUNT[verify]


CASES = [
    pytest.param(verify, when, number, id=f"{name}-{when}-{number}")
    for name, verify in (("passes", GREEN), ("rolls back", RED))
    for when in ("after", "before")
    for number in range(1, COUNT[verify] + 1)
]


@pytest.mark.parametrize(("verify", "when", "number"), CASES)
def test_killed_at_any_record_it_resumes_to_the_same_end(
    folder: Path, verify: str, when: str, number: int
) -> None:
    write(folder, text(verify))
    assert killed(number, when) == -signal.SIGKILL
    done = Counter(
        str(entry["block"]) for entry in recorded(folder)
        if entry["event"] == "end" and entry["outcome"] == "ok"
    )  # fmt: skip
    log = folder / "log"
    before = Counter(log.read_text().split()) if log.exists() else Counter()
    found = resume(the_run(folder), Policy(yes=True, on_failure="rollback", assume=None))
    if found.result == "aborted":  # begun, its check does not hold, and nobody can be asked
        assert "assume done|redo" in found.reason
        assert "once" not in before
        found = resume(the_run(folder), Policy(yes=True, on_failure="rollback", assume="redo"))
    assert found.result == ("passed" if verify == GREEN else "rolled_back")
    after = Counter(log.read_text().split())
    assert after["once"] == 1
    assert after["unonce"] <= 2  # idempotent
    assert 1 <= after["often"] <= 2
    assert (folder / "seen").read_text().strip() == "1"
    for block, word in (("run:once", "once"), ("run:often", "often"), ("rollback:once", "unonce")):
        if done[block]:
            assert after[word] == before[word] == 1, f"{block} was recorded as done"


def test_a_runner_killed_again_and_again_still_arrives(folder: Path) -> None:
    write(folder, text(GREEN))
    code = killed(4, "after")
    for _ in range(30):
        if code != -signal.SIGKILL:
            break
        code = killed(4, "after", the_run(folder))
    assert code == 0
    assert Counter((folder / "log").read_text().split())["once"] == 1


UNSURE = """
### 1. Once
```bash run id=once timeout=60s danger=none
echo once >> log
sleep 1000 & echo $! > pid; wait
```
```bash check id=once-ok timeout=5s
test -e confirmed
```
"""


@pytest.fixture
def unsure(folder: Path) -> Callable[[], str]:
    """A run whose runner died in the middle of a step that is not idempotent."""

    def make() -> str:
        write(folder, book(UNSURE))
        assert killed(3, "before") == -signal.SIGKILL  # start, decision, begin
        return the_run(folder)

    return make


def test_nothing_runs_that_no_record_speaks_of(folder: Path, unsure: Callable[[], str]) -> None:
    unsure()
    assert [entry["event"] for entry in recorded(folder)] == ["start", "decision"]
    assert not (folder / "log").exists()


def begin_and_die(folder: Path) -> tuple[str, int]:
    """Killed while the step runs: its shell dies with the runner, what it started does not."""
    write(folder, book(UNSURE))
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root)}
    argv = [sys.executable, "-c", KILLER, "1000", "after", ""]
    with subprocess.Popen(argv, env=env) as runner:
        while not (folder / "pid").exists() or not (folder / "pid").read_text().strip():
            assert runner.poll() is None
        runner.kill()
    return the_run(folder), int((folder / "pid").read_text())


@pytest.mark.parametrize(
    ("policy", "result", "times"),
    [
        (YES, "aborted", 1),
        (Policy(yes=True, assume="done"), "failed", 1),
    ],
)
def test_a_step_in_doubt_is_not_done_twice_on_a_guess(
    folder: Path, policy: Policy, result: str, times: int
) -> None:
    run, pid = begin_and_die(folder)
    found = resume(run, policy)
    assert found.result == result
    assert (folder / "log").read_text().split() == ["once"] * times
    assert not alive(pid)


def test_the_check_of_a_step_in_doubt_may_tell(folder: Path) -> None:
    run, _pid = begin_and_die(folder)
    (folder / "confirmed").touch()
    assert resume(run).result == "passed"
    assert (folder / "log").read_text().split() == ["once"]


def test_a_person_may_tell_about_a_step_in_doubt(folder: Path) -> None:
    run, _pid = begin_and_die(folder)
    person = Scripted("abort")
    assert resume(run, Policy(yes=True, interactive=True), person).result == "aborted"
    assert [question.kind for question in person.asked] == ["settle"]


def test_a_resumed_run_follows_the_text_and_values_it_began_with(folder: Path) -> None:
    path = write(folder, text(GREEN))
    killed(4, "after")
    path.write_text("nothing any more")
    assert resume(the_run(folder)).result == "passed"
