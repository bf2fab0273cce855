"""Does the kind `process` find real processes, and say what the kernel says of them?"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import psutil
import pytest

from sre.core.units import Share, Size
from sre.journey.result import Outcome, Reason
from sre.probes.kinds.process import Limits, ProcessProbe, Watched
from sre.probes.model import Reading
from tests.servers.child import child
from tests.servers.examples import run_example, serve_example
from tests.servers.glance import glance
from tests.servers.looks import values
from tests.servers.net import wait_until

BUSY = """
import sys, threading, time
held = [open("/dev/null") for _ in range(40)]
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
memory = bytearray(32 * 2**20)
print("ready", flush=True)
while True:
    pass
"""


@pytest.fixture
def mark() -> str:
    return f"mark-{uuid.uuid4().hex}"


@contextmanager
def worker(mark: str, home: Path, program: str = "import time; time.sleep(60)") -> Iterator[int]:
    with child([sys.executable, "-c", program, mark], home=home) as process:

        def there() -> bool:
            """Itself, and not the program that becomes it and shows nothing in between."""
            words = psutil.Process(process.pid).cmdline()
            return mark in words and words[0] == sys.executable

        wait_until(there, 10, "the worker")
        yield process.pid


def named(folder: Path) -> Path:
    """A program of its own name, longer than the kernel keeps."""
    path = folder / f"shop-{uuid.uuid4().hex[:16]}"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path)
    return path


def look(*groups: Watched, **more: Any) -> Reading:
    return glance("process", processes=groups, **more)


def test_the_example(tmp_path: Path, mark: str) -> None:
    pid_file = tmp_path / "db.pid"
    with worker(mark, tmp_path / "w") as pid:
        pid_file.write_text(f"{pid}\n/var/lib/whatever\n")
        at = {
            "program: nginx, min: 2, max: 20": f"cmdline: {mark}",
            'cmdline: "celery .*worker", user: shop': f"cmdline: '{mark}$', user: '{os.getuid()}'",
            "/run/postgresql/15-main.pid": str(pid_file),
        }
        code, data = run_example("process", tmp_path, at)
        assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"]), data
        soon = at | {"kind: process": "kind: process\n    every: 1s"}
        with serve_example("process", tmp_path, soon) as metrics:
            lines = [line for line in metrics.splitlines() if "_process_processes{" in line]
            assert sorted(lines) == sorted(set(lines))
            assert len(lines) == 3
            assert all(float(line.split()[-1]) == 1 for line in lines)


def test_the_numbers_are_the_kernel_s(tmp_path: Path, mark: str) -> None:
    with worker(mark, tmp_path, BUSY) as pid:
        wait_until(lambda: "ready" in (tmp_path / "log").read_text(), 10, "a busy worker")
        its = psutil.Process(pid)
        reading = look(Watched("worker", cmdline=mark))
        found = values(reading, "process")
        assert (reading.outcome, reading.message) == (Outcome.OK, "")
        assert found["processes", "worker"] == 1
        assert found["open_files", "worker"] == its.num_fds() >= 43
        limit = its.rlimit(psutil.RLIMIT_NOFILE)[0]
        assert found["open_files_worst_ratio", "worker"] == pytest.approx(its.num_fds() / limit)
        assert found["threads", "worker"] == 2
        assert found["resident_memory_bytes", "worker"] == pytest.approx(
            its.memory_info().rss, rel=0.1
        )
        assert found["newest_start_timestamp_seconds", "worker"] == its.create_time()
        assert 0.1 < found["cpus_used", "worker"] < 1.5
        assert found["cpu_seconds_total", "worker"] <= sum(its.cpu_times()[:2])
        assert all(found["collector_success", "worker", part] for part in ("cpu", "files", "io"))
        tight = Limits(memory=Size(2**20), threads=1, cpus=0.05, open_files=Share(0.00001))
        strict = look(Watched("worker", cmdline=mark), max=tight)
        assert (strict.outcome, strict.reason) == (Outcome.FAILED, Reason.STATUS)
        for words in ("memory of worker", "threads of worker 2 (limit 1)", "cpus", "open files"):
            assert words in strict.message
        assert look(Watched("worker", cmdline=mark), warn=tight).outcome is Outcome.DEGRADED


def test_too_few_too_many_and_a_restart(tmp_path: Path, mark: str) -> None:
    group = Watched("pool", cmdline=mark, min=1, max=1)
    none = look(group)
    assert none.message == "0 processes of pool (at least 1)"
    assert none.outcome is Outcome.FAILED
    started = ("newest_start_timestamp_seconds", "pool")
    with worker(mark, tmp_path / "a"):
        first = values(look(group), "process")
        with worker(mark, tmp_path / "b"):
            assert look(group).message == "2 processes of pool (at most 1)"
    with worker(mark, tmp_path / "c"):
        second = values(look(group), "process")
        assert second[started] > first[started]
    assert look(Watched("none", cmdline=mark, min=0)).outcome is Outcome.OK


def test_names_and_zombies(tmp_path: Path) -> None:
    path = named(tmp_path)
    group = Watched("till", program=path.name)
    with Popen([str(path), "60"], stdout=DEVNULL) as process:
        try:
            wait_until(lambda: look(group).outcome is Outcome.OK, 5, "the program")
            process.kill()
            zombie = lambda: values(look(group), "process")["zombies", "till"] == 1  # noqa: E731
            wait_until(zombie, 5, "the zombie")
            reading = look(Watched("till", program=path.name, min=0), warn=Limits(zombies=0))
            assert reading.message == "zombies of till 1 (limit 0)"
            assert look(group).message == "0 processes of till (at least 1)", "a zombie is dead"
        finally:
            process.kill()


def test_files_that_hold_a_number(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "pid"
    group = Watched("db", pid_file=path)
    assert look(group).message.endswith(f": {path}: No such file or directory")
    path.write_text("later\n")
    assert look(group).message.endswith(f"{path} holds no process number")
    with worker(mark, tmp_path / "w") as pid:
        path.write_text(str(pid))
        assert look(group).outcome is Outcome.OK
        assert look(Watched("db", pid_file=path, cmdline="postgres")).outcome is Outcome.FAILED
    assert "does not run" in look(group).message


def test_users(tmp_path: Path, mark: str) -> None:
    with worker(mark, tmp_path):
        me = psutil.Process().username()
        for user in (me, str(os.getuid())):
            assert look(Watched("mine", cmdline=mark, user=user)).outcome is Outcome.OK
        other = look(Watched("other", cmdline=mark, user="65533"))
        assert other.outcome is Outcome.FAILED
        nobody = look(Watched("ghost", cmdline=mark, user="no-such-user"))
        assert "there is no user 'no-such-user'" in nobody.message


def test_what_may_not_be_read_is_left_out(tmp_path: Path, mark: str) -> None:
    """As an ordinary user, of a process of root's."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    group = Watched("worker", cmdline=mark)
    with worker(mark, tmp_path):
        look(group)  # everything is imported before the rights are gone
        told = _as_nobody(group)
    found = {tuple(key): value for key, value in told["values"]}
    assert told["outcome"] == "degraded"
    assert told["message"] == "the limit 'open_files' cannot be judged: not measured"
    assert found["processes", "worker"] == 1
    assert found["collector_success", "worker", "files"] == 0
    assert found["collector_success", "worker", "cpu"] == 1
    assert ("open_files", "worker") not in found
    assert ("threads", "worker") in found


