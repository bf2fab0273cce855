"""How does `sre backup archive` run beside a storm, as a service manager would run it?"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from sre.demo.postgres import EmbeddedPostgres
from tests.faults.ground import until
from tests.unit.backup.setting import Scene

__all__ = ["Archiver"]

_BUG, _DIVERGED = 70, 7


class Archiver:
    """One process at a time; started again when it was killed. `ended`: its own exit codes."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        self.ended: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)

    @property
    def log(self) -> Path:
        return self.folder / "archive.log"

    def start(self) -> None:
        """As it is declared now."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.scene.argv("archive", "orders"),
                env=self.scene.environment, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip

    def signal(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kept_up(self, scene: Scene) -> None:
        """Started again where it has ended, or where the server has another address now."""
        assert self._process is not None
        moved, self.scene = scene.dsn != self.scene.dsn, scene
        if moved:
            self.stop()
        elif self._process.poll() is None:
            return
        else:
            self.ended.append(self._process.returncode)
        self.start()

    def stop(self) -> None:
        assert self._process is not None
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
            raise AssertionError(f"the archiver did not end: {self.log.read_text()}") from None

    def fact(self) -> dict[str, Any]:
        """What it says of itself."""
        path = self.scene.folder / "state" / "facts" / "backup" / "orders" / "log.json"
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(path.read_text())["value"])
        return {}

    def reached(self, moment: float) -> float:
        """Wait in good weather until it says that all until then is stored; up to when it is."""

        def told() -> bool:
            self.kept_up(self.scene)
            return (self.fact().get("last") or 0.0) > moment

        until(told, 90.0, f"not archived: {self.fact()} {self.log.read_text()[-2000:]}")
        return float(self.fact()["last"])

    def judge(self, *, damage: bool) -> None:
        """It never ended by itself, but where somebody else's bytes stood in the store."""
        text = self.log.read_text()
        assert "Traceback" not in text, text
        own = {code for code in self.ended if code > 0}
        assert own <= ({4, _DIVERGED} if damage else {4}), (own, text)
        assert _BUG not in own, text

    def close(self, server: EmbeddedPostgres) -> None:
        """Ended, and the server keeps nothing for it any more."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)
        drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
        with psycopg.connect(server.dsn, autocommit=True) as one:
            until(lambda: _no_slot_active(one), 30, "a slot stays active")
            one.execute(drop)


def _no_slot_active(one: psycopg.Connection[Any]) -> bool:
    row = one.execute("select count(*) from pg_replication_slots where active").fetchone()
    return row == (0,)
