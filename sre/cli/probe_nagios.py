"""`sre probe nagios`: how does Nagios, or whatever speaks its protocol, run a probe?"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options, production_option
from sre.core.errors import SreError, UsageError

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["nagios"]

_UNKNOWN = 3
_MARGIN = 0.5
"""Seconds for writing the line and ending."""


class _Plugin(click.Command):
    """A wrong call is UNKNOWN to Nagios: the usual exit code 2 would mean CRITICAL."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as error:
            click.echo(f"SRE UNKNOWN - {' '.join(error.format_message().split())}")
            raise click.exceptions.Exit(_UNKNOWN) from error


@click.command(cls=_Plugin)
@click.argument("name")
@click.option(
    "--timeout",
    default="55s",
    show_default=True,
    help="End at the latest then; shorter than Nagios' own service_check_timeout (60 s).",
)
@production_option
@common_options
def nagios(name: str, timeout: str, production: bool, run: Run) -> int:
    """Run one probe and say what came of it as a Nagios plugin does.

    Exit codes are Nagios' own: 0 OK, 1 WARNING (degraded, refused), 2 CRITICAL (failed), 3 UNKNOWN
    (blocked, throttled, our own failure, a wrong configuration or name). One line with performance
    data: the run's time, each step of a journey, each number of the probe; then a line for each
    request.
    """
    from sre.core.secrets import redactor  # noqa: PLC0415  only when it runs
    from sre.probes.nagios import unknown  # noqa: PLC0415

    try:
        code, text = _checked(name, timeout, run, production=production)
    except SreError as error:
        code, text = _UNKNOWN, unknown(name, str(error))
    except Exception as error:  # noqa: BLE001  Nagios would show a stack as the shop's state
        what = f"internal error, a bug of ours: {type(error).__name__}: {error}"
        code, text = _UNKNOWN, unknown(name, what)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    click.echo(redactor.mask(text))
    return code


def _checked(name: str, timeout: str, run: Run, *, production: bool) -> tuple[int, str]:
    from sre.cli.probe_plan import plan_of  # noqa: PLC0415  only when it runs
    from sre.core.units import Duration, format_duration  # noqa: PLC0415
    from sre.probes.nagios import as_nagios  # noqa: PLC0415
    from sre.probes.runner import GRACE, run_once  # noqa: PLC0415

    began = time.monotonic()
    limit = _duration(timeout)
    _end_at(limit, name)
    plan = plan_of(run.settings())
    (check,) = plan.select([name])
    if not production:
        plan.refuse_orders([check])
    longest = limit - (time.monotonic() - began) - GRACE - _MARGIN
    if check.timeout > longest and check.journey is not None:
        need = Duration(check.timeout + GRACE + 2.0)
        raise UsageError(
            f"the journey may take {format_duration(need)} with its cleanup, --timeout is "
            f"{timeout}; raise both it and Nagios' service_check_timeout. Nothing was sent"
        )
    check = replace(check, timeout=max(0.2, min(check.timeout, longest)))
    (result,) = run_once([check], plan)
    return as_nagios(result, check, min(plan.edges.get(check.name, ()), default=None))


def _duration(timeout: str) -> float:
    """`55s` or, as other plugins take it, `55`. Raises UsageError."""
    from sre.core.units import Duration  # noqa: PLC0415

    try:
        seconds = float(Duration.parse(f"{timeout}s" if timeout.isdecimal() else timeout))
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from error
    if seconds < 3:
        raise UsageError("--timeout must be at least 3s")
    return seconds


def _end_at(seconds: float, name: str) -> None:
    """Whatever hangs, there is a line in time. Processes that a probe started end with us."""
    from sre.probes.nagios import unknown  # noqa: PLC0415

    line = unknown(name, f"no result within {seconds:g} s") + "\n"

    def late(_number: int, _frame: FrameType | None) -> None:
        os.write(sys.stdout.fileno(), line.encode())
        os._exit(_UNKNOWN)

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
