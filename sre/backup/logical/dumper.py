"""How does one database become one consistent tar? (the program of a child process)

    snapshot ─► pg_dump -Fc --snapshot ─► pieces ─► stdout: one tar, `complete.json` at its end

Nothing is written of the dump before pg_dump has all its locks and no table was emptied between the
snapshot and the lock (TRUNCATE does not heed snapshots: such a table would silently be empty).
Until then it starts anew, with a new snapshot.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg

from sre.backup.databases.pgdsn import options
from sre.backup.logical.facts import source_facts, table_facts
from sre.backup.logical.members import COMPLETE, PIECE, ROLES, SOURCE, TABLES, Members
from sre.backup.logical.patience import GivesWay
from sre.backup.programs import TEMPORARY, Tail
from sre.core.child import PIPE, Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError, Transient
from sre.core.process import run
from sre.core.secrets import redactor

__all__ = ["main"]

_TRIES = 6
_ROLE_SECONDS = 120.0
_END_SECONDS = 60.0
_STOP_SECONDS = 5.0
_EMPTIED = """select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'm')
    and c.relfilenode <> 0 and c.relpersistence <> 't'
    and pg_relation_filenode(c.oid) is distinct from c.relfilenode limit 1"""


@dataclass(frozen=True)
class _Wish:
    """What the parent asks for.

    Attributes:
        lock_wait: milliseconds that pg_dump may wait for a lock.
        give_way: seconds that others may wait for us; 0: for ever.
    """

    bin_dir: Path
    lock_wait: int
    give_way: float


class _Again(Exception):
    """Others were in the way before anything was written."""


def main(arguments: list[str]) -> int:
    """Write the tar to stdout; 0 when all of it is there, TEMPORARY when others were in the way."""
    wish = _Wish(Path(arguments[0]), int(arguments[1]), float(arguments[2]))
    _mask_password()
    try:
        _dump(wish, Members(sys.stdout.buffer))
    except (SreError, psycopg.Error) as error:
        said = redactor.mask(str(error).strip() or type(error).__name__)
        sys.stderr.write(" ".join(said.split()) + "\n")
        return TEMPORARY if isinstance(error, Transient) else 1
    return 0


def _mask_password() -> None:
    password = os.environ.get("PGPASSWORD", "")  # noqa: TID251  libpq's own variables
    if len(password) >= 6 and password not in (_env("PGUSER"), _env("PGDATABASE")):
        redactor.add(password)


def _env(name: str) -> str:
    return os.environ.get(name, "")  # noqa: TID251  libpq's own variables


def _dump(wish: _Wish, members: Members) -> None:
    with _connected() as watching:
        for left in reversed(range(_TRIES)):
            try:
                return _attempt(wish, members, watching)
            except _Again as error:
                if not left:
                    raise Transient(
                        f"{error}; {_TRIES} tries: run it again when the tables rest"
                    ) from None
    return None


def _attempt(wish: _Wish, members: Members, watching: Any) -> None:
    said, application = Tail(), f"sre-dump-{secrets.token_hex(6)}"
    with contextlib.ExitStack() as stack:
        snapshot = stack.enter_context(_connected())
        snapshot.execute("begin isolation level repeatable read, read only")
        name = snapshot.execute("select pg_export_snapshot()").fetchone()[0]
        facts, tables = source_facts(snapshot), table_facts(snapshot)
        argv = [
            str(wish.bin_dir / "pg_dump"), "-Fc", "-Z0", "-w", f"--snapshot={name}",
            f"--lock-wait-timeout={wish.lock_wait}",
        ]  # fmt: skip
        env = {"PGAPPNAME": application}
        program = stack.enter_context(
            Child(argv, env=env, stdout=PIPE, stderr=said, grace=_STOP_SECONDS)
        )
        watch = GivesWay(watching, application, wish.give_way, program.stop)
        stack.enter_context(watch)
        assert program.stdout is not None  # noqa: S101  made with PIPE
        first = program.stdout.read(PIECE)
        if not first:
            _failed_to_begin(program, watch, said, wish)
        emptied = snapshot.execute(_EMPTIED).fetchone()
        if emptied:
            raise _Again(f"the table {emptied[0]} was emptied or rewritten as the dump began")
        snapshot.close()
        _begin(wish, members, facts, tables)
        found = _copy(wish, members, first, program.stdout)
        _must_have_ended(program, watch, said, wish)
    members.add_json(COMPLETE, {**_brief(facts), **found})
    members.end()


@contextlib.contextmanager
def _connected() -> Iterator[Any]:
    """A connection by libpq's environment, with no timeouts that a role may have been given."""
    with contextlib.closing(psycopg.connect("", autocommit=True, connect_timeout=10)) as made:
        for name in ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"):
            made.execute(f"set {name} = 0")
        yield made


