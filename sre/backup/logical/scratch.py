"""Does a dump load? A new cluster that lives for minutes says so."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sre.backup.databases.pgbin import programs, server_user
from sre.backup.databases.pgdsn import environment
from sre.backup.databases.pgscratch import scratch_server
from sre.backup.logical.files import join, major_of
from sre.backup.logical.load import Script, load
from sre.backup.logical.quoting import ident, literal
from sre.backup.logical.roles import database_sql, plan_roles
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, MissingExtra
from sre.core.process import run

__all__ = ["loaded"]

log = logging.getLogger(__name__)

_NEEDED = ("initdb", "psql", "pg_restore", "postgres")
_SETTINGS = {
    "max_locks_per_transaction": "4096",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "maintenance_work_mem": "128MB",
}


@contextlib.contextmanager
def loaded(
    folder: Path, facts: Mapping[str, Any], work: Path, deadline: Deadline, bin_dir: Path | None
) -> Iterator[str]:
    """A scratch server of the dump's version with everything loaded; its dsn.

    Raises:
        CheckFailed: the dump does not load.
        MissingExtra: no server of that version here, or it lacks an extension.
    """
    major, owner = major_of(facts["version"]), server_user()
    found = programs(major, _NEEDED, bin_dir=bin_dir, user=owner, copy_to=work / "bin")
    user = next((each["name"] for each in facts["roles"] if each["bootstrap"]), "postgres")
    cluster = _new_cluster(found, work, owner, user, deadline)
    with scratch_server(
        cluster, work, deadline,
        major=major, bin_dir=found, user=user, database="postgres", more=_SETTINGS,
    ) as dsn:  # fmt: skip
        yield _filled(join(folder), facts, dsn, found)


def _new_cluster(found: Path, work: Path, owner: int | None, user: str, deadline: Deadline) -> Path:
    cluster = work / "cluster"
    cluster.mkdir(mode=0o700)
    if owner is not None:
        os.chown(cluster, owner, -1)
    argv = [
        str(found / "initdb"), "-D", str(cluster), f"--username={user}", "-A", "trust",
        "-E", "UTF8", "--locale=C", "--no-sync",
    ]  # fmt: skip
    done = run(argv, deadline, env={"LC_ALL": "C"}, cwd=work, user=owner)
    if not done.ok:
        raise CheckFailed(f"initdb failed: {done.stderr.strip()[-300:]}")
    return cluster


def _filled(dump: Path, facts: Mapping[str, Any], dsn: str, found: Path) -> str:
    import psycopg  # noqa: PLC0415  who verifies has the driver
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    name = facts["database"]["name"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        there = {row[0] for row in connection.execute("select rolname from pg_roles").fetchall()}
        has = {row[0] for row in connection.execute("select name from pg_available_extensions")}
        lacking = [each["name"] for each in facts["extensions"] if each["name"] not in has]
        if lacking:
            raise MissingExtra(
                f"the PostgreSQL here lacks the extension {', '.join(map(repr, lacking))}; install "
                "it to verify at level 3"
            )
        if name not in ("postgres", "template1", "template0"):
            _create(connection, facts["database"])
    plan = plan_roles(
        facts, there, superuser=True, may_create=True, major=int(major_of(facts["version"]))
    )
    into = make_conninfo(dsn, dbname=name)
    after = database_sql(facts, name, there | set(plan.made))
    load(
        Script(dump, found, before=plan.sql, after=after, options=["--no-tablespaces"]),
        environment(into),
    )
    return into


def _create(connection: Any, database: Mapping[str, Any]) -> None:
    """As it was there; with the locale C where this machine does not have the other one."""
    import psycopg  # noqa: PLC0415

    base = (
        f"create database {ident(database['name'])} template template0 "
        f"encoding {literal(database['encoding'])}"
    )
    locale = f" lc_collate {literal(database['collate'])} lc_ctype {literal(database['ctype'])}"
    if database["provider"] == "i" and database["locale"]:
        locale += f" locale_provider icu icu_locale {literal(database['locale'])}"
    try:
        connection.execute(base + locale)
    except psycopg.Error as error:
        said = str(error).splitlines()[0]
        log.warning("the scratch database has the locale C instead of its own: %s", said)
        connection.execute(base + " lc_collate 'C' lc_ctype 'C'")
