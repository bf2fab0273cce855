"""`sre ledger`: is everything that a client was told is safe still there?"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sre.cli.options import Run, common_options
from sre.core.errors import Interrupted, Terminated, Transient, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sre.sql.ledger.engine import Engine
    from sre.sql.ledger.model import Head, Plan, Report
    from sre.sql.ledger.writing import Writers

__all__ = ["ledger"]

_TICK = 0.2
_DSN = (
    "How clients reach the primary, through the traffic switch: a reference such as "
    "'${env:FRONT_DSN}'."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def ledger() -> None:
    """Numbered writes through the front door, read back after the fault."""


_threshold = click.option(
    "--gap-threshold", default="500ms", metavar="TIME", help="List write gaps longer than this."
)


@ledger.command("write")
@click.argument("cluster", required=False)
@click.option("--dsn", metavar="REFERENCE", help=f"{_DSN} Default: `front` of the cluster.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the record.")
@click.option("--writers", type=int, default=8, show_default=True, help="Clients.")
@click.option(
    "--rate", default="200/s", show_default=True, help="Writes of all of them together, or max."
)
@click.option("--for", "seconds", metavar="TIME", help="Default: until SIGINT or SIGTERM.")
@click.option("--table", default="sre_ledger", show_default=True, help="Made where it is missing.")
@click.option("--deadline", default="5s", show_default=True, help="Of one write.")
@click.option("--connect-timeout", default="1s", show_default=True, help="Of one connection.")
@click.option("--wait", type=int, default=0, help="Redis: replicas that must have a write (WAIT).")
@click.option("--until-signal", is_flag=True, help="A signal is the expected end: exit 0.")
@click.option("--dry-run", is_flag=True, help="Show what would be written where; change nothing.")
@click.option("--named", default="", hidden=True)
@_threshold
@common_options
def write_command(run: Run, cluster: str | None, gap_threshold: str, **options: Any) -> int:
    """Write until told to stop: what is acknowledged, ambiguous and failed goes on record.

    The record outlives `kill -9` at any moment. Exit 4 when the front door cannot be reached, no
    write was acknowledged, or there is no room for the record; 130 or 143 after a signal that
    --until-signal did not announce. The summary is printed in any case; nothing is read back yet.
    """
    from sre.sql.ledger.engines import open_engine  # noqa: PLC0415  drivers load only when it runs
    from sre.sql.ledger.writing import Writers  # noqa: PLC0415

    threshold, plan = _seconds(gap_threshold, "--gap-threshold"), _plan(options)
    reference, dsn = _front(run, options["dsn"], cluster)
    engine = open_engine(dsn, table=plan.table, wait=plan.wait)
    if options["dry_run"]:
        return _dry(run, engine, plan)
    name = cluster or options["named"]
    writers = Writers(engine, options["out"], plan, dsn=reference, cluster=name)
    with writers, _signals() as ended:
        _watch(writers, run, ended)
        writers.stop_quietly()  # a summary first; leaving tells what was wrong
        report = writers.result(threshold=threshold)
        _emit(run, report)
    if ended and not options["until_signal"]:
        raise ended[0]
    return 0 if report.counts.acknowledged else Transient.exit_code


@ledger.command("verify")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dsn", metavar="REFERENCE", help=f"{_DSN} Default: the one that was written to.")
@click.option(
    "--within", default="60s", show_default=True, help="Try so long to read everything back."
)
@click.option(
    "--since", metavar="TIME", help="When the fault was: 2026-11-22T10:00:00.5 (UTC), or seconds."
)
@click.option("--remove", is_flag=True, help="Delete this run's rows once they have been judged.")
@_threshold
@common_options
def verify_command(run: Run, folder: Path, gap_threshold: str, **options: Any) -> int:
    """Read everything back and judge: is each acknowledged write there, and nothing else?

    Exit 0: nothing lost. 1: lost, unexpected or doubled rows. 6: it is still being written. 7: the
    record is damaged. 8: it could not be read back, which is no pass.
    """
    from sre.core.clock import Deadline  # noqa: PLC0415  only when it runs
    from sre.sql.ledger.engines import open_engine  # noqa: PLC0415
    from sre.sql.ledger.reading import verify  # noqa: PLC0415
    from sre.sql.ledger.record import read_head  # noqa: PLC0415

    head = read_head(folder)
    threshold, within = (
        _seconds(gap_threshold, "--gap-threshold"),
        _seconds(options["within"], "--within"),
    )
    since = _mark(options["since"], head)
    dsn = _written_to(run, options["dsn"], head)
    engine = open_engine(dsn, table=head.table)
    report = verify(folder, engine, Deadline.after(within), threshold=threshold, since=since)
    _emit(run, report)
    if options["remove"] and report.verdict is not None:
        _remove(engine, head.run)
    if report.verdict is None:
        return 8
    return {True: 0, False: 1, None: 7}[report.good]


def _emit(run: Run, report: Report) -> None:
    from sre.sql.ledger.render import as_json, as_text  # noqa: PLC0415  only when it runs

    run.emit(as_json(report) if run.format == "json" else as_text(report))


def _watch(writers: Writers, run: Run, ended: list[Interrupted | Terminated]) -> None:
    from sre.core.console import status  # noqa: PLC0415  only when it runs
    from sre.sql.ledger.model import Outcome  # noqa: PLC0415

    with status("writing", enabled=run.progress) as say:
        while not ended and not writers.wait(_TICK):
            seen = writers.counts()
            parts = (f"{seen[each]} {each.name.lower()}" for each in Outcome)
            say(", ".join(parts))


@contextmanager
def _signals() -> Iterator[list[Interrupted | Terminated]]:
    """The first SIGINT or SIGTERM is noted, a second one ends everything at once."""
    ended: list[Interrupted | Terminated] = []
    before: dict[int, Callable[..., Any] | int | None] = {}

    def note(number: int, _frame: object) -> None:
        ended.append(
            Interrupted("interrupted; the ledger is whole")
            if number == signal.SIGINT
            else Terminated("terminated by SIGTERM; the ledger is whole")
        )
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in (signal.SIGINT, signal.SIGTERM):
        before[each] = signal.signal(each, note)
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dry(run: Run, engine: Engine, plan: Plan) -> int:
    from sre.core.clock import Deadline  # noqa: PLC0415  only when it runs
    from sre.sql.ledger.model import NotWritten  # noqa: PLC0415

    try:
        engine.connect(Deadline.after(plan.connect)).close()
    except NotWritten as error:
        raise (UsageError if error.never else Transient)(
            f"the front door does not let us in: {error}"
        ) from None
    rate = "as fast as they can" if plan.rate is None else f"{plan.rate:g} writes a second"
    time = "until a signal" if plan.seconds is None else f"for {plan.seconds:g} s"
    run.emit(
        f"the front door answers; {plan.writers} writers would put {rate} into {plan.table} of "
        f"{engine.name}, {time}; the table would be made where it is missing"
    )
    return 0


def _remove(engine: Engine, run_id: str) -> None:
    from sre.core.clock import Deadline  # noqa: PLC0415  only when it runs
    from sre.sql.ledger.model import NotWritten, Unclear  # noqa: PLC0415

    try:
        engine.remove(run_id, Deadline.after(60.0))
    except (NotWritten, Unclear) as error:
        click.echo(f"sre: the rows of run {run_id} are still there: {error}", err=True)


def _plan(options: dict[str, Any]) -> Plan:
    from sre.sql.ledger.model import Plan  # noqa: PLC0415

    try:
        return Plan(
            writers=options["writers"],
            rate=_rate(options["rate"]),
            seconds=options["seconds"] and _seconds(options["seconds"], "--for"),
            table=options["table"],
            deadline=_seconds(options["deadline"], "--deadline"),
            connect=_seconds(options["connect_timeout"], "--connect-timeout"),
            wait=options["wait"],
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def _rate(text: str) -> float | None:
    """Writes a second; None: as many as there can be."""
    from sre.core.units import Rate  # noqa: PLC0415  only when it runs

    if text == "max":
        return None
    try:
        return float(Rate.parse(text))
    except ValueError as error:
        raise UsageError(f"--rate: {error}, or 'max'") from None


def _seconds(text: str, option: str) -> float:
    from sre.core.units import Duration  # noqa: PLC0415  only when it runs

    try:
        return float(Duration.parse(text))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _mark(text: str | None, head: Head) -> float | None:
    """A wall-clock time as a moment of the record's monotonic clock."""
    from datetime import UTC, datetime  # noqa: PLC0415  only when it runs

    if text is None:
        return None
    try:
        wall = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(
                f"--since {text!r} is neither 2026-11-22T10:00:00.5 nor seconds since 1970"
            ) from None
        wall = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return head.monotonic + (wall - head.wall)


