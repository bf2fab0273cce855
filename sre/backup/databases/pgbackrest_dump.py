"""How does a backup of pgBackRest become a record of ours? (the program of a child process)

    pgbackrest backup ─► pgbackrest info ─► stdout: one tar with `pgbackrest.json`

The data stay in its repository. Ends with 0 only when it lists the backup as good.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sre.backup.databases.pgbackrest_repo import NOTE, RECORD, SCHEMA, Stanza
from sre.backup.databases.pgspaces import file_header
from sre.backup.pages.tarstream import BLOCK, padding
from sre.backup.programs import Tail
from sre.core.child import Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed, SreError

__all__ = ["main", "record"]

_ASK_SECONDS = 120.0
_SECONDS = 7 * 86400.0
_STOP_SECONDS = 5.0


def main(wish: dict[str, Any]) -> int:
    """Let it make the backup; write the record to stdout."""
    config = Path(wish["config"]) if wish["config"] else None
    stanza = Stanza(wish["stanza"], config, wish["repo"], wish["user"])
    try:
        _backup(stanza, wish["type"], wish["id"])
        content = record(stanza, wish["id"])
    except (SreError, OSError) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1
    data = json.dumps({"schema": SCHEMA, **content}).encode()
    sys.stdout.buffer.write(file_header(RECORD, len(data)) + data + padding(len(data)))
    sys.stdout.buffer.write(bytes(2 * BLOCK))
    sys.stdout.buffer.flush()
    return 0


def _backup(stanza: Stanza, kind: str, name: str) -> None:
    said = Tail()
    argv = stanza.argv("backup", f"--type={kind}", f"--annotation={NOTE}={name}")
    with Child(
        argv, user=stanza.as_user, cwd="/", stdout=said, stderr=said, grace=_STOP_SECONDS
    ) as program:
        code = program.wait(Deadline.after(_SECONDS))
    if code != 0:
        raise CheckFailed(f"pgbackrest backup ended with exit code {code}: {said.text()}")


def record(stanza: Stanza, name: str) -> dict[str, Any]:
    """What it says of the backup that was made for our id. Raises CheckFailed."""
    made = [
        each
        for each in stanza.backups(Deadline.after(_ASK_SECONDS)).values()
        if each.get("annotation", {}).get(NOTE) == name
    ]
    if len(made) != 1 or made[0].get("error"):
        raise CheckFailed("pgbackrest ended with exit code 0, but does not list a good backup")
    found = made[0]
    return {
        "stanza": stanza.name,
        "label": found["label"],
        "type": found["type"],
        "prior": found["prior"],
        "timeline": int(found["archive"]["start"][:8], 16),
        "start_lsn": found["lsn"]["start"],
        "stop_lsn": found["lsn"]["stop"],
        "first_segment": found["archive"]["start"],
        "last_segment": found["archive"]["stop"],
        "kept_elsewhere": found["info"]["size"],
        "kept_bytes": found["info"]["repository"].get("delta", 0),
        "kept_by": f"pgbackrest {found['backrest']['version']}",
    }


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
