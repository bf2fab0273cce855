"""Do programs end when they must, take their families along, and keep secrets out of `ps`?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sre.core.clock import Deadline
from sre.core.errors import Refused, UsageError
from sre.core.process import PIPE, Child, run
from sre.core.secrets import Secret

STUBBORN = ["sh", "-c", "trap '' TERM INT HUP; echo up; while :; do sleep 0.1; done"]


def soon(predicate: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def after(seconds: float) -> Deadline:
    return Deadline.after(seconds)


def test_a_program_runs_and_its_cost_is_known() -> None:
    code = (
        "import sys; sys.stdout.write(sys.stdin.read()); sys.stderr.write('e'*9000); "
        "sum(range(10**7))"
    )
    done = run([sys.executable, "-c", code], after(30), input="hello")
    assert (done.returncode, done.stdout, done.ok) == (0, b"hello", True)
    assert done.stderr == "e" * 8192
    assert 0 < done.cpu <= done.seconds * 2


def test_environment_folder_and_exit_code(tmp_path: Path) -> None:
    done = run(["sh", "-c", 'echo "$PIN"; pwd; exit 3'], after(10), env={"PIN": "1"}, cwd=tmp_path)
    assert done.stdout.decode().split() == ["1", str(tmp_path.resolve())]
    assert (done.returncode, done.ok, done.timed_out) == (3, False, False)


def test_input_nobody_reads_and_output_nobody_wants() -> None:
    assert run(["true"], after(10), input=b"x" * 10**7).ok
    done = run(["yes"], after(0.3), limit=10)
    assert (len(done.stdout), done.truncated, done.timed_out) == (10, True, True)


def test_the_deadline_ends_a_program_that_ignores_sigterm_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 77 & echo $! $$ > {pids}; while :; do sleep 0.1; done"
    start = time.monotonic()
    done = run(["sh", "-c", script], after(0.5))
    assert time.monotonic() - start < 5
    assert (done.timed_out, done.returncode) == (True, -signal.SIGKILL)
    assert all(soon(lambda pid=pid: gone(int(pid))) for pid in pids.read_text().split())


def test_a_background_child_that_holds_the_pipe_does_not_hold_us(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    start = time.monotonic()
    done = run(["sh", "-c", f"sleep 78 & echo $! > {pid}; echo done"], after(30))
    assert done.stdout == b"done\n"
    assert time.monotonic() - start < 3
    assert soon(lambda: gone(int(pid.read_text())))


def test_a_daemon_in_another_session_that_holds_the_pipe_does_not_hold_us() -> None:
    start = time.monotonic()
    done = run(["setsid", "--fork", "sleep", "6"], after(30))
    assert done.ok
    assert time.monotonic() - start < 5


def test_what_cannot_start_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"use the program 'no-such': .*; make it, or install it"):
        run(["no-such"], after(1))
    with pytest.raises(UsageError, match="cannot use the folder '/no/such'"):
        run(["true"], after(1), cwd=Path("/no/such"))
    (tmp_path / "plain").write_text("x")
    with pytest.raises(UsageError, match="Permission denied; check its permissions"):
        run([str(tmp_path / "plain")], after(1))
    with pytest.raises(UsageError, match="empty command"):
        run([], after(1))


def test_a_revealed_secret_in_the_arguments_is_refused_and_masked_in_errors() -> None:
    value = Secret.literal("s3cr3t-for-argv").reveal()
    with pytest.raises(Refused, match="argument 1 of echo") as caught:
        run(["echo", f"--password={value}"], after(1))
    assert value not in str(caught.value)
    done = run(["sh", "-c", 'echo "$PIN" >&2; exit 1'], after(10), env={"PIN": value})
    assert done.stderr == "<secret>\n"


def test_a_child_streams_its_lines_and_stops_politely(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "trap 'echo bye; exit 7' TERM; echo hello; while :; do sleep 0.05; done"
    with Child(["sh", "-c", script], stdout=lines.append, stderr=tmp_path / "log") as child:
        assert soon(lambda: lines == ["hello"])
        assert child.poll() is None
        assert child.wait(after(0.05)) is None
        assert os.getsid(child.pid) == child.pid
    assert child.returncode == 7
    assert lines == ["hello", "bye"]
    assert child.stop() == 7


def test_a_child_that_ignores_sigterm_is_killed_within_bounds() -> None:
    with Child(STUBBORN, stdout=PIPE, grace=0.2) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        start = time.monotonic()
    assert time.monotonic() - start < 3
    assert child.returncode == -signal.SIGKILL
    assert not psutil.pid_exists(child.pid)


def test_programs_join_in_a_pipe_and_a_killed_producer_shows() -> None:
    with (
        Child(["sh", "-c", "echo part; kill -9 $$"], stdout=PIPE) as producer,
        Child(["cat"], stdin=producer.stdout, stdout=PIPE) as consumer,
    ):
        assert consumer.stdout is not None
        assert consumer.stdout.read() == b"part\n"
        assert consumer.wait(after(5)) == 0
        assert producer.wait(after(5)) == -signal.SIGKILL


def test_what_it_said_last_is_heard_before_its_end_is_told() -> None:
    heard: list[str] = []

    def slow(line: str) -> None:
        time.sleep(0.1)
        heard.append(line)

    with Child(["sh", "-c", "echo disk full >&2; exit 3"], stderr=slow) as child:
        assert child.wait(Deadline.after(5)) == 3
        assert heard == ["disk full"]


def test_many_threads_may_run_programs_and_wait_for_one_child() -> None:
    codes: list[int | None] = []
    with Child(["sh", "-c", "sleep 0.2; exit 5"]) as child:
        threads = [
            threading.Thread(target=lambda: codes.append(child.wait(after(10)))) for _ in range(8)
        ]
        threads += [
            threading.Thread(
                target=lambda: codes.append(run(["sh", "-c", "exit 5"], after(10)).returncode)
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert codes == [5] * 16


def test_a_child_outlives_the_thread_that_started_it() -> None:
    started: list[Child] = []
    thread = threading.Thread(target=lambda: started.append(Child(["sleep", "30"]).start()))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert started[0].poll() is None
    started[0].stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_die_with_us_however_we_die(number: int) -> None:
    code = textwrap.dedent(
        f"""
        import time
        from sre.core.process import Child
        child = Child({STUBBORN!r}).start()
        print(child.pid, flush=True)
        time.sleep(60)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.send_signal(number)
    assert soon(lambda: gone(pid))


def test_another_user_still_dies_with_us() -> None:
    if os.geteuid() != 0:
        with pytest.raises(UsageError, match="not permitted"):
            run(["id"], after(10), user="nobody")
        return
    assert run(["id", "-un"], after(10), user="nobody").stdout == b"nobody\n"
    code = (
        "import time\nfrom sre.core.process import Child\n"
        "print(Child(['sleep', '60'], user='nobody').start().pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert soon(lambda: gone(pid))


def test_a_fork_of_ours_can_start_programs() -> None:
    assert run(["true"], after(10)).ok
    code = (
        "import os, sys, warnings\nwarnings.simplefilter('ignore')\n"
        "from sre.core.clock import Deadline\nfrom sre.core.process import run\n"
        "run(['true'], Deadline.after(5))\npid = os.fork()\n"
        "ok = run(['true'], Deadline.after(5)).ok\n"
        "os._exit(0 if ok else 1) if pid == 0 else sys.exit(os.waitpid(pid, 0)[1])"
    )
    assert run([sys.executable, "-c", code], after(20)).returncode == 0
