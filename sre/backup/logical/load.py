"""How does a dump get into a database: all of it, or nothing?

    our SQL, pg_restore, our SQL, … ─► one pipe ─► psql: BEGIN … COMMIT

`COMMIT` is written last, once every pg_restore has ended with 0. Whatever dies before it, we among
them, closes the pipe or the connection, and the server rolls everything back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sre.backup.programs import Tail
from sre.core.child import Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, Refused
from sre.core.process import run

__all__ = ["Script", "contents", "load"]

_FOREVER = 20 * 86_400.0  # what poll() takes in milliseconds ends at 24 days
_LIST_SECONDS = 600.0
_OURS = """
set client_encoding = 'UTF8';
set standard_conforming_strings = on;
set statement_timeout = 0;
set lock_timeout = 0;
set idle_in_transaction_session_timeout = 0;
"""


@dataclass(frozen=True)
class Script:
    """What is loaded, in one transaction.

    Attributes:
        dump: a file that `pg_dump -Fc` wrote.
        programs: the folder of psql and pg_restore of the target's version.
        before: statements first of all, such as roles.
        between: statements between the data and what is built over it (indexes, keys, triggers).
        after: statements at the end.
        listing: entries of the table of contents, for a part of the dump.
        options: more of pg_restore's.
        analyze: gather statistics once it is committed.
    """

    dump: Path
    programs: Path
    before: Sequence[str] = ()
    between: Sequence[str] = ()
    after: Sequence[str] = ()
    listing: Path | None = None
    options: Sequence[str] = ()
    analyze: bool = False


def contents(dump: Path, programs: Path) -> tuple[str, ...]:
    """The lines of `pg_restore --list`. Raises CheckFailed."""
    argv = [str(programs / "pg_restore"), "--list", str(dump)]
    done = run(argv, Deadline.after(_LIST_SECONDS), env={"LC_ALL": "C"}, limit=2**30)
    if not done.ok:
        raise CheckFailed(f"pg_restore cannot read the dump: {done.stderr.strip()[-300:]}")
    return tuple(done.stdout.decode("utf-8", "surrogateescape").splitlines())


def load(script: Script, env: Mapping[str, str]) -> None:
    """Run it against the database that `env` (libpq's variables) names.

    Raises:
        CheckFailed: the server or pg_restore refused; nothing of it stays.
        Refused: the server has too few locks for one transaction of so many tables.
    """
    said = Tail()
    argv = [str(script.programs / "psql"), "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    read, write = os.pipe()
    with contextlib.ExitStack() as stack:
        pipe = stack.enter_context(os.fdopen(write, "wb", buffering=0))
        try:
            psql = stack.enter_context(
                Child(argv, env={**env, "LC_ALL": "C"}, stdin=read, stderr=said, grace=1.0)
            )
        finally:
            os.close(read)
        try:
            for part in _parts(script):
                if isinstance(part, str):
                    _write(pipe.fileno(), part)
                else:
                    _restore(part, pipe.fileno(), said)
        except (BrokenPipeError, CheckFailed) as error:
            code = psql.wait(Deadline.after(5.0))  # it closed the pipe: its words say why
            raise _failed(code, said, str(error)) from None
        pipe.close()
        code = psql.wait(Deadline.after(_FOREVER))
        if code != 0:
            raise _failed(code, said, "")


def _parts(script: Script) -> Iterator[str | list[str]]:
    """Text for psql, or the argument list of a program whose output is text for psql."""
    base = [str(script.programs / "pg_restore"), "-f", "-", "--exit-on-error", *script.options]
    base += ["-L", str(script.listing)] if script.listing else []
    yield "\\set VERBOSITY terse\nbegin;\n" + _block(script.before) + "\\set VERBOSITY default\n"
    if script.between:
        yield [*base, "--section=pre-data", "--section=data", str(script.dump)]
        yield _block(script.between)
        yield [*base, "--section=post-data", str(script.dump)]
    else:
        yield [*base, str(script.dump)]
    yield _block(script.after) + "commit;\n"
    if script.analyze:
        yield "\\set ON_ERROR_STOP off\nset statement_timeout = 0;\nanalyze;\n"


def _block(statements: Sequence[str]) -> str:
    return _OURS + "".join(f"{each}\n" for each in statements)


def _write(descriptor: int, text: str) -> None:
    data = memoryview(text.encode())
    while data:
        data = data[os.write(descriptor, data) :]


def _restore(argv: list[str], write: int, said: Tail) -> None:
    with Child(argv, env={"LC_ALL": "C"}, stdout=write, stderr=said, grace=1.0) as program:
        code = program.wait(Deadline.after(_FOREVER))
    if code != 0:
        raise CheckFailed(f"pg_restore ended with exit code {code}")


def _failed(code: int | None, said: Tail, first: str) -> CheckFailed | Refused:
    text = said.text()
    if "max_locks_per_transaction" in text:
        return Refused(
            "the target has too few locks for one transaction of so many tables; raise its "
            "max_locks_per_transaction and restart it; nothing was changed there"
        )
    how = f"psql ended with exit code {code}" if code else first or "psql ended early"
    return CheckFailed(f"the load failed and left nothing behind ({how}): {text}")
