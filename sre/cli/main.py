"""Which command was meant, and with which exit code does the process end?

Only click is imported here; a command's own module is loaded when the command is used.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any

import click

from sre.core.errors import Interrupted, SreError, Terminated, Transient

__all__ = ["EXIT_CODES", "LazyGroup", "cli", "main"]

_OBJECTS = 50_000
"""So many new ones before garbage is looked for: what starting makes is none, and looking for it
at each 700, as Python does, takes a fifth of the start."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})

EXIT_CODES = """\b
Exit codes:
  0    done, and good
  1    the thing checked is bad: probe failed, gate failed, lint found errors
  2    usage or configuration error
  3    done but degraded, or a measurement that must not be trusted
  4    temporary trouble, retries spent (unreachable, throttled)
  5    refused: unsafe (guard, allow-list, missing approval)
  6    locked: another run holds it
  7    integrity or key: corrupt, forged, wrong or missing key
  8    outcome unknown, incomplete, or aborted: look before you act
  70   internal error (a bug of ours)
  130  interrupted; 143 terminated (cleaned up)
"""

COMMANDS = {
    "audit": ("sre.cli.audit:audit", "Who changed what in the stores of backups; is it whole?"),
    "backup": ("sre.cli.backup:backup", "Take, list, verify and restore encrypted backups."),
    "check": ("sre.cli.check:check", "Is the declaration whole? (configuration, links, freshness)"),
    "config": ("sre.cli.config:config", "JSON Schema of sre.yaml for editors."),
    "dashboards": ("sre.cli.dashboards:dashboards", "Grafana dashboards from the declaration."),
    "demo": ("sre.cli.demo:demo", "A shop, its probes, a load gate and a fault, on this machine."),
    "failover": ("sre.cli.failover:failover", "Change a cluster's primary, and lose nothing."),
    "ledger": ("sre.cli.ledger:ledger", "Numbered writes, read back: what did a failover lose?"),
    "loadtest": ("sre.cli.loadtest:loadtest", "Release gate: open-model load from journeys."),
    "probe": ("sre.cli.probe:probe", "Watch the shop: run probes once, or serve metrics."),
    "runbook": ("sre.cli.runbook:runbook", "Lint, show, run, rehearse and resume runbooks."),
    "slo": ("sre.cli.slo:slo", "Objectives: rules, alerts, error budgets."),
    "traffic": ("sre.cli.traffic:traffic", "Who gets the traffic: look, drain, open, repoint."),
}


class LazyGroup(click.Group):
    """A group whose commands stand in a table of strings and load when they are used."""

    def __init__(self, *args: Any, table: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._table, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self._table[name][1]) for name in sorted(self._table)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="sre", prog_name="sre")
def cli() -> None:
    """Watch, stress, back up, fail over and rehearse an online shop from one sre.yaml."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated("terminated by SIGTERM; cleaned up")


def _hang_up(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated("the terminal went away (SIGHUP); cleaned up")


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end the process with the documented exit code."""
    gc.set_threshold(_OBJECTS, 10, 10)
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: it is meant to go on
        signal.signal(signal.SIGHUP, _hang_up)
    # A script's background job starts with SIGINT ignored; whoever sends one to us means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with _somewhere_to_write():
        code = run(argv)
        gc.freeze()  # what is left goes with the process: nobody needs to look for garbage in it
        sys.exit(code)


@contextmanager
def _somewhere_to_write() -> Iterator[None]:
    """Streams that the caller closed (`>&-`) lead nowhere, instead of being none at all."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  a device
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
        yield


def run(argv: list[str] | None = None) -> int:
    """The command line as a function: arguments in, exit code out."""
    try:
        code = cli.main(args=argv, prog_name="sre", standalone_mode=False)
    except click.exceptions.Abort:
        return _say(Interrupted("interrupted; cleaned up"))
    except KeyboardInterrupt:
        return _say(Interrupted("interrupted; cleaned up"))
    except click.ClickException as error:
        error.show()
        return 2
    except (SreError, Terminated) as error:
        return _say(error)
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except OSError as error:
        return _say(_full(error)) if error.errno in _NO_ROOM else _bug(error)
    except Exception as error:  # noqa: BLE001  the one place that turns a bug of ours into exit 70
        return _bug(error)
    return code if isinstance(code, int) else 0


def _say(error: SreError | Terminated) -> int:
    from sre.core.secrets import redactor  # noqa: PLC0415  only when something went wrong

    click.echo(redactor.mask(f"sre: {error}" if "\n" not in str(error) else str(error)), err=True)
    return error.exit_code


def _full(error: OSError) -> Transient:
    where = f" for {error.filename}" if error.filename else ""
    return Transient(f"{error.strerror}{where}; make room and run it again")


def _bug(error: Exception) -> int:
    import logging  # noqa: PLC0415
    import traceback  # noqa: PLC0415

    from sre.core.secrets import redactor  # noqa: PLC0415

    if logging.getLogger().isEnabledFor(logging.DEBUG):
        click.echo(redactor.mask("".join(traceback.format_exception(error))), err=True)
    line = f"sre: internal error, a bug of ours: {type(error).__name__}: {error}"
    click.echo(redactor.mask(line) + " (--log-level debug shows where)", err=True)
    return SreError.exit_code
