"""Is a level whole or nothing, whenever the process dies and whatever a place says?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import FakeClock
from sre.core.errors import (
    CheckFailed,
    IntegrityError,
    OutcomeUnknown,
    Refused,
    Transient,
    UsageError,
)
from sre.failover.degrade import engine
from sre.failover.degrade.doings.file import FileDoing
from sre.failover.degrade.doings.http import HttpDoing, Undoing
from sre.failover.degrade.doings.map import MapDoing
from sre.failover.degrade.engine import Bench, Order, apply_level
from sre.failover.degrade.look import look
from sre.failover.degrade.model import Level, LevelFields, Tools
from sre.failover.degrade.places import whole
from sre.failover.degrade.restore import Wish, restore
from sre.journey.guard import Guard
from tests.servers.degrading import running_flags

NOW = Order("a test")
ALL = Wish()


def bench(home: Path, allow: str = "127.0.0.1:*", *more: Level) -> Bench:
    """A level over a map, a file, a link and a file that is not there."""
    (home / "m.map").write_bytes(b"# x\nkey on\nlast one")
    (home / "real").write_bytes(b"\xff\xfe old")
    (home / "real").chmod(0o604)
    (home / "link").symlink_to("real")
    (home / "gone").write_text("to be gone")
    doings = (
        MapDoing(f"{home}/m.map", {"key": "off", "new": 1, "last": None}),
        FileDoing(f"{home}/link", content="new\n"),
        FileDoing(f"{home}/made", present=True),
        FileDoing(f"{home}/gone", present=False),
    )
    spots = tuple(spot for doing in doings for spot in doing.spots(()))
    levels = {each.name: each for each in (Level("all", spots), *more)}
    return Bench(levels, Tools(Guard([allow]), seconds=2.0), home / "state")


def seen(home: Path) -> dict[str, tuple[bytes, int]]:
    return {
        each.name: (each.read_bytes(), each.stat().st_mode)
        for each in sorted(home.iterdir())
        if each.is_file()
    }


def in_child(work: Callable[[], Any]) -> int:
    """The signal that ended it, 0 when it went through."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(99)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def dying(at: int) -> Callable[[], None]:
    """Every rename and fsync of the work is a moment to be killed at: before the nth."""
    count = 0
    real_replace = Path.replace

    def tick() -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def fsync(descriptor: int) -> None:
        tick()

    def move(self: Path, target: Any) -> Path:
        tick()
        return real_replace(self, target)

    def install() -> None:
        os.fsync = fsync  # type: ignore[assignment]
        Path.replace = move  # type: ignore[method-assign,assignment]

    return install


@pytest.fixture
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies, and not the machine: what was written is there."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.usefixtures("_fast_disk")
@pytest.mark.parametrize("again", ["restore", "apply"])
def test_killed_at_every_moment_of_applying(tmp_path: Path, again: str) -> None:
    at, ended = 0, signal.SIGKILL.value
    while ended:
        at += 1
        home = tmp_path / f"{at}"
        home.mkdir()
        desk = bench(home)
        before = seen(home)
        ended = in_child(lambda: (dying(at)(), apply_level(desk, "all", NOW)))  # noqa: B023
        if again == "apply":
            apply_level(desk, "all", NOW)
            assert (home / "real").read_bytes() == b"new\n"
            assert (home / "link").is_symlink()
            assert not (home / "gone").exists()
            assert not any(each.wrong for each in look(desk))
        restore(desk, Wish(("all",)))
        for each in home.glob(".*"):
            each.unlink()  # a draft that the dead process left
        assert seen(home) == before, at
        assert json.loads((home / "state/degrade/record.json").read_text())["levels"] == []
    assert at > 20


@pytest.mark.usefixtures("_fast_disk")
def test_killed_at_every_moment_of_restoring(tmp_path: Path) -> None:
    at, ended = 0, signal.SIGKILL.value
    while ended:
        at += 1
        home = tmp_path / f"{at}"
        home.mkdir()
        desk = bench(home)
        before = seen(home)
        apply_level(desk, "all", NOW)
        ended = in_child(lambda: (dying(at)(), restore(desk, ALL)))  # noqa: B023
        restore(desk, Wish(("all",)))
        for each in home.glob(".*"):
            each.unlink()
        assert seen(home) == before, at
    assert at > 20


def http_level(url: str, **more: Any) -> Level:
    doing = HttpDoing("PUT", f"{url}/flags/x", json={"on": 1}, undo=Undoing("PUT", json={"on": 0}))
    return Level("http", (*FileDoing(**more).spots(()), *doing.spots(())), LevelFields())


def test_the_allow_list_is_asked_before_anything_changes(tmp_path: Path) -> None:
    with running_flags() as flags:
        there = http_level(flags.url, file=f"{tmp_path}/f", content="x")
        desk = bench(tmp_path, "10.0.0.1:80", there)
        with pytest.raises(Refused, match="allow-list"):
            apply_level(desk, "http", NOW)
        assert (flags.asked, (tmp_path / "f").exists()) == ([], False)


