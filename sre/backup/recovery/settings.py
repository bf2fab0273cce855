"""What does a restored PostgreSQL's own configuration say afterwards?

Pure. The source's ALTER SYSTEM settings stay, but none by which the copy would disturb the source:
it archives nothing, follows nobody, and has a port of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["LOG_FOLDER", "RESTORE_COMMAND", "auto_conf", "kept_settings", "line"]

LOG_FOLDER = "sre_wal"
"""Below the data folder: what recovery reads the log from."""

RESTORE_COMMAND = f'test -f "{LOG_FOLDER}/%f" || exit 1; cp "{LOG_FOLDER}/%f" "%p" || exit 255'
"""1: not there, which ends the log. Above 125 stops recovery: a full disk must not look like 1."""

_DROPPED = re.compile(
    r"\s*(?:recovery_target\w*|restore_command|recovery_end_command|archive_\w+|standby_mode|"
    r"primary_\w+|promote_trigger_file|trigger_file|recovery_min_apply_delay|"
    r"synchronous_standby_names|synchronized_standby_slots|standby_slot_names|cluster_name|"
    r"sync_replication_slots|port|listen_addresses|data_directory|external_pid_file)\b",
    re.IGNORECASE,
)


def auto_conf(old: str, new: Mapping[str, str]) -> str:
    """postgresql.auto.conf with `new` settings instead of those that belong to the source."""
    kept = [each for each in old.splitlines() if each.strip() and not _DROPPED.match(each)]
    ours = [
        "# set by sre backup restore: a copy disturbs nobody",
        *(line(*each) for each in new.items()),
    ]
    return "\n".join([*kept, *ours, ""])


def line(name: str, value: str) -> str:
    """One line of a configuration file."""
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{quoted}'"


def kept_settings(major: int, port: int) -> dict[str, str]:
    """What every restored server has."""
    found = {"archive_mode": "off", "archive_command": "", "restore_command": ""}
    if major >= 15:
        found["archive_library"] = ""
    return found | {
        "primary_conninfo": "",
        "primary_slot_name": "",
        "synchronous_standby_names": "",
        "listen_addresses": "localhost",
        "port": str(port),
    }
