"""Which tables, roles, addresses and refusals follow from what? No server is asked."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.backup.databases.pglogical import PostgresLogicalDatabase
from sre.backup.logical.address import described, secret_of
from sre.backup.logical.choose import choose, find_table, with_parts
from sre.backup.logical.files import join
from sre.backup.logical.mask import MaskRule, mask_sql
from sre.backup.logical.members import DUMP, PIECES, summary
from sre.backup.logical.patience import longest
from sre.backup.logical.quoting import ident, literal, setting
from sre.backup.logical.roles import RolePlan, plan_roles
from sre.backup.logical.target import Target, judge
from sre.core.errors import Refused, UsageError
from sre.core.secrets import Secret, redactor
from tests.unit.backup.setting import make_job, make_keys

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def table(oid: int, schema: str, name: str, **more: Any) -> dict[str, Any]:
    lists = {each: [] for each in ("entries", "foreign", "triggers", "sequences")}
    base = {"oid": oid, "schema": schema, "name": name, "kind": "r", "parent": None, "roles": []}
    return {**base, **lists, **more}


def role(name: str, **more: Any) -> dict[str, Any]:
    flags = dict.fromkeys(
        ("super", "createrole", "createdb", "login", "replication", "bypassrls"), False
    )
    rest = {"inherit": True, "connections": -1, "until": None, "comment": None, "settings": []}
    return {"name": name, **flags, **rest, "needed": False, "bootstrap": False, **more}


@given(NAMES, NAMES)
def test_any_table_is_found_by_its_quoted_name(schema: str, name: str) -> None:
    wanted = table(1, schema, name)
    found = find_table(
        [wanted, table(2, schema + "x", name + "x")], f"{ident(schema)}.{ident(name)}"
    )
    assert found is wanted


def test_names_of_tables() -> None:
    tables = [table(1, "public", "orders"), table(2, "sales", "orders"), table(3, "s.x", "Odd.One")]
    assert find_table(tables, "sales.orders")["oid"] == 2
    assert find_table(tables, "Sales.ORDERS")["oid"] == 2
    assert find_table(tables, "Odd.One")["oid"] == 3
    assert find_table(tables, '"s.x"."Odd.One"')["oid"] == 3
    with pytest.raises(UsageError, match=r"more than once: public.orders, sales.orders"):
        find_table(tables, "orders")
    with pytest.raises(UsageError, match=r"did you mean 'public.orders'"):
        find_table(tables, "public.order")
    for wrong in ("", ".", 'sales."orders', "a.b.c", "orders; drop table orders"):
        with pytest.raises(UsageError):
            find_table(tables, wrong)


def test_what_belongs_to_a_table() -> None:
    """Names that begin alike, owners with spaces, partitions, keys to tables that are away."""
    contents = """\
