"""`sre audit`: who changed what in the stores of backups, and is that record whole?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from sre.cli.backup_parts import job_of
from sre.cli.options import Run, common_options
from sre.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sre.backup.audit.record import Entry
    from sre.backup.records import Fault

__all__ = ["audit"]

_store = click.option("--store", metavar="NAME", help="One store of sre.yaml. Default: all.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def audit() -> None:
    """Read and check the hash-chained record of every change to backups."""


@audit.command("show")
@click.option(
    "--since", metavar="AGE|TIME", help="From then on: an age such as 7d, or 2026-11-22[T10:00]."
)
@_store
@common_options
def show_command(since: str | None, store: str | None, run: Run) -> int:
    """Show who did what, oldest first. Exit code 7 when something there is no record."""
    from sre.backup.audit.look import audit_stores, show_audit  # noqa: PLC0415  only when it runs
    from sre.backup.audit.render import records_as_json, records_as_text  # noqa: PLC0415

    job = job_of(run)
    start = 0.0 if since is None else _moment(since, job.clock.wall())
    found: dict[str, Sequence[tuple[str, Entry]]] = {}
    faults: list[Fault] = []
    for name in audit_stores(job, store):
        found[name], odd = show_audit(job, name, start)
        faults += odd
    run.emit(records_as_json(found) if run.format == "json" else records_as_text(found))
    for fault in faults:
        click.echo(f"sre: {fault.object}: {fault.problem}", err=True)
    return 7 if faults else 0


@audit.command("verify")
@_store
@common_options
def verify_command(store: str | None, run: Run) -> int:
    """Check the chain: gaps, altered or reordered records, a cut-off end, forged signatures.

    The end is compared with what this machine remembers and with the newest manifests. Exit code 7
    when anything is wrong; each fault is named.
    """
    from sre.backup.audit.look import audit_stores, verify_audit  # noqa: PLC0415
    from sre.backup.audit.render import looked_as_json, looked_as_text  # noqa: PLC0415

    job = job_of(run)
    found = [verify_audit(job, name) for name in audit_stores(job, store)]
    run.emit(looked_as_json(found) if run.format == "json" else looked_as_text(found))
    return 7 if any(each.checked.faults for each in found) else 0


def _moment(text: str, now: float) -> float:
    from sre.core.units import Duration  # noqa: PLC0415  only when it runs

    try:
        return now - float(Duration.parse(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since {text!r} is neither an age such as 7d nor a time such as 2026-11-22T10:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
