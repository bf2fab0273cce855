"""How does a backup, or a few tables of it, get into a running server?"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sre.backup.audit.doing import audited
from sre.backup.databases.pgbin import programs
from sre.backup.databases.pgdsn import environment, reveal
from sre.backup.databases.pglogical import PostgresLogicalDatabase
from sre.backup.job import Job
from sre.backup.job import Target as Found
from sre.backup.logical.address import described
from sre.backup.logical.choose import Table, choose, find_table, with_parts
from sre.backup.logical.files import join, read_source, read_tables
from sre.backup.logical.load import Script, contents, load
from sre.backup.logical.mask import MaskRule, mask_sql
from sre.backup.logical.peek import peek
from sre.backup.logical.physical import dumped_from_scratch
from sre.backup.logical.quoting import qualified
from sre.backup.logical.roles import RolePlan, database_sql, plan_roles
from sre.backup.logical.target import Target, judge, look
from sre.backup.logical.unpacked import extracted
from sre.backup.restoring.chain import Chain, open_chain
from sre.backup.restoring.fetching import fetch_kept
from sre.backup.verifying.scratch import scratch
from sre.core.errors import Locked, Refused, SreError, Transient, UsageError
from sre.core.secrets import Secret, redactor

__all__ = ["Into", "Loaded", "is_logical", "restore_into"]

_LOCK = 0x7372655F6C6F6164  # "sre_load": one restore at a time into one database
_CHECK_SECONDS = 6 * 3600.0

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Into:
    """What shall be restored where.

    Attributes:
        tables: names as `find_table` takes them; empty for everything.
        mask: apply the database's `mask:` rules before anybody sees a row.
    """

    target: str
    dsn: Secret
    tables: Sequence[str] = ()
    mask: bool = False


@dataclass(frozen=True)
class Loaded:
    """What a restore into a server did, or (seconds 0) would do.

    Attributes:
        roles: roles that were made; `passwords` says whether with theirs.
        left_out: what did not come along, and why.
        masked: the tables whose personal data was masked.
    """

    id: str
    db: str
    into: str
    tables: tuple[str, ...]
    bytes: int
    consistent: float
    seconds: float = 0.0
    roles: tuple[str, ...] = ()
    passwords: bool = False
    left_out: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()


def is_logical(job: Job, target: str) -> bool:
    """Whether a database or a backup is a logical dump. Raises UsageError."""
    declared = job.backups.databases.get(target) or job.find(target).declared
    return isinstance(declared.database, PostgresLogicalDatabase)


def restore_into(
    job: Job,
    wish: Into,
    *,
    dry_run: bool = False,
    progress: Callable[[Chain], Progress] = lambda _chain: lambda _count: None,
) -> Loaded:
    """Load a backup, or some tables of it, into a database: all of that, or nothing.

    Raises:
        Refused: the target is not empty, is the source, has the table, or lacks something.
        UsageError: no such table or column, no mask rules, a physical backup without `tables`.
        Damaged: the manifest, the key or a volume is not what it should be.
        CheckFailed: the server refused something; nothing of it stays.
        Locked: another restore into that database is under way.
        Transient: the store or the target does not answer, or the disk is too small.
    """
    dsn = reveal(wish.dsn)
    found = job.find(wish.target)
    restoring = _Restoring(job, wish, found, dsn)
    chain = open_chain(found.catalogue, found.place, job.backups.keys)
    with _connected(dsn) as connection:
        target = look(connection)
        restoring.programs(target)
        if restoring.logical:
            facts = peek(chain.links[0])
            if not wish.tables:
                judge(target, facts, _plan(target, facts, None), None)
        if dry_run:
            return restoring.result(chain, ())
        job.note("restore started", id=chain.manifest.id, to=described(dsn))
        store = found.declared.store_name
        with audited(job, store, "restore", chain.manifest.id, described(dsn)):
            done = restoring.run(chain, connection, progress)
    job.note("restored", id=done.id, db=done.db, to=done.into, tables=list(done.tables))
    return done


@dataclass(frozen=True)
class _Restoring:
    job: Job
    wish: Into
    found: Found
    dsn: str
    rules: tuple[MaskRule, ...] = field(init=False)

    def __post_init__(self) -> None:
        database = self.found.declared.database
        rules: tuple[MaskRule, ...] = tuple(getattr(database, "mask", ()))
        if self.wish.mask and not rules:
            raise UsageError(
                f"--mask: databases.{self.found.declared.name} has no mask: rules; say there what "
                "becomes of each column, such as {table: customers, column: email, to: hash}"
            )
        if not self.logical and not self.wish.tables:
            raise UsageError(
                f"{self.wish.target} is a physical backup: it goes to a folder (--to DIR), or name "
                "the tables that you want back with --table"
            )
        object.__setattr__(self, "rules", rules if self.wish.mask else ())

    @property
    def logical(self) -> bool:
        return isinstance(self.found.declared.database, PostgresLogicalDatabase)

    def programs(self, target: Target) -> Path:
        """psql and pg_restore of the target's version. Raises MissingExtra."""
        major, needed = str(target.major), ("psql", "pg_restore")
        bin_dir = getattr(self.found.declared.database, "bin_dir", None)
        if bin_dir is not None:
            with contextlib.suppress(SreError):
                return programs(major, needed, bin_dir=bin_dir)
        return programs(major, needed)

    def run(self, chain: Chain, connection: Any, progress: Callable[[Chain], Progress]) -> Loaded:
        began = self.job.clock.now()
        with scratch() as work:
            free, needed = shutil.disk_usage(work).free, chain.manifest.source_bytes
            if free < needed:
                raise Refused(
                    f"{work.parent} has {free} bytes free, the backup needs {needed}; set TMPDIR"
                )
            folder = work / "data"
            folder.mkdir(mode=0o700)
            extracted(chain, folder, progress)
            if not self.logical:
                fetch_kept(self.found.declared, chain.manifest, folder, self.job.clock)
                folder = dumped_from_scratch(
                    self.found.declared.database, folder, work, self.wish.tables
                )
            done = self._load(chain, folder, connection)
        return replace(done, seconds=round(self.job.clock.now() - began, 3))

    def _load(self, chain: Chain, folder: Path, connection: Any) -> Loaded:
        facts, tables, dump = read_source(folder), read_tables(folder), join(folder)
        target = look(connection)  # again: the download may have taken hours
        wanted = [find_table(tables, each) for each in self.wish.tables]
        parts = with_parts(tables, wanted) if wanted else None
        plan = _plan(target, facts, parts)
        judge(target, facts, plan, parts)
        for role in facts["roles"]:
            redactor.add(role.get("password") or "")
        masks = mask_sql(
            self.rules, {each.table: find_table(tables, each.table) for each in self.rules},
            (each["oid"] for each in (tables if parts is None else parts)),
        )  # fmt: skip
        script = Script(
            dump, self.programs(target), before=plan.sql, between=[sql for _, sql in masks],
            analyze=True,
        )  # fmt: skip
        left_out: tuple[str, ...] = ()
        if parts is None:
            known = target.roles | set(plan.made)
            script = replace(script, after=database_sql(facts, target.database, known))
        else:
            script, left_out = _part_of(script, parts, facts, target)
        load(script, environment(self.dsn))
        left_out += tuple(f"role {name}: only a superuser can make it" for name in plan.left_out)
        done = self.result(chain, wanted)
        return replace(
            done, roles=plan.made, passwords=plan.passwords, left_out=left_out,
            masked=tuple(name for name, _ in masks),
        )  # fmt: skip

    def result(self, chain: Chain, wanted: Sequence[Table]) -> Loaded:
        manifest = chain.manifest
        names = tuple(qualified(each["schema"], each["name"]) for each in wanted)
        return Loaded(
            manifest.id, manifest.db, described(self.dsn), names or tuple(self.wish.tables),
            manifest.source_bytes, manifest.consistent,
        )  # fmt: skip


