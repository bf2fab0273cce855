"""`sre backup keys`: the keys that encrypt and sign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sre.cli.backup_parts import would
from sre.cli.options import Run, common_options

__all__ = ["keys"]


@click.group("keys")
def keys() -> None:
    """The keys that encrypt and sign."""


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


def _for_the_file(recipient: str, trusted: str, folder: Path) -> str:
    return f"""\
keys:
  recipients: [{recipient}]
  trusted: ["{trusted}"]
  signing: "${{file:{folder}/signing}}"     # on backup hosts
  identity: "${{file:{folder}/identity}}"   # on hosts that verify and restore
# Keep a copy of {folder}/identity away from here: without it no backup opens."""
