"""`sre backup schedule`: files for whoever starts things at your place."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from sre.cli.backup_parts import job_of, would
from sre.cli.options import Run, common_options
from sre.core.errors import UsageError

__all__ = ["schedule_command"]


@click.command("schedule")
@click.argument("kind", type=click.Choice(["cron", "systemd", "kubernetes"]))
@click.argument("databases", nargs=-1, metavar="[DB…]")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Write the files there instead of printing them.",
)  # fmt: skip
@click.option("--program", metavar="PATH", help="Default: the sre that runs now.")
@click.option("--env-file", default="/etc/sre/backup.env", show_default=True, metavar="FILE")
@click.option("--state-dir", default="/var/lib/sre", show_default=True, metavar="DIR")
@click.option("--user", default="sre", show_default=True, help="Who runs the units of systemd.")
@click.option("--image", help="kubernetes: with sre and the server's programs.")
@click.option("--namespace", default="default", show_default=True, help="kubernetes.")
@click.option("--dry-run", is_flag=True, help="Say what would be written.")
@common_options
def schedule_command(
    kind: str, databases: tuple[str, ...], *, out: Path | None, dry_run: bool, run: Run, **said: Any
) -> int:
    """Print complete files that run what the tiers promise of these databases, or of all.

    Backups of each kind, verify --due, copy, prune --yes, doctor, and archive as a service. No
    secret stands in them: they name the file or the Secret that holds the environment.
    """
    from sre.backup.scheduling.tasks import tasks_of  # noqa: PLC0415  only when it runs

    job = job_of(run)
    chosen = [job.declared(name) for name in databases or sorted(job.backups.databases)]
    tasks = tasks_of(chosen)
    writes = tuple(
        str(Path(path).absolute())
        for each in chosen
        if (path := getattr(each.store, "path", None)) is not None
    )
    files = _files(kind, tasks, run, {**said, "writes": tuple(dict.fromkeys(writes))})
    if dry_run:
        would(run, f"write {', '.join(files)} to {out or 'standard output'}")
    elif out is not None:
        _write(out, files)
        run.emit(_listed(out, files, run))
    elif run.format == "json":
        run.emit(json.dumps({"schema": "sre.schedule/1", "kind": kind, "files": files}, indent=2))
    elif len(files) == 1:
        run.emit(next(iter(files.values())).rstrip("\n"))
    else:
        run.emit("\n".join(f"# ---- {name}\n{text}" for name, text in files.items()).rstrip("\n"))
    return 0


def _files(kind: str, tasks: Any, run: Run, said: dict[str, Any]) -> dict[str, str]:
    from sre.backup.scheduling.files import Host, crontab, units  # noqa: PLC0415
    from sre.backup.scheduling.kubernetes import Cluster, manifests_text  # noqa: PLC0415

    if kind == "kubernetes":
        if not said["image"]:
            raise UsageError("name the image with --image: sre and the server's programs in it")
        cluster = Cluster(said["image"], said["namespace"])
        return {"sre-backup.json": manifests_text(tasks, cluster)}
    host = Host(
        program=_program(said["program"]),
        config=str(run.config_path.absolute()),
        env_file=said["env_file"],
        state=said["state_dir"],
        user=said["user"],
        writes=said["writes"],
    )
    return {"sre-backup.crontab": crontab(tasks, host)} if kind == "cron" else units(tasks, host)


def _program(told: str | None) -> tuple[str, ...]:
    """An absolute path: schedulers have another PATH than you."""
    if told:
        return (str(Path(told).absolute()),)
    beside = Path(sys.executable).with_name("sre")
    found = str(beside) if beside.exists() else shutil.which("sre")
    return (found,) if found else (sys.executable, "-m", "sre")


def _write(out: Path, files: dict[str, str]) -> None:
    from sre.core.files import replace_file  # noqa: PLC0415

    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            replace_file(out / name, text.encode(), mode=0o644)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}") from error


def _listed(out: Path, files: dict[str, str], run: Run) -> str:
    if run.format == "json":
        content = {"schema": "sre.schedule/1", "written": [str(out / name) for name in files]}
        return json.dumps(content, indent=2)
    return "\n".join(f"wrote {out / name}" for name in files)