def _part_of(
    script: Script, parts: Sequence[Table], facts: dict[str, Any], target: Target
) -> tuple[Script, tuple[str, ...]]:
    """Of the whole script what restores these tables; what does not come along."""
    chosen = choose(
        contents(script.dump, script.programs),
        parts,
        [each["name"] for each in facts["roles"]],
        target.relations,
        target.functions,
    )
    return replace(script, lines=chosen.lines), chosen.left_out


def _plan(target: Target, facts: dict[str, Any], parts: Sequence[Table] | None) -> RolePlan:
    return plan_roles(
        facts,
        target.roles,
        superuser=target.superuser,
        may_create=target.may_create,
        major=target.major,
        only=None if parts is None else {name for each in parts for name in each["roles"]},
    )


@contextlib.contextmanager
def _connected(dsn: str) -> Iterator[Any]:
    """A connection to the target that keeps other restores away. Raises Transient, UsageError."""
    import psycopg  # noqa: PLC0415  only who restores into a server needs the driver

    from sre.sql.session import Session  # noqa: PLC0415

    with Session(dsn):
        pass  # its errors say whether we may come again
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            got = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
            if not got or not got[0]:
                raise Locked("another restore into that database is under way; wait for it")
            yield connection
    except psycopg.Error as error:
        raise Transient(f"the target: {redactor.mask(str(error).strip())}") from None
