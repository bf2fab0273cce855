"""May a dump be loaded into that database, and if not, what is to be done first?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sre.backup.logical.choose import Names, Table
from sre.backup.logical.files import major_of
from sre.backup.logical.roles import RolePlan
from sre.core.errors import Refused

__all__ = ["Target", "judge", "look"]

_RELATIONS = """select n.nspname, c.relname from pg_class c join pg_namespace n
    on n.oid = c.relnamespace where not (n.nspname ~ '^pg_' or n.nspname = 'information_schema')
    and relkind in ('r', 'p', 'v', 'm', 'f', 'S') and not exists (select from pg_depend e
    where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')"""
_FUNCTIONS = """select n.nspname, p.proname from pg_proc p join pg_namespace n
    on n.oid = p.pronamespace"""
_ONE = {
    "version": "select current_setting('server_version')",
    "system": "select system_identifier::text from pg_control_system()",
    "database": "select current_database()",
    "oid": "select oid::bigint from pg_database where datname = current_database()",
    "superuser": "select rolsuper from pg_roles where rolname = current_user",
    "may_create": "select rolcreaterole from pg_roles where rolname = current_user",
    "recovery": "select pg_is_in_recovery()",
}


@dataclass(frozen=True)
class Target:
    """What a server said about a database that shall be filled."""

    version: str
    system: str
    database: str
    oid: int
    superuser: bool
    may_create: bool
    recovery: bool
    relations: Names
    functions: Names
    roles: frozenset[str]
    extensions: frozenset[str]
    tablespaces: frozenset[str]
    schemas: frozenset[str]

    @property
    def major(self) -> int:
        """Its major version."""
        return int(major_of(self.version))


def look(connection: Any) -> Target:
    """Ask. `connection` is psycopg's; raises what psycopg raises."""
    found = {name: connection.execute(sql).fetchone()[0] for name, sql in _ONE.items()}
    found["version"] = str(found["version"]).split(" ", maxsplit=1)[0]

    def names(sql: str) -> frozenset[str]:
        return frozenset(row[0] for row in connection.execute(sql).fetchall())

    return Target(
        **found,
        relations=frozenset(map(tuple, connection.execute(_RELATIONS).fetchall())),
        functions=frozenset(map(tuple, connection.execute(_FUNCTIONS).fetchall())),
        roles=names("select rolname from pg_roles"),
        extensions=names("select name from pg_available_extensions"),
        tablespaces=names("select spcname from pg_tablespace"),
        schemas=names("select nspname from pg_namespace"),
    )


def judge(
    target: Target, facts: Mapping[str, Any], roles: RolePlan, wanted: Sequence[Table] | None
) -> None:
    """Whether it may be loaded: all of it, or the tables `wanted`. (pure)

    Raises:
        Refused: it may not; the message says what to do.
    """
    if target.recovery:
        raise Refused(f"{target.database!r} is on a standby, which takes no writes")
    if target.major < int(major_of(facts["version"])):
        raise Refused(
            f"the target is PostgreSQL {target.version}, the backup is of {facts['version']}: "
            "restore into that version or a newer one"
        )
    if wanted is None:
        _judge_database(target, facts)
        _missing("extension", (each["name"] for each in facts["extensions"]), target.extensions)
        _missing("tablespace", (each["name"] for each in facts["tablespaces"]), target.tablespaces)
    else:
        _judge_tables(target, wanted)
    if roles.impossible:
        raise Refused(
            f"these roles own or may use something in the backup, and are not there: "
            f"{', '.join(map(repr, roles.impossible))}; make them first, or connect as somebody "
            "who may make them"
        )


def _judge_database(target: Target, facts: Mapping[str, Any]) -> None:
    if target.system == facts["system"] and target.oid == facts["database"]["oid"]:
        raise Refused(
            f"{target.database!r} is the very database that the backup was taken of; create a new "
            "one beside it, restore there, compare, then rename"
        )
    if target.relations:
        schema, name = min(target.relations)
        raise Refused(
            f"{target.database!r} is not empty (it has {schema}.{name} and "
            f"{len(target.relations) - 1} more); nothing is overwritten: name an empty database "
            "(createdb --template=template0), or single tables with --table"
        )


def _judge_tables(target: Target, wanted: Sequence[Table]) -> None:
    for each in wanted:
        name = f"{each['schema']}.{each['name']}"
        if (each["schema"], each["name"]) in target.relations:
            raise Refused(
                f"{name} exists in {target.database!r}; nothing is overwritten: rename it first, "
                "or restore into another database"
            )
        if each["schema"] not in target.schemas:
            raise Refused(
                f"there is no schema {each['schema']!r} for {name} there; create it first"
            )


def _missing(what: str, wanted: Iterable[str], there: frozenset[str]) -> None:
    missing = sorted(set(wanted) - there)
    if missing:
        cure = "install it on that server" if what == "extension" else "create it there"
        raise Refused(f"the target lacks the {what} {', '.join(map(repr, missing))}; {cure} first")
