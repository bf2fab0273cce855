"""How is a PostgreSQL copied while it runs, and how is a copy proven to be one?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sre.backup.databases.pgbin import programs
from sre.backup.databases.pgdsn import environment, options, reveal
from sre.backup.databases.pgmanifest import check_manifest
from sre.backup.databases.pgnative import why_not
from sre.backup.databases.pgrecover import Replayed, recovering
from sre.backup.databases.pgscratch import make_bench, scratch_server
from sre.backup.engine import Dump, Source
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, MissingExtra, Refused, UsageError
from sre.core.process import run
from sre.core.secrets import Secret
from sre.sql.session import Session

__all__ = ["PostgresDatabase"]

_ASK_SECONDS = 30.0
_TIMELINE = (
    "select case when pg_is_in_recovery() then greatest("
    "(select timeline_id from pg_control_checkpoint()), "
    "(select min_recovery_end_timeline from pg_control_recovery())) "
    "else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end"
)

_POSITION = (
    "select case when pg_is_in_recovery() then '' else pg_current_wal_insert_lsn()::text end"
)


@dataclass(frozen=True)
class PostgresDatabase:
    """`kind: postgres`: the whole server, physically, while it runs; tablespaces of its own not.

    Attributes:
        dsn: a user that may replicate and connect; `postgresql://…` or `host=… user=…`.
        bin_dir: where PostgreSQL's programs of the server's version are, if not found by version.
        native_incremental: let a server of 17 or newer say itself what has changed since another
            backup, where that is sound (a release with the corrections of 2026, summarize_wal and
            data_checksums on); else pages are compared, as always before 17.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    dsn: Secret
    bin_dir: Path | None = None
    native_incremental: bool = False

    def identify(self, deadline: Deadline) -> Source:
        with Session(reveal(self.dsn), statement_seconds=max(1.0, deadline.left())) as session:
            version = str(session.value("show server_version")).split(" ", maxsplit=1)[0]
            system = session.value("select system_identifier::text from pg_control_system()")
            spaces = session.value("select count(*) from pg_tablespace where oid >= 16384")
            timeline = session.value(_TIMELINE)
            size = session.value(
                "select coalesce(sum(pg_database_size(oid)), 0)::bigint from pg_database "
                "where has_database_privilege(oid, 'connect')"
            )
        if spaces:
            raise UsageError(
                f"the server has {spaces} tablespaces of its own, which cannot stream to one tar; "
                "move their tables to pg_default"
            )
        return Source("postgres", version, str(system), int(size), int(timeline))

    def dump(self, source: Source, label: str) -> Dump:
        found = programs(_major(source.version), ("pg_basebackup",), bin_dir=self.bin_dir)
        argv = (
            str(found / "pg_basebackup"), "-D", "-", "-Ft", "-X", "fetch", "-c", "fast", "-w",
            "--manifest-checksums=CRC32C", "-l", label,  # SHA-256 costs the server most of a core
        )  # fmt: skip
        env = environment(reveal(self.dsn))
        env.pop("PGDATABASE", None)
        return Dump(
            argv,
            env,
            "backup_manifest",
            "pg_wal/0",
            self._position,
            pages=True,
            server=self._native(source),
        )

    def increment(self, source: Source, label: str, parent: Path) -> Dump:
        """As `dump`, but the server leaves out what has not changed since `parent`, its manifest.

        Raises:
            Refused: it must not be relied on there; the message says why.
        """
        problem = why_not(reveal(self.dsn), source.version, Deadline.after(_ASK_SECONDS))
        if problem:
            raise Refused(problem)
        whole = self.dump(source, label)
        argv = (*whole.argv, f"--incremental={parent}")
        return replace(whole, argv=argv, native=True)

    def _native(self, source: Source) -> bool:
        return self.native_incremental and int(_major(source.version)) >= 17

    def _position(self, deadline: Deadline) -> str:
        """Of the log; a standby's says nothing of what its primary has acknowledged."""
        with Session(reveal(self.dsn), statement_seconds=max(1.0, deadline.left())) as session:
            return str(session.value(_POSITION))

    def check_files(self, folder: Path, deadline: Deadline) -> tuple[str, ...]:
        try:
            found = programs(_major_of(folder), ("pg_verifybackup",), bin_dir=self.bin_dir)
        except MissingExtra:
            return check_manifest(folder, deadline)
        program = str(found / "pg_verifybackup")
        done = run([program, "-q", str(folder)], deadline, env={"LC_ALL": "C"})
        if done.timed_out:
            raise CheckFailed("pg_verifybackup did not end in time")
        if done.returncode < 0:  # the one of some builds crashes whatever it is asked
            return check_manifest(folder, deadline)
        if done.ok:
            return ()
        lines = [line.removeprefix("pg_verifybackup: error: ") for line in done.stderr.splitlines()]
        return tuple(lines) or (f"pg_verifybackup ended with exit code {done.returncode}",)

    def serve(self, folder: Path, work: Path, deadline: Deadline) -> AbstractContextManager[str]:
        words = options(reveal(self.dsn))
        return scratch_server(
            folder,
            work,
            deadline,
            major=_major_of(folder),
            bin_dir=self.bin_dir,
            user=words.get("user") or "postgres",
            database=words.get("dbname") or words.get("user") or "postgres",
        )

    def replay(
        self,
        folder: Path,
        work: Path,
        deadline: Deadline,
        settings: Mapping[str, str],
        *,
        paused: bool = False,
        at: Callable[[int], None] = lambda _lsn: None,
    ) -> AbstractContextManager[Replayed]:
        words = options(reveal(self.dsn))
        return recovering(
            make_bench(folder, work, _major_of(folder), self.bin_dir),
            deadline,
            settings,
            user=words.get("user") or "postgres",
            database=words.get("dbname") or words.get("user") or "postgres",
            paused=paused,
            at=at,
        )

    def tools(self, major: str, needed: tuple[str, ...]) -> Path:
        return programs(major, needed, bin_dir=self.bin_dir)


def _major(version: str) -> str:
    return version.split(".", maxsplit=1)[0]


def _major_of(folder: Path) -> str:
    try:
        return (folder / "PG_VERSION").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CheckFailed("what was restored holds no PG_VERSION: no PostgreSQL") from None
