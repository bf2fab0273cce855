"""Which runbooks are there, and which alerts does each answer?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import sre
from sre.core.errors import UsageError
from sre.runbook.model import Document, Runbook
from sre.runbook.parse import parse

__all__ = ["answering", "default_folder", "documents", "find", "locate"]


def default_folder() -> Path:
    """./runbooks, else those that came with the package."""
    own = Path("runbooks")
    if own.is_dir():
        return own
    package = Path(sre.__file__).resolve().parent
    candidates = (package / "runbooks", package.parent / "runbooks")
    return next((each for each in candidates if each.is_dir()), own)


def files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The Markdown files that `paths` name; of a folder all below it but README.md
    and what is hidden.

    Raises:
        UsageError: there is no such file or folder.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = (each for each in sorted(path.rglob("*.md")) if _is_meant(each, path))
            found.update(dict.fromkeys(inside))
        elif path.is_file():
            found[path] = None
        else:
            raise UsageError(f"{path}: no such file or folder; name a runbook or a folder of them")
    return tuple(found)


def _is_meant(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.name != "README.md" and not hidden


def documents(paths: Sequence[Path] = ()) -> tuple[Document, ...]:
    """Every file, read, broken ones too; the default folder's without `paths`."""
    return tuple(parse(path) for path in files(paths or (default_folder(),)))


def find(paths: Sequence[Path] = ()) -> dict[str, Runbook]:
    """The runbooks by id; each knows its `alerts`. Files that cannot be read as one are left out.

    Raises:
        UsageError: no such file or folder, or two runbooks have one id.
    """
    found: dict[str, Runbook] = {}
    for document in documents(paths):
        runbook = document.runbook()
        if runbook is None:
            continue
        if runbook.id in found:
            raise UsageError(f"{runbook.path} and {found[runbook.id].path} have the same id")
        found[runbook.id] = runbook
    return found


def answering(runbooks: Iterable[Runbook]) -> dict[str, tuple[str, ...]]:
    """Alert -> the ids of the runbooks that answer it."""
    found: dict[str, tuple[str, ...]] = {}
    for runbook in runbooks:
        for alert in runbook.alerts:
            found[alert] = (*found.get(alert, ()), runbook.id)
    return found


def locate(name: str, paths: Sequence[Path] = ()) -> Path:
    """The file that a user means by a path or by an id.

    Raises:
        UsageError: there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    folder = default_folder()
    known = {d.front.id: d.path for d in (documents(paths) if folder.is_dir() else ()) if d.front}
    if name in known:
        return known[name]
    some = ", ".join(sorted(known)) or "none"
    raise UsageError(f"there is no runbook {name!r}, neither a file nor an id; ids: {some}")
