"""How must a standby connect to a new primary, with nothing else of its way in changed? (pure)"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import conninfo

from sre.core.errors import CheckFailed

__all__ = [
    "FROZEN",
    "following",
    "frozen",
    "plain",
    "setting_line",
    "thawed",
    "with_settings",
    "words_of",
]

FROZEN = " host='/sre-frozen'"
"""What is appended to a `primary_conninfo` so that it leads nowhere; the last word counts."""

_DROPPED = ("hostaddr", "target_session_attrs", "load_balance_hosts", "replication", "options")


def words_of(text: str) -> dict[str, str]:
    """Its words by name. Raises CheckFailed."""
    try:
        return {name: str(value) for name, value in conninfo.conninfo_to_dict(text).items()}
    except psycopg.Error as error:
        raise CheckFailed("a primary_conninfo cannot be read; mend it on its node") from error


def following(
    template: str, host: str, port: str, name: str, more: Mapping[str, str] | None = None
) -> str:
    """`template` with another server, and the name by which the primary knows the standby.

    Raises:
        CheckFailed: it cannot be read.
    """
    words = {key: value for key, value in words_of(thawed(template)).items() if key not in _DROPPED}
    words |= {**(more or {}), "host": host, "port": port, "application_name": name}
    return conninfo.make_conninfo("", **words)


def frozen(text: str) -> str:
    """Leads nowhere, and keeps everything else. Idempotent. Raises CheckFailed."""
    if text.endswith(FROZEN):
        return text
    return conninfo.make_conninfo("", **words_of(text)) + FROZEN


def thawed(text: str) -> str:
    """What it was before it was frozen."""
    return text.removesuffix(FROZEN)


def plain(text: str, **more: str) -> tuple[str, dict[str, str]]:
    """For a program's argument list: without the password, which comes as environment.

    Raises:
        CheckFailed: it cannot be read.
    """
    words = {**words_of(thawed(text)), **more}
    password = words.pop("password", "")
    env = {"PGPASSWORD": password} if password else {}
    return conninfo.make_conninfo("", **words), env


def setting_line(name: str, value: str) -> str:
    """A line of postgresql.auto.conf, as ALTER SYSTEM writes it."""
    doubled = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{doubled}'\n"


def with_settings(content: str, settings: Mapping[str, str]) -> str:
    """postgresql.auto.conf with these settings in the place of what it said of them."""
    kept = [
        line
        for line in content.splitlines(keepends=True)
        if line.partition("=")[0].strip().lower() not in settings
    ]
    text = "".join(kept)
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(setting_line(*each) for each in settings.items())
