"""`sre backup doctor`: what does a store really do?"""

from __future__ import annotations

import json

import click

from sre.cli.backup_parts import job_of, seconds_of
from sre.cli.options import Run, common_options

__all__ = ["doctor_command"]


@click.command("doctor")
@click.argument("store", metavar="STORE")
@click.option(
    "--timeout", default="60s", metavar="DURATION", show_default=True,
    help="It ends by then, cleaning up included; at least 10s.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Name the checks; contact nothing.")
@common_options
def doctor_command(store: str, timeout: str, dry_run: bool, run: Run) -> int:
    """Try everything that backups rely on in a store, in a scratch place of its own.

    Real backups are never touched. The result is remembered: what does not work is not used, and
    `sre check` says when it is old.

    Exit 0 when all that matters works, 3 when something is switched off (named), 1 when no backup
    is safe there, 4 when the store cannot be reached or did not answer in time, 5 when the
    credentials may not do what backups need.
    """
    from sre.backup.audit.doing import audited  # noqa: PLC0415  only when it runs
    from sre.backup.doctor.examine import check_names, examine  # noqa: PLC0415  only when it runs
    from sre.backup.doctor.judge import exit_code  # noqa: PLC0415
    from sre.backup.doctor.render import report_as_json, report_as_text  # noqa: PLC0415
    from sre.core.console import status  # noqa: PLC0415

    seconds = seconds_of("--timeout", timeout, 10, ": part of it is kept for cleaning up")
    job = job_of(run)
    if dry_run:
        names = check_names(job, store)
        would = f"try {len(names)} things in {store}: {', '.join(names)}"
        content = {"schema": "sre.dry-run/1", "would": would, "checks": names}
        run.emit(json.dumps(content, indent=2) if run.format == "json" else f"would {would}")
        return 0
    with status(f"examining {store}", enabled=run.progress) as say:
        count = 0

        def progress(name: str) -> None:
            nonlocal count
            count += 1
            say(f"examining {store}: {count}, {name}")

        with audited(job, store, "doctor", store):
            report = examine(job, store, seconds=seconds, progress=progress)
    run.emit(report_as_json(report) if run.format == "json" else report_as_text(report))
    return exit_code(report)
