"""How do single tables come out of a physical backup? Through a scratch server, as a dump."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sre.backup.databases.pgbin import programs
from sre.backup.databases.pgdsn import environment
from sre.backup.engine import Database
from sre.backup.logical.choose import find_table, with_parts
from sre.backup.logical.facts import source_facts, table_facts
from sre.backup.logical.files import major_of
from sre.backup.logical.members import DUMP, SCHEMA, SOURCE, TABLES
from sre.backup.logical.quoting import qualified
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.core.process import run

__all__ = ["dumped_from_scratch"]

_SECONDS = 6 * 3600.0


def dumped_from_scratch(
    database: Database, folder: Path, work: Path, wanted: Sequence[str]
) -> Path:
    """Run restored files, dump the tables `wanted`; a folder like a logical dump's.

    Raises:
        CheckFailed: the server does not start, or pg_dump fails.
        UsageError: there is no such table.
        MissingExtra: no programs of that version here.
    """
    import psycopg  # noqa: PLC0415  only who restores needs the driver

    out, deadline = work / "dump", Deadline.after(_SECONDS)
    out.mkdir(mode=0o700)
    with database.serve(folder, work, deadline) as dsn:
        with psycopg.connect(dsn) as connection:
            facts, tables = source_facts(connection), table_facts(connection)
        parts = with_parts(tables, [find_table(tables, each) for each in wanted])
        parts += [each for table in parts for each in table["sequences"]]
        patterns = [f"--table={_pattern(each)}" for each in parts]
        bin_dir = getattr(database, "bin_dir", None)
        found = programs(major_of(facts["version"]), ("pg_dump",), bin_dir=bin_dir)
        argv = [str(found / "pg_dump"), "-Fc", "-Z0", "-w", "-f", str(out / DUMP), *patterns]
        done = run(argv, deadline, env=environment(dsn))
    if not done.ok:
        raise CheckFailed(f"pg_dump failed on the scratch server: {done.stderr.strip()[-500:]}")
    for name, content in ((SOURCE, facts), (TABLES, {"tables": tables})):
        (out / name).write_text(json.dumps({"schema": SCHEMA, **content}), encoding="utf-8")
    return out


def _pattern(relation: Mapping[str, Any]) -> str:
    """A pattern that matches this one alone."""
    return qualified(relation["schema"], relation["name"])
