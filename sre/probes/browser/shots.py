"""Where does the picture of a failed page go, and how many are kept?"""

from __future__ import annotations

import contextlib
import datetime
import re
from pathlib import Path
from urllib.parse import urlsplit

from sre.core.files import replace_file

__all__ = ["keep_picture", "slug"]


def slug(url: str) -> str:
    """A file name's part from host and path; never the query, which may carry anything."""
    parts = urlsplit(url)
    text = re.sub(r"[^a-z0-9.]+", "-", f"{parts.hostname or ''}{parts.path}".lower())
    return text.strip("-.")[:60] or "page"


def keep_picture(folder: Path, url: str, png: bytes, keep: int, now: float) -> Path:
    """Write the picture, readable by its owner alone; of this page, the `keep` newest stay.

    Raises:
        OSError: the folder cannot be written.
    """
    name = slug(url)
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    path = folder / f"{name}_{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z.png"
    replace_file(path, png)
    mine = sorted(one for one in folder.glob("*.png") if one.name.rpartition("_")[0] == name)
    for old in mine[: max(0, len(mine) - keep)]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path
