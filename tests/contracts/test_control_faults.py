"""What does a node's control do when processes, connections and the toolkit itself misbehave?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.process import Done, run
from sre.failover.control.local import LocalControl
from sre.failover.nodes import Service
from tests.servers.controlled import control_of, prepared, soon, states, workers
from tests.servers.net import wait_until
from tests.servers.sshd import Sshd

FOLDER = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def postgres() -> Iterator[Service]:
    with prepared("postgres") as made:
        yield made


@pytest.fixture(scope="module")
def redis() -> Iterator[Service]:
    with prepared("redis") as made:
        yield made


def as_owner(service: Service) -> dict[str, object]:
    own = Path(service.data_dir).stat()
    root = os.geteuid() == 0
    return {"user": own.st_uid, "group": own.st_gid, "extra_groups": []} if root else {}


@contextlib.contextmanager
def process(service: Service, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """Something of the owner's that works in the data folder."""
    started = subprocess.Popen(argv, cwd=service.data_dir, **as_owner(service))  # type: ignore[call-overload]
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_the_children_of_a_killed_postmaster_are_found(
    kind: str, postgres: Service, sshd: Sshd
) -> None:
    """Frozen, so that they cannot see that it is gone; it stays a zombie or goes."""
    control = control_of(kind, postgres, sshd)
    control.start(postgres, soon())
    postmaster = int(Path(postgres.data_dir, "postmaster.pid").read_text().split()[0])
    children = [pid for pid in workers(postgres) if pid != postmaster]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    os.kill(postmaster, signal.SIGKILL)
    wait_until(lambda: postmaster not in workers(postgres), 5, "the postmaster's end")
    life = control.life(postgres, soon())
    assert (life.state, set(life.pids)) == ("frozen", set(children))
    control.kill(postgres, soon())
    assert workers(postgres) == []
    assert control.life(postgres, soon()).state == "dead"
    control.start(postgres, soon())
    control.stop(postgres, "fast", soon())