def _as_nobody(group: Watched) -> dict[str, Any]:
    """A run in a process of our own that gave its rights away."""
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads are not taken along: meant
        pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            reading = look(group, max=Limits(open_files=Share(0.9)))
            found = [(k if isinstance(k, tuple) else (k,), v)
                     for k, v in values(reading, "process").items()]  # fmt: skip
            told = {"outcome": reading.outcome, "message": reading.message, "values": found}
            os.write(writes, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    told: dict[str, Any] = json.loads(data)
    return told


def test_many_processes_are_looked_at_in_time() -> None:
    began = time.monotonic()
    groups = tuple(Watched(f"g{n}", cmdline=f"nothing-{n}", min=0) for n in range(9))
    reading = look(*groups)
    assert reading.outcome is Outcome.OK
    assert time.monotonic() - began < 5
    assert len(reading.gauges) <= 190


def test_what_cannot_be_declared() -> None:
    for fields, words in (
        ({}, "write program, cmdline"),
        ({"cmdline": "("}, "no regular expression"),
        ({"program": "x", "min": 2, "max": 1}, "max not below"),
    ):
        with pytest.raises(ValueError, match=words):
            Watched("x", **fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="letters"):
        Watched("a b", program="x")
    one = Watched("x", program="x")
    for groups, words in ((), "write 1 to"), ((one, one), "one name"):
        with pytest.raises(ValueError, match=words):
            ProcessProbe(groups)
