"""What must be known of a database beside its dump, so that the dump finds its way back?

`pg_dump` leaves out what belongs to the whole server: roles, their settings, the database's own
settings and rights. And `pg_restore --list` does not say which index belongs to which table.
"""

from __future__ import annotations

from typing import Any

__all__ = ["source_facts", "table_facts"]

_THIS = "(select oid from pg_database where datname = current_database())"
_SOURCE = {
    "database": """select oid::bigint as oid, datname as name,
        pg_encoding_to_char(encoding) as encoding, datcollate as collate, datctype as ctype,
        to_jsonb(d) ->> 'datlocprovider' as provider,
        coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
        datacl is not null as restricted from pg_database d where datname = current_database()""",
    "roles": """select rolname as name, rolsuper as super, rolinherit as inherit,
        rolcreaterole as createrole, rolcreatedb as createdb, rolcanlogin as login,
        rolreplication as replication, rolbypassrls as bypassrls, rolconnlimit as connections,
        rolvaliduntil::text as until, shobj_description(r.oid, 'pg_authid') as comment,
        coalesce((select to_jsonb(setconfig) from pg_db_role_setting
            where setrole = r.oid and setdatabase = 0), '[]') as settings,
        r.oid = 10 as bootstrap,
        r.oid = 10 or exists (select from pg_shdepend s where s.refobjid = r.oid and
            s.refclassid = 'pg_authid'::regclass and (s.dbid = @db or
            (s.dbid = 0 and s.classid = 'pg_database'::regclass and s.objid = @db))) as needed
        from pg_roles r where rolname !~ '^pg_' order by r.oid""",
    "members": """select a.rolname as role, b.rolname as member, admin_option as admin,
        (to_jsonb(m) -> 'inherit_option')::text::bool as inherit,
        (to_jsonb(m) -> 'set_option')::text::bool as set
        from pg_auth_members m join pg_roles a on a.oid = roleid join pg_roles b on b.oid = member
        where b.rolname !~ '^pg_' order by 1, 2""",
    "settings": """select (select rolname from pg_roles where oid = setrole) as role,
        to_jsonb(setconfig) as settings from pg_db_role_setting where setdatabase = @db""",
    "rights": """select case when grantee = 0 then null else pg_get_userbyid(grantee) end as role,
        privilege_type as right, is_grantable as grantable
        from pg_database, aclexplode(datacl)
        where datname = current_database() and grantee <> datdba""",
    "extensions": """select extname as name, extversion as version from pg_extension
        where extname <> 'plpgsql' order by 1""",
    "tablespaces": """select distinct spcname as name from pg_class c
        join pg_tablespace t on t.oid = c.reltablespace
        where spcname not in ('pg_default', 'pg_global') order by 1""",
}
_OF_A_USER = """n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists (
    select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid
    and e.deptype = 'e')"""
_TABLES = f"""select c.oid::bigint as oid, n.nspname as schema, c.relname as name,
    c.relkind::text as kind,
    (select inhparent::bigint from pg_inherits i where i.inhrelid = c.oid and c.relispartition)
        as parent,
    array(select pg_get_userbyid(c.relowner) union
        select pg_get_userbyid(grantee) from aclexplode(c.relacl) where grantee <> 0) as roles
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and {_OF_A_USER} order by 2, 3"""  # noqa: S608
_ENTRIES = """
    select indrelid::bigint, 'pg_class'::regclass::oid::bigint, indexrelid::bigint,
        (select relname from pg_class where oid = indexrelid) from pg_index
    union all select conrelid::bigint, 'pg_constraint'::regclass::oid::bigint, oid::bigint, null
        from pg_constraint where contype <> 'f' and conrelid <> 0
    union all select ev_class::bigint, 'pg_rewrite'::regclass::oid::bigint, oid::bigint, null
        from pg_rewrite where rulename <> '_RETURN'
    union all select polrelid::bigint, 'pg_policy'::regclass::oid::bigint, oid::bigint, null
        from pg_policy
    union all select adrelid::bigint, 'pg_attrdef'::regclass::oid::bigint, oid::bigint, null
        from pg_attrdef
    union all select stxrelid::bigint, 'pg_statistic_ext'::regclass::oid::bigint, oid::bigint, null
        from pg_statistic_ext"""
