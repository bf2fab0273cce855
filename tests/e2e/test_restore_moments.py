"""Does a real PostgreSQL come back to exactly the moment that was asked for, order by order?"""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre.backup.catalogue import Damaged
from sre.backup.log.reading import LogReader
from sre.backup.model import Orders, Tier
from sre.backup.recovery.target import parse_target
from sre.backup.restoring.restore import Wish
from sre.backup.restoring.streaming import restore_as_tar
from sre.core.errors import Refused, UsageError
from sre.demo.postgres import EmbeddedPostgres
from tests.unit.backup.archived import SETTINGS, Archived
from tests.unit.backup.setting import make_job, make_keys, postgres

pytestmark = pytest.mark.postgres


def committed(shop: Archived, *orders: int) -> str:
    """Insert orders in one transaction; where its commit's record begins is at or after this."""
    values = ", ".join(f"({each})" for each in orders)
    shop.sql(f"insert into orders (id) values {values}")
    return shop.lsn()


def several_at_once(shop: Archived) -> None:
    """Orders 101 to 140 by four connections."""

    def insert(first: int) -> None:
        with psycopg.connect(shop.server.dsn, autocommit=True) as connection:
            for order in range(first, first + 10):
                connection.execute("insert into orders (id) values (%s)", [order])

    threads = [threading.Thread(target=insert, args=(first,)) for first in (101, 111, 121, 131)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def story(shop: Archived) -> None:
    """What happens after the first backup; the moments are kept by name."""
    moments = shop.moments
    moments["early"] = committed(shop, 1)
    when = "select pg_xact_commit_timestamp(xmin)::text from orders where id = 1"
    moments["t1"] = str(shop.sql(when)[0][0])
    committed(shop, 2, 3)
    shop.sql("begin", "insert into orders (id) values (900)", "rollback")
    shop.sql("select pg_create_restore_point('it''s \"é\" 1')")
    several_at_once(shop)
    shop.sql("select pg_switch_wal()")
    shop.sql("begin", "insert into orders (id) values (4)", "savepoint a",
             "insert into orders (id) values (5)", "release a", "commit")  # fmt: skip
    shop.sql("update orders set state = 'paid' where id in (2, 4)")
    shop.sql("update orders set state = 'sent' where id = 2", "vacuum freeze orders")
    committed(shop, 6)
    shop.sql("insert into orders (id) values (7) on conflict do nothing")
    shop.sql("update orders set state = 'x' where id = 7")
    shop.sql("delete from orders where id in (7, 101)")
    shop.sql("begin", "insert into orders (id) values (8)", "prepare transaction 'p'")
    committed(shop, 9)
    shop.sql("commit prepared 'p'")
    shop.sql("alter table orders alter column state type varchar(40)")
    shop.sql("copy orders (id) from program 'echo 10'", "vacuum full orders")
    shop.sql("insert into \"odd \"\"table\" values ('it''s \"é\"; --'), ('b')")
    moments["last"] = committed(shop, 11)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    folder = tmp_path_factory.mktemp("shop")
    settings = {**SETTINGS, "wal_keep_size": "1GB", "track_commit_timestamp": "on"}
    with EmbeddedPostgres(settings=settings) as server:
        job = make_job(
            folder / "state", make_keys(folder / "keys"), postgres(server.dsn, server.bin_dir),
            tier=Tier(archive=True),
        )  # fmt: skip
        made = Archived(server, job, folder)
        made.sql("create table orders (id int primary key, state text default 'new')")
        made.sql('create table "odd ""table" ("the id" text primary key)')
        made.sql("insert into orders (id) values (0)")
        made.backup()
        story(made)
        made.moments["end"] = made.archive()
        yield made


EARLY = [0, 1, 2, 3]
MANY = list(range(101, 141))
ALL = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, *MANY[1:]]


def test_everything(shop: Archived, tmp_path: Path) -> None:
    done = shop.restore("orders", tmp_path / "out", port=None)
    assert done.recovered
    assert done.exit_code == 0
    assert {"log", "search", "unpack", "replay", "sync"} == set(done.phases)
    assert shop.ids(tmp_path / "out") == ALL
    conf = (tmp_path / "out" / "postgresql.auto.conf").read_text()
    assert "archive_mode = 'off'" in conf
    assert f"port = '{done.port}'" in conf
    assert not (tmp_path / "out" / "sre_wal").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(("inclusive", "expected"), [(True, [0, 1]), (False, [0])])