@pytest.mark.parametrize(
    ("status", "asked", "error"), [(404, 1, CheckFailed), (500, 2, OutcomeUnknown)]
)
def test_an_answer_that_is_no_2xx(
    tmp_path: Path, status: int, asked: int, error: type[Exception]
) -> None:
    with running_flags() as flags:
        desk = bench(
            tmp_path, "127.0.0.1:*", http_level(flags.url, file=f"{tmp_path}/f", content="x")
        )
        flags.server.status = status
        with pytest.raises(error):
            apply_level(desk, "http", NOW)
        assert (len(flags.asked), (tmp_path / "f").exists()) == (asked, False)
        assert (desk.read().levels == ()) is (status == 404)
        flags.server.status = 200
        restore(desk, ALL)
        assert desk.read().levels == ()


def drip(listener: socket.socket, over: threading.Event) -> None:
    """Each time an answer that begins and never ends, a byte at a time."""
    while not over.is_set():
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.05):
                connection.sendall(b"y")


def test_a_server_that_drips_does_not_hold_us(tmp_path: Path) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener, over), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        there = http_level(url, file=f"{tmp_path}/f", content="x")
        desk = bench(tmp_path, "127.0.0.1:*", there)
        desk = Bench(desk.levels, Tools(desk.tools.guard, seconds=0.5), desk.state)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="not answered"):
            apply_level(desk, "http", NOW)
        assert time.monotonic() - began < 8
        assert not (tmp_path / "f").exists()
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_write_that_fails_takes_the_others_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = bench(tmp_path)
    before = seen(tmp_path)
    real = whole._replace

    def refuse(path: Path, data: bytes, rights: Any) -> None:
        if path.name == "made":
            raise PermissionError(13, "Permission denied")
        real(path, data, rights)

    monkeypatch.setattr(whole, "_replace", refuse)
    with pytest.raises(CheckFailed, match="everything was put back"):
        apply_level(desk, "all", NOW)
    assert seen(tmp_path) == before
    assert desk.read().levels == ()


def test_interrupted_takes_back_and_stays_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = bench(tmp_path)
    before = seen(tmp_path)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "hold", interrupt)
    with pytest.raises(KeyboardInterrupt):
        apply_level(desk, "all", NOW)
    assert seen(tmp_path) == before


def test_a_level_that_left_the_declaration_comes_back_all_the_same(tmp_path: Path) -> None:
    desk = bench(tmp_path)
    before = seen(tmp_path)
    apply_level(desk, "all", NOW)
    bare = Bench({}, desk.tools, desk.state)
    assert "does not have this level" in look(bare)[0].wrong[0]
    restore(bare, ALL)
    assert seen(tmp_path) == before


def test_a_level_that_says_something_else_now_is_refused(tmp_path: Path) -> None:
    desk = bench(tmp_path)
    apply_level(desk, "all", NOW)
    spots = FileDoing(f"{tmp_path}/other", content="x").spots(())
    other = Bench({"all": Level("all", spots)}, desk.tools, desk.state)
    with pytest.raises(Refused, match="something else"):
        apply_level(other, "all", NOW)
    with pytest.raises(UsageError, match="known: all"):
        apply_level(desk, "al", NOW)


def test_due_and_manual(tmp_path: Path) -> None:
    clock = FakeClock()
    spots = FileDoing(f"{tmp_path}/m", content="x").spots(())
    manual = Level("manual", spots, LevelFields(undo="manual"))
    desk = bench(tmp_path, "127.0.0.1:*", manual)
    desk = Bench(desk.levels, Tools(desk.tools.guard, clock), desk.state)
    apply_level(desk, "manual", NOW)
    apply_level(desk, "all", Order(lasts=60.0))
    assert restore(desk, Wish(due=True)) == ()
    clock.advance(60)
    assert [each.name for each in restore(desk, Wish(due=True))] == ["all"]
    assert restore(desk, ALL) == ()
    assert restore(desk, Wish(("manual",)))[0].gone


def test_a_haproxy_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    desk = bench(tmp_path)
    before = seen(tmp_path)
    spots = MapDoing(f"{tmp_path}/m.map", {"key": "off"}).spots((f"{tmp_path}/no.sock",))
    with pytest.raises(Transient, match="cannot be reached"):
        apply_level(Bench({"x": Level("x", spots)}, desk.tools, desk.state), "x", NOW)
    assert (desk.read().levels, seen(tmp_path)) == ((), before)


def test_a_damaged_record_is_never_guessed(tmp_path: Path) -> None:
    desk = bench(tmp_path)
    apply_level(desk, "all", NOW)
    desk.path.write_text(desk.path.read_text()[:-20])
    with pytest.raises(IntegrityError, match="damaged"):
        restore(desk, ALL)
