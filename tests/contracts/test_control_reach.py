"""What does a node's control do when hosts, units and programs of the user misbehave?"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sre.core.errors import Refused, SreError, Transient, UsageError
from sre.failover.control.command import CommandControl
from sre.failover.control.local import LocalControl
from sre.failover.control.ssh import SshControl
from sre.failover.nodes import Service
from tests.servers.controlled import control_of, ends, prepared, soon, workers
from tests.servers.sshd import Sshd, running_sshd


@pytest.fixture(scope="module")
def redis() -> Iterator[Service]:
    with prepared("redis") as made:
        yield made


def test_a_host_that_nobody_knows_or_reaches(redis: Service, sshd: Sshd, tmp_path: Path) -> None:
    control = control_of("ssh", redis, sshd)
    assert isinstance(control, SshControl)
    (tmp_path / "other key").write_text((sshd.home / "host").read_text())
    (tmp_path / "other key").chmod(0o600)
    (tmp_path / "empty").touch()
    changed = sshd.known_hosts.read_text().split()[0] + " " + (sshd.home / "user.pub").read_text()
    (tmp_path / "changed").write_text(changed)
    never = {
        "host key": [
            replace(control, known_hosts=tmp_path / "empty"),
            replace(control, known_hosts=tmp_path / "changed"),
        ],
        "let us in": [replace(control, key=tmp_path / "other key")],
    }
    for words, controls in never.items():
        for each in controls:
            with pytest.raises(UsageError, match=words):
                each.start(redis, soon())
            assert each.life(redis, soon()).state == "unknown"
    closed = replace(control, port=1)
    assert closed.life(redis, soon()).state == "unknown"
    with pytest.raises(Transient, match=r"127\.0\.0\.1:1 cannot be reached"):
        closed.write(redis, f"{redis.data_dir}/x", b"x", soon())
    assert replace(control, key=tmp_path / "no").check(redis, soon()) == (
        f"there is no file {tmp_path / 'no'}",
    )


def test_a_host_that_hangs_and_comes_back(redis: Service, tmp_path: Path) -> None:
    with running_sshd(tmp_path / "sshd") as server:
        control = control_of("ssh", redis, server)
        assert control.life(redis, soon()).state == "dead"
        for warm in (True, False):
            with server.frozen():
                begun = time.monotonic()
                assert control.life(redis, soon(1.2)).state == "unknown"
                with pytest.raises(Transient):
                    control.read(redis, redis.data_dir, soon(1.2 if warm else 2.2))
                assert time.monotonic() - begun < 6
            assert control.life(redis, soon()).state == "dead"


def test_a_connection_that_dies_is_made_anew(redis: Service, sshd: Sshd) -> None:
    control = control_of("ssh", redis, sshd)
    assert isinstance(control, SshControl)
    for _ in range(2):
        assert control.life(redis, soon()).state == "dead"
        masters = [
            int(each.parts[2])
            for each in Path("/proc").glob("[0-9]*/cmdline")
            if str(control._socket()).encode() in reading(each)
        ]
        assert masters
        for pid in masters:
            os.kill(pid, signal.SIGKILL)
        assert control.read(redis, f"{redis.data_dir}/none", soon()) is None


def reading(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


_SYSTEMCTL = """#!/bin/sh
printf '%s\\n' "$*" >>"{log}"
case " $1 " in " mask ") exit {mask} ;; " is-failed ") exit 1 ;; esac
case $* in "start "*) {start} & ;; esac
"""


def test_a_unit_is_told_and_its_processes_are_looked_at(
    redis: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program in systemctl's place that writes down what it is told."""
    log, port = tmp_path / "told", redis.port
    server = (
        f"cd {redis.data_dir} && setsid {redis.program('redis-server')} --port {port} --save ''"
    )
    text = _SYSTEMCTL.format(log=log, mask=0, start=f"{server} </dev/null >/dev/null 2>&1")
    (tmp_path / "systemctl").write_text(text)
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    control = LocalControl(service="redis-server@6379")
    try:
        assert control.check(redis, soon()) == ()
        control.start(redis, soon())
        assert workers(redis)
        control.stop(redis, "fast", soon())
        assert workers(redis) == []
        control.mask(redis, soon())
        with pytest.raises(Refused):
            control.start(redis, soon())
        control.unmask(redis, soon())
        control.kill(redis, soon())
    finally:
        ends(redis)
    told = [line for line in log.read_text().splitlines() if not line.startswith("is-failed")]
    assert told == [f"{each} -- redis-server@6379" for each in (
        "cat", "start --no-block", "stop --no-block", "mask", "unmask", "stop --no-block",
        "kill -s SIGKILL",
    )]  # fmt: skip


def test_programs_of_the_user(redis: Service) -> None:
    says = {name: (name,) for name in ("start_", "stop_", "kill_")}
    lost = CommandControl(**says, life_=("sh", "-c", "exit 255"), run_=("sh", "-c", "exit 255"))
    assert lost.life(redis, soon()).state == "unknown"
    with pytest.raises(Transient, match="reached"):
        lost.read(redis, "/etc/passwd", soon())
    broken = CommandControl(**says, life_=("sh", "-c", "exit 1"), run_=("false",))
    assert broken.life(redis, soon()).state == "unknown"
    with pytest.raises(SreError, match="cannot read"):  # whether it is there is not known
        broken.read(redis, "/no/such/file", soon())
    for act in (broken.mask, broken.unmask):
        with pytest.raises(UsageError, match="control has no"):
            act(redis, soon())
    with pytest.raises(UsageError, match="stop_immediate"):
        broken.stop(redis, "immediate", soon())
    missing = broken.check(redis, soon())
    assert [each for each in missing if "no mask" in each or "stop_immediate" in each]
    filled = CommandControl(
        **says, life_=("sh", "-c", 'printf "%s" "$0"', "{port}/{x}"), run_=("env",)
    )
    assert filled.life(redis, soon()).why == f"{redis.port}/{{x}}"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SshControl("-oProxyCommand=id"), "host"),
        (lambda: SshControl("a", user="-x"), "user"),
        (lambda: SshControl("a", options=("-oX",)), "option"),
        (lambda: SshControl("a", port=70000), "port"),
        (lambda: LocalControl(service="--now"), "unit"),
        (lambda: CommandControl((), ("a",), ("a",), ("a",), ("a",)), "start needs"),
        (lambda: CommandControl(("a",), ("a",), ("a",), ("a",), ("a",), unreachable=(3,)), "3"),
    ],
)
def test_settings_that_cannot_be(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=words):
        make()
