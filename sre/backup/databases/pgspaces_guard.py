"""May a restored copy be started without touching what stands outside of its folder?

Two things lead PostgreSQL out of its folder: links in `pg_tblspc` (which `tablespace_map` makes
again), and the replay of a CREATE TABLESPACE, which is done at the very path of the source. On the
source's own machine both would write into the live server's files.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from sre.backup.databases.pgspaces import MAP, SPACES
from sre.backup.log.lsn import parse_lsn
from sre.backup.recovery.settings import LOG_FOLDER
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, UsageError
from sre.core.process import run

__all__ = ["Made", "has_spaces", "made_in", "must_stay_inside", "runs_of"]

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_CREATE = re.compile(
    r"^rmgr: Tablespace .* lsn: ([0-9A-F]+/[0-9A-F]+), .* desc: CREATE (\d+) \"(.+)\"$",
    re.MULTILINE,
)
_START = re.compile(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+)", re.MULTILINE)
_LIMIT = 2**24

Made = tuple[str, str]
"""A tablespace that the log makes: its oid, and where."""


def has_spaces(folder: Path) -> bool:
    """Whether tablespaces stand inside the data folder."""
    try:
        return any(each.is_dir() for each in (folder / SPACES).iterdir())
    except OSError:
        return False


def must_stay_inside(folder: Path, work: Path, programs: Path, deadline: Deadline) -> None:
    """Raises CheckFailed when a server started in `folder` would write outside of it."""
    if (folder / MAP).exists() and (folder / MAP).stat().st_size:  # an empty one leads nowhere
        raise CheckFailed(f"{MAP} leads to the tablespaces of the source: it is not started here")
    links = [each.name for each in _entries(folder / SPACES) if each.is_symlink()]
    if links:
        raise CheckFailed(f"{SPACES}/{links[0]} is a link out of the copy: it is not started here")
    for oid, path in made_in(folder, work, programs, deadline):
        raise CheckFailed(
            f"the log makes a tablespace ({oid}) at {path!r}, and its replay would write there; "
            "take a new full backup, which has it inside"
        )


def made_in(folder: Path, work: Path, programs: Path, deadline: Deadline) -> tuple[Made, ...]:
    """Tablespaces that a replay in `folder` would make, of the log in it.

    Raises CheckFailed when pg_waldump is not there or does not end in time.
    """
    segments = {
        each.name: each
        for place in ("pg_wal", LOG_FOLDER)
        for each in _entries(folder / place)
        if _SEGMENT.fullmatch(each.name)
    }
    if not segments:
        return ()
    here = work / "wal-to-look-at"
    here.mkdir(mode=0o700)
    try:
        for name, path in segments.items():
            (here / name).symlink_to(path.resolve())
        found = [
            each for ends in runs_of(segments) for each in _made(here, ends, programs, deadline)
        ]
    finally:
        shutil.rmtree(here)
    start = _start(folder)
    return tuple(dict.fromkeys((oid, path) for lsn, oid, path in found if lsn >= start))


def runs_of(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """First and last of each row of segments of one timeline with none missing. (pure)

    A row also ends where the second part of the number jumps: its width depends on the segments'
    size, and a row more costs nothing.
    """
    first = last = ""
    for name in sorted(names):
        if last and name[:16] == last[:16] and int(name[16:], 16) == int(last[16:], 16) + 1:
            last = name
            continue
        if first:
            yield first, last
        first = last = name
    if first:
        yield first, last


def _made(
    here: Path, ends: tuple[str, str], programs: Path, deadline: Deadline
) -> list[tuple[int, str, str]]:
    argv = [str(programs / "pg_waldump"), "-p", str(here), "-r", "Tablespace", *dict.fromkeys(ends)]
    try:
        done = run(argv, deadline, env={"LC_ALL": "C"}, cwd="/", limit=_LIMIT)
    except UsageError as error:
        raise CheckFailed(f"{error}; without it nobody knows what the log does") from error
    if done.timed_out or done.truncated or done.returncode < 0:
        raise CheckFailed("pg_waldump did not say in time whether the log makes tablespaces")
    said = done.stdout.decode("utf-8", "replace")
    return [(parse_lsn(each[1]), each[2], each[3]) for each in _CREATE.finditer(said)]


def _start(folder: Path) -> int:
    """From where the log is replayed; 0, all of it, when the folder does not say."""
    try:
        label = (folder / "backup_label").read_text("utf-8", errors="replace")
    except OSError:
        return 0
    match = _START.search(label)
    return parse_lsn(match[1]) if match else 0


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
