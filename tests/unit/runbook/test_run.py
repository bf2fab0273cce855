"""Does a run do what the blocks say, stop where it must, and leave nothing behind? (real bash)"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sre.core.errors import Locked, Refused, UsageError
from sre.core.facts import Facts
from sre.core.lock import exclusive
from sre.runbook.approval import Policy
from sre.runbook.dry import dry_run
from sre.runbook.start import Order
from sre.runbook.store import lock_path
from tests.unit.runbook.kit import (
    YES,
    Scripted,
    alive,
    book,
    follow,
    journal,
    outcomes,
    resume,
    write,
)

STEP = """
### 1. Make
```bash run id=make timeout=5s danger=reversible idempotent=yes
echo made >> log
```
```bash rollback id=make timeout=5s
echo unmade >> log
```
```bash check id=made timeout=5s expect=eq:made
tail -n 1 log
```
"""
GREEN = "```bash check id=v timeout=5s\ntrue\n```"
RED = "```bash check id=v timeout=5s\nfalse\n```"


def log(folder: Path) -> list[str]:
    path = folder / "log"
    return path.read_text().split() if path.exists() else []


def test_a_run_passes_and_says_so(folder: Path) -> None:
    found = follow(folder, book(STEP, verify=GREEN))
    assert (found.result, found.exit_code) == ("passed", 0)
    assert outcomes(found) == [("run:make", "ok"), ("check:made", "ok"), ("check:v", "ok")]
    fact = Facts().read("runbook.small")
    assert fact is not None
    assert fact.value["last_run"]["result"] == "passed"
    assert "last_rehearsal" not in fact.value
    again = resume(found.run)
    assert again.result == "passed"
    assert log(folder) == ["made"]


def test_a_rehearsal_needs_no_questions_on_its_targets_alone(folder: Path) -> None:
    text = book(STEP, verify=GREEN)
    with pytest.raises(Refused, match="NAME=live is no rehearsal target of small; those are: box"):
        follow(folder, text, Policy(rehearsal=True), {"NAME": "live"})
    with pytest.raises(Refused, match="names no rehearsal targets"):
        follow(folder, text.replace("rehearsal: {targets: [box]}\n", ""), Policy(rehearsal=True))
    found = follow(folder, text.replace("echo made", 'echo "made$SRE_REHEARSAL"').replace(
        "eq:made", "eq:made1"), Policy(rehearsal=True))  # fmt: skip
    assert found.result == "passed"
    fact = Facts().read("runbook.small")
    assert fact is not None
    assert fact.value["last_rehearsal"]["result"] == "passed"


def test_a_precondition_that_does_not_hold_refuses(folder: Path) -> None:
    before = "```bash check id=pre timeout=5s expect=eq:2\necho 1\n```"
    found = follow(folder, book(STEP, before=before))
    assert (found.result, found.exit_code) == ("refused", 5)
    assert found.reason == (
        "Preconditions: check:pre failed: '1', expected eq:2; nothing has been changed"
    )
    assert log(folder) == []


@pytest.mark.parametrize(
    ("on_failure", "result", "code", "left"),
    [("hold", "failed", 1, ["made"]), ("rollback", "rolled_back", 1, ["made", "unmade"]),
     ("ask", "failed", 1, ["made"])],
)  # fmt: skip
def test_verify_decides_and_changes_may_be_taken_back(
    folder: Path, on_failure: str, result: str, code: int, left: list[str]
) -> None:
    policy = Policy(yes=True, on_failure=on_failure)  # type: ignore[arg-type]
    found = follow(folder, book(STEP, verify=RED), policy)
    assert (found.result, found.exit_code) == (result, code)
    assert log(folder) == left


def test_a_held_run_goes_on_when_it_has_been_mended(folder: Path) -> None:
    verify = "```bash check id=v timeout=5s\ntest -e mended\n```"
    found = follow(folder, book(STEP, verify=verify))
    assert found.exit_code == 1
    (folder / "mended").touch()
    assert resume(found.run).exit_code == 0
    assert log(folder) == ["made"]


def test_rollbacks_run_in_reverse_up_to_the_point_of_no_return(folder: Path) -> None:
    def step(name: str, extra: str = "") -> str:
        return (
            f"### {name}\n```bash run id={name} timeout=5s danger=reversible{extra}\n"
            f"echo {name} >> log\n```\n```bash rollback id={name} timeout=5s\n"
            f"echo -{name} >> log\n```\n```bash check id={name}-ok timeout=5s\ntrue\n```\n"
        )

    policy = Policy(yes=True, on_failure="rollback")
    follow(folder, book(step("a") + step("b"), verify=RED), policy)
    assert log(folder) == ["a", "b", "-b", "-a"]
    (folder / "log").unlink()
    tail = "## Fail back\n### 9. Back\n```text manual id=back\nthink\n```"
    found = follow(folder, book(step("a") + step("b", " pnr=yes") + step("c"), verify=RED,
                                tail=tail), policy)  # fmt: skip
    assert log(folder) == ["a", "b", "c", "-c"]
    assert (found.result, found.exit_code) == ("incomplete", 8)
    assert "run:b, which is a point of no return; see Fail back" in found.reason


def test_a_failed_run_is_incomplete(folder: Path) -> None:
    found = follow(folder, book(STEP.replace("echo made >> log", "exit 7")))
    assert (found.result, found.exit_code) == ("incomplete", 8)
    assert found.reason == "Steps: run:make failed: exit code 7, expected 0"


def test_a_timeout_ends_the_whole_group(folder: Path) -> None:
    text = STEP.replace("timeout=5s danger", "timeout=400ms danger").replace(
        "echo made >> log", "sleep 1000 & echo $! > pid; (sleep 1001 & echo $! >> pid); sleep 1002"
    )
    start = time.monotonic()
    found = follow(folder, book(text))
    assert time.monotonic() - start < 20
    assert found.exit_code == 8
    assert found.rows[0].why == "not done after 400 ms; it has been ended"
    for pid in log_pids(folder):
        assert not alive(pid)


def log_pids(folder: Path) -> list[int]:
    return [int(word) for word in (folder / "pid").read_text().split()]


def test_a_block_reads_the_end_of_its_input(folder: Path) -> None:
    found = follow(
        folder, book(STEP.replace("echo made >> log", "cat; read -r x || echo made >> log"))
    )
    assert found.result == "passed"


@pytest.mark.parametrize("line", ["false; true", "false | true", "eval 'echo $UNSET_ONE'; true"])
def test_blocks_are_strict(folder: Path, line: str) -> None:
    assert follow(folder, book(STEP.replace("echo made >> log", line))).exit_code == 8


def test_the_environment_is_what_was_declared(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRAY", "1")
    monkeypatch.setenv("BASH_ENV", str(folder / "evil"))
    (folder / "evil").write_text("echo evil >> evil.log\n")
    run = "env -0 | cut -z -d= -f1 | sort -z | tr '\\0' '\\n' > names; echo made >> log"
    assert follow(folder, book(STEP.replace("echo made >> log", run))).result == "passed"
    names = set((folder / "names").read_text().split())
    assert {"NAME", "PATH", "SRE_RUNBOOK_RUN"} <= names
    assert names <= {"NAME", "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ",
                     "TMPDIR", "SSH_AUTH_SOCK", "SRE_STATE", "SRE_RUNBOOK_RUN", "PWD", "SHLVL",
                     "OLDPWD", "_"}  # fmt: skip
    assert not (folder / "evil.log").exists()


def test_a_check_waits_until_it_holds(folder: Path) -> None:
    check = "echo x >> tries; test $(wc -l < tries) = 3"
    text = STEP.replace("id=made timeout=5s expect=eq:made", "id=made timeout=20s every=10ms")
    found = follow(folder, book(text.replace("tail -n 1 log", check)))
    assert (found.result, found.rows[1].attempts) == ("passed", 3)
    text = text.replace("timeout=20s every=10ms", "timeout=20s every=10ms retries=1")
    (folder / "tries").unlink()
    found = follow(folder, book(text.replace("tail -n 1 log", check)))
    assert (found.exit_code, found.rows[1].attempts) == (1, 2)


def test_a_run_may_be_tried_again_when_it_is_idempotent(folder: Path) -> None:
    text = STEP.replace("idempotent=yes", "idempotent=yes retries=2 every=10ms").replace(
        "echo made >> log", "echo x >> tries; test $(wc -l < tries) = 3; echo made >> log"
    )
    assert follow(folder, book(text)).result == "passed"
    begins = [e["block"] for e in journal(folder) if e["event"] == "begin"]
    assert begins == ["run:make"] * 3 + ["check:made"]


def test_what_one_block_says_is_a_variable_of_the_next(folder: Path) -> None:
    step = STEP.replace("echo made >> log", 'test "$SEEN" = 42; echo made >> log')
    capture = "### 0. Look\n```bash info id=look timeout=5s capture=SEEN\necho ' 42 '\n```\n"
    text = book(capture + step, variables="SEEN: {type: integer}")
    assert follow(folder, text).result == "passed"
    wrong = follow(folder, text.replace("' 42 '", "many"))
    assert (wrong.exit_code, wrong.rows[0].why) == (
        1, "$SEEN cannot be captured: expected a whole number, not 'many'",
    )  # fmt: skip


def test_blocks_for_other_values_are_left_out(folder: Path) -> None:
    text = STEP.replace("id=make timeout=5s", "id=make timeout=5s when=NAME==live").replace(
        "id=made", "id=made when=NAME==live"
    )
    found = follow(folder, book(text, verify=GREEN))
    assert outcomes(found) == [("run:make", "skip"), ("check:made", "skip"), ("check:v", "ok")]


DANGER = """
### 1. Boom
> [!CAUTION]
> Boom.
```bash run id=boom timeout=5s danger=destructive confirm=NAME
echo boom >> log
```
```bash check id=boomed timeout=5s
test -e log
```
"""


def test_destruction_wants_the_name(folder: Path) -> None:
    for policy in (Policy(yes=True), Policy(yes=True, confirm=frozenset({"other"}))):
        with pytest.raises(Refused, match=r"run:boom is destructive; give --confirm with the val"):
            follow(folder, book(DANGER), policy)
    assert not (folder / "state" / "runs").exists()
    assert follow(folder, book(DANGER), Policy(confirm=frozenset({"box"}))).result == "passed"
    assert log(folder) == ["boom"]


@pytest.mark.parametrize(
    ("answers", "code", "left"),
    [
        (["yes box"], 0, ["boom"]),
        (["yes live"], 8, []),
        (["abort"], 8, []),
        (["skip"], 1, []),
    ],
)
def test_a_person_is_asked(folder: Path, answers: list[str], code: int, left: list[str]) -> None:
    person = Scripted(*answers)
    policy = Policy(yes=True, interactive=True)
    found = follow(folder, book(DANGER), policy, talk=person)
    assert (found.exit_code, log(folder)) == (code, left)
    assert (person.asked[0].confirm, person.asked[0].text) == ("box", "echo boom >> log\n")


def test_without_yes_each_change_is_asked_for(folder: Path) -> None:
    person = Scripted("yes", "rollback")
    found = follow(folder, book(STEP, verify=RED), Policy(interactive=True), talk=person)
    assert [question.kind for question in person.asked] == ["approve", "failure"]
    assert found.result == "rolled_back"
    with pytest.raises(Refused, match=r"run:make changes something and nobody can be asked"):
        follow(folder, book(STEP), Policy())


@pytest.mark.parametrize(("answer", "code"), [("done", 0), ("skip", 0), ("failed", 1), (None, 5)])
def test_manual_steps(folder: Path, answer: str | None, code: int) -> None:
    text = book("### 1. Think\n```text manual id=think\nThink.\n```\n", verify=GREEN)
    manual = {"think": answer} if answer else {}
    found = follow(folder, text, Policy(manual=manual))  # type: ignore[arg-type]
    assert found.exit_code == code
    if answer is None:
        assert "run:" not in found.reason
        assert "manual:think is for a person; give --answer think=done|skip" in found.reason
        assert resume(found.run, Policy(manual={"think": "done"})).exit_code == 0


def test_refused_halfway_is_incomplete(folder: Path) -> None:
    think = "### 2. Think\n```text manual id=think\nThink.\n```\n"
    found = follow(folder, book(STEP + think, verify=GREEN))
    assert (found.result, found.exit_code) == ("incomplete", 8)
    assert found.seconds > 0
    assert resume(found.run, Policy(manual={"think": "done"})).exit_code == 0
    assert log(folder) == ["made"]


def test_one_run_at_a_time_for_each_target(folder: Path) -> None:
    with exclusive(lock_path("box"), "runbook other"), pytest.raises(Locked, match="runbook other"):
        follow(folder, book(STEP))
    assert log(folder) == []
    with exclusive(lock_path("other")):
        assert follow(folder, book(STEP)).result == "passed"


SECRET = "swordfish-\"7'&/+x"
PLANTED = """
### 1. Use it
```bash run id=make timeout=5s danger=none
test "$PIN" = "$(cat expected)"
echo "the pin is $PIN" | tee /dev/stderr
printf %s "$PIN" | base64
tr '\\0' ' ' < /proc/$$/cmdline > cmdline
```
```bash check id=made timeout=5s expect=eq:x
echo "$PIN"
```
"""


@pytest.mark.parametrize("where", ["env", "file"])
def test_a_planted_secret_appears_nowhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    secret = SECRET + where
    (folder / "expected").write_text(secret)
    (folder / "pin").write_text(secret + "\n")
    monkeypatch.setenv("MY_PIN", secret)
    reference = "${env:MY_PIN}" if where == "env" else "${file:pin}"
    text = book(PLANTED, variables=f'PIN: {{secret: true, value: "{reference}"}}')
    person = Scripted()
    found = follow(folder, text, YES, talk=person)
    assert found.exit_code == 1
    assert "<secret>" in found.reason
    kept = [path for path in (folder / "state").rglob("*") if path.is_file()]
    assert any("<secret>" in path.read_text() for path in kept)
    for text in [*(path.read_text() for path in kept), *person.shown, str(found),
                 (folder / "cmdline").read_text()]:  # fmt: skip
        assert "swordfish" not in text


def test_a_secret_comes_by_reference_and_stays_in_its_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIN", "open-sesame-1")
    text = book(STEP, variables="PIN: {secret: true}")
    with pytest.raises(UsageError, match="--var PIN: a secret is given by reference"):
        follow(folder, text, YES, {"PIN": "open-sesame-1"})
    with pytest.raises(Refused, match=r"[$]NAME holds the value of a secret"):
        follow(folder, text, YES, {"NAME": "open-sesame-1"})
    monkeypatch.delenv("PIN")
    with pytest.raises(UsageError, match="environment variable PIN is not set; export it"):
        follow(folder, text)


def test_values_are_checked_all_at_once(folder: Path) -> None:
    text = book(STEP, variables="PORT: {type: integer}\nURL: {type: url, default: x}").replace(
        "default: x", 'default: "http://a"'
    )
    with pytest.raises(UsageError) as caught:
        follow(folder, text, YES, {"NAME": "a b", "NOPE": "1", "URL": "http://u:p@h"})
    assert str(caught.value).splitlines() == [
        "--var NOPE: there is no such variable; known: NAME, PORT, URL",
        "--var NAME: expected a name of letters, digits, '.', '_' and '-', not 'a b'",
        "--var PORT: a value is needed; give --var PORT=…",
        "--var URL: expected an http or https address without credentials, not 'http://u:p@h'",
    ]


def test_much_output_is_cut_at_lines(folder: Path) -> None:
    run = "seq 400000; echo made >> log"
    assert follow(folder, book(STEP.replace("echo made >> log", run))).result == "passed"
    (end,) = [e for e in journal(folder) if e.get("block") == "run:make" and e["event"] == "end"]
    lines = end["tail"].splitlines()
    assert (lines[0], lines[-1]) == ("[…]", "400000")
    assert lines[1:] == [str(n) for n in range(400002 - len(lines), 400001)]


def test_a_server_that_goes_its_own_way_outlives_its_block(folder: Path) -> None:
    run = (
        "setsid sh -c 'echo $$ > pid; exec sleep 1000' > /dev/null 2>&1 &\n"
        "until test -s pid; do :; done; echo made >> log"
    )
    assert follow(folder, book(STEP.replace("echo made >> log", run))).result == "passed"
    (pid,) = log_pids(folder)
    assert alive(pid)
    os.kill(pid, 9)


def test_a_dry_run_looks_and_touches_nothing(folder: Path) -> None:
    before = "```bash check id=pre timeout=5s\ntest -e there\n```"
    path = write(folder, book(STEP, before=before))
    found = dry_run(path, Order())
    assert (found.ok, found.preconditions[0][2]) == (False, "exit code 1, expected 0")
    assert "echo made >> log" in found.plan
    assert sorted(each.name for each in folder.iterdir()) == ["small.md"]
    (folder / "there").touch()
    assert dry_run(path, Order()).ok
