"""How is a backup that pgBackRest makes and keeps catalogued, verified and restored like others?"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sre.backup.databases.pgbackrest_repo import RECORD, Stanza, told
from sre.backup.databases.pgdsn import environment, options, reveal
from sre.backup.databases.pgreplica import look
from sre.backup.databases.pgscratch import scratch_server
from sre.backup.engine import Dump, Source
from sre.backup.programs import PYTHON_PATH, python_program
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, IntegrityError, UsageError
from sre.core.secrets import Secret
from sre.sql.session import Session

__all__ = ["PgBackRestDatabase"]

_STANZA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TYPES = {"full": "full", "diff": "diff", "incr": "incr"}
_PASSED = ("PGPASSWORD", "PGPASSFILE")
_POSITION = (
    "select case when pg_is_in_recovery() then '' else pg_current_wal_insert_lsn()::text end"
)


@dataclass(frozen=True)
class PgBackRestDatabase:
    """`kind: pgbackrest`: pgBackRest makes and keeps the backups; here they are known and proven.

    Attributes:
        stanza: its name there.
        config: its configuration file, if not the usual one.
        repo: the number of the repository, where it has several.
        user: as whom it runs where we are root: the owner of its repository.
        dsn: of the server, to ask what it is and where its log ends; else pgBackRest is asked.
        bin_dir: where PostgreSQL's programs of the server's version are, if not found by version.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    stanza: str
    config: Path | None = None
    repo: int | None = None
    user: str = "postgres"
    dsn: Secret | None = None
    bin_dir: Path | None = None

    def __post_init__(self) -> None:
        if not _STANZA.fullmatch(self.stanza):
            raise ValueError("stanza must be a name such as pgBackRest has them: letters, digits")
        if self.repo is not None and not 1 <= self.repo <= 256:
            raise ValueError("repo is a number from 1 to 256")

    def identify(self, deadline: Deadline) -> Source:
        base = self._stanza.info(deadline)
        system = str(base["db"][-1]["system-id"])
        size = base["backup"][-1]["info"]["size"] if base["backup"] else 0
        if self.dsn is None:
            return Source("pgbackrest", str(base["db"][-1]["version"]), system, int(size))
        with Session(reveal(self.dsn), statement_seconds=max(1.0, deadline.left())) as session:
            version = str(session.value("show server_version")).split(" ", maxsplit=1)[0]
            standing, asked = look(session), deadline.clock.wall()
        if standing.system_id != system:
            raise UsageError(
                f"dsn leads to the system {standing.system_id}, the stanza {self.stanza!r} is of "
                f"{system}: they are two databases"
            )
        as_of = asked - standing.behind
        return Source("pgbackrest", version, system, int(size), standing.timeline, as_of)

    def dump(self, source: Source, label: str) -> Dump:  # noqa: ARG002  pgBackRest knows its server
        """`label` is our id; the kind in it is the type that pgBackRest is asked for."""
        stanza = self._stanza
        wish = {
            "stanza": stanza.name, "config": str(stanza.config or ""), "repo": stanza.repo,
            "user": stanza.user, "type": _TYPES[label.split("-")[1]], "id": label,
        }  # fmt: skip
        stanza.argv("backup")  # whether it is here
        argv = python_program("sre.backup.databases.pgbackrest_dump", json.dumps(wish))
        position = self._position if self.dsn is not None else None
        return Dump(tuple(argv), {**PYTHON_PATH, **stanza.env}, RECORD, position=position)

    def check_files(self, folder: Path, deadline: Deadline) -> tuple[str, ...]:  # noqa: ARG002
        """pgBackRest compared each file with its checksum as it restored it."""
        return () if (folder / "global" / "pg_control").is_file() else ("there is no pg_control",)

    def serve(self, folder: Path, work: Path, deadline: Deadline) -> AbstractContextManager[str]:
        words = options(reveal(self.dsn)) if self.dsn is not None else {}
        user = words.get("user") or "postgres"
        return scratch_server(
            folder, work, deadline, major=_major_of(folder), bin_dir=self.bin_dir, user=user,
            database=words.get("dbname") or user,
        )  # fmt: skip

    def missing_of(self, dumps: Sequence[Mapping[str, Any]], deadline: Deadline) -> list[str]:
        """As Elsewhere's."""
        there = self._stanza.backups(deadline)
        return [self._problem(str(each.get("label", "")), there) for each in dumps]

    def _problem(self, label: str, there: Mapping[str, Mapping[str, Any]]) -> str:
        if label not in there:
            return f"pgbackrest no longer has {label} in stanza {self.stanza!r}: it expired there"
        if there[label].get("error"):
            return f"pgbackrest says that {label} has errors: pages were damaged at the source"
        return ""

    def check_kept(self, deadline: Deadline) -> tuple[str, ...]:
        """As Elsewhere's."""
        return self._stanza.verify(deadline)

    def fetch(self, folder: Path, deadline: Deadline) -> None:
        """As Elsewhere's: the files of the backup, and the log up to where it is consistent."""
        try:
            said = told((folder / RECORD).read_bytes())
            label, ends = (
                str(said["label"]),
                (str(said["first_segment"]), str(said["last_segment"])),
            )
        except (OSError, KeyError) as error:
            raise IntegrityError(f"the record of the backup is not whole: {error}") from error
        (folder / RECORD).unlink()
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}.fetch-", dir=folder.parent
        ) as place:
            work = Path(place)
            self._stanza.restore(label, folder, work, deadline)
            self._stanza.log(*ends, folder, work, deadline)

    @property
    def _stanza(self) -> Stanza:
        env: dict[str, str] = {}
        if self.dsn is not None:
            known = environment(reveal(self.dsn))
            env = {name: known[name] for name in _PASSED if name in known}
        return Stanza(self.stanza, self.config, self.repo, self.user, env)

    def _position(self, deadline: Deadline) -> str:
        assert self.dsn is not None  # noqa: S101  whoever asks looked
        with Session(reveal(self.dsn), statement_seconds=max(1.0, deadline.left())) as session:
            return str(session.value(_POSITION))


def _major_of(folder: Path) -> str:
    try:
        return (folder / "PG_VERSION").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CheckFailed("what was restored holds no PG_VERSION: no PostgreSQL") from None
