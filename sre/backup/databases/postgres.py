"""How is a PostgreSQL copied while it runs, and how is a copy proven to be one?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from sre.backup.databases.pgbin import programs
from sre.backup.databases.pgdsn import environment, options, reveal
from sre.backup.databases.pgkeep import keeping
from sre.backup.databases.pgnative import why_not
from sre.backup.databases.pgrecover import Replayed, recovering
from sre.backup.databases.pgreplica import Replica, Standing, look, usable
from sre.backup.databases.pgscratch import make_bench, scratch_server
from sre.backup.databases.pgwish import OLDEST, Wish
from sre.backup.engine import Dump, Inside, Source
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, IntegrityError, MissingExtra, Refused, SreError, UsageError
from sre.core.process import run
from sre.core.secrets import Secret
from sre.sql.session import Session

__all__ = ["PostgresDatabase"]

_ASK_SECONDS = 30.0
_SPACES = (
    "select oid::text, pg_tablespace_location(oid) from pg_tablespace where oid >= 16384 order by 1"
)
_SIZE = (
    "select coalesce(sum(pg_database_size(oid)), 0)::bigint from pg_database "
    "where has_database_privilege(oid, 'connect')"
)
_HINTS = {
    "has already been removed": "the server removed log that the copy needs while it was made: "
    "raise wal_keep_size there, on a standby too",
    "COPY stream ended before last file was finished": "the server ended the copy: look in its log;"
    " where segments of its own log were removed meanwhile, raise wal_keep_size",
    "the standby was promoted": "it became a primary while it was copied: run it again",
    "full_page_writes=off": "set full_page_writes on at the primary, checkpoint, and run it again",
    "can only write single tablespace to stdout": "a tablespace was just made: run it again",
}
_ENCRYPTED = """select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)
    or coalesce((select encrypted from pg_stat_gssapi where pid = pg_backend_pid()), false)"""
_POSITION = (
    "select case when pg_is_in_recovery() then '' else pg_current_wal_insert_lsn()::text end"
)


@dataclass(frozen=True)
class PostgresDatabase:
    """`kind: postgres`: the whole server, physically, while it runs; its tablespaces too.

    Attributes:
        dsn: a user that may replicate and connect; `postgresql://…` or `host=… user=…`. It may be
            a standby's.
        replica: a standby that is copied instead, while it is near.
        bin_dir: where PostgreSQL's programs of the server's version are, if not found by version.
        native_incremental: let a server of 17 or newer say itself what has changed since another
            backup, where that is sound (a release with the corrections of 2026, summarize_wal and
            data_checksums on); else pages are compared, as always before 17.
        pg_basebackup: copy with that program through a pipe, which costs a fifth more. So are all
            servers without tablespaces before 15, or over a connection with TLS.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    dsn: Secret
    bin_dir: Path | None = None
    native_incremental: bool = False
    replica: Replica | None = None
    pg_basebackup: bool = False

    def identify(self, deadline: Deadline) -> Source:
        with Session(reveal(self.dsn), statement_seconds=max(1.0, deadline.left())) as session:
            version = str(session.value("show server_version")).split(" ", maxsplit=1)[0]
            spaces = {str(oid): str(path) for oid, path in session.rows(_SPACES)}
            standing, asked = look(session), deadline.clock.wall()
            position = str(session.value(_POSITION))
            size = session.value(_SIZE)
        if spaces and int(_major(version)) < OLDEST:
            raise UsageError(
                f"the server has {len(spaces)} tablespaces of its own, which can be copied from "
                f"PostgreSQL {OLDEST} and newer alone; move their tables to pg_default"
            )
        about: dict[str, Any] = {"tablespaces": spaces} if spaces else {}
        lag, more = standing.behind, dict[str, Any]()
        if self.replica is not None:
            more, lag = self._from_replica(standing, position, deadline)
        elif standing.recovering:
            more = {"copied_from": "standby", "lag_seconds": round(lag, 3)}
        return Source(
            "postgres", version, standing.system_id, int(size), standing.timeline, asked - lag,
            about | more,
        )  # fmt: skip

    def _from_replica(
        self, primary: Standing, position: str, deadline: Deadline
    ) -> tuple[dict[str, Any], float]:
        """What the manifest says of whom is copied; how far behind that one is."""
        assert self.replica is not None  # noqa: S101  whoever calls looked
        if primary.recovering:
            raise UsageError(
                "dsn leads to a standby itself: name the primary there, or leave out replica"
            )
        system, timeline = primary.system_id, primary.timeline
        problem, lag = usable(self.replica, system, timeline, position, deadline)
        if problem:
            return {"copied_from": "primary", "not_from_replica": problem}, 0.0
        return {"copied_from": "replica", "lag_seconds": round(lag, 3)}, lag

    def _copied(self, source: Source) -> str:
        """The dsn of whom is copied."""
        if self.replica is not None and source.about.get("copied_from") == "replica":
            return reveal(self.replica.dsn)
        return reveal(self.dsn)

    def dump(self, source: Source, label: str) -> Dump:
        return self._dump(source, label)

    def _dump(self, source: Source, label: str, parent: str = "") -> Dump:
        wish = self._wish(source, label, parent)
        env = environment(self._copied(source))
        env.pop("PGDATABASE", None)
        return Dump(
            (wish.command(),) if wish else self._argv(source, label, parent),
            env,
            "backup_manifest",
            "pg_wal/0",
            self._position,
            pages=True,
            server=self._native(source),
            hints=_HINTS,
            around=partial(keeping, self._copied(source)),
            inside=partial(_opened, self._copied(source), wish) if wish else None,
            native=bool(parent),
        )

    def _wish(self, source: Source, label: str, parent: str) -> Wish | None:
        """What we ask of the server ourselves; None: pg_basebackup shall, as before 15."""
        spaces = bool(source.about.get("tablespaces"))  # for which it writes several tars
        if not spaces and (self.pg_basebackup or int(_major(source.version)) < OLDEST):
            return None
        encrypted = self._encrypted(source)
        if encrypted and not spaces:  # in a program of its own, beside ours
            return None
        return Wish(label, parent, spaces, encrypted)

    def _encrypted(self, source: Source) -> bool:
        """Whether connections to whom is copied are; also where that cannot be told."""
        try:
            with Session(self._copied(source), statement_seconds=_ASK_SECONDS) as session:
                return bool(session.value(_ENCRYPTED))
        except SreError:
            return True

    def _argv(self, source: Source, label: str, parent: str) -> tuple[str, ...]:
        found = programs(_major(source.version), ("pg_basebackup",), bin_dir=self.bin_dir)
        return (
            str(found / "pg_basebackup"), "-D", "-", "-Ft", "-X", "fetch", "-c", "fast", "-w",
            "--manifest-checksums=CRC32C", "-l", label,  # SHA-256 costs the server most of a core
            *([f"--incremental={parent}"] if parent else []),
        )  # fmt: skip

    def increment(self, source: Source, label: str, parent: Path) -> Dump:
        """As `dump`, but the server leaves out what has not changed since `parent`, its manifest.

        Raises:
            Refused: it must not be relied on there; the message says why.
        """
        problem = why_not(self._copied(source), source.version, Deadline.after(_ASK_SECONDS))
        if problem:
            raise Refused(problem)
        return self._dump(source, label, str(parent))

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
            return _checked_by_us(folder, deadline)
        program = str(found / "pg_verifybackup")
        done = run([program, "-q", str(folder)], deadline, env={"LC_ALL": "C"})
        if done.timed_out:
            raise CheckFailed("pg_verifybackup did not end in time")
        if done.returncode < 0:  # the one of some builds crashes whatever it is asked
            return _checked_by_us(folder, deadline)
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


def _opened(dsn: str, wish: Wish) -> AbstractContextManager[Inside]:
    from sre.backup.databases.pgstream import opened  # noqa: PLC0415  it needs the driver

    return opened(dsn, wish)


def _checked_by_us(folder: Path, deadline: Deadline) -> tuple[str, ...]:
    from sre.backup.pages.servers import check_folder  # noqa: PLC0415  its checksums, seldom wanted

    try:
        return check_folder(str(folder), deadline)
    except IntegrityError as error:
        return (str(error),)


def _major(version: str) -> str:
    return version.split(".", maxsplit=1)[0]


def _major_of(folder: Path) -> str:
    try:
        return (folder / "PG_VERSION").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CheckFailed("what was restored holds no PG_VERSION: no PostgreSQL") from None
