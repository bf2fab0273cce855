"""Which session asks the database that a dsn names?

An engine is one file with one class and one row here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol

from sre.core.errors import UsageError
from sre.core.secrets import redactor
from sre.sql.session import STATEMENT_SECONDS

__all__ = ["KINDS", "Asked", "open_session"]

KINDS = frozenset({"postgres"})
"""Kinds of `databases:` that can be asked by their dsn."""

_POSTGRES = ("sre.sql.session", "Session")
_ENGINES = {
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "sqlite": ("sre.sql.sqlite", "SqliteSession"),
}
_KEYWORDS = re.compile(r"\s*\w+\s*=")


class Asked(Protocol):
    """A database that is being asked; nothing that it is asked can change it."""

    def value(self, sql: str, parameters: Mapping[str, object] = ...) -> Any:
        """The one value of the one row. Raises CheckFailed."""
        ...

    def rows(self, sql: str, parameters: Mapping[str, object] = ...) -> list[tuple[Any, ...]]:
        """All rows. Raises CheckFailed."""
        ...


def open_session(
    dsn: str, *, statement_seconds: float = STATEMENT_SECONDS
) -> AbstractContextManager[Asked]:
    """A session, not entered yet. On entering: MissingExtra, UsageError or Transient.

    Raises UsageError when no engine knows such a dsn.
    """
    scheme, found, rest = dsn.partition("://")
    if not found and _KEYWORDS.match(dsn):
        scheme = "postgresql"  # libpq's other spelling: host=… dbname=…
    if scheme not in _ENGINES:
        raise UsageError(
            f"a dsn cannot begin with {scheme[:20]!r}; write postgresql://USER@HOST/DATABASE or "
            "sqlite:////PATH"
            if found
            else "a dsn begins with postgresql:// or sqlite://"
        )
    password = re.match(r"[^/@:]*:([^/@]{3,})@", rest)
    if password:
        redactor.add(password[1])
    module, name = _ENGINES[scheme]
    made: AbstractContextManager[Asked] = getattr(import_module(module), name)(
        dsn, statement_seconds=statement_seconds
    )
    return made
