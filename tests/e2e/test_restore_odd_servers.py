"""Does a server whose log has segments of another size come back, with its log?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.backup.log.service import archive
from sre.backup.recovery.target import LATEST
from sre.backup.restoring.restore import Wish, restore_to
from sre.backup.runner import run_backup
from sre.backup.verifying.verify import verify
from tests.servers.postgresql import reset_log, running_postgres
from tests.unit.backup.log_setting import job_at, order

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("megabytes", [1, pytest.param(64, id="more than min_wal_size allows")])
def test_segments_of_another_size(tmp_path: Path, megabytes: int) -> None:
    with running_postgres("15", min_wal_size="256MB") as server:
        reset_log(server, megabytes)
        server.sql("create table orders (id bigserial primary key, name text)")
        job = job_at(tmp_path, server)
        archive(job, "orders", once=True)
        run_backup(job, "orders")
        order(server, "after the backup")
        archive(job, "orders", once=True)
        assert verify(job, "orders", 3).passed
        done = restore_to(job, "orders", tmp_path / "out", wish=Wish(LATEST))
    assert done.recovered
    assert not done.short
