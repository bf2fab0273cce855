"""Where do the rules get what they look at? The only room here that reads files and stores."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sre.backup.doctor.known import examined_of
from sre.backup.doctor.known import fact_name as store_fact
from sre.backup.job import Job
from sre.backup.model import Backups
from sre.chain.evidence import Memory, backups_known
from sre.chain.fresh import fresh_backups, wanted_level
from sre.chain.model import Finding, Library, Locate, World
from sre.chain.probed import probed, used_stores
from sre.chain.rehearsed import Past, linked, past_of, rehearsed
from sre.core.config import Node, Position, read_tree
from sre.core.errors import SreError
from sre.runbook.library import default_folder, documents
from sre.runbook.lint import lint_all
from sre.runbook.publish import fact_name
from sre.settings import Settings
from sre.slo.promise import Promise

__all__ = ["fresh", "gather", "library_folder", "locator"]


def gather(
    settings: Settings, promises: Iterable[Promise], commands: frozenset[str] | None = None
) -> World:
    """Everything that `links` looks at; reads the declaration and the runbooks, nothing else.

    Args:
        commands: the `sre` commands that runbooks may call.
    """
    library = _library(settings.path, commands)
    return World(settings, tuple(promises), library, locator(settings.path))


def fresh(world: World, job: Job | None = None) -> tuple[tuple[Finding, ...], tuple[SreError, ...]]:
    """What is stale, from facts and stores; and for what nobody gave an answer.

    The second are the stores' own errors, those of databases of which this machine knows nothing.
    """
    settings = world.settings
    job = job or Job(Backups(settings.stores, settings.tiers, settings.keys, settings.databases))
    now, memory = job.clock.wall(), Memory(job.facts)
    found: list[Finding] = []
    silent: list[SreError] = []
    for declared in settings.databases.values():
        known = backups_known(job, memory, declared, wanted_level(declared))
        found += fresh_backups(world, declared, known, now)
        if known.trouble is not None and not known.answered:
            silent.append(known.trouble)
    for name in used_stores(world):
        found += probed(world, name, memory.read(store_fact(name), examined_of, None), now)
    for runbook in linked(world):
        past = memory.read(fact_name(runbook.id), past_of, Past())
        found += rehearsed(world, runbook, past, now)
    for message in memory.damaged.values():
        what, _, cure = message.partition("; ")
        found.append(world.find("fact-damaged", (), what, cure))
    return tuple(sorted(set(found))), tuple(silent)


def locator(path: Path) -> Locate:
    """Where things stand in the declaration and the files that it includes."""
    root = read_tree(path)

    def locate(steps: tuple[str | int, ...]) -> Position:
        at: Position = root.position
        node: Node | None = root
        for step in steps:
            inner = node.at(step) if node is not None else None
            if node is None or inner is None:
                break
            at = node.key(step) if isinstance(step, str) else inner.position
            node = inner
        return at

    return locate


def library_folder(config: Path) -> tuple[Path, bool]:
    """The runbooks of a declaration, and whether they are the user's own.

    The first folder `runbooks` beside the file or above it, up to the root of its repository;
    else ./runbooks; else those that came with the package.
    """
    beside = config.resolve().parent
    for folder in (beside, *beside.parents):
        if (folder / "runbooks").is_dir():
            return _short(folder / "runbooks"), True
        if (folder / ".git").exists():
            break
    default = default_folder()
    if default.is_dir():
        return default, default == Path("runbooks")
    return _short(beside / "runbooks"), True


def _library(config: Path, commands: frozenset[str] | None) -> Library:
    folder, own = library_folder(config)
    found = documents((folder,)) if folder.is_dir() else ()
    faults = lint_all(found, commands, _text_of)
    home = folder if own else _short(config.resolve().parent / "runbooks")
    return Library(folder, home, own, found, faults, _shipped(folder))


def _shipped(folder: Path) -> dict[str, Path]:
    came = default_folder()
    if not came.is_dir() or came.resolve() == folder.resolve():
        return {}
    return {path.stem: path for path in came.glob("*.md") if path.name != "README.md"}


def _short(path: Path) -> Path:
    """As people would name it from here."""
    short = Path(os.path.relpath(path))
    return path if str(short).startswith("../..") else short


def _text_of(path: Path) -> str | None:
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    return "" if path.exists() else None