def test_orphans_are_stopped_too(postgres: Service) -> None:
    control = LocalControl()
    control.start(postgres, soon())
    postmaster = int(Path(postgres.data_dir, "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    control.stop(postgres, "fast", soon())
    assert workers(postgres) == []


def test_a_zombie_is_dead(redis: Service) -> None:
    argv = (redis.program("redis-server"), "--port", str(redis.port), "--bind", "127.0.0.1")
    with process(redis, *argv, "--save", "") as server:
        wait_until(lambda: LocalControl().life(redis, soon()).state == "alive", 5, "redis")
        server.send_signal(signal.SIGKILL)
        wait_until(lambda: states(redis).get(server.pid, "Z") == "Z", 5, "its end")
        assert Path(f"/proc/{server.pid}").exists()
        assert LocalControl().life(redis, soon()).state == "dead"
        LocalControl().kill(redis, soon())


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_a_pid_that_somebody_else_has_now(kind: str, postgres: Service, sshd: Sshd) -> None:
    control = control_of(kind, postgres, sshd)
    control.start(postgres, soon())
    control.stop(postgres, "fast", soon())
    with process(postgres, "sleep", "60") as innocent:
        lock = Path(postgres.data_dir, "postmaster.pid")
        text = f"{innocent.pid}\n{postgres.data_dir}\n1\n{postgres.port}\n/tmp\n\n"
        control.write(postgres, str(lock), text.encode(), soon())
        assert control.life(postgres, soon()).state == "dead"
        control.stop(postgres, "immediate", soon())
        control.kill(postgres, soon())
        control.start(postgres, soon())
        control.stop(postgres, "fast", soon())
        assert innocent.poll() is None


def test_a_neighbour_is_left_alone(redis: Service) -> None:
    control = LocalControl()
    with prepared("redis") as other:
        for each in (redis, other):
            control.start(each, soon())
        before = workers(other)
        control.kill(redis, soon())
        assert workers(other) == before
        assert control.life(other, soon()).pids == tuple(before)


def test_a_redis_that_is_declared_with_another_folder_is_not_called_dead(redis: Service) -> None:
    control = LocalControl()
    control.start(redis, soon())
    with prepared("redis") as other:
        wrong = replace(other, port=redis.port)
        life = control.life(wrong, soon())
        assert (life.state, "data_dir" in life.why) == ("unknown", True)
    shared = replace(redis, port=redis.port + 1)
    assert control.life(shared, soon()).state == "unknown"
    with pytest.raises(UsageError, match="own folder"):
        control.kill(shared, soon())
    control.stop(redis, "fast", soon())


def test_a_folder_that_was_removed_under_it(redis: Service) -> None:
    control = LocalControl()
    with prepared("redis") as made:
        control.start(made, soon())
        pids = workers(made)
        for each in Path(made.data_dir).iterdir():
            each.unlink()
        Path(made.data_dir).rmdir()
        assert control.life(made, soon()).pids == tuple(pids)
        control.kill(made, soon())
        assert control.life(made, soon()).state == "dead"


class Foreigner(LocalControl):
    """Acts as a user to whom the service does not belong."""

    def shell(self, script: str, args: Sequence[str], data: bytes, deadline: Deadline) -> Done:
        become = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "--"]
        become = become if os.geteuid() == 0 else ["unshare", "--user", "--"]
        return run([*become, "/bin/sh", "-c", script, "sre", *args], deadline, input=data)


def test_what_may_not_be_seen_is_not_called_dead(redis: Service) -> None:
    LocalControl().start(redis, soon())
    control = Foreigner()
    life = control.life(redis, soon())
    assert (life.state, "may not be seen" in life.why) == ("unknown", True)
    for act in (control.kill, control.mask):
        with pytest.raises(UsageError, match="owner"):
            act(redis, soon())
    assert any("belongs to uid" in each for each in control.check(redis, soon()))
    LocalControl().kill(redis, soon())


def test_debians_own_switch_is_turned_and_turned_back(
    postgres: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = Path(postgres.data_dir).parent / "etc"
    main = etc / "15" / "main"
    main.mkdir(parents=True)
    (main / "postgresql.conf").write_text(f"data_directory = '{postgres.data_dir}'  # here\n")
    (main / "start.conf").write_text("# words\nmanual\n")
    own = Path(postgres.data_dir).stat()
    for each in (main, main / "start.conf"):
        os.chown(each, own.st_uid, own.st_gid)
    monkeypatch.setattr("sre.failover.control.scripted.ETC", str(etc))
    control = LocalControl()
    for _ in range(2):
        control.mask(postgres, soon())
        assert (main / "start.conf").read_text() == "disabled\n"
    for _ in range(2):
        control.unmask(postgres, soon())
        assert (main / "start.conf").read_text() == "# words\nmanual\n"


_START = """
import os
from sre.core.clock import Deadline
from sre.failover.control.local import LocalControl
from sre.failover.nodes import Service
LocalControl().start({service!r}, Deadline.after(20))
os.kill(os.getpid(), 9)
"""


def test_what_was_started_outlives_us(redis: Service) -> None:
    text = _START.format(service=redis)
    done = subprocess.run([sys.executable, "-c", text], cwd=FOLDER, env=canary(), check=False)
    assert done.returncode == -9
    pids = workers(redis)
    assert pids
    assert b"CANARY" not in Path(f"/proc/{pids[0]}/environ").read_bytes()
    LocalControl().stop(redis, "fast", soon())


def canary() -> dict[str, str]:
    return {**os.environ, "CANARY": "of ours"}


_WRITE = """
import sys
from sre.core.clock import Deadline
from sre.failover.control.{module} import *
from sre.failover.nodes import Service
from pathlib import *
control, service = {control!r}, {service!r}
content = b"n" * 12_000_000
print(flush=True)
control.write(service, {path!r}, content, Deadline.after(20))
"""


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_a_write_that_is_killed_leaves_the_old_or_the_new(
    kind: str, redis: Service, sshd: Sshd
) -> None:
    control = control_of(kind, redis, sshd)
    path = f"{redis.data_dir}/whole"
    text = _WRITE.format(module=kind, control=control, service=redis, path=path)
    control.write(redis, path, b"old", soon())
    cut = 0
    for wait in (0.0, 0.02, 0.04, 0.08):
        writer = subprocess.Popen(
            [sys.executable, "-c", text], cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(wait)
        writer.kill()
        writer.communicate()
        content = Path(path).read_bytes()
        assert content == b"old" or content == b"n" * 12_000_000
        cut += content == b"old"
        control.write(redis, path, b"old", soon())
    assert cut
    wait_until(lambda: (control.write(redis, path, b"old", soon()), not drafts(redis))[1], 10, "")
    control.remove(redis, path, soon())


def drafts(service: Service) -> list[Path]:
    return list(Path(service.data_dir).glob(".sre-draft*"))
