"""`sre backup keys`: the keys that encrypt and sign, and who opens what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sre.cli.backup_keys_change import rewrap_command, shred_command
from sre.cli.backup_parts import bar, job_of, would
from sre.cli.options import Run, common_options
from sre.core.errors import UsageError

__all__ = ["keys"]

_everywhere = click.option(
    "--everywhere", is_flag=True, help="Also in the stores that the tier's `copies` name."
)


@click.group("keys")
def keys() -> None:
    """The keys that encrypt and sign."""


keys.add_command(rewrap_command)
keys.add_command(shred_command)


@keys.command("new")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Where the four files go; none of them may exist.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say which files would be made.")
@common_options
def keys_new_command(out: Path, dry_run: bool, run: Run) -> int:
    """Make a key pair that encrypts and one that signs, and say what goes into sre.yaml."""
    from sre.backup.keys import new_keys  # noqa: PLC0415  only when it runs

    if dry_run:
        would(run, f"make {out}/identity, identity.pub, signing and signing.pub")
        return 0
    made = new_keys(out)
    if run.format == "json":
        files = {name: str(out / name) for name in ("identity", "signing")}
        content: dict[str, Any] = {"recipient": made.recipient, "trusted": made.trusted, **files}
        run.emit(json.dumps({"schema": "sre.keys/1", **content}, indent=2))
    else:
        run.emit(_for_the_file(made.recipient, made.trusted, out.absolute()))
    return 0


@keys.command("list")
@click.argument("targets", nargs=-1, metavar="[DB|ID…]")
@_everywhere
@common_options
def keys_list_command(targets: tuple[str, ...], everywhere: bool, run: Run) -> int:
    """Show which recipients open how many backups; reads signed records, opens nothing.

    Exit code 3 when a key is gone, or a manifest or a record does not count.
    """
    from sre.backup.keyring.render import openers_as_json, openers_as_text  # noqa: PLC0415
    from sre.backup.keyring.survey import openers, publish_openers  # noqa: PLC0415  when it runs

    job = job_of(run)
    found = openers(job, targets, everywhere=everywhere)
    for each in found if not targets else ():
        if each.store == job.declared(each.db).store_name:
            publish_openers(job, each)
    run.emit(openers_as_json(found) if run.format == "json" else openers_as_text(found))
    return 3 if any(each.faults for each in found) else 0


@keys.command("check")
@click.argument("targets", nargs=-1, metavar="[DB|ID…]")
@click.option(
    "--identity", type=click.Path(path_type=Path), metavar="FILE",
    help="Another identity than keys.identity, such as the one from the safe.",
)  # fmt: skip
@click.option(
    "--newest", type=click.IntRange(min=1), metavar="N",
    help="Only the newest N backups of each database; default: all of them.",
)  # fmt: skip
@_everywhere
@common_options
def keys_check_command(
    targets: tuple[str, ...], identity: Path | None, newest: int | None, everywhere: bool, run: Run
) -> int:
    """Open the backups' keys with an identity, for real: would it save us?

    Exit code 7 when one of them does not open.
    """
    import dataclasses  # noqa: PLC0415  only when it runs

    from sre.backup.keyring.render import tried_as_json, tried_as_text  # noqa: PLC0415
    from sre.backup.keyring.survey import try_keys  # noqa: PLC0415
    from sre.core.secrets import Secret  # noqa: PLC0415

    job = job_of(run)
    used = job.backups.keys
    if identity is not None:
        used = dataclasses.replace(used, identity=Secret.from_file(identity))
    with bar("opening keys", run) as start:
        found = try_keys(job, used, targets, newest=newest, everywhere=everywhere, progress=start)
    if not found.opened and not found.closed:
        raise UsageError("there is no key to try; make a backup first: sre backup run DB")
    run.emit(tried_as_json(found) if run.format == "json" else tried_as_text(found))
    return 7 if found.closed else 0


@keys.command("export")
@click.argument("id", metavar="ID")
@click.option(
    "--to", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A new tar, readable by its owner alone; never overwritten.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what it would hold.")
@common_options
def keys_export_command(id: str, to: Path, dry_run: bool, run: Run) -> int:  # noqa: A002
    """Write what opens a backup, besides an identity and its volumes, to a file for a safe."""
    from sre.backup.keyring.bundle import export, plan_export  # noqa: PLC0415  only when it runs
    from sre.backup.keyring.render import bundle_as_json, bundle_as_text  # noqa: PLC0415

    job = job_of(run)
    if dry_run:
        made, files = plan_export(job, id, to)
        would(run, f"write {', '.join(sorted(files))} of {made.id} to {to}")
        return 0
    made = export(job, id, to)
    run.emit(bundle_as_json(made) if run.format == "json" else bundle_as_text(made))
    return 0


def _for_the_file(recipient: str, trusted: str, folder: Path) -> str:
    return f"""\
keys:
  recipients: [{recipient}]
  trusted: ["{trusted}"]
  signing: "${{file:{folder}/signing}}"     # on backup hosts
  identity: "${{file:{folder}/identity}}"   # on hosts that verify and restore
# Keep a copy of {folder}/identity away from here: without it no backup opens."""
