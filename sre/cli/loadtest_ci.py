"""What does a CI service show of a load test by itself?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sre.loadtest.judge.report import Report

__all__ = ["tell_ci"]


def tell_ci(report: Report) -> None:
    """The summary of GitHub's step, and annotations; nothing where nobody reads them.

    All of it goes to stderr: stdout has the results, and GitHub reads both.
    """
    from sre.core.ci import add_to_step_summary, in_github_actions  # noqa: PLC0415
    from sre.core.secrets import redactor  # noqa: PLC0415
    from sre.loadtest.output.github import markdown, workflow_commands  # noqa: PLC0415

    wrong = add_to_step_summary(redactor.mask(markdown(report)))
    if wrong:
        click.echo(f"sre: {wrong}", err=True)
    if in_github_actions():
        for command in workflow_commands(report):
            click.echo(redactor.mask(command), err=True)
