"""Which names and folders does the archiver of a database use, and which program?"""

from __future__ import annotations

from pathlib import Path

from sre.backup.databases.pgbin import programs
from sre.backup.databases.pgdsn import environment, reveal
from sre.backup.databases.postgres import PostgresDatabase
from sre.backup.log.server import Identity
from sre.backup.model import Declared
from sre.core.errors import UsageError
from sre.core.units import Duration

__all__ = [
    "Program",
    "application_name",
    "early_seconds",
    "epoch_note",
    "program_of",
    "server_of",
    "slot_name",
    "spool_folder",
]

_RPO = Duration(60.0)
Program = tuple[tuple[str, ...], dict[str, str]]


def server_of(declared: Declared) -> PostgresDatabase:
    """The server whose log there is to archive. Raises UsageError for other kinds."""
    if not isinstance(declared.database, PostgresDatabase):
        raise UsageError(
            f"databases.{declared.name} is of kind {declared.kind!r}, which has no log to archive; "
            "name one of kind postgres"
        )
    return declared.database


def slot_name(declared: Declared) -> str:
    """The replication slot that keeps on the server what is not stored yet."""
    return declared.archive.slot or f"sre_{declared.name.replace('-', '_')}"[:63]


def application_name(declared: Declared) -> str:
    """By which pg_receivewal is known at the server."""
    return f"sre archive {declared.name}"[:63]


def spool_folder(state: Path, declared: Declared, identity: Identity) -> Path:
    """Where segments wait; another server has another one."""
    root = declared.archive.spool or state / "spool"
    return root / f"{declared.name}-{identity.place}"


def epoch_note(state: Path, declared: Declared) -> Path:
    """Where the public half of the epoch's key is kept."""
    return state / "log" / f"{declared.store_name}-{declared.name}.json"


def early_seconds(declared: Declared) -> float:
    """How often the beginning of a segment is stored: half of what the tier allows to lose."""
    return float(declared.tier.rpo or _RPO) / 2


def program_of(declared: Declared, identity: Identity, spool: Path) -> Program:
    """(argument list, environment) of pg_receivewal. Raises MissingExtra, UsageError."""
    server = server_of(declared)
    found = programs(identity.major, ("pg_receivewal",), bin_dir=server.bin_dir)
    env = environment(reveal(server.dsn))
    env.pop("PGDATABASE", None)
    env["PGAPPNAME"] = application_name(declared)
    argv = (str(found / "pg_receivewal"), "-D", str(spool), "--synchronous", "--no-loop", "-w")
    return argv, env
