"""Does `sre runbook` keep its exit codes, its manners and, when stopped, its journal?"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runbook.kit import alive, book, write

ROOT = Path(__file__).parents[2]
LAUNCH = (
    "from sre.cli import main\n"
    "main.COMMANDS.setdefault('runbook', ('sre.cli.runbook:runbook', 'Runbooks.'))\n"
    "main.main()\n"
)
STEP = """
### 1. Make
```bash run id=make timeout=60s danger=reversible
echo "made $NAME" >> log
```
```bash rollback id=make timeout=5s
echo unmade >> log
```
```bash check id=made timeout=5s expect=re:^made
tail -n 1 log
```
### 2. Boom
> [!CAUTION]
> Boom.
```bash run id=boom timeout=5s danger=destructive confirm=NAME
echo boom >> log
```
```bash check id=boomed timeout=5s
test -e log
```
"""
SLOW = """
### 1. Wait
```bash run id=wait timeout=60s danger=none
echo $$ > pid; sleep 1000 & echo $! >> pid; wait
```
```bash check id=waited timeout=5s
test -e waited
```
"""


class Shell:
    """`sre` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "SRE_STATE": "state", "TERM": "dumb"}

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-c", LAUNCH, *words]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*words), cwd=self.folder, env=self.env, capture_output=True, text=True,
            timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*words), cwd=self.folder, env=self.env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def sre(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def data(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_lint_says_where_and_ends_with_one(sre: Shell) -> None:
    path = write(sre.folder, book(STEP.replace("timeout=60s ", "").replace("$NAME", "$NAEM")))
    done = sre("runbook", "lint", str(path))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{path}:22: error timeout: a run block needs timeout=",
        f"{path}:23: error variable: $NAEM is not declared; did you mean $NAME?",
        "1 runbook: 2 errors",
    ]
    found = data(sre("runbook", "lint", str(path), "--format", "json"))
    assert found["schema"] == "sre.runbook-lint/1"
    assert [each["rule"] for each in found["findings"]] == ["timeout", "variable"]
    assert sre("runbook", "run", str(path), "--yes").returncode == 2
    write(sre.folder, book(STEP))
    assert sre("runbook", "lint", str(path)).returncode == 0
    assert sre("runbook", "lint", "nope.md").returncode == 2


def test_show_and_env_execute_nothing_and_keep_secrets(sre: Shell) -> None:
    sre.env["PIN"] = "open-sesame-2"
    write(sre.folder, book(STEP, variables="PIN: {secret: true}"))
    shown = sre("runbook", "show", "small.md", "--var", "NAME=crate")
    assert 'echo "made crate" >> log' in shown.stdout
    lines = sre("runbook", "env", "small.md", "--set", "NAME=it's; date").stdout
    assert lines == (
        "export NAME='it'\"'\"'s; date'\n# PIN is secret (${env:PIN}); set it yourself\n"
    )
    assert "open-sesame" not in shown.stdout + lines
    assert sre.log() == ""
    found = data(sre("runbook", "show", "small.md", "--format", "json"))
    assert (found["schema"], found["id"]) == ("sre.runbook/1", "small")


def test_refusals_touch_nothing(sre: Shell) -> None:
    write(sre.folder, book(STEP))
    for words, code, why in (
        ((), 5, "run:make changes something and nobody can be asked; give --yes"),
        (("--yes",), 5, "run:boom is destructive; give --confirm with the value of $NAME"),
        (("--rehearse", "--var", "NAME=live"), 5, "NAME=live is no rehearsal target of small"),
        (("--var", "NAME"), 2, "--var NAME: expected NAME=VALUE"),
        (("--var", "X=1"), 2, "--var X: there is no such variable; known: NAME"),
    ):
        done = sre("runbook", "run", "small.md", *words)
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr
    assert sre("runbook", "resume", "nope").returncode == 2
    assert not (sre.folder / "state" / "runs").exists()


def test_run_history_and_list(sre: Shell) -> None:
    write(sre.folder, book(STEP))
    done = sre("runbook", "run", "small.md", "--yes", "--confirm", "box", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = data(done)
    assert (found["schema"], found["result"], found["exit_code"]) == (
        "sre.runbook-run/1", "passed", 0,
    )  # fmt: skip
    assert sre("runbook", "run", "small.md", "--rehearse").returncode == 0
    runs = data(sre("runbook", "history", "--format", "json"))["runs"]
    assert [(run["result"], run["rehearsal"]) for run in runs] == [
        ("passed", False), ("passed", True),
    ]  # fmt: skip
    assert "passed" in sre("runbook", "history").stdout
    listed = data(sre("runbook", "list", ".", "--format", "json"))["runbooks"]
    assert listed[0]["last_rehearsal"]["result"] == "passed"
    assert "20" in sre("runbook", "list", ".").stdout.splitlines()[1]
    dry = sre("runbook", "run", "small.md", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert 'echo "made box"' in dry.stdout


def wait_for(path: Path, process: subprocess.Popen[str], lines: int) -> list[int]:
    end = time.monotonic() + 60
    while not path.exists() or len(path.read_text().split()) < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    return [int(word) for word in path.read_text().split()]


@pytest.fixture
def waiting(sre: Shell) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    write(sre.folder, book(SLOW))
    with sre.start("runbook", "run", "small.md", "--yes") as process:
        yield process, wait_for(sre.folder / "pid", process, 2)
        process.terminate()  # killed, it would leave what its block started to a resume


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_cleans_up_and_goes_on_later(
    sre: Shell, waiting: tuple[subprocess.Popen[str], list[int]], number: int, code: int
) -> None:
    process, pids = waiting
    process.send_signal(number)
    _out, err = process.communicate(timeout=30)
    assert process.returncode == code
    (run,) = (sre.folder / "state" / "runs").iterdir()
    assert f"in run:wait; cleaned up; go on with: sre runbook resume {run.name}" in err
    assert not any(alive(pid) for pid in pids)
    lines = (run / "journal.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events == ["start", "decision", "begin", "interrupted"]
    unsure = sre("runbook", "resume", run.name, "--yes")
    assert unsure.returncode == 8
    assert "whether run:wait happened is not known; look, then --assume done|redo" in unsure.stdout
    (sre.folder / "waited").touch()
    assert sre("runbook", "resume", run.name, "--yes").returncode == 0


def test_one_run_for_a_target(sre: Shell, waiting: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, _pids = waiting
    done = sre("runbook", "run", "small.md", "--yes")
    assert done.returncode == 6
    assert f"process {process.pid} holds" in done.stderr
    (run, *_more) = sorted((sre.folder / "state" / "runs").iterdir())
    assert sre("runbook", "resume", run.name, "--yes").returncode == 6


class Terminal:
    """A person at a terminal: reads what stands there, types lines."""

    def __init__(self, sre: Shell, *words: str) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(sre.folder)
            os.execve(sys.executable, sre.argv(*words), sre.env)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        end, start = time.monotonic() + 60, len(self.seen)
        while text not in self.seen[start:]:
            assert time.monotonic() < end, self.seen
            if select.select([self.screen], [], [], 1.0)[0]:
                self.seen += os.read(self.screen, 65536).decode()

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def answer(self, question: str, text: str) -> None:
        self.wait_for(question)
        self.type(f"{text}\n")

    def ends(self) -> int:
        try:
            while chunk := os.read(self.screen, 65536):
                self.seen += chunk.decode()
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_person_is_asked_before_each_change(sre: Shell) -> None:
    write(sre.folder, book(STEP))
    person = Terminal(sre, "runbook", "run", "small.md")
    person.answer("run this? [y/skip/abort]", "what")
    person.answer("run this? [y/skip/abort]", "y")
    person.answer("run this? [y/skip/abort/output]", "output")
    person.answer("run this? [y/skip/abort/output]", "y")
    person.answer("destructive: type box to go on:", "box")
    assert person.ends() == 0
    assert 'echo "made box" >> log' in person.seen
    assert sre.log() == "made box\nboom\n"


def test_a_wrong_name_changes_nothing(sre: Shell) -> None:
    write(sre.folder, book(STEP))
    person = Terminal(sre, "runbook", "run", "small.md", "--yes")
    person.answer("run this?", "y")
    person.answer("type box to go on:", "crate")
    assert person.ends() == 8
    assert sre.log() == "made box\n"
    assert "'crate' was typed, not 'box'" in person.seen


def test_ctrl_c_at_a_question(sre: Shell) -> None:
    write(sre.folder, book(STEP))
    person = Terminal(sre, "runbook", "run", "small.md")
    person.wait_for("run this?")
    person.type("\x03")
    assert person.ends() == 130
    assert "go on with: sre runbook resume" in person.seen
    (run,) = (sre.folder / "state" / "runs").iterdir()
    done = sre("runbook", "resume", run.name[:-2], "--yes", "--confirm", "box")
    assert done.returncode == 0, done.stderr
    assert sre.log() == "made box\nboom\n"


def test_a_failed_verification_may_be_rolled_back(sre: Shell) -> None:
    red = "```bash check id=v timeout=5s\nfalse\n```"
    small = STEP.partition("### 2.")[0]
    write(sre.folder, book(small, verify=red))
    person = Terminal(sre, "runbook", "run", "small.md", "--yes")
    person.answer("take all changes back, or leave them? [rollback/hold", "rollback")
    assert person.ends() == 1
    assert sre.log() == "made box\nunmade\n"


def test_what_the_declaration_refers_to_reaches_the_blocks_masked(sre: Shell) -> None:
    (sre.folder / "sre.yaml").write_text('x: "${env:STORE_KEY}"\n')
    sre.env.update(STORE_KEY="open-sesame-3", OTHER="open-sesame-4")
    step = STEP.replace('echo "made $NAME" >> log', 'env | grep sesame; echo "made x" >> log')
    write(sre.folder, book(step))
    done = sre("runbook", "run", "small.md", "--yes", "--confirm", "box")
    assert done.returncode == 0, done.stdout
    written = "".join(p.read_text() for p in (sre.folder / "state").rglob("*") if p.is_file())
    assert "STORE_KEY=<secret>" in written
    assert "open-sesame" not in written + done.stdout + done.stderr
    assert "OTHER" not in written
