"""Does every kind of `control:` keep the contract of `Control`, with real servers?"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.core.errors import CheckFailed, Refused, Transient, UsageError
from sre.core.secrets import Secret
from sre.failover.control import CONTROLS
from sre.failover.nodes import Control, Service
from tests.servers.controlled import KINDS, control_of, prepared, soon, states, workers
from tests.servers.net import wait_until
from tests.servers.sshd import Sshd

ENGINES = ("postgres", "redis", "mariadb")
BIG = os.urandom(5 * 2**20 + 17)
NAMES = ["plain", "two words", 'it\'s "quoted"', "Ünï-код", "-rf", "$(id)`id`;*?", "x" * 255]


@pytest.fixture(scope="module", params=ENGINES)
def any_service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with prepared(request.param, "my data's") as made:
        yield made


@pytest.fixture(scope="module")
def redis() -> Iterator[Service]:
    with prepared("redis") as made:
        yield made


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def control(kind: str, redis: Service, sshd: Sshd) -> Control:
    return control_of(kind, redis, sshd)


def test_every_kind_is_under_contract() -> None:
    assert set(KINDS) == set(CONTROLS.names())


def test_it_starts_stops_and_dies(kind: str, any_service: Service, sshd: Sshd) -> None:
    """Each of it twice: whoever was killed in between calls it again."""
    control, service = control_of(kind, any_service, sshd), any_service
    assert control.life(service, soon()).state == "dead"
    for end in ("fast", "immediate", "kill"):
        control.start(service, soon())
        first = workers(service)
        control.start(service, soon())
        life = control.life(service, soon())
        assert first
        assert first[0] in workers(service)
        assert life.state == "alive", life
        assert kind == "command" or set(life.pids) >= {first[0]}
        for _ in range(2):
            if end == "kill":
                control.kill(service, soon())
            else:
                control.stop(service, "fast" if end == "fast" else "immediate", soon())
            if kind == "command":  # the user's program asks the server alone
                wait_until(lambda: not workers(service), 10, "the server's children to end")
            assert workers(service) == []
        assert control.life(service, soon()).state == "dead"


@pytest.mark.parametrize("name", NAMES)
def test_files_of_any_name(control: Control, redis: Service, name: str) -> None:
    path = f"{redis.data_dir}/{name}"
    assert control.read(redis, path, soon()) is None
    for content in (b"", b"\0\xff\r\nold\n", b"new"):
        control.write(redis, path, content, soon())
        assert control.read(redis, path, soon()) == content
        assert Path(path).read_bytes() == content
    found = Path(path).stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (Path(redis.data_dir).stat().st_uid, 0o600)
    for _ in range(2):
        control.remove(redis, path, soon())
        assert not Path(path).exists()
    assert not list(Path(redis.data_dir).glob(".sre-draft*"))


def test_a_big_file_and_its_mode(control: Control, redis: Service) -> None:
    path = f"{redis.data_dir}/big"
    control.write(redis, path, BIG, soon(), mode=0o750)
    assert control.read(redis, path, soon()) == BIG
    assert Path(path).stat().st_mode & 0o7777 == 0o750
    control.write(redis, path, b"x", soon(), mode=0o644)
    assert Path(path).stat().st_mode & 0o7777 == 0o644
    control.remove(redis, path, soon())


def test_what_is_no_file(control: Control, redis: Service) -> None:
    folder = f"{redis.data_dir}/folder"
    Path(folder).mkdir(exist_ok=True)
    for path in (folder, "relative", f"{folder}/\0"):
        with pytest.raises((UsageError, CheckFailed)):
            control.write(redis, path, b"x", soon())
        with pytest.raises((UsageError, CheckFailed)):
            control.remove(redis, path, soon())
    assert Path(folder).is_dir()
    assert control.read(redis, f"{redis.data_dir}/no/such/file", soon()) is None
    with pytest.raises((UsageError, CheckFailed)):
        control.write(redis, f"{redis.data_dir}/no/such/file", b"x", soon())
    with pytest.raises((UsageError, CheckFailed)):
        control.read(redis, folder, soon())


def test_a_program_on_the_node(control: Control, redis: Service) -> None:
    odd = ["a b", "it's", '"', "$HOME", "`id`", "*", "", "-n", "zwei\nZeilen", "ü"]
    done = control.run(redis, ["printf", "%s|", *odd], soon())
    assert done.stdout.decode() == "".join(f"{each}|" for each in odd)
    done = control.run(redis, ["sh", "-c", "cat; id -u; echo bad >&2; exit 7"], soon(), input=BIG)
    assert done.stdout == BIG + f"{Path(redis.data_dir).stat().st_uid}\n".encode()
    assert (done.returncode, done.stderr.strip()) == (7, "bad")


def test_variables_show_in_no_list_of_processes(control: Control, redis: Service) -> None:
    secret = Secret.literal("canary-'\"$x\n  zwei ü ").reveal()
    seen: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for each in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.append(each.read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    argv = ["sh", "-c", 'sleep 0.3; printf %s "$WORD" | od -An -tx1; cat']
    done = control.run(redis, argv, soon(), env={"WORD": secret}, input=b"in\0put")
    over.set()
    watcher.join()
    digits, _, rest = done.stdout.rpartition(b"\n")
    assert bytes.fromhex(digits.decode()).decode() == secret
    assert rest == b"in\0put"
    assert any(b"sleep" in each for each in seen)
    assert not any(b"canary" in each for each in seen)
    with pytest.raises(UsageError, match="variable"):
        control.run(redis, argv, soon(), env={"A;id": "x"})


def test_a_deadline_holds(control: Control, redis: Service) -> None:
    begun = time.monotonic()
    with pytest.raises(Transient, match="in time"):
        control.run(redis, ["sleep", "30"], soon(0.5))
    assert time.monotonic() - begun < 3


def test_nothing_is_missing(control: Control, redis: Service) -> None:
    assert control.check(redis, soon()) == ()


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_the_frozen_are_neither_stopped_nor_dead(control: Control, redis: Service) -> None:
    control.start(redis, soon())
    for pid in workers(redis):
        os.kill(pid, 19)
    wait_until(lambda: set(states(redis).values()) == {"T"}, 5, "the freeze")
    assert control.life(redis, soon()).state == "frozen"
    begun = time.monotonic()
    with pytest.raises(Transient, match="still there"):
        control.stop(redis, "fast", soon(0.8))
    assert time.monotonic() - begun < 3
    with pytest.raises(CheckFailed, match="frozen"):
        control.start(redis, soon())
    control.kill(redis, soon())
    assert workers(redis) == []
    assert control.life(redis, soon()).state == "dead"


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_what_is_masked_is_not_started(control: Control, redis: Service) -> None:
    for _ in range(2):
        control.mask(redis, soon())
        with pytest.raises(Refused, match="sre-fenced"):
            control.start(redis, soon())
    assert any("sre-fenced" in each for each in control.check(redis, soon()))
    assert workers(redis) == []
    for _ in range(2):
        control.unmask(redis, soon())
    control.start(redis, soon())
    control.kill(redis, soon())


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_what_cannot_start_says_why(control: Control, redis: Service) -> None:
    bad = Service(redis.engine, redis.data_dir, redis.bin_dir, 0, redis.log, ("--no-such", "x"))
    with pytest.raises(CheckFailed, match="no-such"):
        control.start(bad, soon())
    absent = Service(redis.engine, redis.data_dir, "/no/such/place")
    with pytest.raises(UsageError, match="bin_dir"):
        control.start(absent, soon())
    assert any("bin_dir" in each for each in control.check(absent, soon()))
    with pytest.raises(UsageError, match="no program"):
        control.run(redis, ["no-such-program"], soon())
