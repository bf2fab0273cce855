"""`sre loadtest accept`: which finished run do later ones have to stand beside?"""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import click

from sre.cli.loadtest_history import baselines_in, baselines_option
from sre.cli.options import Run, common_options
from sre.core.errors import Refused, UsageError

__all__ = ["accept_command"]

_SOUND_ALL_THE_SAME = {"not_comparable"}


@click.command("accept")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--reason", required=True, help="Why this run is good; kept with it.")
@click.option("--by", help="Who says so; default: the user who runs this.")
@click.option(
    "--anchor",
    is_flag=True,
    help="Make it the anchor: never pruned, and later runs are compared with it too.",
)
@click.option("--keep", type=click.IntRange(3, 1000), default=20, show_default=True)
@baselines_option
@common_options
def accept_command(
    folder: Path,
    *,
    reason: str,
    by: str | None,
    anchor: bool,
    keep: int,
    baselines: Path | None,
    run: Run,
) -> int:
    """Accept the finished run whose reports lie in FOLDER as a baseline of its load test.

    A run that failed, was aborted or cannot be trusted is refused (5). The newest --keep are kept,
    and the anchor: the first one accepted, until another is made it.
    """
    from sre.core.clock import SystemClock  # noqa: PLC0415
    from sre.loadtest.history.store import Baseline, read_record  # noqa: PLC0415

    if not reason.strip():
        raise UsageError("--reason must say why this run is good")
    record = read_record(folder)
    _check(folder, record.verdict, record.doubts)
    store = baselines_in(baselines, record.name)
    who = by or _user()
    new = Baseline(record, who, SystemClock().wall(), reason.strip(), anchor)
    gone = store.accept(new, keep=keep)
    left = store.all()
    data = {
        "schema": "sre.loadtest-accept/1",
        "name": record.name,
        "run_id": record.run_id,
        "path": str(store.path_of(record)),
        "by": who,
        "reason": new.reason,
        "anchor": any(each.anchor and each.record.run_id == record.run_id for each in left),
        "baselines": len(left),
        "removed": list(gone),
    }
    run.emit(json.dumps(data, indent=2) if run.format == "json" else _words(data))
    return 0


def _words(data: dict[str, Any]) -> str:
    also = "; it is the anchor" if data["anchor"] else ""
    count = data["baselines"]
    return (
        f"accepted run {data['run_id']} of {data['name']} as {data['path']}{also}; "
        f"{count} baseline{'s' * (count > 1)}"
    )


def _check(folder: Path, verdict: str, doubts: tuple[str, ...]) -> None:
    if verdict == "passed" or (verdict == "invalid" and set(doubts) <= _SOUND_ALL_THE_SAME):
        return
    why = f" ({', '.join(doubts)})" if verdict == "invalid" else ""
    cure = (
        "If it is meant to be slower now, move the old baselines away, run again and accept that"
        if verdict == "failed"
        else "run it again"
    )
    raise Refused(f"the run in {folder} {_WORDS.get(verdict, verdict)}{why}: no baseline. {cure}")


_WORDS = {"failed": "failed", "invalid": "was invalid", "aborted": "was aborted"}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user of that number
        return "unknown"
