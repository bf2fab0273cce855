"""Which units, users, hosts and options may a `control:` name?"""

from __future__ import annotations

import re

__all__ = ["check_host", "check_options", "check_unit", "check_user"]

_UNIT = re.compile(r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\-]*\$?")
_HOST = re.compile(r"[A-Za-z0-9_:\[][A-Za-z0-9_.:%\]-]*")
_OPTION = re.compile(r"[A-Za-z0-9]+=.*")


def check_unit(unit: str) -> None:
    """Raises ValueError when `unit` is neither empty nor a systemd unit."""
    if unit and not _UNIT.fullmatch(unit):
        raise ValueError(f"{unit!r} is not a systemd unit; write it as postgresql@15-main")


def check_user(user: str) -> None:
    """Raises ValueError when `user` is neither empty nor a user's name."""
    if user and not _USER.fullmatch(user):
        raise ValueError(f"{user!r} is not a user's name")


def check_host(host: str) -> None:
    """Raises ValueError when `host` is not a name or an address."""
    if not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is not a host; give a name or an address (user: stands apart)")


def check_options(options: tuple[str, ...]) -> None:
    """Raises ValueError when one is not an option as in ssh_config."""
    for each in options:
        if not _OPTION.fullmatch(each):
            raise ValueError(f"{each!r} is not an option of ssh; write Name=value")
