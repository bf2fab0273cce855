"""Where does a restored server run for a while, and what clears up after a kill?"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sre.core.errors import Locked
from sre.core.lock import exclusive

__all__ = ["scratch"]

_SCRATCH = "sre-verify-"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for a scratch server, enterable by its user; those of killed runs go first."""
    base = _base()
    for stale in base.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(Locked, OSError), exclusive(stale / "lock"):
            shutil.rmtree(stale, ignore_errors=True)
    work = base / f"{_SCRATCH}{secrets.token_hex(4)}"
    work.mkdir(mode=0o711)
    work.chmod(0o711 if os.geteuid() == 0 else 0o700)
    try:
        with exclusive(work / "lock", "verification"):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _base() -> Path:
    """The temporary folder; as root, one that the scratch server's user can enter too."""
    chosen = Path(tempfile.gettempdir()).resolve()
    for folder in (chosen, Path("/tmp"), Path("/var/tmp")) if os.geteuid() == 0 else ():  # noqa: S108
        if all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents)):
            return folder
    return chosen