def test_a_time_exactly(
    shop: Archived, tmp_path: Path, inclusive: bool, expected: list[int]
) -> None:
    at = datetime.fromisoformat(shop.moments["t1"]).isoformat()
    done = shop.restore("orders", tmp_path / "out", at=at, inclusive=inclusive)
    assert shop.ids(tmp_path / "out") == expected
    assert done.stopped.startswith("before ")


def test_a_position(shop: Archived, tmp_path: Path) -> None:
    shop.restore("orders", tmp_path / "out", lsn=shop.moments["early"], inclusive=False)
    assert shop.ids(tmp_path / "out") == [0, 1]
    shop.restore("orders", tmp_path / "end", lsn=shop.moments["end"])
    assert shop.ids(tmp_path / "end") == ALL


def test_a_restore_point(shop: Archived, tmp_path: Path) -> None:
    shop.restore("orders", tmp_path / "out", restore_point='it\'s "é" 1')
    assert shop.ids(tmp_path / "out") == EARLY
    with pytest.raises(Refused, match="no restore point"):
        shop.restore("orders", tmp_path / "none", restore_point="none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param("1", [0], marks=pytest.mark.long),
        ("2", [0, 1]),
        pytest.param("3", [0, 1], marks=pytest.mark.long),
        ("5", [*EARLY, *MANY]),
        pytest.param("4", [*EARLY, *MANY], marks=pytest.mark.long),
        ("7", [*EARLY, 4, 5, 6, *MANY]),
        pytest.param("8", [*EARLY, 4, 5, 6, 9, *MANY[1:]], marks=pytest.mark.long),
        pytest.param("10", [*EARLY, 4, 5, 6, 8, 9, *MANY[1:]], marks=pytest.mark.long),
    ],
)
def test_before_an_order(shop: Archived, tmp_path: Path, order: str, expected: list[int]) -> None:
    done = shop.restore("orders", tmp_path / "out", before_order=order)
    assert shop.ids(tmp_path / "out") == expected
    assert done.order["id"] == order


@pytest.mark.long
def test_orders_that_were_never_there(shop: Archived, tmp_path: Path) -> None:
    for order in ("900", "12345"):
        with pytest.raises(Refused, match=f"no order '{order}'"):
            shop.restore("orders", tmp_path / "out", before_order=order)
    with pytest.raises(Refused, match="before the end of the backup"):
        shop.restore("orders", tmp_path / "out", before_order="0")
    with pytest.raises(UsageError, match="no id of an order"):
        shop.restore("orders", tmp_path / "out", before_order="x'; drop table orders; --")
    assert not list(tmp_path.iterdir())


def test_out_of_reach(shop: Archived, tmp_path: Path) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with pytest.raises(Refused, match="nearest possible: --at"):
        shop.restore("orders", tmp_path / "out", at=later)
    with pytest.raises(Refused, match="nearest possible: --at"):
        shop.restore("orders", tmp_path / "out", at="2020-01-01T00:00:00Z")
    with pytest.raises(Refused, match="nearest possible: --lsn"):
        shop.restore("orders", tmp_path / "out", lsn="0/28")
    with pytest.raises(Refused, match="nearest possible: --lsn"):
        shop.restore("orders", tmp_path / "out", lsn="F/28")
    assert not list(tmp_path.iterdir())


def test_the_newest_backup_is_damaged(shop: Archived, tmp_path: Path) -> None:
    """An older one leads there as well; what was passed over is said."""
    made = shop.backup()
    shop.sql("insert into orders (id) values (5000)")
    shop.archive()
    store = Path(shop.folder / "state" / "store")
    (store / made.volumes[0].object).write_bytes(b"damaged")
    done = shop.restore("orders", tmp_path / "out", latest=True)
    assert done.id != made.id
    assert any(made.id in note and "passed over" in note for note in done.notes)
    assert 5000 in shop.ids(tmp_path / "out")


def test_to_another_host(shop: Archived, tmp_path: Path) -> None:
    """A tar on a pipe, of a moment."""
    packed = tmp_path / "tar"
    with packed.open("wb") as file:
        wish = Wish(parse_target(lsn=shop.moments["early"], inclusive=False))
        done = restore_as_tar(shop.job, "orders", file.fileno(), wish)
    assert done.folder == "-"
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    with tarfile.open(packed) as tar:
        tar.extractall(there, filter="fully_trusted")
    assert shop.ids(there) == [0, 1]


