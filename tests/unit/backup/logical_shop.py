"""Which databases do tests of logical dumps work with?"""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

from sre.backup.databases.pglogical import PostgresLogicalDatabase
from sre.backup.job import Job
from sre.backup.logical.mask import MaskRule
from sre.backup.logical.restore import Into, Loaded, restore_into
from sre.core.secrets import Secret
from sre.demo.postgres import EmbeddedPostgres
from sre.sql.model import Invariant
from tests.unit.backup.setting import make_job, make_keys

ODD = 'o\'dd "däta" base; --'
"""A name that every quoting must survive."""
SHOP = r"""
create extension pg_trgm;
create schema "my sch""q";
create type public.mood as enum ('ok', 'böse');
create table public.customers (
    id bigint generated always as identity primary key, email varchar(40) unique,
    "näme 'x""y" text, m mood default 'ok', low text generated always as (lower(email)) stored,
    check (length(email) > 2));
insert into customers (email, "näme 'x""y")
    select 'mail' || i || '@example.com', 'n' || i from generate_series(1, 1000) i;
create table public.orders (id serial, customer bigint references customers, total numeric,
    primary key (id)) partition by range (id);
create table orders_1 partition of orders for values from (1) to (500);
create table orders_2 partition of orders for values from (500) to (100000);
insert into orders (customer, total) select i, i * 1.5 from generate_series(1, 1000) i;
create index on orders (total);
create table "my sch""q"."Tab le" (a int default 7, "B b" text);
insert into "my sch""q"."Tab le" values (1, E'tab\tx\\y\n\\.'), (2, null);
create index "odd ""index" on "my sch""q"."Tab le" ("B b");
comment on table "my sch""q"."Tab le" is 'it''s odd';
comment on column "my sch""q"."Tab le"."B b" is 'odd too';
create materialized view mv as select count(*) n, min(email) e from customers;
create unique index on mv (n);
create view v as select email from customers;
create function trg() returns trigger language plpgsql as $$begin return new; end$$;
create trigger t1 before insert on orders for each row execute function trg();
create policy p1 on customers using (true);
alter table customers enable row level security;
create statistics st1 on customer, total from orders;
select lo_from_bytea(0, decode(repeat('ab', 100000), 'hex'));
create table empty ();
create sequence lonely start 41; select nextval('lonely');
"""
ROLES = r"""
create role "odd; role""x" login password 'hunter22secret' connection limit 7;
alter role "odd; role""x" set search_path = '$user', 'my sch', public;
create role grp; grant grp to "odd; role""x"; comment on role grp is 'the gröup';
"""
RIGHTS = r"""
alter table "my sch""q"."Tab le" owner to "odd; role""x";
grant usage on schema "my sch""q" to grp;
grant select on customers, "my sch""q"."Tab le" to grp;
"""


def dsn_for(server: EmbeddedPostgres, database: str) -> str:
    return server.dsn_for(quote(database, safe=""))


def sql(dsn: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []


def new_database(server: EmbeddedPostgres, name: str) -> str:
    """A database as `createdb --template=template0` makes it; its dsn."""
    quoted = '"' + name.replace('"', '""') + '"'
    sql(server.dsn, f"drop database if exists {quoted} with (force)")
    sql(server.dsn, f"create database {quoted} template template0 encoding 'UTF8'")
    return dsn_for(server, name)


def dumped(bin_dir: Path, dsn: str, *more: str) -> str:
    """The whole database as text, but for what differs each time."""
    argv = [str(bin_dir / "pg_dump"), *more, dsn]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    kept = (line for line in done.stdout.splitlines() if not re.match(r"\\(un)?restrict |--", line))
    return "\n".join(kept)


MASK = (
    MaskRule("customers", "email", "hash"),
    MaskRule("public.customers", "näme 'x\"y", "'name ' || id -- of nobody"),
)


def logical(server: EmbeddedPostgres, dsn: str, **more: Any) -> PostgresLogicalDatabase:
    return PostgresLogicalDatabase(Secret.literal(dsn), server.bin_dir, **more)


def job_for(folder: Path, database: PostgresLogicalDatabase, *invariants: Invariant) -> Job:
    return make_job(folder, make_keys(folder / "keys"), database, invariants=invariants)


def into(job: Job, dsn: str, *tables: str, mask: bool = False) -> Loaded:
    return restore_into(job, Into("orders", Secret.literal(dsn), tables, mask))


def nothing_in(dsn: str) -> bool:
    """No relation and no schema but those of an empty database."""
    found = sql(dsn, "select count(*) from pg_class where oid >= 16384 and relkind <> 't'")
    return found == [(0,)]


def children_named(name: str) -> list[int]:
    """Programs of that name below this process, not those of tests beside it."""
    me = psutil.Process()
    found = []
    for each in me.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.name() == name:
                found.append(each.pid)
    return found


def command_lines(folder: Path) -> list[str]:
    """Of the processes that work in a folder: of our own programs, whoever their parent is now."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(each.cwd()) == folder.resolve():
                found.append(" ".join(each.cmdline()))
    return found
