"""How does an unpacked backup become a clean, stopped database at a moment?"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from sre.backup.databases.pgrecover import Replayed
from sre.backup.databases.pgspaces_guard import has_spaces
from sre.backup.recovery.engine import Replays, nothing
from sre.backup.recovery.settings import LOG_FOLDER, RESTORE_COMMAND, auto_conf, kept_settings
from sre.backup.recovery.target import Target
from sre.backup.verifying.scratch import scratch
from sre.core.clock import Deadline
from sre.core.errors import Refused

__all__ = ["choose_port", "leave_to_user", "quiet", "replay"]

_SECONDS = 7 * 86400.0
_FIRST_PORT = 5433
_PORTS = 1000


def replay(
    database: Replays,
    folder: Path,
    log: Path,
    aim: Target,
    timeline: int,
    *,
    at: Callable[[int], None] = nothing,
) -> Replayed:
    """Replay the files in `log` on the unpacked backup in `folder`, and shut it down cleanly.

    `log` is moved into the folder, and gone afterwards. Call `quiet` before anybody starts it.

    Raises:
        TooEarly, NotReached: from here the target cannot be reached.
        CheckFailed: it does not start; Transient: the disk is full; MissingExtra: no server here.
    """
    log.rename(folder / LOG_FOLDER)
    settings = aim.settings() | {"recovery_target_timeline": str(timeline)}
    with (
        scratch() as work,
        database.replay(folder, work, Deadline.after(_SECONDS), settings, at=at) as done,
    ):
        found = done
    shutil.rmtree(folder / LOG_FOLDER)
    (folder / "postmaster.opts").unlink(missing_ok=True)
    return found


def quiet(folder: Path, old: str, port: int) -> None:
    """Settings by which the copy does not disturb the source; `old` is what ALTER SYSTEM said."""
    _write(folder, auto_conf(old, _kept(folder, port)))


def leave_to_user(folder: Path, log: Path, aim: Target, timeline: int, old: str, port: int) -> None:
    """Everything for a recovery that the user's own server makes when it is started."""
    log.rename(folder / LOG_FOLDER)
    settings = {
        **_kept(folder, port),
        "restore_command": RESTORE_COMMAND,
        **aim.settings(),
        "recovery_target_timeline": str(timeline),
        "recovery_target_action": "promote",
    }
    (folder / "standby.signal").unlink(missing_ok=True)
    (folder / "recovery.signal").write_bytes(b"")
    _write(folder, auto_conf(old, settings))


def _kept(folder: Path, port: int) -> dict[str, str]:
    major = int((folder / "PG_VERSION").read_text(encoding="ascii"))
    inside = {"allow_in_place_tablespaces": "on"} if has_spaces(folder) else {}
    return {**kept_settings(major, port), **inside}


def choose_port(wanted: int | None) -> int:
    """The wanted port, or the first free one from 5433 on. Raises Refused when it is taken."""
    if wanted is not None:
        if not _free(wanted):
            raise Refused(f"port {wanted} is in use on this machine; name another with --port")
        return wanted
    return next(port for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS) if _free(port))


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _write(folder: Path, text: str) -> None:
    path = folder / "postgresql.auto.conf"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(0o600)
