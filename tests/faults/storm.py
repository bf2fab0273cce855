"""What does a shop's backup look like after random faults, and does it keep every promise?

One storm: a real database that takes orders all the time, a ledger of those it acknowledged, an
archiver of its log, a second store, some commands on backups, one random fault during each. Then
the weather is good again and the oracle asks: what is listed restores (or was damaged on purpose),
with every order acknowledged before the moment that it promises; the log leads to the newest, or
to exactly the orders of a moment, from either store; nothing is left running or lying about; the
next backup is good; retention leaves a good one. Everything random comes from the seed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sre.backup.claim import lease_key
from sre.backup.job import Job
from sre.backup.listing import list_backups
from sre.backup.manifest import Manifest
from sre.backup.model import Backups
from sre.backup.pruning.prune import plan_prune, prune
from sre.backup.runner import run_backup
from sre.backup.verifying.verify import verify
from sre.core.errors import Locked, SreError
from sre.settings import load_settings
from tests.faults.archiver import Archiver
from tests.faults.ground import none_left, s3_fields, started
from tests.faults.ledger import Ledger
from tests.faults.moments import judge_log
from tests.faults.weather import FAULTS
from tests.servers.s3 import Killable, S3Server
from tests.servers.s3faults import FaultyS3
from tests.unit.backup.setting import Scene

__all__ = ["Storm"]

TIER = "verify: {level: 3, every: 1d}}"
KEEPS = (
    "verify: {level: 1}, keep: {last: 2, min_verified_fulls: 1}, archive: true, copies: [second]}"
)
BUG, ENOUGH = 70, 60.0


class Storm:
    """One run. `story` tells what happened, for the failure's message."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        ledger: Ledger,
        s3: tuple[FaultyS3, S3Server],
        scratch: Path,
        store: Killable,
    ) -> None:
        self.chance, self.seed, self.ledger = random.Random(seed), seed, ledger
        self.scratch, self.store = scratch, store
        self.server, (self.faulty, proxied) = ledger.server, s3
        self.story: list[str] = []
        self.damaged: set[str] = set()
        self.good: list[str] = []
        fields = s3_fields(proxied, timeout="2s")
        self.scene = Scene(folder, self.server.dsn, fields, str(self.server.bin_dir), "8MiB")
        self._declare(s3_fields(proxied, timeout="2s"))
        self.archiver = Archiver(self.scene, folder.parent / f"{folder.name}-archiver")

    def _declare(self, second: dict[str, Any]) -> None:
        text = self.scene.write().read_text().replace("rpo: 60s", "rpo: 4s")
        assert TIER in text
        there = ", ".join(f"{name}: {value}" for name, value in second.items())
        text = text.replace(TIER, KEEPS).replace("tiers:\n", f"  second: {{{there}}}\ntiers:\n")
        self.scene.config.write_text(text)

    def __str__(self) -> str:
        return f"seed {self.seed}\n  " + "\n  ".join(self.story)

    def job(self, **changes: Any) -> Job:
        """The declaration in this process, straight to the good weather's store."""
        settings: Any = load_settings(self.scene.config)
        declared = dataclasses.replace(settings.databases["orders"], **changes)
        databases = {"orders": declared}
        backups = Backups(settings.stores, settings.tiers, settings.keys, databases)
        return Job(backups, state=self.scene.folder / "state")

    def server_pid(self) -> int:
        """Of the database."""
        return int((self.server.data_dir / "postmaster.pid").read_text().split()[0])

    def comes_back(self) -> None:
        """The database, after it was stopped; the same port, or the declaration's is changed."""
        self.server.restart()
        self.scene = dataclasses.replace(self.scene, dsn=self.server.dsn)
        os.environ["ORDERS_DSN"] = self.server.dsn
        self.archiver.kept_up(self.scene)

    def blow(self) -> None:
        """Some commands, each with a fault; what must hold after each holds."""
        self.archiver.start()
        self.archiver.reached(time.time())  # before it, nothing of the log is promised
        self.good.append(run_backup(self.job(), "orders").id)
        for _ in range(2):
            words = self._words()
            fault = self.chance.choice(FAULTS)
            self.story.append(f"{' '.join(words)} with {fault.__name__}")
            with fault(self) as strike:
                code, error = self._strike(words, strike)
            self.faulty.plan()
            self.archiver.kept_up(self.scene)
            self.story[-1] += f": exit code {code} {error.strip()[-300:]}"
            assert code != BUG, self
            assert "Traceback" not in error, self
            none_left(self.scene.folder)

    def _words(self) -> list[str]:
        level = self.chance.choice("0113")
        return self.chance.choice(
            [
                ["run", "orders"],
                ["run", "orders", "--kind", "differential"],
                ["run", "orders", "--kind", "incremental"],
                ["verify", "orders", "--level", level],
                ["prune", "--yes", "--confirm-count", "1"],
                ["copy"],
                ["restore", "orders", "--to", f"out-{self.chance.randrange(10**9)}"],
            ]
        )

    def _strike(
        self, words: list[str], strike: Callable[[subprocess.Popen[str]], None]
    ) -> tuple[int, str]:
        running = started(self.scene, *words)
        threading.Timer(self.chance.uniform(0.3, 2.5), strike, (running,)).start()
        try:
            _out, error = running.communicate(timeout=ENOUGH)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            raise AssertionError(f"it did not end: {self}") from None
        return running.returncode, error

    def judge(self) -> None:
        """The oracle."""
        self._next_run_is_good()
        judge_log(self)
        backups, faults = list_backups(self.job(), "orders")
        for fault in faults:
            assert self.was_damaged(fault.object), f"{fault} {self}"
        restorable = [each.id for each in backups if self._restores(each.id)]
        assert self.good[-1] in restorable, self
        assert list(self.scratch.iterdir()) == [], self
        left = [path.name for path in self.scene.folder.iterdir() if "restoring-" in path.name]
        assert left == [] or self._restored_once(), f"{left} {self}"
        self._retention_leaves_good_ones(restorable)
        none_left(self.scene.folder)

    def _next_run_is_good(self) -> None:
        """At once, or once the lease of a killed one has ended."""
        try:
            self.good.append(run_backup(self.job(), "orders").id)
        except Locked:
            job = self.job()
            storage = job.storage(job.declared("orders"))
            assert storage.cell(lease_key("orders", "run")).data is not None, self
            storage.delete(lease_key("orders", "run"))  # as if its time were over
            storage.delete(lease_key("orders", "prune"))
            self.good.append(run_backup(self.job(), "orders").id)

    def _manifest(self, id: str) -> Manifest:
        found = self.job().find(id)
        return found.catalogue.manifest(found.place)

    def _restores(self, id: str) -> bool:
        """Level 3 with all orders in it that it promises; or it is named as what we damaged."""
        promise = self.ledger.invariant(self._manifest(id).consistent)
        found = verify(self.job(invariants=(promise,)), id, 3)
        if found.passed:
            return True
        assert found.faults, f"{found.failures} {self}"
        for fault in found.faults:
            assert self.was_damaged(fault.object), f"{fault} {self}"
        return False

    def was_damaged(self, key: str) -> bool:
        return (
            key in self.damaged
            or key.removesuffix(".sig") in self.damaged
            or (f"{key}.sig" in self.damaged)
        )

    def _restored_once(self) -> bool:
        """A killed restore's draft goes with the next restore to the same place."""
        for path in list(self.scene.folder.glob(".*.restoring-*")):
            target = path.name[1:].partition(".restoring-")[0]
            done = self.scene.run("restore", self.good[-1], "--to", target)
            assert done.returncode in (0, 5), f"{done.stderr} {self}"
            if done.returncode == 5:
                assert "not empty" in done.stderr
        return True

    def _retention_leaves_good_ones(self, restorable: list[str]) -> None:
        before = {each.id for each in list_backups(self.job(), "orders")[0]}
        planned = plan_prune(self.job(), ["orders"])
        going = sum(len(each.plan.those("delete")) for each in planned)
        with contextlib.suppress(SreError):
            prune(self.job(), ["orders"], confirmed=going)
        after = {each.id for each in list_backups(self.job(), "orders")[0]}
        assert after <= before, self
        assert set(restorable) & after, f"retention left {after} of {restorable} {self}"
        newest = [each for each in restorable if each in after][-1]
        assert verify(self.job(), newest, 1).passed, self
