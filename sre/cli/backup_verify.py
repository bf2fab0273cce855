"""`sre backup verify`: would this backup save us?"""

from __future__ import annotations

from pathlib import Path

import click

from sre.cli.backup_parts import bar, job_of, metrics_file_option, write_metrics_file
from sre.cli.options import Run, common_options

__all__ = ["verify_command"]


@click.command("verify")
@click.argument("target", metavar="DB|ID")
@click.option(
    "--level",
    type=click.Choice(["0", "1", "3"]),
    help="0 signature and sizes; 1 every byte; 3 a restored server. Default: the tier's, else 1.",
)
@metrics_file_option
@common_options
def verify_command(target: str, level: str | None, metrics_file: Path | None, run: Run) -> int:
    """Verify a database's newest backup, or one by its id.

    Exit code 7 for damage, forgery, or a key that is wrong or missing; 1 when every byte is genuine
    but the restored server does not start or an invariant fails.
    """
    from sre.backup.render import verification_as_json, verification_as_text  # noqa: PLC0415
    from sre.backup.verifying.verify import default_level, verify  # noqa: PLC0415  only when it runs

    job = job_of(run)
    chosen = default_level(job, target) if level is None else int(level)
    with bar(f"verifying {target} at level {chosen}", run) as start:
        found = verify(job, target, chosen, progress=lambda chain: start(chain.read_bytes))
    write_metrics_file(metrics_file, job)
    run.emit(verification_as_json(found) if run.format == "json" else verification_as_text(found))
    return found.exit_code