_PARTS = {
    "foreign": """select conrelid::bigint as of, k.oid::bigint as oid, conname as name,
        n.nspname as schema, c.relname as table from pg_constraint k
        join pg_class c on c.oid = confrelid join pg_namespace n on n.oid = c.relnamespace
        where contype = 'f'""",
    "triggers": """select tgrelid::bigint as of, t.oid::bigint as oid, tgname as name,
        n.nspname as schema, p.proname as function from pg_trigger t
        join pg_proc p on p.oid = tgfoid join pg_namespace n on n.oid = p.pronamespace
        where not tgisinternal""",
    "sequences": """select distinct d.refobjid::bigint as of, c.oid::bigint as oid,
        n.nspname as schema, c.relname as name, true as owned from pg_depend d
        join pg_class c on c.oid = d.objid and c.relkind = 'S'
        join pg_namespace n on n.oid = c.relnamespace
        where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
        and d.deptype in ('a', 'i')
        union select a.adrelid::bigint, c.oid::bigint, n.nspname, c.relname, false
        from pg_attrdef a join pg_depend d on d.classid = 'pg_attrdef'::regclass
            and d.objid = a.oid and d.refclassid = 'pg_class'::regclass
        join pg_class c on c.oid = d.refobjid and c.relkind = 'S'
        join pg_namespace n on n.oid = c.relnamespace
        where not exists (select from pg_depend o where o.classid = 'pg_class'::regclass
            and o.objid = c.oid and o.refclassid = 'pg_class'::regclass
            and o.deptype in ('a', 'i'))""",
}


def source_facts(connection: Any) -> dict[str, Any]:
    """Of the database and its server; password hashes only where we may read them.

    `connection` is psycopg's; all is read in its transaction. Raises what psycopg raises.
    """
    found: dict[str, Any] = {
        name: _rows(connection, sql.replace("@db", _THIS)) for name, sql in _SOURCE.items()
    }
    [found["database"]] = found["database"]
    found["passwords"] = _value(connection, "select has_table_privilege('pg_authid', 'select')")
    if found["passwords"]:
        hashes = dict(
            connection.execute("select rolname, rolpassword from pg_catalog.pg_authid").fetchall()
        )
        for role in found["roles"]:
            role["password"] = hashes.get(role["name"])
    found["version"] = _value(connection, "show server_version").split(" ", maxsplit=1)[0]
    found["system"] = _value(connection, "select system_identifier::text from pg_control_system()")
    found["at"] = float(_value(connection, "select extract(epoch from now())"))
    found["lsn"] = _value(
        connection,
        "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() "
        "else pg_current_wal_lsn() end::text",
    )
    return found


def table_facts(connection: Any) -> list[dict[str, Any]]:
    """Every table, view and the like, each with what belongs to it, by oid. Raises as above."""
    tables = {each["oid"]: each for each in _rows(connection, _TABLES)}
    for each in tables.values():
        each |= {"entries": [], **{name: [] for name in _PARTS}}
    for of, *entry in connection.execute(_ENTRIES).fetchall():
        if of in tables:
            tables[of]["entries"].append(entry)  # catalogue, oid, name of an index
    for name, sql in _PARTS.items():
        for row in _rows(connection, sql):
            of = row.pop("of")
            if of in tables:
                tables[of][name].append(row)
    return list(tables.values())


def _rows(connection: Any, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [each.name for each in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _value(connection: Any, sql: str) -> Any:
    return connection.execute(sql).fetchone()[0]
