"""How do replicas log in to their primary, as far as MariaDB itself has it written down? (pure)"""

from __future__ import annotations

from dataclasses import dataclass, field

from sre.core.errors import UsageError
from sre.core.secrets import redactor

__all__ = ["Login", "from_info", "from_secret"]


@dataclass(frozen=True)
class Login:
    """User and password of the replication account."""

    user: str
    password: str = field(repr=False)


def from_secret(text: str) -> Login:
    """`USER:PASSWORD`. Raises UsageError; the message holds nothing of it."""
    user, colon, password = text.partition(":")
    if not colon or not user:
        raise UsageError("replication: must be USER:PASSWORD of the account of the replicas")
    if password:
        redactor.add(password)
    return Login(user, password)


def from_info(content: bytes) -> Login | None:
    """What a replica's master.info says; None when it says nothing.

    Its lines: how many there are, log file, position, host, user, password, port, …
    """
    lines = content.decode("utf-8", "surrogateescape").splitlines()
    if len(lines) < 7 or not lines[0].strip().isdigit() or not lines[4]:
        return None
    if lines[5]:
        redactor.add(lines[5])
    return Login(lines[4], lines[5])
