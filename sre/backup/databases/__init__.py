"""Which kinds of databases are there?"""

from __future__ import annotations

from sre.backup.engine import Database
from sre.core.kinds import Kinds

__all__ = ["DATABASES"]

DATABASES: Kinds[Database] = Kinds(
    "database",
    {
        "postgres": "sre.backup.databases.postgres:PostgresDatabase",
        "postgres-logical": "sre.backup.databases.pglogical:PostgresLogicalDatabase",
        "pgbackrest": "sre.backup.databases.pgbackrest:PgBackRestDatabase",
    },
    {"postgres": "backup", "postgres-logical": "backup", "pgbackrest": "backup"},
)
"""A kind's name in `sre.yaml` -> where its class is."""
