"""What if the log's disk is full: of the primary, or of whoever should take its place?"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.switch.conftest import QUICK
from tests.faults.switch.stage import (
    answers,
    as_wanted,
    battle,
    checks,
    heal,
    only,
    others,
    quick,
    start_by_hand,
)
from tests.servers.net import missing, wait_until
from tests.servers.pgset import PgSet, running_set

pytestmark = [pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(200)]

_SIZE = "64m"


@pytest.fixture
def pgset() -> Iterator[PgSet]:
    """A set of its own: it is filled."""
    with running_set(slots=True, settings=QUICK + "min_wal_size = 32MB\n") as found:
        yield found


@contextlib.contextmanager
def own_disk(pgset: PgSet, name: str) -> Iterator[Path]:
    """The log of a node moves to a disk of 64 MiB; it is stopped and started for it."""
    node = pgset[name]
    disk, wal = node.folder / "disk", node.data / "pg_wal"
    stop_in_order(pgset, name)
    disk.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0700", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(argv, check=False).returncode:
        missing("the right to mount a tmpfs")
    try:
        shutil.copytree(wal, disk / "wal")
        shutil.rmtree(wal)
        wal.symlink_to(disk / "wal")
        owner = node.data.stat()
        for path in [disk, *disk.rglob("*"), wal]:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        node.start()
        yield disk
    finally:
        node.kill()
        wait_until(lambda: not node.pids(), 10, "it is gone")
        subprocess.run(["umount", "-l", str(disk)], check=True)


def stop_in_order(pgset: PgSet, name: str) -> None:
    node = pgset[name]
    os.kill(int((node.data / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
    wait_until(lambda: not node.pids(), 20, f"{name} stops")


def fill(disk: Path) -> None:
    """Somebody else takes all room that is left, and whatever becomes free."""
    with (disk / "filled").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 65536)


def dies(pgset: PgSet, name: str, disk: Path) -> bool:
    """Whether it took its last write."""
    fill(disk)
    with contextlib.suppress(psycopg.Error):
        pgset[name].sql("create table if not exists big (t text)")
        pgset[name].sql("insert into big select repeat(md5(n::text), 50) from "
                        "generate_series(1, 8000) n")  # fmt: skip
        return False
    return not answers(pgset, name)


def test_a_primary_in_a_crash_loop_is_replaced(pgset: PgSet, tmp_path: Path) -> None:
    """It ends, is started by whatever watches over it, and ends again: it has no room for log."""
    with own_disk(pgset, "a") as disk:
        pgset.whole("a")
        with battle(pgset, tmp_path) as field:
            wait_until(lambda: dies(pgset, "a", disk), 60, "no room is left")
            wait_until(lambda: not pgset["a"].pids(), 20, "it ended")
            for _ in range(2):
                with contextlib.suppress(AssertionError):
                    again(pgset)
            found = wait_until(lambda: allowed(pgset), 30, "a failover")
            assert found["outcome"] == "ok", found
            time.sleep(0.3)
            field.proven()
        (disk / "filled").unlink()
        as_wanted(pgset, heal(pgset))


def again(pgset: PgSet) -> None:
    """Started anew, it does not come up."""
    assert not start_by_hand(pgset, "a")


def allowed(pgset: PgSet) -> Any:
    code, said = quick(pgset, "failover", "orders")
    assert code in (0, 5), said
    return said if code == 0 else None


def test_a_standby_without_room_for_log_does_not_take_over(pgset: PgSet) -> None:
    """Its data has room, its log has none: that is what counts. Nothing is touched."""
    old = only(pgset)
    new = others(pgset, old)[0]
    with own_disk(pgset, new):
        pgset.whole(old)
        before = [path.read_bytes() for path in files(pgset)]
        code, said = quick(pgset, "switchover", "orders", "--to", new)
        assert (code, checks(said)) == (5, {"disk"}), said
        assert "MiB" in said["reasons"][0]["text"]
        pgset[old].kill()
        code, said = quick(pgset, "failover", "orders", "--to", new)
        assert code == 5, said
        assert "disk" in checks(said)
        assert before == [path.read_bytes() for path in files(pgset)]
        other = others(pgset, old)[1]
        code, said = quick(pgset, "plan", "orders", "--action", "failover", "--to", other)
        assert code == 0, said


def files(pgset: PgSet) -> list[Path]:
    own = [node.data / "postgresql.auto.conf" for node in pgset.nodes.values()]
    return [pgset.haproxy, *own]
