"""What does the archiver do when the disk of its spool goes away under it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.net import wait_until
from tests.servers.postgresql import PgServer, running_postgres
from tests.unit.backup.log_setting import (
    fact,
    job_of_scene,
    order,
    reader_for,
    scene_of,
    serving,
    stored_text,
)

pytestmark = [pytest.mark.postgres, pytest.mark.long]


@pytest.fixture
def server() -> Iterator[PgServer]:
    with running_postgres("15") as found:
        found.sql("create table orders (id bigserial primary key, name text)")
        yield found


def test_it_is_named_and_the_next_start_loses_nothing(
    server: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4, which a service manager answers with a start; no bug of ours."""
    monkeypatch.setenv("ORDERS_DSN", server.dsn())
    scene = scene_of(tmp_path, server)
    spool, aside = tmp_path / "state" / "spool", tmp_path / "aside"
    with serving(scene) as process:
        wait_until(lambda: fact(scene).get("stored"), 40, "the log")
        spool.rename(aside)
        order(server, "while the spool was away")
        assert process.wait(40) == 4
    said = (tmp_path / "archive.log").read_text()
    assert "is its disk there?" in said
    assert "internal error" not in said
    aside.rename(spool)
    before = fact(scene)["stored"]
    with serving(scene):
        wait_until(lambda: (fact(scene).get("stored") or 0) > before, 40, "the rest")
    reader = reader_for(job_of_scene(scene), fact(scene)["place"])
    assert b"while the spool was away" in stored_text(reader, tmp_path / "out")
