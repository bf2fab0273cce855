"""Does a real HAProxy go where it is told, at once, for everybody, and after a reload too?"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.core.errors import CheckFailed, Transient, UsageError
from sre.failover.switches import Settling, Traffic, Weighing
from sre.failover.traffic.haproxy import HaproxyTraffic
from tests.servers.net import free_port, wait_until
from tests.servers.trafficway import Front, running_front, stopped, talker
from tests.unit.failover.haproxykit import hung_up, soon, switch


@pytest.fixture(scope="module")
def module_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with running_front(tmp_path_factory.mktemp("front"), threads="nbthread 2") as front:
        yield front


@pytest.fixture
def front(module_front: Front) -> Iterator[Front]:
    """`a` open alone, the file as it was made."""
    text = module_front.config.read_bytes()
    yield module_front
    module_front.config.write_bytes(text)
    switch(module_front).repoint("a", soon())
    module_front.config.write_bytes(text)


def test_repoint_moves_new_clients_and_ends_the_sessions_of_old_ones(front: Front) -> None:
    made = switch(front)
    before = front.config.read_bytes()
    with talker(front.port) as (held, name):
        assert name == "a"
        assert made.look(soon()).servers[0].sessions == 1
        made.repoint("b", soon())
        assert hung_up(held)
    assert front.answered() == "b"
    way = made.look(soon())
    assert (way.open(), way.problems) == (("b",), ())
    assert [(each.state, each.configured) for each in way.servers] == [
        ("closed", "closed"), ("open", "open"), ("closed", "closed"),
    ]  # fmt: skip
    expected = before.replace(b"  # a's", b"  disabled # a's").replace(
        b" disabled # b's", b" # b's"
    )
    assert front.config.read_bytes().split() == expected.split()
    made.repoint("b", soon())
    assert made.look(soon()).problems == ()


def test_there_is_no_moment_with_two_open(front: Front) -> None:
    made, seen, done = switch(front), set(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(switch(front, master="").look(soon()).open())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for name in "bcab":
            made.repoint(name, soon())
    finally:
        done.set()
        watcher.join()
    assert {names for names in seen if len(names) > 1} == set()
    assert {"b", "c"} <= {name for names in seen for name in names}


def test_two_of_us_at_once_leave_one_open_and_the_file_equal(front: Front) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for _ in range(3):
                switch(front).repoint(name, soon(30))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    way = switch(front).look(soon())
    assert (len(way.open()), way.problems) == (1, ())


def test_busy_clients_are_cut_off_and_none_stays_behind(front: Front) -> None:
    stop, names = threading.Event(), []

    def client() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), talker(front.port) as (raw, name):
                names.append((name, time.monotonic()))
                raw.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    raw.recv(10)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for each in threads:
        each.start()
    try:
        wait_until(lambda: len(names) > 40, 20, "clients")
        switch(front).close("a", soon())
        closed = time.monotonic()
        assert switch(front).look(soon()).servers[0].sessions == 0
        switch(front).repoint("b", soon())
        wait_until(lambda: names[-1][0] == "b", 20, "clients at b")
    finally:
        stop.set()
        for each in threads:
            each.join()
    assert not [name for name, at in names if at > closed + 0.2 and name == "a"]


def test_quick_changes_take_milliseconds_and_settle_writes_them_down(front: Front) -> None:
    made = switch(front)
    assert isinstance(made, Settling)
    assert isinstance(made, Weighing)
    text = front.config.read_bytes()
    quick: Traffic = made.quick()
    took = []
    for name in "bcabcabcab":
        begun = time.perf_counter()
        quick.repoint(name, soon())
        took.append(time.perf_counter() - begun)
    print(f"repoint at run time: median {statistics.median(took) * 1000:.2f} ms")
    assert statistics.median(took) < 0.02  # about 1 ms on a quiet machine
    assert front.config.read_bytes() == text
    problems = made.look(soon()).problems
    assert any("pg/b is open at run time" in each and "closes it" in each for each in problems)
    made.settle(soon())
    assert made.look(soon()).problems == ()


def test_drain_lets_sessions_go_on(front: Front) -> None:
    made = switch(front)
    with talker(front.port) as (held, _):
        made.drain("a", soon())
        held.sendall(b"more\n")
        assert held.recv(20) == b"more\n"
        way = made.look(soon())
        assert (way.servers[0].state, way.servers[0].sessions, way.problems) == ("draining", 1, ())
        assert front.answered() == ""
    made.open("a", soon())
    assert (front.answered(), made.look(soon()).problems) == ("a", ())


def test_weights_at_run_time_and_in_the_file(front: Front) -> None:
    made = switch(front)
    made.weigh("a", 7, soon())
    assert b"weight 7" in front.config.read_bytes()
    assert (made.look(soon()).servers[0].weight, made.look(soon()).problems) == (7, ())
    made.weigh("a", 0, soon())
    assert made.look(soon()).servers[0].state == "draining"
    made.open("a", soon())
    assert (made.look(soon()).open(), made.look(soon()).problems) == (("a",), ())
    with pytest.raises(UsageError, match="0 to 256"):
        made.weigh("a", 257, soon())


def test_a_file_that_haproxy_rejects_stays_as_it_was(front: Front) -> None:
    broken = front.config.read_bytes() + b"backend broken\n  balance nonsense\n"
    front.config.write_bytes(broken)
    with pytest.raises(CheckFailed, match="rejects the changed file"):
        switch(front).repoint("b", soon())
    assert front.config.read_bytes() == broken
    assert front.answered() == "b"  # run time is what counts in an outage; look tells the rest
    assert switch(front).look(soon()).problems
    assert [path.name for path in front.home.iterdir() if "draft" in path.name] == []


def test_owner_mode_link_and_an_abandoned_draft(front: Front) -> None:
    link = front.home / "link.cfg"
    link.symlink_to(front.config)
    (front.home / ".h.cfg.sre-draft").write_text("half a fi")
    front.config.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(front.config, 65534, 65534)
    owner = front.config.stat().st_uid
    switch(front, config=str(link)).repoint("c", soon())
    assert link.is_symlink()
    assert (front.config.stat().st_mode & 0o777, front.config.stat().st_uid) == (0o640, owner)
    assert switch(front, config=str(link)).look(soon()).problems == ()
    link.unlink()
    assert not (front.home / ".h.cfg.sre-draft").exists()


def test_a_socket_without_admin_says_so(front: Front) -> None:
    made = HaproxyTraffic(socket=f"127.0.0.1:{front.admin}", backend="pg")
    assert made.look(soon()).open() == ("a",)
    with pytest.raises(CheckFailed, match="level admin"):
        made.close("a", soon())
    assert front.answered() == "a"


def test_names_that_it_does_not_have(front: Front) -> None:
    with pytest.raises(UsageError, match="no server 'z'; known: a, b, c"):
        switch(front).repoint("z", soon())
    with pytest.raises(CheckFailed, match="backend"):
        HaproxyTraffic(front.socket, "nope").look(soon())
    with pytest.raises(CheckFailed, match="backend"):
        HaproxyTraffic(front.socket, ("pg", "nope")).close("a", soon())
    assert front.answered() == "a"


def test_a_frozen_one_and_none_at_all_are_unreachable(front: Front, tmp_path: Path) -> None:
    for nowhere in (str(tmp_path / "none.sock"), f"127.0.0.1:{free_port()}"):
        with pytest.raises(Transient, match="HAProxy at"):
            HaproxyTraffic(nowhere, "pg").look(soon())
    worker = int(front.say("show info").partition("Pid: ")[2].split()[0])
    with stopped(worker):
        begun = time.monotonic()
        with pytest.raises(Transient, match="does not answer"):
            switch(front).close("a", soon(0.3))
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"socket": "haproxy"}, "neither the path"),
        ({"backend": ()}, "name of a backend"),
        ({"backend": "pg;shutdown"}, "name of a backend"),
        ({"backend": ("pg", "pg")}, "twice"),
        ({"check": ("haproxy", "-c")}, "{file}"),
        ({"reload": ("true",)}, "reload without config"),
    ],
)
def test_bad_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("{", "[{]")):
        HaproxyTraffic(**{"socket": "/run/h.sock", "backend": "pg", **wrong})  # type: ignore[arg-type]