def _front(run: Run, given: str | None, cluster: str | None) -> tuple[str, str]:
    """What may be told of the dsn, and the dsn itself."""
    if given is not None:
        return _revealed(given)
    if cluster is None:
        raise UsageError("name a cluster of sre.yaml, or the front door with --dsn '${env:NAME}'")
    declared = run.settings().switching.clusters.get(cluster)
    if declared is None:
        raise UsageError(f"there is no cluster {cluster!r} in {run.config_path}")
    front = declared.fields.front
    if front is None:
        raise UsageError(
            f'clusters.{cluster} has no `front`; add front: "${{env:FRONT_DSN}}", or give --dsn'
        )
    return front.reference, front.reveal()


def _written_to(run: Run, given: str | None, head: Head) -> str:
    if given is None and head.dsn:
        return _revealed(head.dsn)[1]
    if given is None and not head.cluster:
        raise UsageError("the record does not say where it was written; give --dsn '${env:NAME}'")
    return _front(run, given, head.cluster)[1]


def _revealed(text: str) -> tuple[str, str]:
    """Raises UsageError: a password stands in the command line, where everybody can read it."""
    from sre.core.references import secret_from_reference  # noqa: PLC0415  only when it runs
    from sre.sql.ledger.engines import holds_password  # noqa: PLC0415

    try:
        secret = secret_from_reference(text, Path.cwd())
    except ValueError as error:
        raise UsageError(f"--dsn: {error}") from None
    if secret is not None:
        return text, secret.reveal()
    if holds_password(text):
        raise UsageError(
            "a dsn with a password is no argument: others see it in the list of processes; put it "
            "into an environment variable and give --dsn '${env:NAME}'"
        )
    return text, text