def _failed_to_begin(program: Child, watch: GivesWay, said: Tail, wish: _Wish) -> None:
    """Locks and tables that went away are worth another try, all else is not."""
    try:
        _must_have_ended(program, watch, said, wish)
    except CheckFailed as error:
        text = said.text()
        if "LOCK TABLE" in text or "does not exist" in text or "could not open relation" in text:
            raise _Again(str(error)) from None
        raise
    raise CheckFailed("pg_dump ended with exit code 0 and wrote nothing")


def _must_have_ended(program: Child, watch: GivesWay, said: Tail, wish: _Wish) -> None:
    code = program.wait(Deadline.after(_END_SECONDS))
    if watch.gave_way:
        raise Transient(
            f"others waited {wish.give_way:g} s for a lock that the dump held, so it gave way; "
            "run it when nothing alters or truncates tables, or raise give_way"
        )
    if code != 0:
        raise CheckFailed(f"pg_dump ended with exit code {code}: {said.text()}")


def _begin(
    wish: _Wish, members: Members, facts: dict[str, Any], tables: list[dict[str, Any]]
) -> None:
    members.add_json(SOURCE, facts)
    members.add(ROLES, _roles(wish, passwords=facts["passwords"]))
    members.add_json(TABLES, {"tables": tables})


def _roles(wish: _Wish, *, passwords: bool) -> bytes:
    """All roles of the server as a script, for restores by hand."""
    argv = [str(wish.bin_dir / "pg_dumpall"), "--roles-only", "-w"]
    argv += [] if passwords else ["--no-role-passwords"]
    argv += ["-l", psycopg.conninfo.make_conninfo("", dbname=_database())]
    done = run(argv, Deadline.after(_ROLE_SECONDS), limit=2**30)
    if not done.ok or done.truncated:
        raise CheckFailed(f"pg_dumpall --roles-only failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _database() -> str:
    return _env("PGDATABASE") or _env("PGUSER") or options("").get("user") or "postgres"


def _copy(wish: _Wish, members: Members, first: bytes, stdout: IO[bytes]) -> dict[str, Any]:
    """The dump in pieces; what it came to. Its table of contents is read back as it passes."""
    hashed, size, piece = hashlib.sha256(), 0, first
    with _Contents(wish.bin_dir) as contents:
        while piece:
            contents.feed(piece)
            hashed.update(piece)
            size += len(piece)
            members.add_piece(piece)
            piece = stdout.read(PIECE)
        entries = contents.entries()
    return {
        "bytes": size, "sha256": hashed.hexdigest(), "pieces": members.pieces, "entries": entries,
    }  # fmt: skip


class _Contents:
    """`pg_restore --list` on what passes by: a dump that it cannot read is none."""

    def __init__(self, bin_dir: Path) -> None:
        self._said, self._lines = Tail(), 0
        self._argv = [str(bin_dir / "pg_restore"), "--list", "-Fc"]
        self._child: Child | None = None

    def __enter__(self) -> _Contents:
        self._child = Child(
            self._argv, stdin=PIPE, stdout=self._count, stderr=self._said, grace=1.0
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.__exit__(None, None, None)

    def _count(self, line: str) -> None:
        self._lines += bool(line) and not line.startswith(";")

    def feed(self, piece: bytes) -> None:
        """Until it has read enough."""
        stdin = self._child.stdin if self._child else None
        if stdin is not None and not stdin.closed:
            try:
                stdin.write(piece)
                stdin.flush()
            except BrokenPipeError:
                with contextlib.suppress(BrokenPipeError):
                    stdin.close()

    def entries(self) -> int:
        """How many things are in the dump. Raises CheckFailed."""
        assert self._child is not None  # noqa: S101  entered
        if self._child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.close()
        code = self._child.wait(Deadline.after(_END_SECONDS))
        if code != 0:
            raise CheckFailed(f"pg_restore cannot read the dump (exit {code}): {self._said.text()}")
        return self._lines


def _brief(facts: dict[str, Any]) -> dict[str, Any]:
    """What a manifest may say: no roles, no hashes."""
    database = facts["database"]
    return {
        "database": database["name"], "oid": database["oid"], "system": facts["system"],
        "version": facts["version"], "at": facts["at"], "lsn": facts["lsn"],
        "passwords": facts["passwords"],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
