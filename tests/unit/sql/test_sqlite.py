"""Can a SQLite file be asked anything, and changed by nothing?"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sre.core.clock import FakeClock
from sre.core.errors import CheckFailed, UsageError
from sre.sql.engines import open_session
from sre.sql.sqlite import SqliteSession


@pytest.fixture
def books(tmp_path: Path) -> Path:
    path = tmp_path / "the books?.sqlite3"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("pragma journal_mode = wal")
        made.execute("create table orders (number text, run text)")
        made.execute("insert into orders values ('1', 'r1'), ('2', 'r2')")
    return path


def test_it_is_asked_with_bind_parameters(books: Path) -> None:
    with open_session(f"sqlite:///{books}") as session:
        sql = "select number from orders where run = :run_id -- not :this"
        assert session.rows(sql, {"run_id": "r1"}) == [("1",)]
        assert session.value("select ':x' || count(*) from orders") == ":x2"
        assert session.rows(sql, {"run_id": "' or 1=1 --"}) == []
        with pytest.raises(UsageError, match="uses :nobody, which has no value here"):
            session.rows("select :nobody", {"run_id": "r1"})
        with pytest.raises(CheckFailed, match="gave 2 rows"):
            session.value("select number from orders")


@pytest.mark.parametrize(
    "sql",
    [
        "insert into orders values ('3', 'x')",
        "delete from orders",
        "create table more (n)",
        "drop table orders",
        "attach database '{folder}/new.sqlite3' as new",
        "vacuum into '{folder}/new.sqlite3'",
        "pragma journal_mode = delete",
        "select 1; delete from orders",
        "begin immediate",
    ],
)
def test_nothing_that_is_asked_changes_it(books: Path, sql: str) -> None:
    with open_session(f"sqlite:///{books}") as session, pytest.raises(CheckFailed):
        session.rows(sql.replace("{folder}", str(books.parent)))
    assert not (books.parent / "new.sqlite3").exists()
    with closing(sqlite3.connect(books)) as read:
        assert read.execute("select count(*) from orders").fetchone() == (2,)


def test_a_query_that_takes_too_long_is_stopped(books: Path) -> None:
    clock = FakeClock()
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"

    class Hurried(FakeClock):
        def now(self) -> float:
            clock.advance(1.0)
            return clock.now()

    asked = SqliteSession(f"sqlite:///{books}", statement_seconds=5, clock=Hurried())
    with asked as session, pytest.raises(CheckFailed, match="longer than 5 s"):
        session.rows(endless)


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("sqlite:////nowhere/at/all.sqlite3", "there is no SQLite file /nowhere/at/all.sqlite3"),
        ("sqlite://", "sqlite:///relative/path"),
        ("sqlite:///{books}.txt", "cannot be read as a SQLite database"),
        ("mysql://user:secret@host/db", "cannot begin with 'mysql'"),
        ("orders", "a dsn begins with"),
    ],
)
def test_a_dsn_that_leads_nowhere_is_told(books: Path, dsn: str, words: str) -> None:
    Path(f"{books}.txt").write_text("no database at all, this is a text" * 50, encoding="utf-8")
    with (
        pytest.raises(UsageError, match=words),
        open_session(dsn.replace("{books}", str(books))),
    ):
        pass
