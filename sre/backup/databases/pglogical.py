"""How is one database of a PostgreSQL dumped with its roles, and how is a dump proven to load?"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sre.backup.databases.pgbin import programs
from sre.backup.databases.pgdsn import environment, reveal
from sre.backup.engine import Dump, Source
from sre.backup.logical.files import check_dump, read_source
from sre.backup.logical.mask import MaskRule
from sre.backup.logical.members import COMPLETE
from sre.backup.logical.scratch import loaded
from sre.backup.programs import PYTHON_PATH, python_program
from sre.core.clock import Deadline
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.sql.session import Session

__all__ = ["PostgresLogicalDatabase"]


@dataclass(frozen=True)
class PostgresLogicalDatabase:
    """`kind: postgres-logical`: one database, as SQL can make it again, and the server's roles.

    Attributes:
        dsn: a user that may read everything in the database; `postgresql://…` or `host=… user=…`.
        bin_dir: where PostgreSQL's programs of the server's version are, if not found by version.
        lock_wait: how long the dump waits for a table that others hold; then it tries again.
        give_way: how long others may wait for the dump before it ends; `0` means for ever.
        mask: what `sre backup restore --mask` makes of personal data.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    dsn: Secret
    bin_dir: Path | None = None
    lock_wait: Duration = Duration(5.0)
    give_way: Duration = Duration(30.0)
    mask: tuple[MaskRule, ...] = ()

    def __post_init__(self) -> None:
        if not 0.001 <= self.lock_wait <= 86_400:
            raise ValueError("lock_wait must be from 1ms to 1d")

    def identify(self, deadline: Deadline) -> Source:
        dsn = reveal(self.dsn)
        with Session(dsn, statement_seconds=max(1.0, deadline.left())) as session:
            version = str(session.value("show server_version")).split(" ", maxsplit=1)[0]
            system = session.value("select system_identifier::text from pg_control_system()")
            size = session.value("select pg_database_size(current_database())")
        return Source("postgres-logical", version, str(system), int(size))

    def dump(self, source: Source, label: str) -> Dump:  # noqa: ARG002  the tar carries no label
        major = source.version.split(".", maxsplit=1)[0]
        needed = ("pg_dump", "pg_dumpall", "pg_restore")
        found = programs(major, needed, bin_dir=self.bin_dir)
        wish = json.dumps([str(found), str(int(self.lock_wait * 1000)), str(float(self.give_way))])
        env = {**PYTHON_PATH, **environment(reveal(self.dsn))}
        return Dump(tuple(python_program("sre.backup.logical.dumper", wish)), env, COMPLETE)

    def check_files(self, folder: Path, deadline: Deadline) -> tuple[str, ...]:
        return check_dump(folder, self.bin_dir, deadline)

    def serve(self, folder: Path, work: Path, deadline: Deadline) -> AbstractContextManager[str]:
        return loaded(folder, read_source(folder), work, deadline, self.bin_dir)
