"""After faults that nobody chose: does everything listed restore, with every order in it?

SRE_FAULT_RUNS=100 pytest tests/faults/test_random.py -m long     # SRE_FAULT_SEED: the first
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.faults.ledger import Ledger
from tests.faults.storm import Storm
from tests.servers.s3 import Killable, killable_s3
from tests.servers.s3faults import faulty_s3

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

RUNS = int(os.environ.get("SRE_FAULT_RUNS", "100"))
FIRST = int(os.environ.get("SRE_FAULT_SEED", "1000"))


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    """One database for all; it takes orders all the time."""
    with EmbeddedPostgres() as server, Ledger(server) as found:
        yield found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    """A server of its own: it is killed now and then."""
    with killable_s3(tmp_path_factory.mktemp("weed")) as found:
        yield found


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where scratch servers run, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="sre-t-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def weather(
    seed: int,
    ledger: Ledger,
    store: Killable,
    folder: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = store.server
    monkeypatch.setenv("S3_ACCESS", server.access_key)
    monkeypatch.setenv("S3_SECRET", server.secret_key)
    monkeypatch.setenv("ORDERS_DSN", ledger.server.dsn)
    with faulty_s3(server, seed) as s3:
        storm = Storm(seed, folder, ledger, s3, scratch, store)
        try:
            storm.blow()
            storm.judge()
        finally:
            storm.archiver.close(ledger.server)
    print(storm)


@pytest.mark.long
@pytest.mark.parametrize("seed", [3, 7])
def test_fixed_weather(
    seed: int,
    ledger: Ledger,
    store: Killable,
    tmp_path: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weather(seed, ledger, store, tmp_path, scratch, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_random_weather(
    seed: int,
    ledger: Ledger,
    store: Killable,
    tmp_path: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weather(seed, ledger, store, tmp_path, scratch, monkeypatch)
