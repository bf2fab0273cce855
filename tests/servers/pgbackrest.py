"""How does a test get a real pgBackRest with a stanza of a server that archives to it?"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sre.core.clock import Deadline
from sre.core.process import run
from tests.servers.net import missing
from tests.servers.postgresql import PgServer, running_postgres

__all__ = ["BackRest", "pgbackrest"]

_NOBODY = 65534


@dataclass
class BackRest:
    """A stanza `shop` with a repository in a folder, and its server."""

    server: PgServer
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "pgbackrest.conf"

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def user(self) -> str:
        return "nobody" if os.geteuid() == 0 else ""

    def run(self, *arguments: str) -> str:
        argv = ["pgbackrest", f"--config={self.config}", "--stanza=shop", *arguments]
        done = run(
            argv, Deadline.after(100), env={"PGPASSWORD": self.server.password}, cwd="/",
            user=self.user or None,
        )  # fmt: skip
        assert done.ok, done.stderr + done.stdout.decode()
        return done.stdout.decode()


@contextmanager
def pgbackrest(version: str = "15") -> Iterator[BackRest]:
    """A running one; everything is gone afterwards."""
    if shutil.which("pgbackrest") is None:
        missing("pgbackrest")
    folder = Path(tempfile.mkdtemp(prefix="sre-test-br-", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("repo", "lock", "log", "spool"):
        (folder / name).mkdir(mode=0o750)
        if os.geteuid() == 0:
            os.chown(folder / name, _NOBODY, _NOBODY)
    push = f"pgbackrest --config={folder}/pgbackrest.conf --stanza=shop archive-push %p"
    try:
        with running_postgres(version, archive_mode="on", archive_command=f"'{push}'") as server:
            made = BackRest(server, folder)
            made.config.write_text(
                f"[global]\nrepo1-path={made.repo}\nrepo1-retention-full=2\nstart-fast=y\n"
                f"lock-path={folder}/lock\nlog-path={folder}/log\nspool-path={folder}/spool\n"
                f"compress-type=zst\njob-retry=0\n[shop]\npg1-path={server.data}\npg1-port={server.port}\n"
                f"pg1-socket-path={server.folder}\npg1-user=postgres\n"
            )
            made.run("stanza-create")
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def backrest() -> Iterator[BackRest]:
    with pgbackrest() as made:
        yield made
