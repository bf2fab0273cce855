"""Where do the tablespaces of a restored server stand?

Inside its folder, unless somebody says where else. Then each is moved there last of all, when the
copy is complete and replayed: nothing that is restored is ever written through a link.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sre.backup.manifest import Manifest
from sre.backup.restoring.landing import beside, give, land, must_be_free
from sre.core.errors import Refused, UsageError

__all__ = ["moved", "parse_spaces", "spaces_free"]

_SPACES = "pg_tblspc"


def parse_spaces(texts: Sequence[str]) -> dict[str, Path]:
    """`OID=DIR` or `OLD=DIR`, each as it was said. Raises UsageError."""
    found: dict[str, Path] = {}
    for text in texts:
        old, mark, new = text.rpartition("=")
        if not mark or not old or not new.startswith("/"):
            raise UsageError(
                f"--tablespace-map {text!r}: write OID=DIR or OLD=DIR, with the whole path of DIR"
            )
        if old in found or Path(new) in found.values():
            raise UsageError(f"--tablespace-map {text!r}: it is said twice")
        found[old] = Path(os.path.normpath(new))
    return found


def spaces_free(spaces: Mapping[str, Path], folder: Path) -> None:
    """Before anything is written: every place is a new one, apart from the rest. Raises Refused."""
    places = [folder, *spaces.values()]
    for number, place in enumerate(places):
        if number:
            must_be_free(place)
        for other in places[:number]:
            one, two = place.resolve(), other.resolve()
            if one == two or one in two.parents or two in one.parents:
                raise Refused(f"{place} and {other} stand one in the other; name folders apart")


@contextlib.contextmanager
def moved(
    draft: Path, spaces: Mapping[str, Path], manifest: Manifest, owner: int | None
) -> Iterator[None]:
    """The tablespaces of a finished draft at their places, linked; inside, give it its name.

    When that fails they are gone again. Raises Refused (no such tablespace, something is there, too
    little space).
    """
    by_oid = _by_oid(draft, spaces, manifest)
    landed: list[Path] = []
    try:
        for oid, place in by_oid.items():
            _move(draft / _SPACES / oid, place, owner)
            landed.append(place)
            shutil.rmtree(draft / _SPACES / oid)
            link = draft / _SPACES / oid
            link.symlink_to(place)
            if owner is not None:
                os.chown(link, owner, -1, follow_symlinks=False)
        yield
    except BaseException:
        for place in landed:
            shutil.rmtree(place, ignore_errors=True)
        raise


def _by_oid(draft: Path, spaces: Mapping[str, Path], manifest: Manifest) -> dict[str, Path]:
    if not spaces:
        return {}
    there = {each.name for each in (draft / _SPACES).glob("*") if each.is_dir()}
    told = {str(path): str(oid) for oid, path in manifest.dump.get("tablespaces", {}).items()}
    found: dict[str, Path] = {}
    for old, new in spaces.items():
        oid = told.get(old, old)
        if oid not in there:
            names = (f"{each} ({_place(each, told)})" for each in sorted(there))
            raise Refused(
                f"the backup has no tablespace {old!r}; it has: {', '.join(names) or 'none'}"
            )
        if oid in found:
            raise Refused(f"tablespace {oid} is named twice, as {old!r} too")
        found[oid] = new
    return found


def _place(oid: str, told: Mapping[str, str]) -> str:
    return next((path for path, each in told.items() if each == oid), "its place is not known")


def _move(source: Path, place: Path, owner: int | None) -> None:
    """A copy that is complete before it has its name; on another disk, as a rule."""
    size = sum(each.stat().st_size for each in source.rglob("*") if each.is_file())
    with beside(place, size) as box:
        shutil.copytree(source, box / "space", symlinks=True)
        (box / "space").chmod(0o700)
        if owner is not None:
            give(box / "space", owner)
        land(box / "space", place)
