"""Which roles must be made before a dump can be loaded, and what makes them?

Roles that are there stay as they are: the target's passwords and rights are its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sre.backup.logical.quoting import ident, literal, setting

__all__ = ["RolePlan", "database_sql", "plan_roles"]

_FLAGS = {
    "super": "SUPERUSER", "inherit": "INHERIT", "createrole": "CREATEROLE",
    "createdb": "CREATEDB", "login": "LOGIN", "replication": "REPLICATION",
    "bypassrls": "BYPASSRLS",
}  # fmt: skip
_MIGHTY = ("super", "replication", "bypassrls")


@dataclass(frozen=True)
class RolePlan:
    """What to do about roles.

    Attributes:
        sql: makes those that are missing; may hold password hashes.
        made: their names.
        left_out: missing ones that nothing in the database needs and that we may not make.
        impossible: missing ones that it needs and that we may not make.
        passwords: whether those made have their passwords.
    """

    sql: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()
    passwords: bool = False


def plan_roles(
    facts: Mapping[str, Any],
    there: Iterable[str],
    *,
    superuser: bool,
    may_create: bool,
    major: int,
    only: Iterable[str] | None = None,
) -> RolePlan:
    """What a target of PostgreSQL `major` with the roles `there` lacks. (pure)

    `only` limits it to these names, for a restore of a few tables.
    """
    known, wanted = set(there), None if only is None else set(only)
    missing = [
        each for each in facts["roles"]
        if each["name"] not in known and (wanted is None or each["name"] in wanted)
    ]  # fmt: skip

    def possible(role: Mapping[str, Any]) -> bool:
        return superuser or (may_create and not any(role[flag] for flag in _MIGHTY))

    made = [each for each in missing if possible(each)]
    names = {each["name"] for each in made}
    sql = [line for each in made for line in _create(each)]
    sql += _members(facts["members"], names, known | names, major)
    rest = [each for each in missing if not possible(each)]
    return RolePlan(
        tuple(sql),
        tuple(each["name"] for each in made),
        tuple(each["name"] for each in rest if not each["needed"]),
        tuple(each["name"] for each in rest if each["needed"]),
        bool(facts["passwords"]),
    )


def _create(role: Mapping[str, Any]) -> list[str]:
    name = ident(role["name"])
    words = [word if role[flag] else f"NO{word}" for flag, word in _FLAGS.items() if role[flag]]
    words += [] if role["inherit"] else ["NOINHERIT"]
    if role["connections"] != -1:
        words.append(f"CONNECTION LIMIT {int(role['connections'])}")
    if role["until"]:
        words.append(f"VALID UNTIL {literal(role['until'])}")
    if role.get("password"):
        words.append(f"PASSWORD {literal(role['password'])}")
    lines = [f"CREATE ROLE {name} {' '.join(words)};".replace(" ;", ";")]
    lines += [f"ALTER ROLE {name} SET {setting(each)};" for each in role["settings"]]
    if role["comment"]:
        lines.append(f"COMMENT ON ROLE {name} IS {literal(role['comment'])};")
    return lines


def _members(
    members: Iterable[Mapping[str, Any]], made: set[str], known: set[str], major: int
) -> list[str]:
    """Memberships that concern a role that we make; others are the target's own business."""
    lines: dict[str, None] = {}
    for each in members:
        role, member = each["role"], each["member"]
        concerned = role in made or member in made
        exists = role in known or role.startswith("pg_")
        if not (concerned and exists and member in known):
            continue
        options = ["ADMIN OPTION"] if each["admin"] else []
        if major >= 16 and each["inherit"] is not None:
            words = {"ADMIN": each["admin"], "INHERIT": each["inherit"], "SET": each["set"]}
            options = [f"{word} {'TRUE' if value else 'FALSE'}" for word, value in words.items()]
        how = f" WITH {', '.join(options)}" if options else ""
        lines[f"GRANT {ident(role)} TO {ident(member)}{how};"] = None
    return list(lines)


def database_sql(facts: Mapping[str, Any], name: str, known: Iterable[str]) -> tuple[str, ...]:
    """The database's own settings and rights, on the target `name`. (pure)"""
    database, roles, lines = ident(name), set(known), list[str]()
    for each in facts["settings"]:
        if each["role"] is not None and each["role"] not in roles:
            continue
        whose = f"ROLE {ident(each['role'])} IN " if each["role"] is not None else ""
        lines += [
            f"ALTER {whose}DATABASE {database} SET {setting(entry)};" for entry in each["settings"]
        ]
    if facts["database"]["restricted"]:
        lines.append(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;")
    for each in facts["rights"]:
        if each["role"] is None or each["role"] in roles:
            to = "PUBLIC" if each["role"] is None else ident(each["role"])
            how = " WITH GRANT OPTION" if each["grantable"] else ""
            lines.append(f"GRANT {each['right']} ON DATABASE {database} TO {to}{how};")
    return tuple(lines)