;
1; 1259 10 TABLE public a postgres
2; 1259 11 TABLE public a b postgres
3; 0 0 SEQUENCE SET public a_id postgres
4; 0 0 SEQUENCE SET public a_id b odd owner
5; 0 10 TABLE DATA public a postgres
6; 2606 20 CONSTRAINT public a a_pkey postgres
7; 2606 21 FK CONSTRAINT public a a_fk postgres
8; 2620 22 TRIGGER public a t odd owner
9; 0 0 COMMENT public COLUMN a.x postgres
10; 0 0 COMMENT public COLUMN "a b".x postgres
11; 1259 12 TABLE public a_1 postgres
12; 0 0 TABLE ATTACH public a_1 postgres
13; 0 0 INDEX ATTACH public a_1_pkey postgres
14; 0 0 ACL public TABLE a odd owner
15; 0 0 ACL public TABLE "a b" odd owner""".splitlines()
    sequence = {"oid": 30, "schema": "public", "name": "a_id", "owned": True}
    foreign = {"oid": 21, "name": "a_fk", "schema": "public", "table": "away"}
    trigger = {"oid": 22, "name": "t", "schema": "public", "function": "f"}
    whole = table(
        10, "public", "a", kind="p", entries=[[2606, 20, None]], sequences=[sequence],
        foreign=[foreign], triggers=[trigger],
    )  # fmt: skip
    part = table(12, "public", "a_1", parent=10, entries=[[1259, 31, "a_1_pkey"]])
    wanted = with_parts([table(11, "public", "a b"), whole, part], [whole])
    assert [each["oid"] for each in wanted] == [10, 12]
    owners = ["postgres", "odd owner"]
    found = choose(contents, wanted, owners, frozenset(), frozenset())
    numbers = [int(re.match(r"\d+", line)[0]) for line in found.lines]  # type: ignore[index]
    assert numbers == [1, 3, 5, 6, 9, 11, 12, 13, 14]
    assert found.left_out == (
        "foreign key a_fk of public.a: away is not there",
        "trigger t of public.a: its function is not there",
    )
    there, functions = frozenset({("public", "away")}), frozenset({("public", "f")})
    more = choose(contents, wanted, owners, there, functions)
    assert set(more.lines) - set(found.lines) == {contents[7], contents[8]}
    assert not more.left_out
    alone = choose(contents, [part], owners, there, functions)
    assert alone.lines == (contents[11],)


def facts(*roles: dict[str, Any], **more: Any) -> dict[str, Any]:
    database = {"oid": 5, "name": "orders", "restricted": False}
    base = {"version": "15.4", "system": "7", "database": database, "passwords": True}
    empty: dict[str, Any] = {"members": [], "extensions": [], "tablespaces": []}
    return {**base, **empty, "roles": list(roles), **more}


def test_roles_that_are_there_stay_as_they_are() -> None:
    members = [
        {"role": "grp", "member": "shop", "admin": False, "inherit": True, "set": False},
        {"role": "grp", "member": "old", "admin": True, "inherit": None, "set": None},
        {"role": "pg_read_all_data", "member": "shop", "admin": True, "inherit": None, "set": None},
    ]
    known = facts(role("old", password="x"), role("shop", login=True), role("grp"), members=members)
    plan = plan_roles(known, ["old"], superuser=True, may_create=True, major=16)
    assert plan.made == ("shop", "grp")
    assert plan.sql == (
        'CREATE ROLE "shop" LOGIN INHERIT;'.replace("LOGIN INHERIT", "INHERIT LOGIN"),
        'CREATE ROLE "grp" INHERIT;',
        'GRANT "grp" TO "shop" WITH ADMIN FALSE, INHERIT TRUE, SET FALSE;',
        'GRANT "grp" TO "old" WITH ADMIN OPTION;',
        'GRANT "pg_read_all_data" TO "shop" WITH ADMIN OPTION;',
    )
    assert not plan_roles(
        known, ["old", "shop", "grp"], superuser=True, may_create=True, major=16
    ).sql


def test_roles_that_we_may_not_make() -> None:
    known = facts(role("root", super=True, needed=True), role("repl", replication=True), role("a"))
    plan = plan_roles(known, [], superuser=False, may_create=True, major=15)
    assert (plan.made, plan.left_out, plan.impossible) == (("a",), ("repl",), ("root",))
    few = plan_roles(known, [], superuser=True, may_create=True, major=15, only={"a"})
    assert few.made == ("a",)


TARGET = Target(
    "15.4", "7", "copy", 6, superuser=True, may_create=True, recovery=False,
    relations=frozenset(), functions=frozenset(), roles=frozenset(),
    extensions=frozenset({"pg_trgm"}), tablespaces=frozenset(), schemas=frozenset({"public"}),
)  # fmt: skip


def test_an_empty_database_of_the_version_or_newer_is_taken() -> None:
    judge(TARGET, facts(), RolePlan(), None)
    judge(dataclasses.replace(TARGET, version="18.1"), facts(), RolePlan(), None)
    judge(dataclasses.replace(TARGET, oid=5, system="8"), facts(), RolePlan(), None)


@pytest.mark.parametrize(
    ("target", "known", "says"),
    [
        ({"recovery": True}, {}, "standby"),
        ({"version": "14.9"}, {}, "that version or a newer one"),
        ({"oid": 5}, {}, "very database"),
        ({"relations": frozenset({("s", "t")})}, {}, "not empty"),
        ({}, {"extensions": [{"name": "postgis"}]}, "lacks the extension 'postgis'; install"),
        ({}, {"tablespaces": [{"name": "fast"}]}, "lacks the tablespace 'fast'; create"),
    ],
)
def test_what_is_refused_says_what_to_do(
    target: dict[str, Any], known: dict[str, Any], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        judge(dataclasses.replace(TARGET, **target), facts(**known), RolePlan(), None)


def test_a_table_is_refused_where_it_exists_or_its_schema_is_missing() -> None:
    there = dataclasses.replace(TARGET, relations=frozenset({("public", "orders")}))
    with pytest.raises(Refused, match="exists in 'copy'"):
        judge(there, facts(), RolePlan(), [table(1, "public", "orders")])
    with pytest.raises(Refused, match="no schema 'sales'"):
        judge(there, facts(), RolePlan(), [table(1, "sales", "orders")])
    judge(there, facts(), RolePlan(), [table(1, "public", "other")])
    with pytest.raises(Refused, match="'boss'; make them first"):
        judge(TARGET, facts(), RolePlan(impossible=("boss",)), None)


@pytest.mark.parametrize("text", ["./restored", "restored", "/a/b=c", "host", "postgresql", "a:b"])
def test_a_folder_is_a_folder(text: str) -> None:
    assert secret_of(text, {}) is None


def test_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = "postgresql://ann:s3cr3t-wörd@db:5/shop"
    monkeypatch.setenv("COPY_DSN", dsn)
    database = PostgresLogicalDatabase(Secret.literal(dsn))
    declared = make_job(tmp_path, make_keys(tmp_path / "keys"), database).backups.databases
    (tmp_path / "dsn").write_text(f"{dsn}\n")
    ways = ("env:COPY_DSN", "${env:COPY_DSN}", "db:orders", f"file:{tmp_path}/dsn", dsn)
    for way in ways:
        found = secret_of(way, declared)
        assert found is not None
        assert found.reveal() == dsn
    assert described(dsn) == "postgresql://ann@db:5/shop"
    assert "s3cr3t" not in redactor.mask("password s3cr3t-wörd")
    assert secret_of("host=/tmp dbname='my shop'", {}) is not None
    with pytest.raises(UsageError, match="known: orders"):
        secret_of("db:other", declared)


@given(st.lists(NAMES, min_size=1), st.sampled_from(["search_path", "work_mem"]))
def test_settings_are_quoted(items: list[str], name: str) -> None:
    """Lists are kept quoted in the catalogue, all else is one text."""
    value = ", ".join(ident(each) for each in items)
    expected = ", ".join(map(literal, items)) if name == "search_path" else literal(value)
    assert setting(f"{name}={value}") == f'"{name}" TO {expected}'


def test_settings_of_old_forms() -> None:
    assert setting('search_path="$user", public') == "\"search_path\" TO '$user', 'public'"
    assert setting("search_path=") == "\"search_path\" TO ''"
    assert setting("a.b=c=d\\'") == "\"a.b\" TO E'c=d\\\\'''"


def test_masks_that_cannot_be_meant() -> None:
    rules = [MaskRule("orders", "a", "hash"), MaskRule("public.orders", "a", None)]
    tables = {each.table: table(1, "public", "orders") for each in rules}
    with pytest.raises(UsageError, match="two rules"):
        mask_sql(rules, tables, [1])
    with pytest.raises(UsageError, match="no table"):
        mask_sql(rules[:1], {"orders": table(1, "public", "orders", kind="v")}, [1])
    assert mask_sql(rules[:1], tables, [2]) == []
    for wrong in (("", "a", "hash"), ("t", "", "hash"), ("t", "a", " "), ("t", "a", "$sre_mask$")):
        with pytest.raises(ValueError, match=r"mask|sre_mask"):
            MaskRule(*wrong)


def test_who_waits_longest() -> None:
    since: dict[int, float] = {}
    assert longest(since, [], 5.0) == 0
    assert longest(since, [1], 10.0) == 0
    assert longest(since, [1, 2], 14.0) == 4
    assert longest(since, [2], 15.0) == 1, "the first got its lock"
    assert longest(since, [1], 16.0) == 0, "and waits anew"


def test_pieces_become_one_file(tmp_path: Path) -> None:
    (tmp_path / PIECES).mkdir()
    pieces = [os.urandom(size) for size in (70_000, 70_000, 1)]
    for number, piece in enumerate(pieces):
        (tmp_path / PIECES / f"{number:06}").write_bytes(piece)
    assert join(tmp_path).read_bytes() == b"".join(pieces)
    assert join(tmp_path).read_bytes() == b"".join(pieces), "once more changes nothing"
    assert [each.name for each in tmp_path.iterdir()] == [DUMP]


def test_only_our_own_end_says_something() -> None:
    assert summary('{"schema": "sre.logical/1", "lsn": "0/1"}') == {"lsn": "0/1"}
    assert summary('{"schema": "sre.other/1"}') == {}
    assert summary('cut": 3}') == {}
    assert summary("[]") == {}
