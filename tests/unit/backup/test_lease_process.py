"""Does a run that was stopped, killed or told to end keep to its lease? Real processes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.backup.claim import Claim, lease_key, parse_claim
from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.manifest import Manifest
from sre.backup.model import Keys
from sre.backup.objects import Storage
from sre.backup.runner import run_backup
from sre.core.errors import Locked
from tests.servers.s3 import S3Server
from tests.unit.backup.lease_child import store_of
from tests.unit.backup.setting import ROOT, TarDatabase, make_job, make_keys, make_tar, shop_files

KEY = lease_key("orders", "run")
TTL = 2.5
CHILD = str(Path(__file__).with_name("lease_child.py"))


class Setting:
    """A store that two machines share: each has a state folder of its own."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store = folder, store
        self.keys: Keys = make_keys(folder / "keys")
        self.tar = make_tar(folder / "t", shop_files())
        self.go_on = folder / "go-on"
        self.children: list[subprocess.Popen[str]] = []

    def here(self, state: str = "here") -> Job:
        job = make_job(
            self.folder / state, self.keys, TarDatabase(self.tar), store=store_of(self.store)
        )
        return dataclasses.replace(job, lease_ttl=TTL)

    @property
    def storage(self) -> Storage:
        job = self.here()
        return job.storage(job.declared("orders"))

    def claim(self) -> Claim | None:
        data = self.storage.cell(KEY).data
        return None if data is None else parse_claim(data, KEY)

    def start(
        self, *, stop: str = "", waits: bool = True, state: str = "there"
    ) -> subprocess.Popen[str]:
        """A run elsewhere; its dump ends once `go_on` is there."""
        then = f"while ! test -e {self.go_on}; do sleep 0.05; done" if waits else ""
        argv = [
            sys.executable, CHILD, str(self.folder / state), str(self.folder / "keys"),
            str(self.tar), self.store, then, str(TTL), *([stop] if stop else []),
        ]  # fmt: skip
        child = subprocess.Popen(
            argv, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        self.children.append(child)
        return child

    def end(self) -> None:
        self.go_on.touch()
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate(timeout=20)


@pytest.fixture(params=["local", "s3"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setting]:
    store = str(tmp_path / "store")
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        made = server.store()
        fields: dict[str, Any] = {"bucket": made.bucket, "prefix": made.prefix}
        fields |= {"endpoint": server.endpoint, "attempts": 3}
        fields |= {"access_key": server.access_key, "secret_key": server.secret_key}
        store = json.dumps(fields)
    made_setting = Setting(tmp_path, store)
    try:
        yield made_setting
    finally:
        made_setting.end()


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def stopped(child: subprocess.Popen[str]) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def takes_over(setting: Setting) -> Manifest:
    """Runs here as soon as the lease allows; Locked before."""

    def tried() -> Manifest | None:
        try:
            return run_backup(setting.here(), "orders")
        except Locked:
            return None

    found: Manifest = until(tried)
    return found


def listed(setting: Setting) -> list[str]:
    backups, faults = list_backups(setting.here("third"))
    assert faults == []
    return [each.id for each in backups]


def test_stopped_past_its_lease_it_never_commits(setting: Setting) -> None:
    child = setting.start()
    first = until(setting.claim)
    with pytest.raises(Locked, match=f"process {child.pid} on .* since .* until "):
        run_backup(setting.here(), "orders")
    child.send_signal(signal.SIGSTOP)
    second = takes_over(setting)
    assert second.fence == first.fence + 1
    setting.go_on.touch()
    child.send_signal(signal.SIGCONT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 6, said
    assert "lease" in said
    assert listed(setting) == [second.id]


def test_stopped_right_before_the_commit_it_never_commits(setting: Setting) -> None:
    child = setting.start(stop="manifest.json", waits=False)
    until(lambda: stopped(child))
    second = takes_over(setting)
    child.send_signal(signal.SIGCONT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 6, said
    assert listed(setting) == [second.id]


def test_stopped_for_a_moment_it_goes_on(setting: Setting) -> None:
    child = setting.start()
    until(setting.claim)
    child.send_signal(signal.SIGSTOP)
    until(lambda: stopped(child))
    child.send_signal(signal.SIGCONT)
    setting.go_on.touch()
    _, said = child.communicate(timeout=30)
    assert child.returncode == 0, said
    assert len(listed(setting)) == 1


def test_after_kill_9_the_next_run_elsewhere_waits_for_the_end_of_the_lease(
    setting: Setting,
) -> None:
    child = setting.start()
    first = until(setting.claim)
    child.kill()
    child.wait(10)
    began = setting.storage.cell(KEY).at
    second = takes_over(setting)
    claim = setting.claim()
    assert claim is not None
    assert claim.since > first.until  # by the store's clock
    assert claim.since - began < TTL + 4
    assert listed(setting) == [second.id]


def test_after_kill_9_the_next_run_here_need_not_wait(setting: Setting) -> None:
    """The kernel has let go of this machine's own lock: that holder is dead."""
    child = setting.start()
    until(setting.claim)
    child.kill()
    child.wait(10)
    assert run_backup(setting.here("there"), "orders").fence == 2


def test_told_to_end_it_lets_go_at_once(setting: Setting) -> None:
    child = setting.start()
    until(setting.claim)
    child.terminate()
    _, said = child.communicate(timeout=30)
    assert child.returncode == 143, said
    claim = setting.claim()
    assert claim is not None
    assert claim.released
    assert run_backup(setting.here(), "orders").fence == claim.fence + 1


def test_of_three_at_once_one_runs(setting: Setting) -> None:
    children = [setting.start(state=f"machine-{number}") for number in range(3)]
    until(lambda: sum(child.poll() is None for child in children) == 1)
    setting.go_on.touch()
    assert sorted(child.wait(30) for child in children) == [0, 6, 6]
    assert len(listed(setting)) == 1
