"""Do the small tools that every server fixture stands on behave as they say?"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.servers.child import child, program
from tests.servers.net import Canary, free_port, missing, wait_until

pytestmark = pytest.mark.alone


def test_free_ports_differ_and_can_be_bound() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    socket.create_server(("127.0.0.1", ports[0])).close()


def test_wait_until_returns_the_first_true_answer() -> None:
    answers = iter([None, 0, "yes"])
    assert wait_until(lambda: next(answers), 5, "an answer") == "yes"


def test_wait_until_names_what_it_waited_for_and_the_last_error() -> None:
    def fail() -> bool:
        raise OSError("no route")

    with pytest.raises(AssertionError, match=r"the moon; the last answer was OSError.*no route"):
        wait_until(fail, 0.03, "the moon")


def test_an_untouched_canary_counts_nothing(canary: Canary) -> None:
    assert canary.connections == 0


def test_a_canary_counts_a_connection_at_once_and_resets_it(canary: Canary) -> None:
    with socket.socket() as client:
        client.settimeout(2)
        client.bind((canary.host, 0))
        with pytest.raises(ConnectionResetError):
            _connect_and_read(client, canary)
        assert canary.peers == [client.getsockname()]


def _connect_and_read(client: socket.socket, canary: Canary) -> None:
    """The reset may already be the error of connect()."""
    client.connect((canary.host, canary.port))
    assert canary.connections == 1
    client.recv(1)


def test_a_canary_counts_many(canary: Canary) -> None:
    for _ in range(100):
        with contextlib.suppress(ConnectionResetError):
            socket.create_connection((canary.host, canary.port)).close()
    assert canary.connections == 100


@pytest.mark.parametrize(("ci", "outcome"), [("1", pytest.fail), ("", pytest.skip)])
def test_a_missing_part_fails_in_ci_and_skips_elsewhere(
    ci: str, outcome: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome.Exception, match="no-such-program"):  # type: ignore[attr-defined]
        program("no-such-program")
    with pytest.raises(outcome.Exception, match="the flux"):  # type: ignore[attr-defined]
        missing("the flux")


def test_a_child_is_ended_with_its_own_children(tmp_path: Path) -> None:
    script = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "inner = subprocess.Popen(['sleep', '600'])\n"
        "print(inner.pid, flush=True)\n"
        "inner.wait()\n"
    )
    argv = [sys.executable, "-c", script]
    with child(argv, home=tmp_path / "home", pipes=True, grace=0.1) as process:
        assert process.stdout is not None
        inner = int(process.stdout.readline())
        os.kill(inner, 0)
    assert process.returncode is not None

    def gone() -> bool:
        with contextlib.suppress(FileNotFoundError):
            state = Path(f"/proc/{inner}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1]
            return state.startswith("Z")
        return True

    wait_until(gone, 3, "the inner process to be gone")


def test_a_child_has_no_personal_folders_outside_its_home(tmp_path: Path) -> None:
    with child(["env"], home=tmp_path) as process:
        process.wait(5)
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert f"HOME={tmp_path}" in lines
    assert f"TMPDIR={tmp_path}" in lines
    assert process.returncode == 0
