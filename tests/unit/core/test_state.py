"""Do journals, facts and locks survive crashes, and say so when something was lost?"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sre.core.clock import FakeClock
from sre.core.errors import IntegrityError, Locked, Transient, UsageError
from sre.core.facts import Facts
from sre.core.files import replace_file
from sre.core.journal import Journal
from sre.core.lock import exclusive
from sre.core.secrets import redactor


def test_a_journal_keeps_order_time_and_secrets(tmp_path: Path) -> None:
    redactor.add("journal-secret-1")
    journal = Journal(tmp_path / "deep" / "j.jsonl", FakeClock(5.0))
    assert journal.read().entries == ()
    journal.append({"step": "a", "text": "with journal-secret-1", "n": [1, {"x": Path("y")}]})
    journal.append({"step": "b", "line": "two\nlines"})
    assert journal.read().entries == (
        {"at": 5.0, "step": "a", "text": "with <secret>", "n": [1, {"x": "y"}]},
        {"at": 5.0, "step": "b", "line": "two\nlines"},
    )
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_a_torn_last_line_is_reported_and_the_rest_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append({"n": 1})
    journal.append({"n": 2})
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-7])
    found = journal.read()
    assert [entry["n"] for entry in found.entries] == [1]
    assert found.damaged == (2,)
    journal.append({"n": 3})
    found = journal.read()
    assert [entry["n"] for entry in found.entries] == [1, 3]
    assert found.damaged == (2,)


def test_a_full_line_without_its_break_is_not_believed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append({"n": 12})
    journal.path.write_bytes(journal.path.read_bytes()[:-1])
    assert journal.read().damaged == (1,)


def test_lines_of_many_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    code = (
        "import sys\nfrom pathlib import Path\nfrom sre.core.journal import Journal\n"
        f"journal = Journal(Path({str(path)!r}))\n"
        "for i in range(50): journal.append({'who': sys.argv[1], 'x': 'y' * 5000})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    found = Journal(path).read()
    assert found.damaged == ()
    assert len(found.entries) == 200


def test_a_writer_killed_at_any_moment_loses_at_most_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    code = (
        "from pathlib import Path\nfrom sre.core.journal import Journal\nn = 0\nwhile True:\n"
        f"  Journal(Path({str(path)!r})).append({{'n': n}}); print(n, flush=True); n += 1"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 20:
            pass
        writer.kill()
        said = [20, *(int(line) for line in writer.stdout.read().split())]
    kept = [entry["n"] for entry in Journal(path).read().entries]
    assert kept[: said[-1] + 1] == list(range(said[-1] + 1))


def test_a_disk_that_refuses_is_a_passing_trouble(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="cannot write the journal"):
        Journal(Path("/dev/full")).append({"n": 1})
    (tmp_path / "file").write_text("")
    with pytest.raises(Transient, match="cannot write the journal"):
        Journal(tmp_path / "file" / "j").append({"n": 1})
    with pytest.raises(UsageError, match="cannot read the journal"):
        Journal(tmp_path).read()


def test_facts_are_published_and_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(100.0)
    facts = Facts(tmp_path, clock)
    assert facts.read("backup/orders") is None
    facts.publish("backup/orders", {"verified": 3, "when": "now"})
    clock.advance(7)
    fact = facts.read("backup/orders")
    assert fact is not None
    assert (fact.value, fact.age(clock)) == ({"verified": 3, "when": "now"}, 7.0)
    facts.publish("slo/checkout", {})
    assert facts.names() == ("backup/orders", "slo/checkout")
    assert facts.names("slo/") == ("slo/checkout",)
    monkeypatch.setenv("SRE_STATE", str(tmp_path))
    assert Facts().read("slo/checkout") is not None


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "", "A B", "a/.b", ".x"])
def test_a_facts_name_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a fact's name"):
        Facts(tmp_path).publish(name, {})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "x"}', '{"name":"x","at":"y","value":{}}']
)
def test_a_damaged_fact_is_not_believed(tmp_path: Path, text: str) -> None:
    facts = Facts(tmp_path)
    facts.publish("x", {})
    (tmp_path / "facts" / "x.json").write_text(text)
    with pytest.raises(IntegrityError, match="is damaged; remove it"):
        facts.read("x")


def test_a_reader_never_sees_half_a_fact(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom sre.core.facts import Facts\n"
        f"facts = Facts(Path({str(tmp_path)!r}))\nprint('up', flush=True)\n"
        "while True: facts.publish('x', {'pad': 'y' * 20000})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        reader = Facts(tmp_path)
        seen = [fact for _ in range(300) if (fact := reader.read("x"))]
        writer.kill()
    assert all(len(fact.value["pad"]) == 20000 for fact in seen)
    Facts(tmp_path).publish("x", {})
    assert Facts(tmp_path).names() == ("x",)


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    replace_file(path, b"1")
    replace_file(path, b"2")
    assert path.read_bytes() == b"2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["b"]


def hold(path: Path) -> subprocess.Popen[bytes]:
    code = (
        "import time\nfrom pathlib import Path\nfrom sre.core.lock import exclusive\n"
        f"with exclusive(Path({str(path)!r}), 'backup run orders'):\n"
        "    print('held', flush=True)\n    time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_a_lock_names_its_holder_and_is_freed_by_kill(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "orders"
    with hold(path) as holder:
        with pytest.raises(Locked) as caught, exclusive(path):
            pytest.fail("entered a held lock")
        assert f"process {holder.pid} holds {path} for backup run orders since 20" in str(
            caught.value
        )
        assert caught.value.exit_code == 6
        holder.send_signal(signal.SIGKILL)
    with exclusive(path):
        pass


def test_a_lock_is_exclusive_within_one_process_and_freed_by_errors(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), exclusive(path):
        with pytest.raises(Locked), exclusive(path):
            pytest.fail("entered a held lock")
        raise ZeroDivisionError
    with exclusive(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_lock_nobody_can_make(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Transient, match="cannot make the lock"), exclusive(tmp_path / "file" / "x"):
        pytest.fail("entered")
