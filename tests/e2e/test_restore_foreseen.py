"""Does a dry run say what the restore would, and is an order found among many deletions soon?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from sre.backup.model import Tier
from sre.backup.recovery.looking import Looker, Sight
from sre.backup.recovery.target import parse_target
from sre.backup.restoring.restore import Wish, plan_restore
from sre.core.errors import Refused
from sre.demo.postgres import EmbeddedPostgres
from tests.unit.backup.archived import SETTINGS, Archived
from tests.unit.backup.setting import make_job, make_keys, postgres

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    folder = tmp_path_factory.mktemp("shop")
    with EmbeddedPostgres(settings={**SETTINGS, "wal_keep_size": "1GB"}) as server:
        job = make_job(
            folder / "state", make_keys(folder / "keys"), postgres(server.dsn, server.bin_dir),
            tier=Tier(archive=True),
        )  # fmt: skip
        made = Archived(server, job, folder)
        made.sql("create table orders (id int primary key)", "insert into orders values (0)")
        made.backup()
        made.sql("insert into orders values (1)")
        made.archive()
        yield made


def test_a_dry_run_says_what_the_restore_would(shop: Archived, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with pytest.raises(Refused) as real:
        shop.restore("orders", folder, at=later)
    with pytest.raises(Refused) as planned:
        plan_restore(shop.job, "orders", folder, Wish(parse_target(at=later)))
    assert str(planned.value) == str(real.value)
    newest = str(real.value).partition("nearest possible: --at ")[2].partition(",")[0]
    assert plan_restore(shop.job, "orders", folder, Wish(parse_target(at=newest)))
    assert not list(tmp_path.iterdir())


def test_many_deletions_take_few_scratch_servers(
    shop: Archived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred orders, some placed while others go already; each is deleted by itself."""
    shop.sql("create table was as select id from orders order by id")
    before = [row[0] for row in shop.sql("select id from was order by id")]
    shop.sql("insert into orders (id) select generate_series(8001, 8150)")
    with psycopg.connect(shop.server.dsn, autocommit=True) as connection:
        for number in range(8001, 8201):
            if number == 8075:
                connection.execute("insert into orders (id) select generate_series(8151, 8200)")
            connection.execute("delete from orders where id = %s", [number])
    shop.archive()
    looked, look = list[int | None](), Looker.look

    def counted(looker: Looker, lsn: int | None, *, inclusive: bool = False) -> Sight:
        looked.append(lsn)
        return look(looker, lsn, inclusive=inclusive)

    monkeypatch.setattr(Looker, "look", counted)
    done = shop.restore("orders", tmp_path / "out", before_order="8190")
    assert done.order["which"].startswith("removed again")
    assert shop.ids(tmp_path / "out") == [*before, *range(8075, 8151)]
    assert len(looked) <= 12
