"""What do all tests of faults share: a server, a way to it that fails, and their fixtures?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.faults.ground import Ground, s3_fields, scene_of, stores
from tests.servers.s3 import S3Server
from tests.servers.s3faults import faulty_s3
from tests.unit.backup.setting import Scene, make_keys, make_tar, shop_files


@pytest.fixture
def ground(s3_server: S3Server, tmp_path: Path) -> Iterator[Ground]:
    """A small database without a server, and a store that fails as planned."""
    with faulty_s3(s3_server) as (faulty, proxied):
        tar = make_tar(tmp_path / "db.tar", shop_files())
        bad, good = stores(s3_server, proxied)
        yield Ground(tmp_path, make_keys(tmp_path / "keys"), tar, faulty, bad, good)


@pytest.fixture(scope="module")
def database() -> Iterator[EmbeddedPostgres]:
    """A real PostgreSQL for one file of tests."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture
def scene(
    database: EmbeddedPostgres,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    """A declaration for the command line."""
    monkeypatch.setenv("S3_ACCESS", s3_server.access_key)
    monkeypatch.setenv("S3_SECRET", s3_server.secret_key)
    return scene_of(database, tmp_path, s3_fields(s3_server))
