"""`sre loadtest compare`: is B worse than A?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from sre.cli.loadtest_history import ignore_host_option
from sre.cli.options import Run, common_options
from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.loadtest.history.comparison import Rule

__all__ = ["compare_command"]

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("compare")
@click.argument("before", metavar="A", type=_FOLDER)
@click.argument("now", metavar="B", type=_FOLDER)
@click.option(
    "--worse-than",
    default="5%",
    show_default=True,
    help="A metric that is worse by less is let pass.",
)
@click.option("--at-least", default="5ms", show_default=True, help="So is a latency that is.")
@click.option("--confidence", default="95%", show_default=True)
@click.option("--metric", "metrics", multiple=True, help="Only this one; may be repeated.")
@click.option(
    "--paired",
    "pairing",
    flag_value="paired",
    help="Runs of the same seed belong together; the default where the seeds agree.",
)
@click.option("--unpaired", "pairing", flag_value="unpaired", help="Each run stands for itself.")
@ignore_host_option
@common_options
def compare_command(
    *,
    before: Path,
    now: Path,
    metrics: tuple[str, ...],
    pairing: Literal["paired", "unpaired"] | None,
    ignore_host: bool,
    run: Run,
    **limits: str,
) -> int:
    """Compare the runs in A (before) with those in B (now).

    Each is a folder of reports, a folder of such folders, or a folder of baselines. Several runs
    on both sides are compared by a t-interval of the ratio, in pairs where the seeds agree; one run
    against five or more by the prediction bound; one against one is shown and never fails. Ends
    with 0 (no regression), 1 (regression) or 3 (cannot be compared, or nobody can tell).
    """
    from sre.core.console import table  # noqa: PLC0415
    from sre.loadtest.history.render import sets_data, sets_text  # noqa: PLC0415
    from sre.loadtest.history.sets import compared_sets, load  # noqa: PLC0415

    rule = _rule(**limits)
    try:
        sets = compared_sets(
            load(before),
            load(now),
            rule,
            metrics=metrics,
            pairing=pairing,
            ignore_host=ignore_host,
        )
    except ValueError as error:  # of a metric's text
        raise UsageError(str(error)) from error
    run.emit(
        json.dumps(sets_data(sets), indent=2) if run.format == "json" else sets_text(sets, table)
    )
    return sets.exit_code


def _rule(*, worse_than: str, at_least: str, confidence: str) -> Rule:
    from sre.core.units import Duration, Share  # noqa: PLC0415
    from sre.loadtest.history.comparison import Rule  # noqa: PLC0415
    from sre.loadtest.history.model import Regression  # noqa: PLC0415

    try:
        declared = Regression(
            "any.failed",
            Share.parse(worse_than),
            confidence=Share.parse(confidence),
            at_least=Duration.parse(at_least),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Rule(float(declared.worse_than), float(declared.at_least), declared.alpha)
