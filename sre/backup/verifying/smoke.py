"""Does the application accept the restored copy?

`smoke:` of a database is a command, without a shell. It gets the scratch server as `SRE_DSN` and as
libpq's variables; everything it writes there is thrown away. Exit code 0 is good.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sre.backup.records import Fault
from sre.backup.verifying.findings import Findings
from sre.core.clock import Deadline
from sre.core.errors import UsageError
from sre.core.process import run

__all__ = ["run_smoke", "smoke_environment"]

_SECONDS = 600.0
_NAMES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}


def run_smoke(argv: Sequence[str], dsn: str, work: Path, findings: Findings) -> None:
    """Run it for at most ten minutes; what is wrong goes to the findings."""
    what = f"smoke {Path(argv[0]).name}"
    try:
        done = run(argv, Deadline.after(_SECONDS, findings.clock), env=smoke_environment(dsn))
    except UsageError as error:
        findings.failures.append(Fault(what, f"it does not start: {error}"))
        return
    if done.ok:
        return
    if done.timed_out:
        findings.failures.append(Fault(what, f"it did not end within {_SECONDS:.0f} seconds"))
        return
    text = done.stderr.strip() or done.stdout.decode(errors="replace").strip()
    words = " | ".join(text.replace(str(work), "…").splitlines()[-3:]) or "it said nothing"
    findings.failures.append(Fault(what, f"it ended with exit code {done.returncode}: {words}"))


def smoke_environment(dsn: str) -> dict[str, str]:
    """The variables that name the scratch server; none of ours may lead to another one."""
    found = {"SRE_DSN": dsn, "PGHOSTADDR": "", "PGPASSWORD": ""}
    try:
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
    except ModuleNotFoundError:
        return found
    words = conninfo_to_dict(dsn) if "=" in dsn else {}
    return found | {name: str(words[key]) for key, name in _NAMES.items() if words.get(key)}
