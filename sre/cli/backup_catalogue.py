"""`sre backup catalogue`: the local index of what the stores hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sre.cli.backup_parts import bar, from_option, job_of, would
from sre.cli.options import Run, common_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sre.backup.rebuilding import Compared

__all__ = ["catalogue"]


@click.group("catalogue")
def catalogue() -> None:
    """The local index: a cache of what the stores hold, which may be removed at any time."""


@catalogue.command("check")
@click.argument("databases", nargs=-1, metavar="[DB…]")
@from_option
@common_options
def check_command(databases: tuple[str, ...], store: str | None, run: Run) -> int:
    """Read every manifest from the store and compare the index with it.

    Exit code 3 when a manifest in the store does not count, or the index holds what the store does
    not.
    """
    from sre.backup.rebuilding import check_index  # noqa: PLC0415  only when it runs

    with bar("reading the store", run) as start:
        found = check_index(job_of(run, store), databases, progress=start)
    _show(run, found)
    return 3 if any(each.faults or each.stale or each.foreign for each in found) else 0


@catalogue.command("rebuild")
@click.argument("databases", nargs=-1, metavar="[DB…]")
@click.option("--dry-run", is_flag=True, help="Say whose index would be made anew.")
@from_option
@common_options
def rebuild_command(databases: tuple[str, ...], dry_run: bool, store: str | None, run: Run) -> int:
    """Forget the index and make it anew from the store; what is damaged there is named.

    Exit code 3 when a manifest in the store does not count.
    """
    from sre.backup.rebuilding import rebuild_index  # noqa: PLC0415  only when it runs

    job = job_of(run, store)
    if dry_run:
        would(run, f"make the index anew of {', '.join(databases or job.backups.databases)}")
        return 0
    with bar("reading the store", run) as start:
        found = rebuild_index(job, databases, progress=start)
    _show(run, found)
    return 3 if any(each.faults for each in found) else 0


def _show(run: Run, found: Sequence[Compared]) -> None:
    if run.format == "json":
        content = [
            {
                "db": each.db, "store": each.store, "backups": each.backups,
                "verifications": each.verifications, "in_index": each.held,
                "stale": list(each.stale), "foreign": list(each.foreign),
                "problems": [{"object": f.object, "problem": f.problem} for f in each.faults],
            }
            for each in found
        ]  # fmt: skip
        run.emit(json.dumps({"schema": "sre.catalogue/1", "databases": content}, indent=2))
        return
    for each in found:
        run.emit(
            f"{each.db} in {each.store}: {each.backups} backups and {each.verifications} "
            f"verifications in the store, {each.held} manifests in the index"
        )
        for label, keys in (("stale in the index", each.stale), ("not ours", each.foreign)):
            for key in keys:
                run.emit(f"  {label}: {key}")
        for fault in each.faults:
            run.emit(f"  not counted: {fault.object}: {fault.problem}")