def test_a_hole_in_the_log(shop: Archived, tmp_path: Path) -> None:
    """Behind it nothing is promised: an exact moment is refused, everything ends at the hole."""
    store = Path(shop.folder / "state" / "store")
    lost = list(store.rglob("log/*/000000010000000000000003*.json"))
    kept = {each: each.read_bytes() for each in lost}
    first = shop.job.catalogue(shop.job.declared("orders")).places("orders")[0]
    try:
        for each in lost:
            each.unlink()
        with pytest.raises(Refused, match=r"segments are missing, from 000000010000000000000003"):
            shop.restore(first.id, tmp_path / "out", lsn=shop.moments["last"])
        done = shop.restore(first.id, tmp_path / "out", latest=True)
        assert done.exit_code == 3
        assert "hole" in done.notes[-1]
        assert shop.ids(tmp_path / "out") == [0]
    finally:
        for path, data in kept.items():
            path.write_bytes(data)


def test_damage_in_the_log(shop: Archived, tmp_path: Path) -> None:
    """Moments before it are reached as ever; everything ends there, and says so."""
    store = Path(shop.folder / "state" / "store")
    hurt = next(iter(store.rglob("log/*/000000010000000000000004*.age")))
    first, good = shop.job.catalogue(shop.job.declared("orders")).places("orders")[0].id, b""
    try:
        good = hurt.read_bytes()
        hurt.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        early = shop.moments["early"]
        shop.restore(first, tmp_path / "lsn", lsn=early, inclusive=False)
        assert shop.ids(tmp_path / "lsn") == [0, 1]
        shop.restore(first, tmp_path / "point", restore_point='it\'s "é" 1')
        assert shop.ids(tmp_path / "point") == EARLY
        for beyond in ({"lsn": shop.moments["last"]}, {"before_order": "11"}):
            with pytest.raises(Damaged, match="before it the log leads to --lsn 0/4000000"):
                shop.restore(first, tmp_path / "out", **beyond)
        done = shop.restore(first, tmp_path / "all", latest=True)
        assert done.exit_code == 3
        assert "ends early" in done.notes[-1]
        assert hurt.name in done.notes[-1]
        assert shop.ids(tmp_path / "all")[:4] == EARLY
    finally:
        hurt.write_bytes(good)


def test_a_timeline_that_is_not_there(shop: Archived, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"the log has the timelines 1$"):
        shop.restore("orders", tmp_path / "out", timeline=9)


def test_odd_names(shop: Archived, tmp_path: Path) -> None:
    """Table, column and id are data, never SQL."""
    orders = Orders('odd "table', "the id")
    declared = replace(shop.job.declared("orders"), orders=orders)
    backups = replace(shop.job.backups, databases={"orders": declared})
    odd = Archived(shop.server, replace(shop.job, backups=backups), shop.folder)
    done = odd.restore("orders", tmp_path / "out", before_order='it\'s "é"; --')
    assert int(done.order["transaction"]) > 0
    query = (
        'select (select count(*) from "odd ""table"), (select count(*) from orders where id = 11)'
    )
    assert odd.ids(tmp_path / "out", f"select format('%s %s', a, b) from ({query}) x(a, b)") == [
        "0 0"
    ]


def test_an_older_backup_is_searched_up_to_the_newer_one_alone(
    shop: Archived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    fetch = LogReader.fetch

    def fetched(
        reader: LogReader, start: int, line: int, until: int | None, *a: Any, **k: Any
    ) -> Any:
        asked.append(until)
        return fetch(reader, start, line, until, *a, **k)

    newer = shop.backup()
    for order in range(6001, 6004):
        shop.sql(f"insert into orders (id) values ({order})", "select pg_switch_wal()")
    shop.archive()
    monkeypatch.setattr(LogReader, "fetch", fetched)
    done = shop.restore("orders", tmp_path / "out", before_order="5")
    assert shop.ids(tmp_path / "out") == [*EARLY, *MANY]
    assert any(newer.id in note and "passed over" in note for note in done.notes)
    assert asked[0] is None
    assert None not in asked[1:]
